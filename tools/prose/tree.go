package main

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// longest is how many words a sentence may have.
const longest = 25

// long is the kind of a finding that is a long sentence. Any other kind is the word that was found.
const long = ""

// finding is one fault of a text.
type finding struct {
	path string
	line int
	kind string
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.text) }

// readTree returns the findings in all files below a folder.
func readTree(root string, words []word) ([]finding, error) {
	var all []finding
	err := filepath.WalkDir(root, func(full string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		if entry.IsDir() {
			if skipped(path) {
				return filepath.SkipDir
			}
			return nil
		}
		blocks, err := blocksOf(root, path)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		all = append(all, check(path, blocks, words)...)
		return nil
	})
	return all, err
}

// skipped is true for folders whose texts nobody wrote here: state, programs, inputs of tests, generated files.
func skipped(path string) bool {
	name := filepath.Base(path)
	return path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "node_modules" || path == "deploy/crds")
}

// blocksOf returns the text of a file that people read.
func blocksOf(root, path string) ([]block, error) {
	kind := filepath.Ext(path)
	if !slices.Contains([]string{".md", ".go", ".yaml", ".yml"}, kind) {
		return nil, nil
	}
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	switch kind {
	case ".md":
		return markdown(text), nil
	case ".go":
		return golang(text)
	}
	return append(yamlComments(text), alertTexts(text)...), nil
}

// check returns the findings in a text, in the order of its lines.
func check(path string, blocks []block, words []word) []finding {
	var all []finding
	for _, b := range blocks {
		for _, s := range b.sentences() {
			if s.words > longest {
				all = append(all, finding{path, s.line, long, fmt.Sprintf("sentence of %d words: %q", s.words, shortened(s.text))})
			}
			for _, w := range words {
				for range w.in(s.plain()) {
					all = append(all, finding{path, s.line, w.text, fmt.Sprintf("%q is not used here, write %s: %q", w.text, w.instead, shortened(s.text))})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b finding) int { return cmp.Compare(a.line, b.line) })
	return all
}

// shortened cuts a text after about 100 characters.
func shortened(text string) string {
	runes := []rune(text)
	if len(runes) <= 100 {
		return text
	}
	return string(runes[:100]) + "…"
}

// printCounts prints how many findings each file has, and the sum.
func printCounts(out io.Writer, findings []finding) error {
	type count struct{ long, words int }
	counts, total := map[string]count{}, count{}
	for _, f := range findings {
		c := counts[f.path]
		if f.kind == long {
			c.long++
			total.long++
		} else {
			c.words++
			total.words++
		}
		counts[f.path] = c
	}
	fmt.Fprintf(out, "%8s %8s\n", "long", "words")
	for _, path := range sorted(counts) {
		fmt.Fprintf(out, "%8d %8d  %s\n", counts[path].long, counts[path].words, path)
	}
	_, err := fmt.Fprintf(out, "%8d %8d  total of %d files\n", total.long, total.words, len(counts))
	return err
}
