package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/khronicle/khronicle/ledger"
)

// Ledger is the part of a ledger that the metrics need.
type Ledger interface {
	Ping(ctx context.Context) error
	Stats() ledger.Stats
}

var (
	ledgerUp      = prometheus.NewDesc("khronicle_ledger_up", "Whether the database of the ledger answers.", nil, nil)
	ledgerQueued  = prometheus.NewDesc("khronicle_ledger_queued_records", "Callers that wait for a transaction of the ledger.", nil, nil)
	ledgerRows    = prometheus.NewDesc("khronicle_ledger_rows_total", "Records and evidence that were stored.", nil, nil)
	ledgerFailed  = prometheus.NewDesc("khronicle_ledger_failed_rows_total", "Records and evidence that a transaction failed to store; they are sent again.", nil, nil)
	ledgerBatches = prometheus.NewDesc("khronicle_ledger_batches_total", "Transactions of the ledger that were committed.", nil, nil)
)

// pingTimeout bounds how long a scrape waits for a database that does not answer.
const pingTimeout = time.Second

type ledgerCollector struct{ Ledger }

// NewLedgerCollector returns the metrics of a ledger.
func NewLedgerCollector(of Ledger) prometheus.Collector { return ledgerCollector{of} }

// Describe implements prometheus.Collector.
func (c ledgerCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{ledgerUp, ledgerQueued, ledgerRows, ledgerFailed, ledgerBatches} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c ledgerCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	up := 1.0
	if c.Ping(ctx) != nil {
		up = 0
	}
	stats := c.Stats()
	metrics <- prometheus.MustNewConstMetric(ledgerUp, prometheus.GaugeValue, up)
	metrics <- prometheus.MustNewConstMetric(ledgerQueued, prometheus.GaugeValue, float64(stats.Queued))
	metrics <- prometheus.MustNewConstMetric(ledgerRows, prometheus.CounterValue, float64(stats.Rows))
	metrics <- prometheus.MustNewConstMetric(ledgerFailed, prometheus.CounterValue, float64(stats.FailedRows))
	metrics <- prometheus.MustNewConstMetric(ledgerBatches, prometheus.CounterValue, float64(stats.Batches))
}
