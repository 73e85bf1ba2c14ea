package telemetry

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
)

// latencyBuckets are the bounds, in seconds, of every histogram: from a quick call to a long check.
var latencyBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900}

// Metrics is what a process has to tell Prometheus.
type Metrics struct {
	Registry *prometheus.Registry
	// Temporal receives the metrics of Temporal's SDK and those that workflows emit.
	Temporal client.MetricsHandler
}

// NewMetrics returns an empty registry with the metrics of the process, and a handler for Temporal's SDK that writes into
// it.
func NewMetrics(logger *slog.Logger) (Metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithoutTargetInfo())
	if err != nil {
		return Metrics{}, fmt.Errorf("make metrics exporter: %w", err)
	}
	// By default the series of a counter after its 1,999th are one without labels, which no alert on a check sees. Here there
	// are as many as checks and outcomes: no label may have a value for each run or job.
	provider := metric.NewMeterProvider(metric.WithReader(exporter), metric.WithCardinalityLimit(0), metric.WithView(metric.NewView(
		metric.Instrument{Kind: metric.InstrumentKindHistogram},
		metric.Stream{Aggregation: metric.AggregationExplicitBucketHistogram{Boundaries: latencyBuckets}},
	)))
	return Metrics{Registry: registry, Temporal: opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter:                provider.Meter("khronicle"),
		UseMonotonicCounters: true,
		OnError:              func(err error) { logger.Error("record a metric", "error", err) },
	})}, nil
}
