package reportapi

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// statusCollector shows the state of the cluster under Kuberhealthy's metric names. It reads the cached states at each
// scrape and asks the API server nothing.
type statusCollector struct{ Options }

func newStatusCollector(o Options) prometheus.Collector { return statusCollector{o} }

// Kuberhealthy's metrics.
var (
	runningDesc = prometheus.NewDesc("kuberhealthy_running",
		"Shows if kuberhealthy is running error free", []string{"current_master"}, nil)
	clusterDesc = prometheus.NewDesc("kuberhealthy_cluster_state",
		"Shows the status of the cluster", nil, nil)
	checkDescs = workloadDescs{
		state: prometheus.NewDesc("kuberhealthy_check",
			"Shows the status of a Kuberhealthy check", []string{"check", "namespace", "status", "error"}, nil),
		duration: prometheus.NewDesc("kuberhealthy_check_duration_seconds",
			"Shows the check run duration of a Kuberhealthy check", []string{"check", "namespace"}, nil),
	}
	jobDescs = workloadDescs{
		state: prometheus.NewDesc("kuberhealthy_job",
			"Shows the status of a Kuberhealthy job", []string{"check", "namespace", "status", "error"}, nil),
		duration: prometheus.NewDesc("kuberhealthy_job_duration_seconds",
			"Shows the job run duration of a Kuberhealthy job", []string{"check", "namespace"}, nil),
	}
)

type workloadDescs struct{ state, duration *prometheus.Desc }

// Describe implements prometheus.Collector.
func (c statusCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		runningDesc, clusterDesc, checkDescs.state, checkDescs.duration, jobDescs.state, jobDescs.duration,
	} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c statusCollector) Collect(metrics chan<- prometheus.Metric) {
	if c.Synced(context.Background()) != nil {
		return // no status is better than one that is guessed
	}
	summary := check.Summarize(c.States.States(), c.States.IsJob, nil)
	metrics <- gauge(runningDesc, 1, c.Name)
	metrics <- gauge(clusterDesc, boolValue(summary.OK))
	checkDescs.collect(metrics, summary.CheckDetails)
	jobDescs.collect(metrics, summary.JobDetails)
}

func (d workloadDescs) collect(metrics chan<- prometheus.Metric, details map[string]khv1.WorkloadDetails) {
	for name, shown := range details {
		status := "0"
		if shown.OK {
			status = "1"
		}
		errors := strings.ToValidUTF8(strings.Join(shown.Errors, "|"), "�")
		metrics <- gauge(d.state, boolValue(shown.OK), name, shown.Namespace, status, errors)
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
