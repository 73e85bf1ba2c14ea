// Package cli is what commands of khronicle print: findings in manifests, and texts of others on a terminal. It reads and writes
// text. It never opens a client: cmd/khronicle does, and passes it in.
package cli
