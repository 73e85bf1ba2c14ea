// Package licenses collects the licenses of the modules that a Go program was linked from. Most of them must come with
// each copy of the program.
package licenses

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

var licenseFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice|patents)([._-].*)?$`)

// none stands for the license of a module whose author published none with it.
const none = "(The module has no license file.)"

// OfPrograms returns one text with the licenses of all modules of some programs, and of Go's standard library. A module
// without a file of that kind is named too.
func OfPrograms(ctx context.Context, files ...string) ([]byte, error) {
	var all []string
	for _, file := range files {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the modules of %s: %w", file, err)
		}
		all = append(all, modules(info)...)
	}
	slices.Sort(all)
	folders, err := foldersOf(ctx, slices.Compact(all))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, folder := range folders {
		if err := appendLicenses(&out, folder); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// folder is where the source of a module is.
type folder struct{ Path, Version, Dir, Error string }

// modules returns MODULE@VERSION of all modules, without the one that was being developed.
func modules(info *debug.BuildInfo) []string {
	var all []string
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" && m.Version != "(devel)" {
			all = append(all, m.Path+"@"+m.Version)
		}
	}
	return all
}

// foldersOf asks Go where the modules are. Go downloads those that it does not have.
func foldersOf(ctx context.Context, modules []string) ([]folder, error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	all := []folder{{Path: "Go's standard library", Dir: strings.TrimSpace(string(goroot))}}
	if len(modules) == 0 {
		return all, nil
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"mod", "download", "-json"}, modules...)...)
	cmd.Dir = os.TempDir() // outside of any module
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, runErr := cmd.Output()
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var one folder
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the answer of go mod download: %w", err)
		}
		if one.Error != "" {
			return nil, fmt.Errorf("download module %s@%s: %s", one.Path, one.Version, one.Error)
		}
		all = append(all, one)
	}
	if runErr != nil {
		return nil, fmt.Errorf("go mod download: %w", runErr)
	}
	return all, nil
}

func appendLicenses(out *bytes.Buffer, from folder) error {
	entries, err := os.ReadDir(from.Dir)
	if err != nil {
		return fmt.Errorf("look for the license of %s: %w", from.Path, err)
	}
	found := false
	for _, entry := range entries {
		if entry.IsDir() || !licenseFile.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from.Dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("read the license of %s: %w", from.Path, err)
		}
		found = true
		fmt.Fprintf(out, "==== %s (%s)\n\n%s\n\n", strings.TrimSpace(from.Path+" "+from.Version), entry.Name(), bytes.TrimSpace(text))
	}
	if !found {
		fmt.Fprintf(out, "==== %s\n\n%s\n\n", strings.TrimSpace(from.Path+" "+from.Version), none)
	}
	return nil
}
