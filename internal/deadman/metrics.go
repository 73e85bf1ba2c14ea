package deadman

import "github.com/prometheus/client_golang/prometheus"

// The results of a request to the service.
const (
	success = "success"
	failure = "failure"
)

var lastDesc = prometheus.NewDesc("khronicle_heartbeat_timestamp_seconds",
	"Time of the last heartbeat that this worker did for Temporal, in Unix seconds; absent before the first.", nil, nil)

func newCounter() *prometheus.CounterVec {
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "khronicle_deadman_sent_total",
		Help: "Heartbeats that were sent to the URL of --deadman-url, by result: success, or failure after the last try.",
	}, []string{"result"})
	for _, result := range []string{success, failure} {
		sent.WithLabelValues(result)
	}
	return sent
}

// Describe implements prometheus.Collector.
func (s *Switch) Describe(descs chan<- *prometheus.Desc) {
	descs <- lastDesc
	s.sent.Describe(descs)
}

// Collect implements prometheus.Collector. Without a service it has no counter.
func (s *Switch) Collect(metrics chan<- prometheus.Metric) {
	if last := s.last.Load(); last != 0 {
		metrics <- prometheus.MustNewConstMetric(lastDesc, prometheus.GaugeValue, float64(last))
	}
	if s.url != "" {
		s.sent.Collect(metrics)
	}
}
