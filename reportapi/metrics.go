package reportapi

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// statusCollector shows the state of the cluster under Kuberhealthy's metric names. It reads the cached states at each
// scrape and asks the API server nothing.
type statusCollector struct{ Options }

func newStatusCollector(o Options) prometheus.Collector { return statusCollector{o} }

// Kuberhealthy's metrics whose labels are always the same.
var (
	runningDesc = prometheus.NewDesc("kuberhealthy_running",
		"Shows if kuberhealthy is running error free", []string{"current_master"}, nil)
	clusterDesc = prometheus.NewDesc("kuberhealthy_cluster_state",
		"Shows the status of the cluster", nil, nil)
)

// Khronicle's own, of each check and job.
var (
	unknownDesc = prometheus.NewDesc("khronicle_check_unknown",
		"1 when a check or job owes an outcome that has not come in time, else 0.", checkLabels, nil)
	lastOutcomeDesc = prometheus.NewDesc("khronicle_check_last_outcome_timestamp_seconds",
		"When the last outcome of a check or job was recorded, in Unix seconds.", checkLabels, nil)
	startDelayDesc = prometheus.NewDesc("khronicle_check_start_delay_seconds",
		"How long after its due time the last run of a check or job began whose outcome was recorded; absent where that is not known.", checkLabels, nil)
	// checkLabels are those of khronicle_runs_total; the label namespace is taken by Temporal's.
	checkLabels = []string{"check", "check_namespace", "workload"}
)

// Describe implements prometheus.Collector. It describes nothing, which makes this an unchecked collector: the label
// error comes and goes with the presentation, and the registry holds a described metric to its labels for good.
func (c statusCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c statusCollector) Collect(metrics chan<- prometheus.Metric) {
	if c.Synced(context.Background()) != nil {
		return // no status is better than one that is guessed
	}
	view := c.view(nil) // with one presentation, so that all series of a scrape have the same labels
	metrics <- gauge(runningDesc, 1, c.Name)
	metrics <- gauge(clusterDesc, boolValue(view.summary.OK))
	newWorkloadDescs("check", view.Presentation).collect(metrics, view.summary.CheckDetails)
	newWorkloadDescs("job", view.Presentation).collect(metrics, view.summary.JobDetails)
	collectFreshness(metrics, view)
	c.collectStartDelays(metrics, view)
}

func (c statusCollector) collectStartDelays(metrics chan<- prometheus.Metric, v view) {
	for _, state := range v.states {
		runs := check.RecentRuns(state)
		if len(runs) == 0 {
			continue
		}
		kind := khv1.KHCheck
		if c.States.IsJob(state) {
			kind = khv1.KHJob
		}
		if delay, ok := runs[len(runs)-1].StartDelay(); ok {
			metrics <- gauge(startDelayDesc, delay.Seconds(), state.Namespace+"/"+state.Name, state.Namespace, string(kind))
		}
	}
}

func collectFreshness(metrics chan<- prometheus.Metric, v view) {
	for _, a := range v.awaited {
		metrics <- gauge(unknownDesc, boolValue(a.Unknown(v.now)), a.String(), a.Namespace, string(a.Kind))
	}
	lastOutcomes := func(kind khv1.KHWorkload, details map[string]khv1.WorkloadDetails) {
		for name, shown := range details {
			if !shown.LastRun.IsZero() {
				metrics <- gauge(lastOutcomeDesc, float64(shown.LastRun.Unix()), name, shown.Namespace, string(kind))
			}
		}
	}
	lastOutcomes(khv1.KHCheck, v.summary.CheckDetails)
	lastOutcomes(khv1.KHJob, v.summary.JobDetails)
}

// workloadDescs are the two metrics of checks, or of jobs.
type workloadDescs struct {
	Presentation
	state, duration *prometheus.Desc
}

func newWorkloadDescs(workload string, p Presentation) workloadDescs {
	labels := []string{"check", "namespace", "status"}
	if !p.SuppressErrorLabel {
		labels = append(labels, "error")
	}
	return workloadDescs{
		Presentation: p,
		state: prometheus.NewDesc("kuberhealthy_"+workload,
			"Shows the status of a Kuberhealthy "+workload, labels, nil),
		duration: prometheus.NewDesc("kuberhealthy_"+workload+"_duration_seconds",
			"Shows the "+workload+" run duration of a Kuberhealthy "+workload, []string{"check", "namespace"}, nil),
	}
}

func (d workloadDescs) collect(metrics chan<- prometheus.Metric, details map[string]khv1.WorkloadDetails) {
	for name, shown := range details {
		status := "0"
		if shown.OK {
			status = "1"
		}
		labels := []string{name, shown.Namespace, status}
		if !d.SuppressErrorLabel {
			labels = append(labels, check.ErrorLabel(shown.Errors, d.ErrorLabelMaxLength))
		}
		metrics <- gauge(d.state, boolValue(shown.OK), labels...)
		duration, err := time.ParseDuration(shown.RunDuration)
		if err != nil { // empty when the check gave no verdict
			duration = 0
		}
		metrics <- gauge(d.duration, duration.Seconds(), name, shown.Namespace)
	}
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
