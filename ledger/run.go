package ledger

import (
	"context"
	"time"
)

const (
	openPause = 2 * time.Second
	// readPause is longer: nothing waits for a reader.
	readPause = 5 * time.Second
	// firstPrune is soon enough for a worker that never lives for long.
	firstPrune = 5 * time.Minute
	pruneEvery = time.Hour
)

// Run opens the ledger of New, and tries again until that succeeds. Then it prunes from time to time until ctx ends, and
// closes the ledger.
func (l *Ledger) Run(ctx context.Context) {
	for err := l.open(ctx); err != nil; err = l.open(ctx) {
		l.options.Logger.Warn("ledger is not open; runs continue and their records wait", "error", err)
		if !sleep(ctx, openPause) {
			break
		}
	}
	for pause := firstPrune; sleep(ctx, pause); pause = pruneEvery {
		pruned, err := l.Prune(ctx, l.options.Retention, time.Now())
		switch {
		case err == nil:
			l.options.Logger.Info("ledger pruned", "records", pruned.Passes+pruned.Failures)
		case ctx.Err() == nil:
			l.options.Logger.Warn("prune ledger", "error", err)
		}
	}
	if err := l.Close(); err != nil {
		l.options.Logger.Warn("close ledger", "error", err)
	}
}

// RunToRead opens the ledger of New, only to read it, and tries again until that succeeds; see OpenToRead. It closes the
// ledger when ctx ends. A worker may create or update the database meanwhile.
func (l *Ledger) RunToRead(ctx context.Context) {
	for err := l.openToRead(ctx); err != nil; err = l.openToRead(ctx) {
		l.options.Logger.Warn("ledger cannot be read; what it has is not shown", "error", err)
		if !sleep(ctx, readPause) {
			return
		}
	}
	<-ctx.Done()
	if err := l.Close(); err != nil {
		l.options.Logger.Warn("close ledger", "error", err)
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
