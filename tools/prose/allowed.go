package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// place is a file and a kind of finding.
type place struct{ path, kind string }

// String returns a place as it stands in allowed.txt.
func (p place) String() string { return strings.TrimSpace(p.path + " " + p.kind) }

// comparePlaces sorts by file, then by kind.
func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.kind, b.kind))
}

// readAllowed reads lines of the form "docs/x.md 12" for long sentences and "docs/x.md word 3" for a word.
func readAllowed(path string) (map[place]int, error) {
	allowed := map[place]int{}
	err := eachLine(path, func(text string) error {
		fields := strings.Fields(text)
		last := len(fields) - 1
		number, err := strconv.Atoi(fields[last])
		if err != nil || number < 1 || last < 1 {
			return fmt.Errorf("%q is not of the form: file number, or file word number", text)
		}
		at := place{fields[0], strings.Join(fields[1:last], " ")}
		if _, twice := allowed[at]; twice {
			return fmt.Errorf("%q is there twice", at)
		}
		allowed[at] = number
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return allowed, nil
	}
	return allowed, err
}

// counted returns how many findings there are at each place.
func counted(findings []finding) map[place]int {
	counts := map[place]int{}
	for _, f := range findings {
		counts[place{f.path, f.kind}]++
	}
	return counts
}

// compare returns what is wrong: all findings at a place that has more than are allowed, and numbers that are too high.
func compare(findings []finding, allowed map[place]int) []string {
	var faults []string
	counts := counted(findings)
	for _, f := range findings {
		at := place{f.path, f.kind}
		if counts[at] <= allowed[at] {
			continue
		}
		fault := f.String()
		if allowed[at] > 0 {
			fault += fmt.Sprintf(" (one of %d, allowed are %d)", counts[at], allowed[at])
		}
		faults = append(faults, fault)
	}
	for _, at := range slices.SortedFunc(maps.Keys(allowed), comparePlaces) {
		if counts[at] < allowed[at] {
			faults = append(faults, fmt.Sprintf("%s/allowed.txt: %q allows %d, and there are %d: `make prose-budget` lowers the number",
				folder, at, allowed[at], counts[at]))
		}
	}
	return faults
}

const allowedHeader = `# What is left to mend: how many long sentences a file may have, or how often it may have a word of words.txt.
# A number may only fall: "make prose" fails when it is too high, and "make prose-budget" lowers it.
`

// writeAllowed writes the counts. Without reset no number becomes higher than the one before.
func writeAllowed(path string, counts, before map[place]int, reset bool) error {
	var b strings.Builder
	b.WriteString(allowedHeader)
	for _, at := range slices.SortedFunc(maps.Keys(counts), comparePlaces) {
		number := counts[at]
		if !reset {
			number = min(number, before[at])
		}
		if number > 0 {
			fmt.Fprintf(&b, "%s %d\n", at, number)
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// sorted returns the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
