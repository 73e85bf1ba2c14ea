package observe

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Drawn is a panel with what its queries returned.
type Drawn struct {
	Panel
	Results []Result
}

// Draw writes a page with the panels of a dashboard at their places. It is a plain picture of the data, and not Grafana's.
func Draw(w io.Writer, d Dashboard, panels []Drawn, over Span) error {
	c := canvas{Dashboard: d, Panels: panels, Over: over}
	for _, p := range panels {
		c.Height = max(c.Height, (p.GridPos.Y+p.GridPos.H)*rowHeight)
	}
	return page.Execute(w, c)
}

// Sizes of the picture in pixels: a column and a row, as Grafana counts them.
const (
	columnWidth = 66
	rowHeight   = 34
	// Width is that of the page.
	Width = 24 * columnWidth
	// heading is the height of the title of a panel.
	heading = 26
)

type canvas struct {
	Dashboard Dashboard
	Panels    []Drawn
	Over      Span
	Height    int
}

// PageHeight is the height of the page of a dashboard.
func PageHeight(d Dashboard) int {
	height := 0
	for _, p := range d.Panels {
		height = max(height, (p.GridPos.Y+p.GridPos.H)*rowHeight)
	}
	return height + 60
}

// colors are those of the series, in their order.
var colors = []string{"#3b82c4", "#d9822b", "#3f9c52", "#c23b3b", "#8561c5", "#7f6a55", "#c85aa6", "#6b7280", "#a3a32a", "#2aa5a3"}

// named are the colors of Grafana that the dashboards use.
var named = map[string]string{"green": "#3f9c52", "red": "#c23b3b", "blue": "#3b82c4"}

func (c canvas) Box(p Position) template.CSS {
	return template.CSS(fmt.Sprintf("left:%dpx;top:%dpx;width:%dpx;height:%dpx", p.X*columnWidth, p.Y*rowHeight, p.W*columnWidth-8, p.H*rowHeight-8))
}

// last returns the newest values of a panel, the largest first.
func (d Drawn) last() []value {
	var all []value
	for _, r := range d.Results {
		for _, series := range r.Series {
			newest := series.Values[len(series.Values)-1]
			all = append(all, value{name: r.Legend(series.Metric), labels: series.Metric, is: float64(newest.Value)})
		}
	}
	slices.SortStableFunc(all, func(a, b value) int { return int(math.Copysign(1, b.is-a.is)) })
	return all
}

type value struct {
	name   string
	labels model.Metric
	is     float64
}

// Text returns a value in its unit.
func (d Drawn) Text(v float64) string {
	for _, mapping := range d.FieldConfig.Defaults.Mappings {
		if found, ok := mapping.Options[strconv.FormatFloat(v, 'g', -1, 64)]; ok {
			return found.Text
		}
	}
	switch unit := d.FieldConfig.Defaults.Unit; unit {
	case "percentunit":
		return fmt.Sprintf("%.4g %%", 100*v)
	case "bytes":
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case "s":
		return fmt.Sprintf("%.3g s", v)
	case "cpm":
		return fmt.Sprintf("%.3g /min", v)
	case "reqps", "ops", "wps":
		return fmt.Sprintf("%.3g /s", v)
	default:
		return fmt.Sprintf("%.4g", v)
	}
}

// Color returns the color that the thresholds give a value.
func (d Drawn) Color(v float64) string {
	color := ""
	for _, step := range d.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value == nil || v >= *step.Value {
			color = step.Color
		}
	}
	return named[color]
}

// Number is what a panel with one number shows.
func (d Drawn) Number() (shown struct{ Text, Color string }) {
	all := d.last()
	if len(all) == 0 {
		shown.Text, shown.Color = "no data", "#6b7280"
		return shown
	}
	shown.Text, shown.Color = d.Text(all[0].is), d.Color(all[0].is)
	return shown
}

// Row is a line of a table or a bar.
type Row struct {
	Name, Text, Color string
	Share             float64
}

// Rows are the newest values, at most twelve.
func (d Drawn) Rows() []Row {
	var rows []Row
	all := d.last()
	for i, v := range all {
		if i == 12 {
			break
		}
		name := v.name
		if d.Type == "table" {
			name = tableLine(v.labels)
		}
		rows = append(rows, Row{Name: name, Text: d.Text(v.is), Color: d.Color(v.is), Share: 100 * v.is / max(all[0].is, 1e-9)})
	}
	return rows
}

func tableLine(labels model.Metric) string {
	var cells []string
	for name, value := range labels {
		cells = append(cells, string(name)+"="+string(value))
	}
	slices.Sort(cells)
	return strings.Join(cells, "   ")
}

// Line is a series of a graph, as points of SVG.
type Line struct {
	Name, Text, Color string
	Parts             []string
}

// Graph is what a graph shows.
type Graph struct {
	W, H  int
	Top   string
	Lines []Line
	// From and To are the ends of the time axis.
	From, To string
}

// Graph returns the lines of the panel. Stacked panels are drawn without stacking.
func (d Drawn) Graph(over Span) Graph {
	g := Graph{W: d.GridPos.W*columnWidth - 24, H: d.GridPos.H*rowHeight - heading - 76, From: clock(over.From), To: clock(over.To)}
	top := 0.0
	for _, r := range d.Results {
		for _, series := range r.Series {
			for _, sample := range series.Values {
				top = max(top, float64(sample.Value))
			}
		}
	}
	g.Top = d.Text(top)
	for _, r := range d.Results {
		for _, series := range r.Series {
			newest := float64(series.Values[len(series.Values)-1].Value)
			line := Line{Name: r.Legend(series.Metric), Text: d.Text(newest), Color: colors[len(g.Lines)%len(colors)]}
			line.Parts = g.parts(series.Values, over, max(top, 1e-9))
			g.Lines = append(g.Lines, line)
		}
	}
	return g
}

// parts are the stretches of a line between its gaps.
func (g Graph) parts(values []model.SamplePair, over Span, top float64) []string {
	var parts []string
	var part strings.Builder
	for i, sample := range values {
		at := sample.Timestamp.Time()
		if i > 0 && at.Sub(values[i-1].Timestamp.Time()) > 2*over.Step {
			parts = append(parts, part.String())
			part.Reset()
		}
		x := at.Sub(over.From).Seconds() / over.To.Sub(over.From).Seconds() * float64(g.W)
		fmt.Fprintf(&part, "%.1f,%.1f ", x, float64(g.H)*(1-float64(sample.Value)/top))
		if i == 0 || i == len(values)-1 { // a single point is a short line
			fmt.Fprintf(&part, "%.1f,%.1f ", x+1, float64(g.H)*(1-float64(sample.Value)/top))
		}
	}
	return append(parts, part.String())
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// Bar is a stretch of time with one state.
type Bar struct {
	Left, Width float64
	Color, Text string
}

// State is the line of a series in a panel of states.
type State struct {
	Name string
	Bars []Bar
}

// States are the lines of a panel of states, at most twelve.
func (d Drawn) States(over Span) []State {
	whole := over.To.Sub(over.From).Seconds()
	var states []State
	for _, r := range d.Results {
		for _, series := range r.Series {
			if len(states) == 12 {
				return states
			}
			state := State{Name: r.Legend(series.Metric)}
			for _, sample := range series.Values {
				left := sample.Timestamp.Time().Sub(over.From).Seconds()
				state.Bars = append(state.Bars, Bar{
					Left: 100 * left / whole, Width: 100*over.Step.Seconds()/whole + 0.1,
					Color: d.Color(float64(sample.Value)), Text: d.Text(float64(sample.Value)),
				})
			}
			states = append(states, state)
		}
	}
	return states
}

var page = template.Must(template.New("page").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>{{.Dashboard.Title}}</title>
<style>
body{font:13px system-ui,sans-serif;margin:0;background:#f4f5f7;color:#1f2430}
h1{font-size:18px;margin:12px}h1 small{font-weight:normal;color:#667}
main{position:relative;margin:0 4px;height:{{.Height}}px}
section{position:absolute;background:#fff;border:1px solid #dcdfe4;border-radius:3px;overflow:hidden;box-sizing:border-box;margin:0}
section.row{background:none;border:0;font-weight:600;font-size:15px;padding:6px}
h2{font-size:13px;margin:6px 10px}.big{font-size:26px;color:#fff;position:absolute;inset:28px 0 0 0;display:flex;align-items:center;justify-content:center}
svg{margin:0 8px;overflow:visible}polyline{fill:none;stroke-width:1.5}ul{list-style:none;margin:2px 8px;padding:0;columns:2;font-size:11px}
li{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}i{display:inline-block;width:10px;height:3px;margin:0 4px 3px 0}
.line{margin:2px 10px;font-size:12px;position:relative;height:19px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.line b{position:absolute;left:0;top:0;height:17px;opacity:.3;display:block}.line span{float:right}.axis{display:flex;justify-content:space-between;margin:0 10px;color:#667;font-size:11px}
.state{margin:3px 10px;display:flex;height:17px;font-size:12px}.state em{font-style:normal;width:220px;overflow:hidden;text-overflow:ellipsis}.state div{position:relative;flex:1;background:#eef0f3}
.state u{position:absolute;top:0;bottom:0}
</style>
{{$over := .Over}}{{$c := .}}
<h1>{{.Dashboard.Title}} <small>data of a real run, drawn by test/observe, not by Grafana</small></h1><main>
{{range .Panels}}<section style="{{$c.Box .GridPos}}"{{if eq .Type "row"}} class="row">{{.Title}}{{else}} title="{{.Description}}"><h2>{{.Title}}</h2>
{{- if eq .Type "stat"}}{{with .Number}}<div class="big" style="background:{{.Color}}">{{.Text}}</div>{{end}}
{{- else if eq .Type "timeseries"}}{{with .Graph $over}}<div class="axis"><span>{{.Top}}</span></div><svg width="{{.W}}" height="{{.H}}"><rect width="{{.W}}" height="{{.H}}" fill="#fafbfc"/>
{{- range $line := .Lines}}{{range .Parts}}<polyline points="{{.}}" stroke="{{$line.Color}}"/>{{end}}{{end}}</svg><div class="axis"><span>{{.From}}</span><span>{{.To}}</span></div>
<ul>{{range .Lines}}<li><i style="background:{{.Color}}"></i>{{.Name}} {{.Text}}</li>{{end}}</ul>{{end}}
{{- else if eq .Type "state-timeline"}}{{range .States $over}}<div class="state"><em>{{.Name}}</em><div>{{range .Bars}}<u style="left:{{.Left}}%;width:{{.Width}}%;background:{{.Color}}"></u>{{end}}</div></div>{{end}}
{{- else}}{{range .Rows}}<div class="line">{{if ne .Color ""}}<b style="width:{{.Share}}%;background:{{.Color}}"></b>{{end}}<span>{{.Text}}</span>{{.Name}}</div>{{end}}{{end}}{{end}}</section>
{{end}}</main></html>
`))
