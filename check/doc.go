// Package check holds the decisions of Khronicle about checks:
//   - how a checker pod is built;
//   - what a report means, and the end of a pod;
//   - which outcome a run has;
//   - when the ticks of a schedule are, and when an outcome is overdue;
//   - which finished pods are deleted;
//   - what the state of the cluster is.
//
// Every decision is a pure function of its arguments: no clock, no Temporal, no I/O. Time zones are the one exception: they
// are read from the database of the machine or of the binary.
package check
