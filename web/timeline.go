package web

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/khronicle/khronicle/view"
)

// lane is a row of the timeline: the run, or a container of an attempt.
type lane struct {
	Name    string
	Picture template.HTML
}

// momentsOf are the phases of a run in the order of time. Those that are not known come first.
func momentsOf(run view.Run) []phase {
	created := notBefore(run.PodCreated, run.Started)
	running := notBefore(run.Running, created)
	exited := notBefore(notBefore(run.Exited, running), run.Reported)
	all := []phase{
		{Name: "scheduled", At: run.Tick},
		{Name: "started", At: run.Started},
		{Name: "pod created", At: created},
		{Name: "running", At: running},
		{Name: "reported", At: run.Reported},
		{Name: "outcome known", At: run.Concluded},
		{Name: "exited", At: exited},
		{Name: "recorded", At: run.Recorded},
	}
	slices.SortStableFunc(all, func(a, b phase) int { return a.At.Compare(b.At) })
	return all
}

// stretch is a part of a lane.
type stretch struct {
	name     string
	from, to time.Time
}

// notBefore returns a time of Kubernetes, which has whole seconds and leaves out the rest. It is not before a moment that came
// first, if both are in the same second.
func notBefore(at, first time.Time) time.Time {
	if at.Nanosecond() == 0 && first.After(at) && first.Sub(at) < time.Second {
		return first
	}
	return at
}

// lanesOf are the lanes of the timeline of a run: its phases, then the containers of its attempts as far as evidence has them.
// All lanes have the same scale. A tick without a run has none.
func lanesOf(e view.Evidence, now time.Time) []lane {
	moments := slices.DeleteFunc(momentsOf(e.Run), func(p phase) bool { return p.At.IsZero() })
	if e.Run.Started.IsZero() {
		return nil
	}
	var phases []stretch
	for i := 1; i < len(moments); i++ {
		phases = append(phases, stretch{moments[i-1].Name + " to " + moments[i].Name, moments[i-1].At, moments[i].At})
	}
	if e.Run.Open() {
		last := moments[len(moments)-1]
		phases = append(phases, stretch{last.Name + " until now", last.At, now})
	}
	if len(phases) == 0 {
		return nil
	}
	rows := [][]stretch{phases}
	names := []string{"run"}
	for _, c := range e.Containers {
		if end := cmp.Or(c.Finished, e.Run.Exited); !c.Started.IsZero() && end.After(c.Started) {
			said := fmt.Sprintf("container %s of attempt %d", c.Name, c.Attempt)
			rows, names = append(rows, []stretch{{said, c.Started, end}}), append(names, fmt.Sprintf("attempt %d: %s", c.Attempt, c.Name))
		}
	}
	return drawLanes(names, rows)
}

func drawLanes(names []string, rows [][]stretch) (lanes []lane) {
	from, to := rows[0][0].from, rows[0][0].to
	for _, row := range rows {
		for _, part := range row {
			if part.from.Before(from) {
				from = part.from
			}
			if part.to.After(to) {
				to = part.to
			}
		}
	}
	const width, height = 1000, 20
	scale := func(t time.Time) float64 { return float64(t.Sub(from)) / float64(max(to.Sub(from), 1)) * width }
	for i, row := range rows {
		p := &picture{}
		p.add(`<svg class="lane" role="img" preserveAspectRatio="none" viewBox="0 0 %d %d" aria-label="%s, from %s to %s">`, width, height,
			escaped(names[i]), utc(row[0].from), utc(row[len(row)-1].to))
		for j, part := range row {
			x := scale(part.from)
			p.add(`<rect class="part%d" x="%.1f" y="0" width="%.1f" height="%d"><title>%s: %s</title></rect>`, j%2, x, max(scale(part.to)-x, 1.5), height,
				escaped(part.name), took(part.to.Sub(part.from)))
		}
		p.add(`</svg>`)
		lanes = append(lanes, lane{names[i], p.html()})
	}
	return lanes
}
