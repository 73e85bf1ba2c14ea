package reportapi

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// statusCollector shows the state of the cluster under Kuberhealthy's metric names. It reads the cached states at each
// scrape and sends the API server no request.
type statusCollector struct {
	Options
	gauges *view.Memory[series, prometheus.Metric]
}

// series is one gauge and its value. Most are the same at the next scrape, and making them is expensive.
type series struct {
	desc   *prometheus.Desc
	value  float64
	labels [4]string
	n      int
}

// gauges makes the gauges of one scrape.
type gauges struct {
	metrics    chan<- prometheus.Metric
	remembered view.Pass[series, prometheus.Metric]
}

func (g gauges) add(desc *prometheus.Desc, value float64, labels ...string) {
	key := series{desc: desc, value: value, n: len(labels)}
	copy(key.labels[:], labels)
	g.metrics <- g.remembered.Get(key, func() prometheus.Metric {
		return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, key.labels[:key.n]...)
	})
}

// Kuberhealthy's metrics whose labels are always the same.
var (
	runningDesc = prometheus.NewDesc("kuberhealthy_running",
		"Shows if kuberhealthy is running error free", []string{"current_master"}, nil)
	clusterDesc = prometheus.NewDesc("kuberhealthy_cluster_state",
		"Shows the status of the cluster", nil, nil)
)

// Khronicle's own metrics, of each check and job.
var (
	unknownDesc = prometheus.NewDesc("khronicle_check_unknown",
		"1 when the outcome of a check or job is overdue, else 0.", checkLabels, nil)
	lastOutcomeDesc = prometheus.NewDesc("khronicle_check_last_outcome_timestamp_seconds",
		"When the last outcome of a check or job was recorded, in Unix seconds.", checkLabels, nil)
	startDelayDesc = prometheus.NewDesc("khronicle_check_start_delay_seconds",
		"Time from the tick to the start of the last run with a recorded outcome. It is absent if that is not known.", checkLabels, nil)
	// checkLabels are the labels of khronicle_runs_total. Temporal uses the label namespace itself.
	checkLabels = []string{"check", "check_namespace", "workload"}
)

// Describe implements prometheus.Collector. It describes nothing, which makes this an unchecked collector. The reason is
// that the label error depends on the presentation, and the registry would fix the labels of a described metric.
func (c statusCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c statusCollector) Collect(metrics chan<- prometheus.Metric) {
	if c.Synced(context.Background()) != nil {
		return // no status is better than a guess
	}
	shown := c.presentation() // one for all, so that all series of a scrape have the same labels
	snapshot := c.View.Snapshot()
	status := snapshot.Status(nil, shown.IgnoreUnknown)
	g := gauges{metrics, c.gauges.Begin()}
	g.add(runningDesc, 1, c.Name)
	g.add(clusterDesc, boolValue(status.OK))
	collectDetails(g, descsOf[khv1.KHCheck], shown, status.CheckDetails)
	collectDetails(g, descsOf[khv1.KHJob], shown, status.JobDetails)
	collectFreshness(g, snapshot, status)
	collectStartDelays(g, snapshot)
	c.gauges.End(g.remembered)
}

func collectStartDelays(g gauges, snapshot *view.Snapshot) {
	for _, state := range snapshot.Recorded {
		if delay, known := state.StartDelay(); known {
			g.add(startDelayDesc, delay.Seconds(), state.Namespace+"/"+state.Name, state.Namespace, string(state.Kind))
		}
	}
}

func collectFreshness(g gauges, snapshot *view.Snapshot, status check.Summary) {
	for _, c := range snapshot.Checks {
		g.add(unknownDesc, boolValue(c.Overdue(snapshot.At)), c.String(), c.Namespace, string(c.Kind))
	}
	lastOutcomes := func(kind khv1.KHWorkload, details map[string]khv1.WorkloadDetails) {
		for _, name := range slices.Sorted(maps.Keys(details)) {
			shown := details[name]
			if !shown.LastRun.IsZero() {
				g.add(lastOutcomeDesc, float64(shown.LastRun.Unix()), name, shown.Namespace, string(kind))
			}
		}
	}
	lastOutcomes(khv1.KHCheck, status.CheckDetails)
	lastOutcomes(khv1.KHJob, status.JobDetails)
}

// workloadDescs are the metrics of checks, or of jobs: the state with the label error and without it, and the duration.
type workloadDescs struct{ state, stateWithoutError, duration *prometheus.Desc }

var descsOf = map[khv1.KHWorkload]workloadDescs{khv1.KHCheck: newWorkloadDescs("check"), khv1.KHJob: newWorkloadDescs("job")}

func newWorkloadDescs(workload string) workloadDescs {
	state := func(labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kuberhealthy_"+workload, "Shows the status of a Kuberhealthy "+workload, labels, nil)
	}
	return workloadDescs{
		state: state("check", "namespace", "status", "error"), stateWithoutError: state("check", "namespace", "status"),
		duration: prometheus.NewDesc("kuberhealthy_"+workload+"_duration_seconds",
			"Shows the "+workload+" run duration of a Kuberhealthy "+workload, []string{"check", "namespace"}, nil),
	}
}

func collectDetails(g gauges, d workloadDescs, p Presentation, details map[string]khv1.WorkloadDetails) {
	for _, name := range slices.Sorted(maps.Keys(details)) { // in the order of a scrape, which the registry then sorts quickly
		shown, status := details[name], "0"
		if shown.OK {
			status = "1"
		}
		if p.SuppressErrorLabel {
			g.add(d.stateWithoutError, boolValue(shown.OK), name, shown.Namespace, status)
		} else {
			g.add(d.state, boolValue(shown.OK), name, shown.Namespace, status, check.ErrorLabel(shown.Errors, p.ErrorLabelMaxLength))
		}
		duration, err := time.ParseDuration(shown.RunDuration)
		if err != nil { // empty when the check did not report
			duration = 0
		}
		g.add(d.duration, duration.Seconds(), name, shown.Namespace)
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
