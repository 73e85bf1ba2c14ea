package web

import (
	"html/template"
	"time"

	"github.com/khronicle/khronicle/view"
)

// chart is an SVG picture.
type chart = template.HTML

// Sizes of the chart of durations in units of the picture.
const (
	chartStep   = 16
	chartHeight = 120
	// chartGap is between the durations and the shapes of the outcomes below them.
	chartGap = 6
)

// chartOf is a chart of how long runs took and how they ended, of which the first is the newest. It stands at the right. Each
// run links to its page. Without runs it is empty.
func chartOf(runs []view.Run, at root) chart {
	if len(runs) == 0 {
		return ""
	}
	longest := time.Duration(0)
	for _, run := range runs {
		if run.Timed {
			longest = max(longest, run.Duration)
		}
	}
	width := max(len(runs), 20) * chartStep
	p := &picture{}
	p.add(`<svg class="bars chart" role="group" tabindex="0" viewBox="0 0 %d %d" aria-label="%s">`, width, chartHeight+chartGap+barHeight, escaped("Durations. "+sayRuns(runs)))
	for i := len(runs) - 1; i >= 0; i-- {
		p.addRun(runs[i], at, width-(i+1)*chartStep, longest)
	}
	p.add(`</svg>`)
	return p.html()
}

// addRun adds the duration of a run, and the shape of its outcome below it.
func (p *picture) addRun(run view.Run, at root, x int, longest time.Duration) {
	said := escaped(sayRun(run))
	p.add(`<a class="bar o-%s" href="%s" tabindex="-1" aria-label="%s"><title>%s</title>`, escaped(outcomeWord(run.Outcome)), escaped(at.run(run)), said, said)
	p.add(`<rect class="space" x="%d" y="0" width="%d" height="%d"/>`, x, chartStep, chartHeight+chartGap+barHeight)
	if run.Timed && longest > 0 {
		height := max(1, float64(run.Duration)/float64(longest)*chartHeight)
		p.add(`<rect x="%d" y="%.1f" width="%d" height="%.1f"/>`, x+2, chartHeight-height, chartStep-4, height)
	}
	p.add(`<path d="M%d,%d%s"/></a>`, x+5, chartHeight+chartGap, barOf(run))
}

// sampleOf is the shape of the outcome of a run.
func sampleOf(run view.Run) chart {
	p := &picture{}
	p.add(`<svg class="sample" aria-hidden="true" viewBox="0 0 %d %d"><path class="o-%s" d="M1,0%s"/></svg>`, barStep, barHeight, escaped(outcomeWord(run.Outcome)), barOf(run))
	return p.html()
}
