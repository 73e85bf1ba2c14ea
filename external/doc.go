// Package external runs checks from a Go program, with the API of Kuberhealthy v2's package of this name. A Checker asks
// Khronicle's workers for a run, waits for its outcome and returns it. It makes no pod itself. The run is durable: it
// continues when the program dies. A program that asks again while it is open joins it.
//
// It needs a Temporal server with Khronicle's workers (`khronicle worker`). The TEMPORAL_* variables name the server,
// unless Checker.TemporalClient is set. The pods must reach a report API at the reporting URL.
//
// The pod spec goes through Temporal, where everyone who may read its namespace can read it. So give secrets by reference,
// as secretKeyRef or volume, not as text.
//
// Authors of checks need only package checkclient.
package external
