package observe

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// Prometheus is a server that answers queries.
type Prometheus struct{ v1.API }

// NewPrometheus returns the server at an address.
func NewPrometheus(address string) (Prometheus, error) {
	client, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		return Prometheus{}, fmt.Errorf("address of Prometheus: %w", err)
	}
	return Prometheus{v1.NewAPI(client)}, nil
}

// Span is a range of time and the time between two values.
type Span struct {
	From, To time.Time
	Step     time.Duration
}

// Result is what a query of a panel returned.
type Result struct {
	Target
	Series model.Matrix
}

// Run runs a query over a span. NaN is no value.
func (p Prometheus) Run(ctx context.Context, expr string, over Span) (model.Matrix, error) {
	value, _, _, err := p.QueryRange(ctx, expr, v1.Range{Start: over.From, End: over.To, Step: over.Step})
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", expr, err)
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("query %s: the answer is a %s", expr, value.Type())
	}
	var filled model.Matrix
	for _, series := range matrix {
		series.Values = slices.DeleteFunc(series.Values, func(s model.SamplePair) bool { return math.IsNaN(float64(s.Value)) })
		if len(series.Values) > 0 {
			filled = append(filled, series)
		}
	}
	return filled, nil
}

// Panel runs the queries of a panel.
func (p Prometheus) Panel(ctx context.Context, panel Panel, v Variables, over Span) ([]Result, error) {
	var results []Result
	for _, target := range panel.Targets {
		series, err := p.Run(ctx, v.Fill(target.Expr), over)
		if err != nil {
			return nil, fmt.Errorf("panel %q: %w", panel.Title, err)
		}
		results = append(results, Result{target, series})
	}
	return results, nil
}

// HasData is true if a query returned a value.
func HasData(results []Result) bool {
	return slices.ContainsFunc(results, func(r Result) bool { return len(r.Series) > 0 })
}

// Legend is the name of a series in the legend.
func (r Result) Legend(metric model.Metric) string {
	if r.LegendFormat == "" {
		return metric.String()
	}
	name := r.LegendFormat
	for label, value := range metric {
		name = strings.ReplaceAll(name, "{{"+string(label)+"}}", string(value))
	}
	return name
}

// Times are when an alert fired, in order.
func (p Prometheus) Times(ctx context.Context, alert string, over Span) ([]time.Time, error) {
	matrix, err := p.Run(ctx, fmt.Sprintf(`max(ALERTS{alertname=%q,alertstate="firing"})`, alert), over)
	if err != nil || len(matrix) == 0 {
		return nil, err
	}
	var times []time.Time
	for _, sample := range matrix[0].Values {
		times = append(times, sample.Timestamp.Time())
	}
	return times, nil
}

// Metrics lists the metrics that one of the selectors matches, a line each: name, type and labels.
func (p Prometheus) Metrics(ctx context.Context, over Span, selectors ...string) (string, error) {
	metadata, err := p.Metadata(ctx, "", "")
	if err != nil {
		return "", fmt.Errorf("read metadata: %w", err)
	}
	series, _, _, err := p.Series(ctx, selectors, over.From, over.To)
	if err != nil {
		return "", fmt.Errorf("list series: %w", err)
	}
	labels := map[string]map[string]bool{}
	for _, set := range series {
		name := family(string(set["__name__"]), metadata)
		if labels[name] == nil {
			labels[name] = map[string]bool{}
		}
		for label := range set {
			labels[name][string(label)] = true
		}
	}
	var list strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		for _, label := range []string{"__name__", "job", "instance", "le"} {
			delete(labels[name], label)
		}
		fmt.Fprintln(&list, strings.Join(append([]string{name, typeOf(name, metadata)}, slices.Sorted(maps.Keys(labels[name]))...), " "))
	}
	return list.String(), nil
}

// family returns the name of the histogram whose part a series is, or the name of the series.
func family(series string, metadata map[string][]v1.Metadata) string {
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		if name, ok := strings.CutSuffix(series, end); ok && typeOf(name, metadata) == string(v1.MetricTypeHistogram) {
			return name
		}
	}
	return series
}

func typeOf(name string, metadata map[string][]v1.Metadata) string {
	if len(metadata[name]) == 0 {
		return "unknown"
	}
	return string(metadata[name][0].Type)
}
