// Package docs_test reads the documents of the repository: links, contents, alerts and decisions.
package docs_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root = ".."
	// blob is the address of the repository's files on the web.
	blob = "https://github.com/khronicle/khronicle/blob/main/"
	// longest is the number of lines of a document from which it needs a list of contents.
	longest = 200
)

var (
	fence    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	code     = regexp.MustCompile("`[^`\n]*`")
	link     = regexp.MustCompile(`\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^(#{1,6}) +(.+?) *$`)
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	dropped  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// documents returns the content of each Markdown file by its path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && path != root
		if d.IsDir() && (hidden || slices.Contains([]string{"bin", "testdata", "node_modules"}, d.Name())) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".md") {
			return nil
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		all[filepath.ToSlash(name)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("got %d documents, want those of the repository", len(all))
	}
	return all
}

// headings returns the texts of a document's headings of one level, or of all levels for 0.
func headings(document string, level int) []string {
	var texts []string
	for _, found := range heading.FindAllStringSubmatch(fence.ReplaceAllString(document, ""), -1) {
		if level == 0 || len(found[1]) == level {
			texts = append(texts, found[2])
		}
	}
	return texts
}

// fragment returns the name by which GitHub links to a heading.
func fragment(text string) string {
	text = linkText.ReplaceAllString(text, "$1")
	return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
}

// fragments returns the names of all headings.
func fragments(document string) map[string]bool {
	all := map[string]bool{}
	for _, text := range headings(document, 0) {
		all[fragment(text)] = true
	}
	return all
}

// links returns the targets of a document's links.
func links(document string) []string {
	var targets []string
	for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(fence.ReplaceAllString(document, ""), "x"), -1) {
		targets = append(targets, found[1])
	}
	return targets
}

func TestFragmentIsThatOfGitHub(t *testing.T) {
	for text, want := range map[string]string{
		"The ledger":                        "the-ledger",
		"Dead man's switch":                 "dead-mans-switch",
		"The label `error`":                 "the-label-error",
		"1. Any edit, of [a check](x.md#y)": "1-any-edit-of-a-check",
		"KHChecks & khronicle_up":           "khchecks--khronicle_up",
	} {
		if got := fragment(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestLinksResolve(t *testing.T) {
	all := documents(t)
	for name, document := range all {
		for _, target := range links(document) {
			if problem := unresolved(all, name, target); problem != "" {
				t.Errorf("%s: link to %s: %s", name, target, problem)
			}
		}
	}
}

// unresolved says what is wrong with a link. Links to other sites are not followed.
func unresolved(all map[string]string, from, target string) string {
	if path, ours := strings.CutPrefix(target, blob); ours {
		from, target = "README.md", path
	}
	parsed, err := url.Parse(target)
	if err != nil {
		return err.Error()
	}
	if parsed.Scheme != "" {
		return ""
	}
	file := from
	if parsed.Path != "" {
		file = filepath.ToSlash(filepath.Join(filepath.Dir(from), parsed.Path))
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			return "no such file"
		}
	}
	if parsed.Fragment != "" && !fragments(all[file])[parsed.Fragment] {
		return "no such heading"
	}
	return ""
}

func TestLongDocumentsBeginWithContents(t *testing.T) {
	for name, document := range documents(t) {
		if strings.Count(document, "\n") <= longest {
			continue
		}
		targets := links(document)
		for _, text := range headings(document, 2) {
			if !slices.Contains(targets, "#"+fragment(text)) {
				t.Errorf("%s: has more than %d lines, and its contents do not list %q", name, longest, text)
			}
		}
	}
}

func TestReadmeAndDocumentsAreReached(t *testing.T) {
	all := documents(t)
	readme := links(all["README.md"])
	for name := range all {
		if filepath.Dir(name) == "docs" && !slices.Contains(readme, name) {
			t.Errorf("README.md has no link to %s", name)
		}
	}
}

func TestDecisionsHaveOneForm(t *testing.T) {
	want := []string{"Status", "Context", "Decision", "Consequences"}
	for name, document := range documents(t) {
		if filepath.Dir(name) != "docs/adr" || filepath.Base(name) == "README.md" {
			continue
		}
		if got := headings(document, 2); !slices.Equal(got, want) {
			t.Errorf("%s: headings are %q, want %q", name, got, want)
		}
	}
}
