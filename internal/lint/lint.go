// Package lint says, without a cluster, what is wrong with the manifests of KHChecks and KHJobs: what the API server would
// refuse, what Khronicle would, and what would surprise. It reads bytes and returns findings; it opens no file and asks
// nobody. Objects of other kinds it counts and leaves alone.
package lint

import (
	"fmt"
	"slices"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// Severity says whether a manifest can work in spite of the finding.
type Severity string

// An error keeps a check or job from running as written; with a warning it runs, but not as its author may think.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that is wrong, and what would be right.
type Finding struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	// Line counts from 1. It is 0 if the file could not be read.
	Line int `json:"line"`
	// Object is, for example, "khcheck shop/checkout"; empty if the finding is about the file.
	Object string `json:"object,omitempty"`
	// Field is, for example, "spec.podSpec.containers[0].image".
	Field string `json:"field,omitempty"`
	Text  string `json:"text"`
}

// String returns, for example: checks.yaml:7: khcheck shop/checkout: spec.timeout: "abc" is not a duration. An error is
// not marked as such, a warning is.
func (f Finding) String() string {
	text := f.File + ": "
	if f.Line > 0 {
		text = fmt.Sprintf("%s:%d: ", f.File, f.Line)
	}
	if f.Severity == Warning {
		text += "warning: "
	}
	for _, part := range []string{f.Object, f.Field} {
		if part != "" {
			text += part + ": "
		}
	}
	return text + f.Text
}

// Report is what came of the files.
type Report struct {
	// Findings are in the order of the files, and of the lines of each.
	Findings []Finding
	Files    int
	Checks   int
	Jobs     int
	// Others counts objects of other kinds.
	Others int
}

// Count returns the number of findings of that severity.
func (r Report) Count(severity Severity) int {
	count := 0
	for _, finding := range r.Findings {
		if finding.Severity == severity {
			count++
		}
	}
	return count
}

// Summary returns, for example: 3 checks, 1 job, 2 others in 2 files: 2 errors, 1 warning.
func (r Report) Summary() string {
	others := ""
	if r.Others > 0 {
		others = ", " + Plural(r.Others, "other")
	}
	return fmt.Sprintf("%s, %s%s in %s: %s, %s", Plural(r.Checks, "check"), Plural(r.Jobs, "job"), others,
		Plural(r.Files, "file"), Plural(r.Count(Error), "error"), Plural(r.Count(Warning), "warning"))
}

// Plural returns, for example: 1 error, or 2 errors.
func Plural(count int, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}

// Linter reads one file after the other, and knows the objects of those before.
type Linter struct {
	schemas map[string]*schema
	// seen says where each object is, by its label.
	seen   map[string]place
	report Report
}

// place is a line of a file.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// New returns a linter that has read nothing.
func New() *Linter {
	return &Linter{schemas: schemas(), seen: map[string]place{}}
}

// Report returns what came of the files so far.
func (l *Linter) Report() Report { return l.report }

// Unreadable notes that a file, or what was to be a file, could not be read.
func (l *Linter) Unreadable(file string, err error) {
	l.report.Files++
	l.report.Findings = append(l.report.Findings, Finding{Severity: Error, File: file, Text: err.Error()})
}

// Add reads one file: YAML of any number of documents, or JSON. The name is the one that findings give.
func (l *Linter) Add(file string, content []byte) {
	l.report.Files++
	documents, findings := parse(file, content)
	for _, d := range documents {
		for _, o := range l.objects(d) {
			findings = append(findings, l.lint(o)...)
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int { return a.Line - b.Line })
	l.report.Findings = append(l.report.Findings, findings...)
}

// lint returns the findings of one object.
func (l *Linter) lint(o *object) []Finding {
	switch kind := o.identify(); kind {
	case khv1.CheckKind:
		l.report.Checks++
		o.check(l.schemas[kind])
		l.compare(o, khv1.JobKind)
	case khv1.JobKind:
		l.report.Jobs++
		o.check(l.schemas[kind])
		l.compare(o, khv1.CheckKind)
	case foreignKind:
		l.report.Checks++
	default:
		l.report.Others++
	}
	return o.findings
}

// compare tells an object from those before. A check and a job of one name share their state.
func (l *Linter) compare(o *object, otherKind string) {
	if o.name == "" {
		return
	}
	here := place{o.file, o.line("metadata.name")}
	if first, ok := l.seen[o.label]; ok {
		if o.namespace == "" {
			o.warnf("metadata.name", "there is a %s at %s already; in one namespace, kubectl apply makes one of the two", o.label, first)
		} else {
			o.errorf("metadata.name", "there is a %s at %s already; kubectl apply makes one of the two", o.label, first)
		}
		return
	}
	l.seen[o.label] = here
	if other, ok := l.seen[label(otherKind, o.namespace, o.name)]; ok {
		o.warnf("metadata.name", "is also the name of the %s at %s; both write the one KuberhealthyState of that name",
			shortKind(otherKind), other)
	}
}
