package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.temporal.io/sdk/client"
)

// Metrics are the metrics of a process.
type Metrics struct {
	Registry *prometheus.Registry
	// Temporal receives the metrics of Temporal's SDK and those that workflows emit.
	Temporal client.MetricsHandler
}

// NewMetrics returns a registry with the metrics of the Go process, and a handler for Temporal's SDK that writes into it.
func NewMetrics() Metrics {
	registry, emitted := prometheus.NewRegistry(), &emitted{}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), emitted)
	return Metrics{Registry: registry, Temporal: handler{emitted: emitted}}
}
