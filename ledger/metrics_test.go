package ledger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/khronicle/khronicle/ledger"
)

type fakeLedger struct{ err error }

func (f fakeLedger) Ping(context.Context) error { return f.err }

func (f fakeLedger) Stats() ledger.Stats {
	return ledger.Stats{Queued: 1, Rows: 20, FailedRows: 3, Batches: 4}
}

func TestMetricsOfTheLedger(t *testing.T) {
	for err, up := range map[error]float64{nil: 1, errors.New("down"): 0} {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(ledger.NewCollector(fakeLedger{err}))
		families, gatherErr := registry.Gather()
		if gatherErr != nil {
			t.Fatal(gatherErr)
		}
		got := map[string]float64{}
		for _, family := range families {
			metric := family.GetMetric()[0]
			got[family.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
		want := map[string]float64{
			"khronicle_ledger_up": up, "khronicle_ledger_queued_records": 1, "khronicle_ledger_rows_total": 20,
			"khronicle_ledger_failed_rows_total": 3, "khronicle_ledger_batches_total": 4,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	}
}
