//go:build !linux

// Command kubebox is a real one-node Kubernetes for development and tests. It needs Linux: its node is made of namespaces and cgroups.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintln(os.Stderr, "kubebox: runs on Linux only, not on", runtime.GOOS)
	os.Exit(1)
}
