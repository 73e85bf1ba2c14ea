//go:build !linux

// Command chaos is the crash tests of the ledger. It needs Linux: its cluster is kubebox.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintln(os.Stderr, "chaos: runs on Linux only, not on", runtime.GOOS)
	os.Exit(1)
}
