package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// filledLedger is a ledger with one failed run and one missed tick.
func filledLedger(t *testing.T) (dsn string) {
	t.Helper()
	dsn = "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	kept, err := ledger.Open(t.Context(), dsn, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.Now().UTC().Truncate(time.Second).Add(-time.Minute)
	record := ledger.Record{
		Key:  ledger.Key{CheckUID: "u", Trigger: check.TriggerSchedule, Tick: tick},
		Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", Outcome: check.Failed, WorkflowID: "w", Attempts: 2, InfraFailures: 1, Node: "node-1",
		Started: tick.Add(40 * time.Millisecond), Concluded: tick.Add(1540 * time.Millisecond), Errors: []string{"broken\nsecond line"},
	}
	if err := kept.Finish(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	missed := ledger.Record{Key: record.Key, Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", Outcome: check.Missed}
	missed.Tick = tick.Add(-time.Minute)
	if _, err := kept.RecordTicks(t.Context(), []ledger.Record{missed}); err != nil {
		t.Fatal(err)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func TestWorkerRefusesALedgerOfAnotherKindAtOnce(t *testing.T) {
	isolate(t)
	_, err := execute(t, "worker", "--ledger", "mysql://user:secret@host/db")
	if want := `--ledger: want "sqlite:PATH", a path or "postgres://…"`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestRecords(t *testing.T) {
	dsn := filledLedger(t)
	tests := []struct {
		name string
		args []string
		want []string // parts of the output, or of the error
		fail bool
	}{
		{"of all checks", []string{"--ledger", dsn}, []string{"CHECK ", "shop/cart ", "failed "}, false},
		{"of one", []string{"--ledger", dsn, "shop/cart"}, []string{"0.0 % of 1 runs in 30 days succeeded", "failed (2 attempts, infrastructure failures: 1)  40ms  -       1.5s  2         node-1  broken\n", "schedule  missed"}, false},
		{"as JSON", []string{"--ledger", dsn, "shop/cart", "-o", "json"}, []string{`"Outcome": "failed"`, `"InfraFailures": 1`, `second line`}, false},
		{"of one that is not there, as JSON", []string{"--ledger", dsn, "shop/none", "-o", "json"}, []string{"[]"}, false},
		{"of one that is not there", []string{"--ledger", dsn, "shop/none"}, []string{"the ledger has no record of a check or job shop/none"}, true},
		{"none at all", []string{"--ledger", dsn, "shop/cart", "--limit", "0"}, []string{"--limit: 0 is less than 1"}, true},
		{"of no ledger", nil, []string{"--ledger: is empty"}, true},
		{"of a ledger that is not there", []string{"--ledger", dsn + "-typo"}, []string{"--ledger: open ledger: stat ", "no such file"}, true},
		{"of a database of another kind", []string{"--ledger", "mysql://user:secret@host/db"}, []string{`--ledger: ledger: want "sqlite:PATH", a path or "postgres://…"`}, true},
		{"of no name", []string{"--ledger", dsn, "cart"}, []string{`"cart" is not NAMESPACE/NAME`}, true},
		{"in no format", []string{"--ledger", dsn, "-o", "xml"}, []string{`--output: "xml" is not text or json`}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			isolate(t)
			t.Setenv("KHRONICLE_LEDGER", "")
			out, err := execute(t, append([]string{"records"}, tt.args...)...)
			if (err != nil) != tt.fail {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				out = err.Error()
			}
			for _, want := range tt.want {
				if !strings.Contains(strings.ReplaceAll(out, `\n`, `", "`), want) {
					t.Errorf("output lacks %q:\n%s", want, out)
				}
			}
		})
	}
}
