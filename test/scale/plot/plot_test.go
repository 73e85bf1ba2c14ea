package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"
)

const small = `{"store":"sqlite","checks":300,"intervalSeconds":60,"latenessSeconds":{"p99":0.5},"costs":[
 {"part":"temporal","netCPUMillisecondsPerRun":50,"rssBytes":104857600},
 {"part":"worker","netCPUMillisecondsPerRun":8,"rssBytes":52428800},
 {"part":"starter","netCPUMillisecondsPerRun":1,"rssBytes":52428800},
 {"part":"reportapi","netCPUMillisecondsPerRun":2,"rssBytes":0},
 {"part":"kubernetes","netCPUMillisecondsPerRun":1000,"rssBytes":1048576}]}`

const large = `{"store":"sqlite","checks":1000,"intervalSeconds":60,"latenessSeconds":{"p99":0.75},"costs":[
 {"part":"temporal","netCPUMillisecondsPerRun":30,"rssBytes":0},{"part":"postgres","netCPUMillisecondsPerRun":10,"rssBytes":0}]}`

// files writes results to files, the larger one first.
func files(t *testing.T, texts ...string) []string {
	t.Helper()
	var names []string
	for _, text := range texts {
		name := filepath.Join(t.TempDir(), "result.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func TestDrawingHasEachPanelAndLine(t *testing.T) {
	out := filepath.Join(t.TempDir(), "images", "scale.svg")
	if err := run(out, files(t, large, small)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "Lateness of a tick, p99", "CPU per run", "Resident memory", "Khronicle, sqlite, every 60s", "Temporal, sqlite, every 60s", "1000"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in the drawing", want)
		}
	}
}

func TestSeries(t *testing.T) {
	results := []result{
		{Store: "sqlite", Checks: 1000, IntervalSeconds: 60},
		{Store: "sqlite", Checks: 300, IntervalSeconds: 60},
		{Store: "postgres", Checks: 300, IntervalSeconds: 300},
	}
	results[0].Lateness.P99, results[1].Lateness.P99, results[2].Lateness.P99 = 2, 1, 3
	want := []series{
		{"postgres, every 300s", plotter.XYs{{X: 300, Y: 3}}},
		{"sqlite, every 60s", plotter.XYs{{X: 300, Y: 1}, {X: 1000, Y: 2}}},
	}
	if got := seriesOf(panels[0], results); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCostsOfTheRolesAndOfTemporalWithItsDatabase(t *testing.T) {
	var r result
	for _, part := range []string{"temporal", "postgres", "worker", "starter", "reportapi", "kubernetes", "player"} {
		r.Costs = append(r.Costs, struct {
			Part string  `json:"part"`
			CPU  float64 `json:"netCPUMillisecondsPerRun"`
			RSS  float64 `json:"rssBytes"`
		}{part, 1, 1 << 20})
	}
	for _, p := range panels[1:] {
		if got := p.values(r); got["Temporal"] != 2 || got["Khronicle"] != 3 || len(got) != 2 {
			t.Errorf("%s: got %v, want Temporal 2 and Khronicle 3", p.title, got)
		}
	}
}

func TestNothingToDraw(t *testing.T) {
	out := filepath.Join(t.TempDir(), "scale.svg")
	for name, input := range map[string][]string{
		"no file": nil, "missing": {filepath.Join(t.TempDir(), "none.json")}, "no JSON": files(t, "{"),
	} {
		if err := run(out, input); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}
