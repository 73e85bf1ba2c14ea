// Package e2e proves what a run does on the real thing: a real API server, kubelet and containers (tools/kubebox), a
// real Temporal server, and the three roles as processes of their own that can be killed. `make e2e` runs it.
package e2e
