package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

type variant = variants.Dataquery

// kind is how a panel shows its series, by the name of Grafana's plugin.
type kind string

const (
	number   kind = "stat"           // the newest value
	graph    kind = "timeseries"     // values over time
	ranking  kind = "bargauge"       // the newest values, side by side
	list     kind = "table"          // the newest values with their labels
	timeline kind = "state-timeline" // states over time
)

// panel is a panel in short form.
type panel struct {
	title, description string
	kind               kind
	// width is in columns of 24, height in units of 30 pixels. 0 is the default of the kind.
	width, height uint32
	// unit is Grafana's name of the unit: s, bytes, percentunit, short and so on.
	unit    string
	queries []query
	// meaning colors values; nil leaves that to Grafana.
	meaning *meaning
	// stacked adds the series of a graph up.
	stacked bool
	// alert is the section of the runbook that belongs to the panel.
	alert string
	// page is the path of a page of Khronicle, for a link from each value.
	page string
}

// meaning says which values are good.
type meaning struct {
	// texts replaces values by words.
	texts map[string]dashboard.ValueMappingResult
	// steps are colors by the value from which on they hold; the first holds for all lower values.
	steps []dashboard.Threshold
}

func word(text, color string, index int32) dashboard.ValueMappingResult {
	return dashboard.ValueMappingResult{Text: &text, Color: &color, Index: &index}
}

// okOrNot is the meaning of a state that is 1 when all is well.
func okOrNot(ok, notOK string) *meaning {
	return &meaning{
		texts: map[string]dashboard.ValueMappingResult{"1": word(ok, "green", 0), "0": word(notOK, "red", 1)},
		steps: []dashboard.Threshold{{Color: "red"}, {Color: "green", Value: cog.ToPtr(1.0)}},
	}
}

// badFrom is the meaning of a number that should stay below a bound.
func badFrom(bound float64) *meaning {
	return &meaning{steps: []dashboard.Threshold{{Color: "green"}, {Color: "red", Value: &bound}}}
}

func plain() *meaning { return &meaning{steps: []dashboard.Threshold{{Color: "blue"}}} }

func (p panel) build(id uint32) *dashboard.PanelBuilder {
	width, height := p.size()
	b := dashboard.NewPanelBuilder().Type(string(p.kind)).Id(id).Title(p.title).Description(p.description).Datasource(source).
		Span(width).Height(height).Unit(p.unit).Interval("1m").Options(p.options()).Custom(p.custom())
	for i, q := range p.queries {
		b.WithTarget(q.build(string(rune('A'+i)), p.kind == list || p.kind == ranking))
	}
	if p.kind == list {
		b.WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{"excludeByName": map[string]bool{"Time": true}}})
	}
	if p.alert != "" {
		b.Links([]cog.Builder[dashboard.DashboardLink]{link("What to do", runbook+"#"+p.alert, "Runbook")})
	}
	if p.page != "" {
		b.DataLinks([]cog.Builder[dashboard.DashboardLink]{link("Runs and evidence", "${pages}"+p.page, "Khronicle's page of the check")})
	}
	if p.kind == graph {
		b.Min(0)
	}
	return p.colored(b)
}

func (p panel) colored(b *dashboard.PanelBuilder) *dashboard.PanelBuilder {
	if p.meaning == nil {
		return b
	}
	b.Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(p.meaning.steps))
	b.ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds))
	if len(p.meaning.texts) > 0 {
		b.Mappings([]dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: p.meaning.texts}}})
	}
	return b
}

func (p panel) size() (width, height uint32) {
	width, height = 12, 8
	if p.kind == number {
		width, height = 4, 4
	}
	if p.width > 0 {
		width = p.width
	}
	if p.height > 0 {
		height = p.height
	}
	return width, height
}

// newest makes a panel show the last value of each series.
func newest() common.ReduceDataOptions {
	return common.ReduceDataOptions{Calcs: []string{"lastNotNull"}}
}

func legend(placement common.LegendPlacement, shown bool, columns ...string) common.VizLegendOptions {
	return common.VizLegendOptions{DisplayMode: common.LegendDisplayModeTable, Placement: placement, ShowLegend: shown, Calcs: columns}
}

func (p panel) options() any {
	switch p.kind {
	case number:
		o := stat.NewOptions()
		o.ReduceOptions, o.ColorMode, o.GraphMode = newest(), common.BigValueColorModeBackground, common.BigValueGraphModeNone
		return o
	case ranking:
		o := bargauge.NewOptions()
		o.ReduceOptions, o.Orientation, o.DisplayMode = newest(), common.VizOrientationHorizontal, common.BarGaugeDisplayModeBasic
		return o
	case timeline:
		o := statetimeline.NewOptions()
		o.ShowValue, o.RowHeight, o.MergeValues = common.VisibilityModeNever, 0.8, cog.ToPtr(true)
		o.Legend, o.PerPage = legend(common.LegendPlacementBottom, false), cog.ToPtr(20.0)
		return o
	case list:
		return table.NewOptions()
	default:
		o := timeseries.NewOptions()
		o.Legend = legend(common.LegendPlacementBottom, true, "lastNotNull", "max")
		o.Tooltip = common.VizTooltipOptions{Mode: common.TooltipDisplayModeMulti, Sort: common.SortOrderDescending}
		return o
	}
}

// custom are the settings of the lines of a graph. A counter that has no event for long has few points, so gaps are not joined.
func (p panel) custom() any {
	if p.kind != graph {
		return map[string]any{}
	}
	style := common.GraphFieldConfig{
		DrawStyle: cog.ToPtr(common.GraphDrawStyleLine), LineWidth: cog.ToPtr(1.0), FillOpacity: cog.ToPtr(10.0),
		ShowPoints: cog.ToPtr(common.VisibilityModeAuto),
	}
	if p.stacked {
		style.FillOpacity = cog.ToPtr(40.0)
		style.Stacking = &common.StackingConfig{Mode: cog.ToPtr(common.StackingModeNormal), Group: cog.ToPtr("A")}
	}
	return style
}
