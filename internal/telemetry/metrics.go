package telemetry

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.temporal.io/sdk/client"
)

// Metrics are the metrics of a process.
type Metrics struct {
	Registry *prometheus.Registry
	// Temporal receives the metrics of Temporal's SDK and those that workflows emit.
	Temporal client.MetricsHandler
	emitted  *emitted
}

// NewMetrics returns a registry with the metrics of the Go process, and a handler for Temporal's SDK that writes into it.
func NewMetrics() Metrics {
	registry, emitted := prometheus.NewRegistry(), &emitted{}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), emitted)
	return Metrics{Registry: registry, Temporal: handler{emitted: emitted}, emitted: emitted}
}

// Values returns the values of a label, each once, of the series of Temporal's SDK and of workflows that have another label
// with a value.
func (m Metrics) Values(label, where, value string) []string {
	found := map[string]bool{}
	m.emitted.each(func(_ seriesID, labels prometheus.Labels) {
		if text, ok := labels[label]; ok && labels[where] == value {
			found[text] = true
		}
	})
	return slices.Sorted(maps.Keys(found))
}

// Forget removes the series of Temporal's SDK and of workflows whose label has a value. A series that is written again begins
// at 0, as after a restart of the process.
func (m Metrics) Forget(label, value string) {
	m.emitted.each(func(id seriesID, labels prometheus.Labels) {
		if text, ok := labels[label]; ok && text == value {
			m.emitted.series.Delete(id)
		}
	})
}
