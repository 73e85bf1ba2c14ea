// Package external runs checks from a Go program, with the API of the package of this name in Kuberhealthy v2. A Checker asks
// Khronicle's workers for a run, waits for its outcome and returns it. It makes no pod itself. The run is durable: when the
// program ends, the run continues. A program that asks again while the run is open gets the same run.
//
// The package needs a Temporal server with Khronicle's workers (`khronicle worker`). The TEMPORAL_* variables name the server,
// unless Checker.TemporalClient is set. It also needs a report API that the pods reach at the reporting URL.
//
// The pod spec travels through Temporal. Whoever may read Temporal's namespace can read the spec. So refer to secrets by
// secretKeyRef or by volume, and do not write them into the spec.
//
// # What is public
//
// Two trees of this module are for other programs: api/, the types of the custom resources, and external/, this package and the
// packages below it. Both follow Go's rules of compatibility from version 0.1.0 on, apart from their internal directories.
// All other packages belong to the commands khronicle and khcheck, and may change in every version.
//
//   - api/v1: the types of KuberhealthyCheck, KuberhealthyJob and KuberhealthyState
//   - external/checkclient: reports the outcome of a check. Authors of checks need this package alone.
//   - external/apiclient: reads checks, runs and evidence from the REST API
//   - external/status: the body of a report
//   - external/health, khcheckcrd, khjobcrd, khstatecrd: types and clients with the names of Kuberhealthy v2.4
package external
