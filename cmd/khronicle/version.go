package main

import (
	"cmp"
	"runtime/debug"
)

// version is set by the build, to a tag or commit.
var version string

// buildVersion returns the version that --version and the records show.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version)
	}
	return cmp.Or(version, "unknown")
}
