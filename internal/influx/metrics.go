package influx

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Results of a point.
const (
	written = "written"
	dropped = "dropped"
)

func newCounter() *prometheus.CounterVec {
	points := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "khronicle_influxdb_points_total",
		Help: "Points for InfluxDB by result: written, or dropped because the buffer was full, InfluxDB refused them or the process stopped.",
	}, []string{"result"})
	for _, result := range []string{written, dropped} {
		points.WithLabelValues(result)
	}
	return points
}

// count counts the points of runs. Each line is a point.
func (e *Exporter) count(result string, runs ...string) {
	for _, run := range runs {
		e.points.WithLabelValues(result).Add(float64(strings.Count(run, "\n")))
	}
}

// Describe implements prometheus.Collector.
func (e *Exporter) Describe(descs chan<- *prometheus.Desc) { e.points.Describe(descs) }

// Collect implements prometheus.Collector.
func (e *Exporter) Collect(metrics chan<- prometheus.Metric) { e.points.Collect(metrics) }
