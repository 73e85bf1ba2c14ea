package worker

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/telemetry"
)

// present is a cluster with checks and states of the namespace shop.
type present struct{ checks, states []string }

func (p *present) Checks() (all []*khv1.KuberhealthyCheck) {
	for _, name := range p.checks {
		all = append(all, &khv1.KuberhealthyCheck{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}})
	}
	return all
}

func (p *present) States() (all []*khv1.KuberhealthyState) {
	for _, name := range p.states {
		all = append(all, &khv1.KuberhealthyState{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}})
	}
	return all
}

// labelled are the values of the label check of a counter, in their order.
func labelled(t *testing.T, m telemetry.Metrics, counter string) (values []string) {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != counter {
			continue
		}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if label.GetName() == "check" {
					values = append(values, label.GetValue())
				}
			}
		}
	}
	slices.Sort(values)
	return values
}

// The counters of a deleted check stay until Prometheus has read them, and leave then. Those of others stay: of checks that are
// there, of programs that write a state, and of jobs. So do those of a check that is created again in time.
func TestCountersOfDeletedChecksLeaveTheMetrics(t *testing.T) {
	m := telemetry.NewMetrics()
	count := func(kind khv1.KHWorkload, label string) {
		tagged := m.Temporal.WithTags(map[string]string{"check": label, "check_namespace": "shop", "workload": string(kind)})
		tagged.WithTags(map[string]string{"outcome": "succeeded"}).Counter("khronicle_runs").Inc(1)
		tagged.WithTags(map[string]string{"outcome": "failed"}).Counter("khronicle_runs").Inc(1)
		tagged.Counter("khronicle_flaky_runs").Inc(1)
	}
	for _, label := range []string{"shop/cart", "shop/former", "shop/again", "shop/program"} {
		count(khv1.KHCheck, label)
	}
	count(khv1.KHJob, "shop/")
	m.Temporal.Counter("temporal_request").Inc(1)
	cluster := &present{checks: []string{"cart"}, states: []string{"cart", "program"}}
	f := forgetter{cluster: cluster, series: m, logger: slog.New(slog.DiscardHandler)}
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	all := []string{"shop/", "shop/again", "shop/cart", "shop/former", "shop/program"}
	for _, step := range []struct {
		after time.Duration
		add   string
		want  []string
	}{
		{0, "", all},
		{14 * time.Minute, "again", all},
		{15*time.Minute - time.Second, "", all},
		{15 * time.Minute, "", []string{"shop/", "shop/again", "shop/cart", "shop/program"}},
		{time.Hour, "", []string{"shop/", "shop/again", "shop/cart", "shop/program"}},
	} {
		if step.add != "" {
			cluster.checks = append(cluster.checks, step.add)
		}
		f.look(start.Add(step.after))
		for _, counter := range []string{"khronicle_runs_total", "khronicle_flaky_runs_total"} {
			if got := slices.Compact(labelled(t, m, counter)); !slices.Equal(got, step.want) {
				t.Errorf("after %s, %s has %v, want %v", step.after, counter, got, step.want)
			}
		}
	}
	count(khv1.KHCheck, "shop/former") // it is created again, much later
	if got := labelled(t, m, "khronicle_runs_total"); !slices.Contains(got, "shop/former") {
		t.Errorf("a check that was created again is not counted: %v", got)
	}
	families, err := m.Registry.Gather()
	if err != nil || !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "temporal_request_total" }) {
		t.Errorf("the metrics of Temporal's SDK are not there, error %v", err)
	}
}
