// Package program builds Go programs for a platform, the same bytes on each machine. It knows neither images nor archives.
package program

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// Platform is what a program runs on, in the words of Go and of OCI.
type Platform struct{ OS, Arch string }

var platform = regexp.MustCompile(`^([a-z0-9]+)/([a-z0-9]+)$`)

// ParsePlatforms reads OS/ARCH, several with commas between. Each may be named once.
func ParsePlatforms(text string) ([]Platform, error) {
	var all []Platform
	seen := map[Platform]bool{}
	for one := range strings.SplitSeq(text, ",") {
		found := platform.FindStringSubmatch(one)
		if found == nil {
			return nil, fmt.Errorf("platform %q: want OS/ARCH, such as linux/amd64", one)
		}
		p := Platform{OS: found[1], Arch: found[2]}
		if seen[p] {
			return nil, fmt.Errorf("platform %s is named twice", p)
		}
		seen[p] = true
		all = append(all, p)
	}
	return all, nil
}

func (p Platform) String() string { return p.OS + "/" + p.Arch }

// Source is a checkout of the module whose programs are built.
type Source struct {
	// Root is the folder of go.mod, Version what programs show as their version.
	Root, Version string
}

// Build compiles the package for the platform into the file out. Equal sources and an equal version of Go give equal bytes.
func (s Source) Build(ctx context.Context, pkg string, p Platform, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+s.Version, "-o", out, pkg)
	cmd.Dir = s.Root
	// No setting of the machine may change the result.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.OS, "GOARCH="+p.Arch,
		"GOFLAGS=-buildvcs=false", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s for %s: %w\n%s", pkg, p, err, text)
	}
	return nil
}

// GoEnv returns a value of `go env`.
func GoEnv(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", name).Output()
	value := strings.TrimSpace(string(out))
	if err == nil && value == "" {
		err = fmt.Errorf("it is empty")
	}
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", name, err)
	}
	return value, nil
}

// VersionOf returns the version of the module that a program was installed from.
func VersionOf(file string) (string, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the version of %s: %w", file, err)
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v, nil
	}
	return "", fmt.Errorf("program %s has no version: want one that go install made", file)
}
