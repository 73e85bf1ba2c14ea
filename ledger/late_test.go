package ledger_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
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
	if late.Finish(ctx, account) == nil || late.Begin(ctx, account) == nil || late.Ping(ctx) == nil || late.Stats().LastError == nil {
		t.Error("a ledger that is not there takes accounts")
	}
	if _, err := late.RecordTicks(ctx, nil); err == nil {
		t.Error("a ledger that is not there takes ticks")
	}
	if late.PutEvidence(ctx, account.Key, ledger.Evidence{Kind: "log"}) == nil {
		t.Error("a ledger that is not there takes evidence")
	}
	for call, read := range lateReads(t.Context(), late, account) {
		if read() == nil {
			t.Errorf("%s: a ledger that is not there answers", call)
		}
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
	if rows := late.Stats().Rows; rows != 1 {
		t.Errorf("%d rows stored, want 1", rows)
	}
	failed := account
	failed.Trigger, failed.Outcome, failed.WorkflowID = ledger.Scheduled, ledger.Failed, "w2"
	must(t, late.Finish(ctx, failed))
	running := failed
	running.Nominal, running.WorkflowID = failed.Nominal.Add(time.Minute), "w3"
	must(t, late.Begin(ctx, running))
	must(t, late.PutEvidence(ctx, failed.Key, ledger.Evidence{Kind: "log"}))
	for call, read := range lateReads(t.Context(), late, failed) {
		if err := read(); err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}
	cancel()
	<-ended
	if late.Ping(t.Context()) == nil {
		t.Error("the ledger is still open")
	}
}

// lateReads are the questions that a Late passes on; each returns an error where the answer is not what one failed, one open
// and one other account make it.
func lateReads(ctx context.Context, late *ledger.Late, failed ledger.Account) map[string]func() error {
	want := func(what string, ok bool, err error) error {
		if err == nil && !ok {
			err = errors.New(what)
		}
		return err
	}
	return map[string]func() error{
		"Last": func() error {
			a, ok, err := late.Last(ctx, failed.CheckUID, ledger.Scheduled, failed.Nominal.Add(time.Hour))
			return want("not the open one", ok && a.WorkflowID == "w3", err)
		},
		"LastRun": func() error {
			a, ok, err := late.LastRun(ctx, failed.CheckUID, ledger.Scheduled, failed.Nominal.Add(time.Hour))
			return want("not the open one", ok && a.WorkflowID == "w3", err)
		},
		"RunOf": func() error {
			ref := check.Ref{Kind: failed.Kind, Namespace: failed.Namespace, Name: failed.Name}
			a, ok, err := late.RunOf(ctx, ref, "w2")
			return want("not the failed one", ok && a.Outcome == ledger.Failed, err)
		},
		"OpenRuns": func() error {
			runs, err := late.OpenRuns(ctx)
			return want("not one run", len(runs) == 1, err)
		},
	}
}
