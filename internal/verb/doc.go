// Package verb is the commands with which people read and steer checks: get, describe, run, pause and so on. They need a
// kubeconfig alone. The package reads through the REST API, and writes KHChecks. It never talks to Temporal.
package verb
