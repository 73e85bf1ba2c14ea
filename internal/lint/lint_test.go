package lint_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, whatever the machine has

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/internal/lint"
	"github.com/khronicle/khronicle/test/golden"
)

// files returns the manifests of a directory and its subdirectories.
func files(t testing.TB, root string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if extension := filepath.Ext(path); err == nil && (extension == ".yaml" || extension == ".yml" || extension == ".json") {
			all[filepath.ToSlash(path)], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("%s holds no manifests", root)
	}
	return all
}

// page returns a report as `khronicle lint` prints it.
func page(r lint.Report) string {
	var text strings.Builder
	for _, finding := range r.Findings {
		fmt.Fprintln(&text, finding)
	}
	fmt.Fprintln(&text, r.Summary())
	return text.String()
}

// now is the present of these tests.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func linted(file string, content []byte) lint.Report {
	linter := lint.New(now)
	linter.Add(file, content)
	return linter.Report()
}

// The API server ignores the status in the manifest of a check, so it may hold anything. A job has none.
func TestStatusInAManifest(t *testing.T) {
	const manifest = `
apiVersion: comcast.github.io/v1
kind: %s
metadata: {name: cart, namespace: shop}
spec: {%s timeout: 1m, podSpec: {containers: [{name: main, image: "registry.example/check:1"}]}}
status: %s
`
	for _, status := range []string{"{}", "null", "{phase: Ready, conditions: [1, 2]}", "ok"} {
		if report := linted("a.yaml", fmt.Appendf(nil, manifest, "KuberhealthyCheck", "runInterval: 5m,", status)); len(report.Findings) > 0 {
			t.Errorf("status: %s: findings %v", status, report.Findings)
		}
	}
	if report := linted("a.yaml", fmt.Appendf(nil, manifest, "KuberhealthyJob", "", "{phase: Ready}")); len(report.Findings) != 1 {
		t.Errorf("status of a job: findings %v, want one", report.Findings)
	}
}

// Each file of testdata has a golden file with its findings.
func TestLinterFindsWhatTheGoldenFilesSay(t *testing.T) {
	for file, content := range files(t, "testdata") {
		t.Run(file, func(t *testing.T) {
			got := page(linted(filepath.Base(file), content))
			golden.Equal(t, strings.TrimPrefix(file, "testdata/")+".golden", []byte(got))
		})
	}
}

// Manifests of Kuberhealthy v2 run on Khronicle unchanged.
func TestLinterAcceptsManifestsOfKuberhealthy(t *testing.T) {
	for file, content := range files(t, "testdata/v2") {
		if r := linted(file, content); r.Count(lint.Error) > 0 || r.Checks == 0 {
			t.Errorf("%s:\n%s", file, page(r))
		}
	}
}

func TestLinterFindsNothingInTheExamples(t *testing.T) {
	linter := lint.New(now)
	for file, content := range files(t, "../../examples") {
		linter.Add(file, content)
	}
	r := linter.Report()
	if len(r.Findings) > 0 || r.Checks < 4 || r.Jobs < 1 {
		t.Errorf("report is\n%s, want 4 checks, 1 job or more, and no finding", page(r))
	}
}

func job(namespace, name string) []byte {
	return fmt.Appendf(nil, `{apiVersion: comcast.github.io/v1, kind: KuberhealthyJob, metadata: {namespace: %q, name: %q},
spec: {timeout: 1m, podSpec: {containers: [{name: check, image: "shop/check:1"}]}}}`, namespace, name)
}

// A pod on the host network that asks the DNS of the cluster reports like any other, so --strict must accept it.
func TestLinterAcceptsHostNetworkWithClusterDNS(t *testing.T) {
	got := page(linted("a.yaml", []byte(`apiVersion: comcast.github.io/v1
kind: KuberhealthyJob
metadata: {name: node, namespace: shop}
spec: {timeout: 1m, podSpec: {hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet, containers: [{name: check, image: "shop/check:1"}]}}
`)))
	if want := "0 checks, 1 job in 1 file: 0 errors, 0 warnings\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Without a namespace, the two objects may go to different namespaces: then it is a warning.
func TestLinterReportsAnObjectInTwoFiles(t *testing.T) {
	linter := lint.New(now)
	linter.Add("a.yaml", append(append(job("shop", "once"), "\n---\n"...), job("", "anywhere")...))
	linter.Add("b.yaml", append(append(job("shop", "other"), "\n---\n"...), job("shop", "once")...))
	linter.Add("c.yaml", job("", "anywhere"))
	want := `b.yaml:4: khjob shop/once: metadata.name: khjob shop/once is also at a.yaml:1; the second one applied replaces the first
c.yaml:1: warning: khjob anywhere: metadata.name: khjob anywhere is also at a.yaml:4; if both go to one namespace, the second one applied replaces the first
0 checks, 5 jobs in 3 files: 1 error, 1 warning
`
	if diff := cmp.Diff(want, page(linter.Report())); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestLinterReportsAFileThatCannotBeRead(t *testing.T) {
	linter := lint.New(now)
	linter.Unreadable("missing.yaml", errors.New("no such file or directory"))
	linter.Add("a.yaml", job("shop", "once"))
	want := "missing.yaml: no such file or directory\n0 checks, 1 job in 2 files: 1 error, 0 warnings\n"
	if diff := cmp.Diff(want, page(linter.Report())); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// Findings name a line of the file, are in order, and are the same each time.
func FuzzLint(f *testing.F) {
	for file, content := range files(f, "testdata") {
		f.Add(content, filepath.Ext(file) == ".json")
	}
	f.Fuzz(func(t *testing.T, content []byte, isJSON bool) {
		file := "a.yaml"
		if isJSON {
			file = "a.json"
		}
		got := linted(file, content)
		if diff := cmp.Diff(got, linted(file, content)); diff != "" {
			t.Fatalf("the second time, want -, got +:\n%s", diff)
		}
		lines, last := strings.Count(string(content), "\n")+1, 0
		for _, finding := range got.Findings {
			if finding.Line < max(1, last) || finding.Line > lines {
				t.Fatalf("line is %d, want one from %d to %d: %+v", finding.Line, max(1, last), lines, finding)
			}
			if finding.Text == "" || finding.File != file {
				t.Fatalf("finding is %+v, want a text and file %s", finding, file)
			}
			last = finding.Line
		}
	})
}
