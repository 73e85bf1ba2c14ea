// Package check holds what Khronicle decides about checks: how a checker pod is built, what a report or a pod's end
// means, what a run's outcome says, when a schedule is due and an outcome overdue, which finished pods may go, and
// what the state of the cluster is. Every decision is a pure function of its arguments: no I/O, no clock, no Temporal.
package check
