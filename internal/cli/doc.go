// Package cli is what the commands of khronicle print: records, evidence, findings in manifests, and the table of checks.
// It reads and writes text. It never opens a client or a database: cmd/khronicle does, and passes them in.
package cli
