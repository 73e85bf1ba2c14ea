package heartbeat

import "github.com/prometheus/client_golang/prometheus"

// What became of a beat to the outside.
const (
	success = "success"
	failure = "failure"
)

var lastDesc = prometheus.NewDesc("khronicle_heartbeat_timestamp_seconds",
	"When this worker last did what Temporal had scheduled for the heartbeat, in Unix seconds; absent before the first time.", nil, nil)

func newCounter() *prometheus.CounterVec {
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "khronicle_heartbeat_sent_total",
		Help: "Heartbeats for the service outside by result: success, or failure after the last try.",
	}, []string{"result"})
	for _, result := range []string{success, failure} {
		sent.WithLabelValues(result)
	}
	return sent
}

// Describe implements prometheus.Collector.
func (h *Heart) Describe(descs chan<- *prometheus.Desc) {
	descs <- lastDesc
	h.sent.Describe(descs)
}

// Collect implements prometheus.Collector. Where no service is told, nothing is said of it.
func (h *Heart) Collect(metrics chan<- prometheus.Metric) {
	if last := h.last.Load(); last != 0 {
		metrics <- prometheus.MustNewConstMetric(lastDesc, prometheus.GaugeValue, float64(last))
	}
	if h.url != "" {
		h.sent.Collect(metrics)
	}
}
