package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// read returns the content of a file by its path from the root.
func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// group returns the first group of each match.
func group(pattern *regexp.Regexp, text string) []string {
	var all []string
	for _, found := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, found[1])
	}
	return all
}

var (
	// directRequirement matches a module that go.mod requires directly.
	directRequirement = regexp.MustCompile(`(?m)^(?:require )?\t?(\S+\.\S+/\S+) v\S+$`)
	firstCell         = regexp.MustCompile(`(?m)^\| ([^|]+) \| [^|]*[a-z][^|]* \|$`)
)

// Each direct requirement needs a reason.
func TestArchitectureSaysWhyThereIsEachDependency(t *testing.T) {
	_, section, found := strings.Cut(read(t, "docs/architecture.md"), "\n## Dependencies\n")
	if !found {
		t.Fatal("docs/architecture.md has no section Dependencies")
	}
	var got []string
	for _, modules := range group(firstCell, section)[1:] { // without the heading
		got = append(got, strings.Split(modules, ", ")...)
	}
	want := group(directRequirement, read(t, "go.mod"))
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modules (-go.mod +docs/architecture.md):\n%s", diff)
	}
}

var (
	makeCall   = regexp.MustCompile("(?m)(?:^|[ `;(])make ([a-z][a-z0-9-]*)")
	makeTarget = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
)

// codeOf returns the commands and names of a document: its blocks and spans of code.
func codeOf(document string) string {
	all := fence.FindAllString(document, -1)
	all = append(all, code.FindAllString(fence.ReplaceAllString(document, ""), -1)...)
	return strings.Join(all, "\n")
}

func TestEachMakeCommandOfADocumentIsATarget(t *testing.T) {
	targets := group(makeTarget, read(t, "Makefile"))
	for name, document := range documents(t) {
		for _, target := range group(makeCall, codeOf(document)) {
			if !slices.Contains(targets, target) {
				t.Errorf("%s: make %s: the Makefile has no such target", name, target)
			}
		}
	}
}

var (
	documentedMetric = regexp.MustCompile(`\b((?:khronicle|kuberhealthy)_[a-z_]*[a-z])\b`)
	// ledgerMetric matches a short form of the row of the ledger.
	ledgerMetric  = regexp.MustCompile("`…(_[a-z]+_[a-z_]+)`")
	metricLiteral = regexp.MustCompile(`"((?:khronicle|kuberhealthy)_[a-z_]+)"`)
	// servedMetric matches a metric in the golden files of the report API.
	servedMetric = regexp.MustCompile(`(?m)^# TYPE (\S+) `)
)

// metricsOfTheCode returns the names of metrics that are written in Go files, and those of the golden files.
func metricsOfTheCode(t *testing.T) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (path == "bin" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			all = append(all, group(metricLiteral, read(t, path))...)
		case strings.HasPrefix(path, "reportapi/testdata/") && !d.IsDir():
			all = append(all, group(servedMetric, read(t, path))...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEachMetricOfADocumentIsInTheCode(t *testing.T) {
	known := metricsOfTheCode(t)
	for name, document := range documents(t) {
		metrics := group(documentedMetric, document)
		for _, short := range group(ledgerMetric, document) {
			metrics = append(metrics, "khronicle_ledger"+short)
		}
		for _, metric := range metrics {
			// Temporal's SDK appends the unit.
			bare := strings.TrimSuffix(strings.TrimSuffix(metric, "_total"), "_seconds")
			if !slices.Contains(known, metric) && !slices.Contains(known, bare) {
				t.Errorf("%s: the code has no metric %s", name, metric)
			}
		}
	}
}
