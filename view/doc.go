// Package view is what people see of checks, runs and evidence: one read model, joined from KHChecks, KHJobs, KHStates and
// the ledger. The status page, the metrics, the REST API, the pages and the commands read it, so that all of them say the
// same.
//
// A Snapshot has all checks and jobs at one moment. It is made from the caches of informers and from statistics that a
// View reads in the background. So reading it sends no request and no query, however many checks there are. Runs and
// evidence are read from the ledger one page at a time.
//
// The package never writes, and never shows the run UUID of a run that is open: with it, anyone could report.
package view
