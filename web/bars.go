package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// recentLimit is how many runs of a check the overview shows.
const recentLimit = 40

// Sizes of a bar in units of the picture.
const (
	barStep   = 8
	barHeight = 28
)

// shapes are the paths of the bars from their upper left corner on, so that no outcome differs from another in its color
// alone. A style decides the color, and whether the shape is filled.
var shapes = map[check.Outcome]string{
	check.Succeeded:   "m0,12h6v16h-6z",                            // half a bar
	check.Failed:      "m0,0h6v28h-6z",                             // a whole bar
	check.TimedOut:    "m0,0h6v28h-6zm2,2v24h2v-24z",               // a whole bar, hollow
	check.InfraFailed: "m3,8l3,10l-3,10l-3,-10z",                   // a diamond
	check.Canceled:    "m0,25h6v3h-6z",                             // a line at the bottom
	check.Skipped:     "m1,22h4v6h-4z",                             // a small square
	check.Missed:      "m0,20h6v8h-6zm2,2v4h2v-4z",                 // a small square, hollow
	check.Paused:      "m0,16h2v12h-2zm4,0h2v12h-2z",               // two lines
	check.Unfinished:  "m0,12h6v3h-6zm0,6.5h6v3h-6zm0,6.5h6v3h-6z", // a dotted bar
}

// barOf is the path of the bar of a run.
func barOf(run view.Run) string {
	shape, known := shapes[run.Outcome]
	if !known {
		shape = shapes[check.Canceled]
	}
	if run.Flaky {
		shape += "m1,-8h4v4h-4z" // a square above it
	}
	return shape
}

// sayRun says of a run when it was, how it ended and how long it took.
func sayRun(run view.Run) string {
	text := run.Tick.UTC().Format("2006-01-02 15:04:05 UTC") + ": " + outcomeWord(run.Outcome)
	if run.Flaky {
		text += " after a failed attempt"
	}
	if run.Timed {
		text += ", took " + took(run.Duration)
	}
	return text
}

// picture is an SVG picture. Only numbers and escaped texts are put into it.
type picture struct{ strings.Builder }

func (p *picture) add(format string, args ...any) { fmt.Fprintf(&p.Builder, format, args...) }

func (p *picture) html() template.HTML {
	return template.HTML(p.String()) //nolint:gosec // numbers, and texts that were escaped
}

// escaped is a text for SVG.
func escaped(text string) string { return template.HTMLEscapeString(clean(text)) }

// barsOf is a picture of runs, of which the first is the newest. It stands at the right.
func barsOf(runs []view.Run) template.HTML {
	p := &picture{}
	p.add(`<svg class="bars" role="img" tabindex="0" viewBox="0 0 %d %d" aria-label="%s">`, recentLimit*barStep, barHeight, escaped(sayRuns(runs)))
	for i := len(runs) - 1; i >= 0; i-- {
		x := (recentLimit - 1 - i) * barStep
		p.add(`<path class="bar o-%s" d="M%d,0%s"><title>%s</title></path>`, escaped(outcomeWord(runs[i].Outcome)), x+1, barOf(runs[i]), escaped(sayRun(runs[i])))
	}
	p.add(`</svg>`)
	return p.html()
}

// sayRuns says in one sentence how runs ended.
func sayRuns(runs []view.Run) string {
	if len(runs) == 0 {
		return "No runs yet"
	}
	counts := map[check.Outcome]int{}
	order := []check.Outcome{}
	for _, run := range runs {
		if counts[run.Outcome]++; counts[run.Outcome] == 1 {
			order = append(order, run.Outcome)
		}
	}
	parts := make([]string, len(order))
	for i, outcome := range order {
		parts[i] = fmt.Sprintf("%d %s", counts[outcome], outcomeWord(outcome))
	}
	return fmt.Sprintf("Runs from the newest on, %d: %s. Arrow keys go through them.", len(runs), strings.Join(parts, ", "))
}

// sparkOf is a line of the durations of runs, of which the first is the newest. Without two durations it is empty.
func sparkOf(runs []view.Run) template.HTML {
	const width, height = 120, 24
	var durations []time.Duration
	longest, shortest := time.Duration(0), time.Duration(0)
	for i := len(runs) - 1; i >= 0; i-- {
		if !runs[i].Timed {
			continue
		}
		d := runs[i].Duration
		if len(durations) == 0 || d < shortest {
			shortest = d
		}
		durations, longest = append(durations, d), max(longest, d)
	}
	if len(durations) < 2 || longest <= 0 {
		return ""
	}
	points := make([]string, len(durations))
	for i, d := range durations {
		x := float64(i) * (width - 2) / float64(len(durations)-1)
		points[i] = fmt.Sprintf("%.0f,%.1f", x+1, height-1-float64(d)/float64(longest)*(height-2))
	}
	p := &picture{}
	p.add(`<svg class="spark" role="img" viewBox="0 0 %d %d" aria-label="Durations of the last %d runs, from %s to %s"><polyline points="%s"/></svg>`,
		width, height, len(durations), took(shortest), took(longest), strings.Join(points, " "))
	return p.html()
}

// legend explains one shape.
type legend struct {
	Picture template.HTML
	Meaning string
}

// legends explain all shapes.
var legends = newLegends()

func newLegends() (all []legend) {
	for _, one := range []struct {
		outcome check.Outcome
		meaning string
	}{
		{check.Succeeded, "succeeded (with a square above it: after a failed attempt)"},
		{check.Failed, "failed"},
		{check.TimedOut, "timed out"},
		{check.InfraFailed, "infrastructure failure: it says nothing about what is checked"},
		{check.Canceled, "canceled"},
		{check.Skipped, "skipped: the previous run was still open"},
		{check.Missed, "missed: nothing was there to start it"},
		{check.Paused, "paused"},
		{check.Unfinished, "running"},
	} {
		p := &picture{}
		p.add(`<svg class="sample" aria-hidden="true" viewBox="0 0 %d %d"><path class="o-%s" d="M1,0%s"/></svg>`, barStep, barHeight, outcomeWord(one.outcome), shapes[one.outcome])
		all = append(all, legend{p.html(), one.meaning})
	}
	return all
}
