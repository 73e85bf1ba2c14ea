// Package external runs checks from a Go program, with the API of Kuberhealthy v2's package of this name. A Checker asks
// Khronicle's workers for a run, waits for its outcome and returns it; it makes no pod itself. The run is durable: when the
// program dies the run goes on, and a program that asks again while it is open is given the same run.
//
// It needs a Temporal server with Khronicle's workers (`khronicle worker`), found by the TEMPORAL_* variables unless
// Checker.TemporalClient is set, and a report API that the pods reach at the reporting URL.
//
// The pod spec travels through Temporal, where who may read its namespace can read it: give secrets by reference, as
// secretKeyRef or volume, not as text.
//
// Authors of checks need package checkclient alone.
package external
