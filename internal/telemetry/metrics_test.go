package telemetry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/khronicle/khronicle/internal/telemetry"
)

func gather(t *testing.T, m telemetry.Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*dto.MetricFamily{}
	for _, family := range families {
		byName[family.GetName()] = family
	}
	return byName
}

// Dashboards and alert rules use these names of counters and timers.
func TestMetricsNamesOfWorkflowMetrics(t *testing.T) {
	m := telemetry.NewMetrics()
	tagged := m.Temporal.WithTags(map[string]string{"check": "ns/dns", "outcome": "succeeded"})
	tagged.Counter("khronicle_runs").Inc(2)
	tagged.Counter("khronicle_runs").Inc(1)
	m.Temporal.WithTags(map[string]string{"check": "ns/dns"}).Timer("khronicle_run_outcome").Record(3 * time.Second)
	families := gather(t, m)

	runs := families["khronicle_runs_total"]
	if runs.GetType() != dto.MetricType_COUNTER || len(runs.GetMetric()) != 1 || runs.GetMetric()[0].GetCounter().GetValue() != 3 {
		t.Errorf("khronicle_runs_total is %v, want 3", runs)
	}
	labels := map[string]string{}
	for _, label := range runs.GetMetric()[0].GetLabel() {
		labels[label.GetName()] = label.GetValue()
	}
	if diff := cmp.Diff(map[string]string{"check": "ns/dns", "outcome": "succeeded"}, labels); diff != "" {
		t.Errorf("labels differ (-want +got):\n%s", diff)
	}

	outcome := families["khronicle_run_outcome_seconds"]
	if outcome.GetType() != dto.MetricType_HISTOGRAM || len(outcome.GetMetric()) != 1 {
		t.Fatalf("khronicle_run_outcome_seconds is %v, want a histogram; there are %v", outcome, families)
	}
	histogram := outcome.GetMetric()[0].GetHistogram()
	if histogram.GetSampleCount() != 1 || histogram.GetSampleSum() != 3 {
		t.Errorf("%d samples of %v seconds, want one of 3", histogram.GetSampleCount(), histogram.GetSampleSum())
	}
	var bounds []float64
	for _, bucket := range histogram.GetBucket() {
		bounds = append(bounds, bucket.GetUpperBound())
	}
	if len(bounds) < 16 || bounds[0] != .005 || bounds[15] != 900 {
		t.Errorf("bounds are %v, want them from 5 ms to 15 minutes", bounds)
	}
}

// A library may limit the series of a metric and drop the labels of the others.
func TestMetricsEachCheckAndOutcomeHasASeries(t *testing.T) {
	m := telemetry.NewMetrics()
	const checks = 1500
	outcomes := []string{"succeeded", "failed", "infra-failed"}
	for _, outcome := range outcomes {
		for n := range checks {
			m.Temporal.WithTags(map[string]string{"check": fmt.Sprintf("ns/check-%d", n), "outcome": outcome}).Counter("khronicle_runs").Inc(1)
		}
	}
	runs := gather(t, m)["khronicle_runs_total"].GetMetric()
	if want := checks * len(outcomes); len(runs) != want {
		t.Errorf("%d series, want %d", len(runs), want)
	}
	for _, run := range runs {
		if len(run.GetLabel()) != 2 {
			t.Errorf("%v runs are counted with the labels %v", run.GetCounter().GetValue(), run.GetLabel())
		}
	}
}

func TestMetricsIncludeThoseOfTheProcess(t *testing.T) {
	families := gather(t, telemetry.NewMetrics())
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "otel_") || name == "target_info" {
			t.Errorf("%s is of no use to anyone", name)
		}
	}
}

// Temporal's SDK adds a label with the error code, but only to failed requests.
func TestMetricsSeriesMayDifferInLabels(t *testing.T) {
	m := telemetry.NewMetrics()
	m.Temporal.Counter("requests").Inc(1)
	m.Temporal.WithTags(map[string]string{"a": "1", "b": "2"}).Counter("requests").Inc(2)
	m.Temporal.WithTags(map[string]string{"b": "2"}).WithTags(map[string]string{"a": "1"}).Counter("requests").Inc(3)
	m.Temporal.WithTags(map[string]string{"a": "other"}).WithTags(map[string]string{"a": "1", "b": "2"}).Counter("requests").Inc(4)
	m.Temporal.Gauge("slots").Update(7)
	m.Temporal.Gauge("slots").Update(5)
	families := gather(t, m)
	got := map[int]float64{}
	for _, series := range families["requests_total"].GetMetric() {
		got[len(series.GetLabel())] += series.GetCounter().GetValue()
	}
	if diff := cmp.Diff(map[int]float64{0: 1, 2: 9}, got); diff != "" {
		t.Errorf("requests by the number of labels differ (-want +got):\n%s", diff)
	}
	if slots := families["slots"].GetMetric(); len(slots) != 1 || slots[0].GetGauge().GetValue() != 5 {
		t.Errorf("slots is %v, want one series of 5", slots)
	}
}

func BenchmarkCount(b *testing.B) {
	m := telemetry.NewMetrics()
	root := m.Temporal.WithTags(map[string]string{"namespace": "default", "client_name": "temporal_go"})
	b.ReportAllocs()
	for b.Loop() {
		root.WithTags(map[string]string{"operation": "RespondWorkflowTaskCompleted"}).Counter("requests").Inc(1)
	}
}

func TestMetricsTwoSetsAreIndependent(t *testing.T) {
	first, second := telemetry.NewMetrics(), telemetry.NewMetrics()
	first.Temporal.Counter("khronicle_runs").Inc(1)
	if gather(t, second)["khronicle_runs_total"] != nil {
		t.Error("the second set has a counter of the first")
	}
}
