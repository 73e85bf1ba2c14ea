package config

import "github.com/prometheus/client_golang/prometheus"

// reloadMetrics have the same names as those of Prometheus and Alertmanager, after the prefix.
type reloadMetrics struct{ successful, at prometheus.Gauge }

func newReloadMetrics() reloadMetrics {
	return reloadMetrics{
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "khronicle_config_last_reload_successful",
			Help: "Whether the last configuration reload attempt was successful.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "khronicle_config_last_reload_success_timestamp_seconds",
			Help: "Timestamp of the last successful configuration reload.",
		}),
	}
}

func (m reloadMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.successful, m.at}
}

func (m reloadMetrics) succeeded() {
	m.successful.Set(1)
	m.at.SetToCurrentTime()
}

func (m reloadMetrics) failed() { m.successful.Set(0) }
