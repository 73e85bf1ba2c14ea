package main

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/plot/plotter"
)

// panel is one of the drawings.
type panel struct {
	title, unit string
	// values are the lines of a result, by name.
	values func(result) map[string]float64
}

var panels = []panel{
	{"Lateness of a tick, p99", "seconds", func(r result) map[string]float64 {
		return map[string]float64{"": r.Lateness.P99}
	}},
	{"CPU per run, less the idle share", "milliseconds", func(r result) map[string]float64 {
		engine, roles := 0.0, 0.0
		for _, c := range r.Costs {
			addTo(c.Part, c.CPU, &engine, &roles)
		}
		return map[string]float64{"Temporal": engine, "Khronicle": roles}
	}},
	{"Resident memory", "MB", func(r result) map[string]float64 {
		engine, roles := 0.0, 0.0
		for _, c := range r.Costs {
			addTo(c.Part, c.RSS/(1<<20), &engine, &roles)
		}
		return map[string]float64{"Temporal": engine, "Khronicle": roles}
	}},
}

// addTo adds what a part uses: Temporal with its database, or the three roles. Kubernetes and the player are no part of
// either.
func addTo(part string, value float64, engine, roles *float64) {
	switch part {
	case "temporal", "postgres":
		*engine += value
	case "worker", "starter", "reportapi":
		*roles += value
	}
}

// series is one line of a panel.
type series struct {
	name   string
	points plotter.XYs
}

// seriesOf returns the lines of a panel: one for each part, store and interval, over the number of checks.
func seriesOf(p panel, results []result) []series {
	byName := map[string]plotter.XYs{}
	for _, r := range results {
		for part, value := range p.values(r) {
			name := fmt.Sprintf("%s, every %gs", r.Store, r.IntervalSeconds)
			if part != "" {
				name = part + ", " + name
			}
			byName[name] = append(byName[name], plotter.XY{X: float64(r.Checks), Y: value})
		}
	}
	var all []series
	for name, points := range byName {
		slices.SortFunc(points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		all = append(all, series{name, points})
	}
	slices.SortFunc(all, func(a, b series) int { return cmp.Compare(a.name, b.name) })
	return all
}
