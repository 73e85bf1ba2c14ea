package ledger

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Measured is the part of a ledger that its metrics read.
type Measured interface {
	Ping(ctx context.Context) error
	Stats() Stats
}

var (
	descUp      = prometheus.NewDesc("khronicle_ledger_up", "Whether the database of the ledger answers.", nil, nil)
	descQueued  = prometheus.NewDesc("khronicle_ledger_queued_records", "Callers that wait for a transaction of the ledger.", nil, nil)
	descRows    = prometheus.NewDesc("khronicle_ledger_rows_total", "Records and evidence that were stored.", nil, nil)
	descFailed  = prometheus.NewDesc("khronicle_ledger_failed_rows_total", "Records and evidence that a transaction failed to store; they are stored again later.", nil, nil)
	descBatches = prometheus.NewDesc("khronicle_ledger_batches_total", "Transactions of the ledger that were committed.", nil, nil)
)

// scrapePing is how long a scrape waits for a database that does not answer.
const scrapePing = time.Second

type collector struct{ Measured }

// NewCollector returns the metrics of a ledger.
func NewCollector(of Measured) prometheus.Collector { return collector{of} }

// Describe implements prometheus.Collector.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{descUp, descQueued, descRows, descFailed, descBatches} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePing)
	defer cancel()
	up := 1.0
	if c.Ping(ctx) != nil {
		up = 0
	}
	stats := c.Stats()
	metrics <- prometheus.MustNewConstMetric(descUp, prometheus.GaugeValue, up)
	metrics <- prometheus.MustNewConstMetric(descQueued, prometheus.GaugeValue, float64(stats.Queued))
	metrics <- prometheus.MustNewConstMetric(descRows, prometheus.CounterValue, float64(stats.Rows))
	metrics <- prometheus.MustNewConstMetric(descFailed, prometheus.CounterValue, float64(stats.FailedRows))
	metrics <- prometheus.MustNewConstMetric(descBatches, prometheus.CounterValue, float64(stats.Batches))
}
