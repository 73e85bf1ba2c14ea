// Command plot draws what the scale tests measured: lateness, CPU per run and memory against the number of checks. It is a
// module of its own, so that the library that draws stays out of Khronicle's. `make scale-plot` runs it.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// result is what is drawn of a measure.Result.
type result struct {
	Store           string  `json:"store"`
	Checks          int     `json:"checks"`
	IntervalSeconds float64 `json:"intervalSeconds"`
	Lateness        struct {
		P99 float64 `json:"p99"`
	} `json:"latenessSeconds"`
	Costs []struct {
		Part string  `json:"part"`
		CPU  float64 `json:"netCPUMillisecondsPerRun"`
		RSS  float64 `json:"rssBytes"`
	} `json:"costs"`
}

func main() {
	out := flag.String("out", "scale.svg", "file to write")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(out string, files []string) error {
	if len(files) == 0 {
		return errors.New("no result to draw: name the JSON files of make scale")
	}
	var results []result
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var r result
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		results = append(results, r)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(drawPanels(file, results), file.Close())
}

// Size of the drawing, and of its parts.
const (
	width, height = 12 * vg.Inch, 4 * vg.Inch
	margin        = 10 * vg.Millimeter / 2
)

// drawPanels draws the three panels side by side.
func drawPanels(file *os.File, results []result) error {
	canvas := vgsvg.New(width, height)
	ground := draw.New(canvas)
	ground.FillPolygon(color.White, []vg.Point{{}, {X: width}, {X: width, Y: height}, {Y: height}})
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: margin, PadTop: margin, PadBottom: margin, PadLeft: margin, PadRight: margin}
	for i, p := range panels {
		drawn, err := drawPanel(p, results)
		if err != nil {
			return fmt.Errorf("%s: %w", p.title, err)
		}
		drawn.Draw(tiles.At(ground, i, 0))
	}
	_, err := canvas.WriteTo(file)
	return err
}

func drawPanel(p panel, results []result) (*plot.Plot, error) {
	drawn := plot.New()
	drawn.Title.Text, drawn.X.Label.Text, drawn.Y.Label.Text = p.title, "checks", p.unit
	drawn.X.Min, drawn.Y.Min = 0, 0
	drawn.Legend.Top, drawn.Legend.Left = true, true
	drawn.Add(plotter.NewGrid())
	var lines []any
	highest := 0.0
	for _, s := range seriesOf(p, results) {
		lines = append(lines, s.name, s.points)
		for _, point := range s.points {
			highest = max(highest, point.Y)
		}
	}
	if err := plotutil.AddLinePoints(drawn, lines...); err != nil {
		return nil, err
	}
	drawn.Y.Max = highest*1.4 + 0.001 // room for the legend
	return drawn, nil
}
