package ledger_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/ledger"
)

// A ledger whose database is not there at the start refuses accounts until it is, and takes them from then on.
func TestLate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "not-there-yet")
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // a file where a folder must be
		t.Fatal(err)
	}
	late := ledger.NewLate("sqlite:"+filepath.Join(folder, "ledger.db"), ledger.Retention{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { late.Run(ctx, slog.New(slog.DiscardHandler)); close(ended) }()
	account := ledger.Account{
		Key:  ledger.Key{CheckUID: "u", Trigger: ledger.First, Nominal: time.Now()},
		Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", Outcome: ledger.Succeeded, WorkflowID: "w",
	}
	if late.Finish(ctx, account) == nil || late.Begin(ctx, account) == nil || late.RecordTicks(ctx, nil) == nil || late.Ping(ctx) == nil || late.Stats().LastError == nil {
		t.Error("a ledger that is not there takes accounts")
	}
	if _, err := late.OpenRuns(ctx); err == nil {
		t.Error("a ledger that is not there has no open runs")
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for late.Ping(ctx) != nil && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if err := late.Finish(ctx, account); err != nil {
		t.Errorf("Finish: %v", err)
	}
	begun := account
	begun.Nominal = begun.Nominal.Add(time.Minute)
	if err := late.Begin(ctx, begun); err != nil {
		t.Errorf("Begin: %v", err)
	}
	if open, err := late.OpenRuns(ctx); err != nil || len(open) != 1 || !open[0].Nominal.Equal(begun.Nominal.Truncate(time.Microsecond)) {
		t.Errorf("open runs are %+v, error %v", open, err)
	}
	if rows := late.Stats().Rows; rows != 2 {
		t.Errorf("%d rows stored, want 2", rows)
	}
	cancel()
	<-ended
	if late.Ping(t.Context()) == nil {
		t.Error("the ledger is still open")
	}
}
