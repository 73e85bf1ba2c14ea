package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/internal/lint"
)

// Three jobs: one is right, one runs otherwise than it says, one is refused.
const (
	goodJob = `apiVersion: comcast.github.io/v1
kind: KuberhealthyJob
metadata: {name: good, namespace: shop}
spec: {timeout: 1m, podSpec: {containers: [{name: check, image: "shop/check:1"}]}}
`
	doubtfulJob = `apiVersion: comcast.github.io/v1
kind: KuberhealthyJob
metadata: {name: doubtful, namespace: shop}
spec: {timeout: 1m, podSpec: {restartPolicy: Always, containers: [{name: check, image: "shop/check:1"}]}}
`
	badJob = `apiVersion: comcast.github.io/v1
kind: KuberhealthyJob
metadata: {name: bad, namespace: shop}
spec: {timeout: abc, podSpec: {containers: [{name: check, image: "shop/check:1"}]}}
`
	// unvalidated ends the summary of a command that asked no API server.
	unvalidated = "; the pods were not validated by an API server (--server)\n"
	doubt       = ":4: warning: khjob shop/doubtful: spec.podSpec.restartPolicy: \"Always\" is replaced by Never\n"
	badLine     = ":4: khjob shop/bad: spec.timeout: \"abc\" is not a duration above 0, such as \"5m\"\n"
)

// inFolder makes files in a new working directory.
func inFolder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLint(t *testing.T) {
	inFolder(t, map[string]string{
		"good.yaml": goodJob, "doubtful.yaml": doubtfulJob, "bad.yaml": badJob,
		"clean/a.yml": goodJob, "clean/deep/B.JSON": `{"kind": "List", "items": []}`, "clean/.git/bad.yaml": badJob, "clean/notes.txt": badJob,
		"hollow/notes.txt": badJob, ".hidden/a.yaml": goodJob, "wrong/bad.yaml": badJob, "deep/notes.txt": badJob,
	})
	for link, target := range map[string]string{"linked": "clean", "deep/linked": "../wrong", "dangling": "gone"} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, input string
		args        []string
		want, err   string
	}{
		{"good", "", []string{"good.yaml"}, "0 checks, 1 job in 1 file: 0 errors, 0 warnings" + unvalidated, ""},
		{"warning", "", []string{"doubtful.yaml"}, "doubtful.yaml" + doubt + "0 checks, 1 job in 1 file: 0 errors, 1 warning" + unvalidated, ""},
		{"warning with --strict", "", []string{"--strict", "doubtful.yaml"}, "doubtful.yaml" + doubt + "0 checks, 1 job in 1 file: 0 errors, 1 warning" + unvalidated, "lint: 1 warning, with --strict"},
		{"good with --strict", "", []string{"--strict", "good.yaml"}, "0 checks, 1 job in 1 file: 0 errors, 0 warnings" + unvalidated, ""},
		{"error", "", []string{"good.yaml", "bad.yaml"}, "bad.yaml" + badLine + "0 checks, 2 jobs in 2 files: 1 error, 0 warnings" + unvalidated, "lint: 1 error"},
		{"standard input", badJob, []string{"-"}, "stdin" + badLine + "0 checks, 1 job in 1 file: 1 error, 0 warnings" + unvalidated, "lint: 1 error"},
		{"standard input and a file", goodJob, []string{"-", "bad.yaml", "-"}, "bad.yaml" + badLine + "0 checks, 2 jobs in 2 files: 1 error, 0 warnings" + unvalidated, "lint: 1 error"},
		{"directory", "", []string{"clean"}, "0 checks, 1 job in 2 files: 0 errors, 0 warnings" + unvalidated, ""},
		{"hidden directory that is named", "", []string{".hidden"}, "0 checks, 1 job in 1 file: 0 errors, 0 warnings" + unvalidated, ""},
		{"directory that holds none", "", []string{"hollow", "good.yaml"}, "hollow: holds no *.yaml, *.yml or *.json\n0 checks, 1 job in 2 files: 1 error, 0 warnings" + unvalidated, "lint: 1 error"},
		{"symbolic link to a directory", "", []string{"linked"}, "0 checks, 1 job in 2 files: 0 errors, 0 warnings" + unvalidated, ""},
		{"symbolic link with a slash", "", []string{"linked/"}, "0 checks, 1 job in 2 files: 0 errors, 0 warnings" + unvalidated, ""},
		{"findings are named by the link", "", []string{"./deep/linked"}, "deep/linked/bad.yaml" + badLine + "0 checks, 1 job in 1 file: 1 error, 0 warnings" + unvalidated, "lint: 1 error"},
		{"symbolic link to nothing", "", []string{"dangling"}, "dangling: no such file or directory\n0 checks, 0 jobs in 1 file: 1 error, 0 warnings" + unvalidated, "lint: 1 error"},
		{"file that is named", "", []string{"hollow/notes.txt"}, "hollow/notes.txt" + badLine + "0 checks, 1 job in 1 file: 1 error, 0 warnings" + unvalidated, "lint: 1 error"},
		{"the same file twice", "", []string{"clean", "./clean/a.yml"}, "0 checks, 1 job in 2 files: 0 errors, 0 warnings" + unvalidated, ""},
		{"missing file, others are read", "", []string{"gone.yaml", "bad.yaml"}, "gone.yaml: no such file or directory\nbad.yaml" + badLine + "0 checks, 1 job in 2 files: 2 errors, 0 warnings" + unvalidated, "lint: 2 errors"},
		{"nothing named", "", nil, "", "requires at least 1 arg(s), only received 0"},
		{"output", "", []string{"-o", "xml", "good.yaml"}, "", `--output: "xml" is not text or json`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := executeWith(t, strings.NewReader(tt.input), append([]string{"lint"}, tt.args...)...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("output: want -, got +:\n%s", diff)
			}
			if text := errorText(err); text != tt.err {
				t.Errorf("error %q, want %q", text, tt.err)
			}
		})
	}
}

// executeWith runs a command line that reads from input, and returns what it writes.
func executeWith(t *testing.T, input io.Reader, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(input)
	root.SetOut(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestLintAsJSON(t *testing.T) {
	inFolder(t, map[string]string{"good.yaml": goodJob, "bad.yaml": badJob})
	tests := []struct {
		name, file string
		want       []lint.Finding
	}{
		{"nothing is an empty array", "good.yaml", []lint.Finding{}},
		{"finding", "bad.yaml", []lint.Finding{{
			Severity: lint.Error, File: "bad.yaml", Line: 4, Object: "khjob shop/bad", Field: "spec.timeout",
			Text: `"abc" is not a duration above 0, such as "5m"`,
		}}},
		{"missing file", "gone.yaml", []lint.Finding{{Severity: lint.Error, File: "gone.yaml", Text: "no such file or directory"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := executeWith(t, nil, "lint", "--output", "json", tt.file)
			if (err != nil) != (len(tt.want) > 0) {
				t.Errorf("error %v", err)
			}
			var got []lint.Finding
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error)  { return 0, errors.New("the pipe broke") }
func (broken) Write([]byte) (int, error) { return 0, errors.New("the pipe broke") }

func TestLintWhenPipesBreak(t *testing.T) {
	out, err := executeWith(t, broken{}, "lint", "-")
	if want := "stdin: the pipe broke\n0 checks, 0 jobs in 1 file: 1 error, 0 warnings" + unvalidated; out != want || err == nil {
		t.Errorf("wrote %q, error %v, want %q", out, err, want)
	}
	root := rootCommand()
	root.SetArgs([]string{"lint", "-"})
	root.SetIn(strings.NewReader(goodJob))
	root.SetOut(broken{})
	if err := root.ExecuteContext(t.Context()); errorText(err) != "write findings: the pipe broke" {
		t.Errorf("error %v", err)
	}
}

func TestLintHelpShowsHow(t *testing.T) {
	help, err := execute(t, "lint", "--help")
	if err != nil || !strings.Contains(help, "helm template ./chart | khronicle lint --strict -") {
		t.Errorf("error %v, help:\n%s", err, help)
	}
}
