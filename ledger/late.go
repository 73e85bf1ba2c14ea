package ledger

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/khronicle/khronicle/check"
)

// Times of a Late ledger.
const (
	openPause = 2 * time.Second
	// firstPrune is soon enough for a worker that never lives for long.
	firstPrune = 5 * time.Minute
	pruneEvery = time.Hour
)

// errNotOpen is the error of a Late ledger whose database has not been there yet.
var errNotOpen = errors.New("the ledger is not open yet")

// Late is a ledger whose database may not be there when the process starts. Until it is, all calls fail, and who calls
// tries again.
type Late struct {
	dsn    string
	keep   Retention
	opened atomic.Pointer[Ledger]
}

// NewLate returns a ledger that opens while Run goes on.
func NewLate(dsn string, keep Retention) *Late { return &Late{dsn: dsn, keep: keep} }

// Run opens the ledger, tries until that succeeds, and removes what is too old from time to time, until ctx ends. Then it
// closes the ledger.
func (l *Late) Run(ctx context.Context, logger *slog.Logger) {
	for l.opened.Load() == nil {
		opened, err := Open(ctx, l.dsn, Options{})
		if err == nil {
			l.opened.Store(opened)
			break
		}
		logger.Warn("ledger is not open; runs go on and their accounts wait", "error", err)
		if !sleep(ctx, openPause) {
			return
		}
	}
	for pause := firstPrune; sleep(ctx, pause); pause = pruneEvery {
		if pruned, err := l.opened.Load().Prune(ctx, l.keep, time.Now()); err != nil && ctx.Err() == nil {
			logger.Warn("prune ledger", "error", err)
		} else {
			logger.Info("ledger pruned", "accounts", pruned.Passes+pruned.Failures)
		}
	}
	if err := l.opened.Load().Close(); err != nil {
		logger.Warn("close ledger", "error", err)
	}
}

func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Begin is that of Ledger.
func (l *Late) Begin(ctx context.Context, a Account) error {
	return l.do(func(opened *Ledger) error { return opened.Begin(ctx, a) })
}

// Finish is that of Ledger.
func (l *Late) Finish(ctx context.Context, a Account) error {
	return l.do(func(opened *Ledger) error { return opened.Finish(ctx, a) })
}

// RecordTicks is that of Ledger.
func (l *Late) RecordTicks(ctx context.Context, ticks []Account) (standing []Account, err error) {
	err = l.do(func(opened *Ledger) (err error) { standing, err = opened.RecordTicks(ctx, ticks); return err })
	return standing, err
}

// PutEvidence is that of Ledger.
func (l *Late) PutEvidence(ctx context.Context, key Key, e Evidence) error {
	return l.do(func(opened *Ledger) error { return opened.PutEvidence(ctx, key, e) })
}

// Last is that of Ledger.
func (l *Late) Last(ctx context.Context, checkUID string, trigger Trigger, before time.Time) (a Account, ok bool, err error) {
	err = l.do(func(opened *Ledger) (err error) { a, ok, err = opened.Last(ctx, checkUID, trigger, before); return err })
	return a, ok, err
}

// LastRun is that of Ledger.
func (l *Late) LastRun(ctx context.Context, checkUID string, trigger Trigger, before time.Time) (a Account, ok bool, err error) {
	err = l.do(func(opened *Ledger) (err error) {
		a, ok, err = opened.LastRun(ctx, checkUID, trigger, before)
		return err
	})
	return a, ok, err
}

// RunOf is that of Ledger.
func (l *Late) RunOf(ctx context.Context, ref check.Ref, workflowID string) (a Account, ok bool, err error) {
	err = l.do(func(opened *Ledger) (err error) { a, ok, err = opened.RunOf(ctx, ref, workflowID); return err })
	return a, ok, err
}

// OpenRuns is that of Ledger.
func (l *Late) OpenRuns(ctx context.Context) (runs []Account, err error) {
	err = l.do(func(opened *Ledger) (err error) { runs, err = opened.OpenRuns(ctx); return err })
	return runs, err
}

// Ping returns nil when the database answers.
func (l *Late) Ping(ctx context.Context) error {
	return l.do(func(opened *Ledger) error { return opened.Ping(ctx) })
}

// Stats are those of Ledger, and nothing before it is open.
func (l *Late) Stats() Stats {
	if opened := l.opened.Load(); opened != nil {
		return opened.Stats()
	}
	return Stats{LastError: errNotOpen}
}

func (l *Late) do(call func(*Ledger) error) error {
	if opened := l.opened.Load(); opened != nil {
		return call(opened)
	}
	return errNotOpen
}
