//go:build !linux

// Command scale measures what a run costs with many checks. It needs Linux: its cluster is kubebox.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintln(os.Stderr, "scale: runs on Linux only, not on", runtime.GOOS)
	os.Exit(1)
}
