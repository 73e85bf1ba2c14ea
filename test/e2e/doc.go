// Package e2e proves what a run does on the real thing. It uses a real API server, kubelet and containers (tools/kubebox),
// and a real Temporal server. The three roles are processes that a test can kill. `make e2e` runs it.
package e2e
