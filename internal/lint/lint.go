// Package lint finds what is wrong with the manifests of KHChecks and KHJobs. It reports what does not fit the definitions of
// the resources, what Khronicle would refuse, and what may surprise the author. What else the API server would refuse is for the
// API server to say; see Ask. The package reads bytes and returns findings; it never opens a file or a connection. It only counts
// objects of other kinds.
package lint

import (
	"fmt"
	"slices"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
)

// Severity says whether a check or job runs in spite of the finding.
type Severity string

// With an Error, the API server or Khronicle refuses the object. With a Warning, it works, but perhaps not as intended.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one fault of a manifest, with the correction.
type Finding struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	// Line counts from 1. It is 0 if the file could not be read.
	Line int `json:"line"`
	// Object is, for example, "khcheck shop/checkout". It is empty when the finding is about the file.
	Object string `json:"object,omitempty"`
	// Field is, for example, "spec.podSpec.containers[0].image".
	Field string `json:"field,omitempty"`
	Text  string `json:"text"`
}

// String returns, for example: checks.yaml:7: khcheck shop/checkout: spec.timeout: "abc" is not a duration. Only a warning
// shows its severity.
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

// Report is the result of linting files.
type Report struct {
	// Findings are sorted by file, in the order of reading, and by line.
	Findings []Finding
	Files    int
	Checks   int
	Jobs     int
	// Others counts objects of other kinds.
	Others int
}

// Count returns the number of findings of a severity.
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

// Linter reads one file after the other. It remembers the objects of earlier files, to find duplicates.
type Linter struct {
	// ReportingURL is the URL to which checks report. It decides which proxies and DNS settings are in the way.
	ReportingURL string

	schemas map[string]*schema
	// now is the time from which the ticks of the next year are looked at.
	now time.Time
	// seen has the place of each object, by its label.
	seen  map[string]place
	files []*file
	// others are the objects of other kinds that matter to pods, such as "ServiceAccount shop/checkout".
	others map[string]bool
	counts Report
}

// file is a file with the findings about it as a whole, and with its objects.
type file struct {
	findings []Finding
	objects  []*object
}

// place is a line of a file.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// New returns a linter that has read nothing. It looks at the ticks of the year from now on.
func New(now time.Time) *Linter {
	return &Linter{
		ReportingURL: protocol.ReportingURL(protocol.DefaultNamespace), schemas: schemas(), now: now, seen: map[string]place{}, others: map[string]bool{},
	}
}

// Report returns the result of the files read so far.
func (l *Linter) Report() Report {
	r := l.counts
	r.Files = len(l.files)
	for _, f := range l.files {
		findings := slices.Clone(f.findings)
		for _, o := range f.objects {
			findings = append(findings, o.findings...)
		}
		slices.SortStableFunc(findings, func(a, b Finding) int { return a.Line - b.Line })
		r.Findings = append(r.Findings, findings...)
	}
	return r
}

// Unreadable reports a file that could not be read.
func (l *Linter) Unreadable(name string, err error) {
	l.files = append(l.files, &file{findings: []Finding{{Severity: Error, File: name, Text: err.Error()}}})
}

// Add lints one file: YAML with any number of documents, or JSON. Findings show the file under that name.
func (l *Linter) Add(name string, content []byte) {
	documents, findings := parse(name, content)
	read := &file{findings: findings}
	for _, d := range documents {
		for _, o := range l.objects(d) {
			l.lint(o)
			read.objects = append(read.objects, o)
		}
	}
	l.files = append(l.files, read)
}

// lint finds what is wrong with one object.
func (l *Linter) lint(o *object) {
	switch kind := o.identify(); kind {
	case khv1.CheckKind:
		l.counts.Checks++
		l.check(o, l.schemas[kind])
		l.compare(o, khv1.JobKind)
	case khv1.JobKind:
		l.counts.Jobs++
		l.check(o, l.schemas[kind])
		l.compare(o, khv1.CheckKind)
	case foreignKind:
		l.counts.Checks++
	default:
		l.counts.Others++
		l.remember(o)
	}
}

// compare reports an object that was seen before. It warns of a check and a job with the same name: they share one state.
func (l *Linter) compare(o *object, otherKind string) {
	if o.name == "" {
		return
	}
	here := place{o.file, o.line("metadata.name")}
	if first, ok := l.seen[o.label]; ok {
		if o.namespace == "" {
			o.warnf("metadata.name", "%s is also at %s; if both go to one namespace, the second one applied replaces the first", o.label, first)
		} else {
			o.errorf("metadata.name", "%s is also at %s; the second one applied replaces the first", o.label, first)
		}
		return
	}
	l.seen[o.label] = here
	if other, ok := l.seen[label(otherKind, o.namespace, o.name)]; ok {
		o.warnf("metadata.name", "is also the name of the %s at %s; both would write the same KuberhealthyState",
			shortKind(otherKind), other)
	}
}
