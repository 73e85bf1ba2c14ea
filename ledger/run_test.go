package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// A ledger without a database at the start refuses each call at once, and works as soon as the database is there.
func TestALedgerOpensByItself(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "not-there-yet")
	must(t, os.WriteFile(folder, nil, 0o600)) // a file where a folder must be
	l, err := ledger.New("sqlite:"+filepath.Join(folder, "ledger.db"), ledger.Options{})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { l.Run(ctx); close(ended) }()
	for name, call := range allCalls(t.Context(), l) {
		if err := call(); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("%s, before the ledger is open: %v, want ErrUnavailable", name, err)
		}
	}
	if err := l.Stats().LastError; !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("last error is %v, want ErrUnavailable", err)
	}
	must(t, os.Remove(folder))
	must(t, os.Mkdir(folder, 0o700))
	eventually(t, "the ledger is open", 30*time.Second, func() bool { return l.Ping(ctx) == nil })
	for name, call := range allCalls(t.Context(), l) {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	verify(t, l)
	cancel()
	<-ended
	if l.Ping(t.Context()) == nil {
		t.Error("the ledger is still open")
	}
	if err := l.Finish(t.Context(), record("dns", 0, check.Succeeded)); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("finish after the end: %v, want ErrClosed", err)
	}
}

// Run ends with its context, also when the database was never there.
func TestRunEndsWithoutADatabase(t *testing.T) {
	l, err := ledger.New(filepathInNoDirectory(t), ledger.Options{})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.Run(ctx)
	if err := l.Begin(t.Context(), opened(record("dns", 0, check.Succeeded))); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("begin: %v, want ErrClosed", err)
	}
}

// allCalls are the calls of the engine. With a ledger that works they succeed, one after the other and repeated.
func allCalls(ctx context.Context, l *ledger.Ledger) map[string]func() error {
	finished := record("dns", 0, check.Succeeded)
	return map[string]func() error{
		"Begin":       func() error { return l.Begin(ctx, opened(finished)) },
		"Finish":      func() error { return l.Finish(ctx, finished) },
		"RecordTicks": func() error { return recordTicks(ctx, l, missedTick(record("web", 0, check.Succeeded))) },
		"PutEvidence": func() error { return l.PutEvidence(ctx, finished.Key, ledger.Evidence{Kind: "log"}) },
		"Ping":        func() error { return l.Ping(ctx) },
		"Evidence":    func() error { _, err := l.Evidence(ctx, finished.Key); return err },
		"Last":        func() error { _, _, err := l.Last(ctx, finished.CheckUID, check.TriggerSchedule, noon); return err },
		"OpenRuns":    func() error { _, err := l.OpenRuns(ctx, noon, ledger.Key{}, 10); return err },
		"RunOf":       func() error { _, _, err := l.RunOf(ctx, ref("dns"), finished.WorkflowID); return err },
		"Overview":    func() error { _, err := l.Overview(ctx, noon); return err },
		"Verify":      func() error { _, err := l.Verify(ctx, noon); return err },
		"Uptime":      func() error { _, err := l.Uptime(ctx, ref("dns"), noon, noon); return err },
		"Prune":       func() error { _, err := l.Prune(ctx, ledger.Retention{}, noon); return err },
	}
}

// eventually looks until ok is true, and fails the test when that takes too long.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is not true after %s that %s", within, what)
		}
	}
}
