//go:build unix

// Package tools_test tests the scripts of this folder and the Makefile that calls them.
package tools_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// output runs a command in the root of the repository with exactly these variables.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = "..", env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestHermeticDropsTheSettingsOfTheCaller(t *testing.T) {
	path := "PATH=" + os.Getenv("PATH")
	env := []string{
		path, "HOME=/home/x", "LANG=C", "KHRONICLE_REQUIRE_ALL=1",
		"KHRONICLE_LEDGER=sqlite:x", "KH_RUN_UUID=x", "KUBEBOX_NAME=x", "KUBEBOX_STATE=/x", "KUBECONFIG=/x", "KUBERNETES_SERVICE_HOST=x",
		"TEMPORAL_ADDRESS=x", "PGHOST=x", "GOFLAGS=-mod=vendor", "TARGET_NAMESPACE=x", "POD_NAME=x", "CHECK_REAPER_RUN_INTERVAL=x",
	}
	got := map[string]string{}
	for text := range strings.Lines(output(t, env, "tools/hermetic.sh", "KUBEBOX_STATE=/y", "env")) {
		if name, value, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "="); name != "_" && name != "PWD" && name != "SHLVL" && name != "OLDPWD" {
			got[name] = value
		}
	}
	want := map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": "/home/x", "LANG": "C", "KHRONICLE_REQUIRE_ALL": "1", "GOFLAGS": "-buildvcs=false", "KUBEBOX_STATE": "/y",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
}

func TestHelpListsEachTargetWithAText(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	help := output(t, os.Environ(), "make", "--no-print-directory", "help")
	for _, found := range regexp.MustCompile(`(?m)^([^\s:#=]+):[^=\n]*## `).FindAllStringSubmatch(string(makefile), -1) {
		if !regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(found[1]) + ` `).MatchString(help) {
			t.Errorf("make help does not list %s", found[1])
		}
	}
}

// Equal digests need an equal compiler.
func TestImagesAndWorkflowsNameOneVersionOfGo(t *testing.T) {
	versions := map[string][]string{}
	for _, file := range []string{"deploy/Dockerfile", ".github/workflows/ci.yml", ".github/workflows/release.yml"} {
		content, err := os.ReadFile("../" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`golang:([0-9.]+)-|go-version: ([0-9.]+)`).FindAllStringSubmatch(string(content), -1)
		if len(found) == 0 {
			t.Errorf("%s names no version of Go", file)
		}
		for _, one := range found {
			versions[one[1]+one[2]] = append(versions[one[1]+one[2]], file)
		}
	}
	if len(versions) > 1 {
		t.Errorf("several versions of Go: %v", versions)
	}
}

func TestGotoolNamesAToolItDoesNotKnow(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "./gotool.sh", "nonesuch").CombinedOutput()
	const want = "gotool.sh: unknown tool nonesuch; add it to tools/gotool.sh\n"
	if err == nil || string(out) != want {
		t.Errorf("%v, %q; want an error and %q", err, out, want)
	}
}
