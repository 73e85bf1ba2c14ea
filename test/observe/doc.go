// Package observe reads Khronicle's dashboards and alert rules, runs their queries on a real Prometheus, and draws the results.
// Only tests use it.
package observe
