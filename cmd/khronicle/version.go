package main

import (
	"cmp"
	"runtime/debug"
)

// version is set by the build, to a tag or commit.
var version string

// buildVersion is the version of this program in --version and in the records.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version)
	}
	return cmp.Or(version, "unknown")
}
