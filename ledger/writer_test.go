package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Requests that come during a transaction are stored together in the next one.
func TestWhatWaitsIsStoredTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		errs := sendHeld(t, l, 100, nil)
		for err := range errs {
			must(t, err)
		}
		if s := l.Stats(); s.Rows != 100 || s.Batches > 2 {
			t.Errorf("%d rows in %d batches, want 100 in one, after that of a ping", s.Rows, s.Batches)
		}
	})
}

// sendHeld sends records while the database is held, so that they gather, and returns their errors.
func sendHeld(t *testing.T, l *ledger.Ledger, n int, change func(i int, a *ledger.Record)) <-chan error {
	t.Helper()
	release := ledger.HoldWriter(t.Context(), l)
	errs := make(chan error, n)
	var waiting sync.WaitGroup
	for i := range n {
		a := record("dns", time.Duration(i)*time.Minute, check.Succeeded)
		if change != nil {
			change(i, &a)
		}
		waiting.Go(func() { errs <- l.Finish(t.Context(), a) })
	}
	for s := l.Stats(); s.Queued+s.Storing < n+1; s = l.Stats() { // all of them, and the ping
		time.Sleep(time.Millisecond)
	}
	must(t, release())
	waiting.Wait()
	close(errs)
	return errs
}

func poison(t *testing.T, l *ledger.Ledger, dsn string) {
	t.Helper()
	statement := `CREATE TRIGGER poison BEFORE INSERT ON records WHEN NEW.attempts = 13
BEGIN SELECT RAISE(ABORT, 'poisoned'); END`
	if strings.HasPrefix(dsn, "postgres:") {
		statement = `ALTER TABLE records ADD CONSTRAINT poisoned CHECK (attempts <> 13)`
	}
	must(t, ledger.Exec(t.Context(), l, statement))
}

// A row that the database refuses fails only for its caller, although it was in a batch with others.
func TestAPoisonedRowFailsAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		poison(t, l, dsn)
		failed := 0
		for err := range sendHeld(t, l, 30, func(i int, a *ledger.Record) {
			if i == 17 {
				a.Attempts = 13
			}
		}) {
			if err == nil {
				continue
			}
			if failed++; !strings.Contains(err.Error(), "poisoned") || !strings.Contains(err.Error(), "12:17:00") {
				t.Errorf("error is %v, want the database's, with the tick 12:17", err)
			}
		}
		if f := verify(t, l); failed != 1 || f.Records != 29 {
			t.Errorf("%d failed and %d were stored, want 1 and 29", failed, f.Records)
		}
		if s := l.Stats(); s.FailedRows != 1 || s.Rows != 29 {
			t.Errorf("stats are %+v, want 1 failed row and 29 stored", s)
		}
	})
}

// A caller that stops waiting before the transaction begins is not stored, and never blocks the others.
func TestACallerThatGoesAwayBlocksNoOther(t *testing.T) {
	l := open(t, sqliteDSN(t))
	release := ledger.Hold(l)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- l.Finish(ctx, record("dns", 0, check.Succeeded)) }()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
	must(t, release())
	must(t, l.Finish(t.Context(), record("dns", time.Minute, check.Succeeded)))
	verify(t, l)
}

// endsWhenAsked is a context that ends while a caller asks whether it has ended, after this many calls.
type endsWhenAsked struct {
	context.Context //nolint:containedctx // it is one
	end             context.CancelFunc
	calls           *atomic.Int64
}

func (c endsWhenAsked) Done() <-chan struct{} {
	if c.calls.Add(-1) == 0 {
		c.end()
		time.Sleep(5 * time.Millisecond) // the driver watches it in a goroutine
	}
	return c.Context.Done()
}

// The transaction of a writer ends with its context, even when BEGIN has just succeeded.
func TestATransactionEndsWithItsContext(t *testing.T) {
	l := open(t, sqliteDSN(t))
	for calls := int64(1); ; calls++ {
		ctx, cancel := context.WithCancel(t.Context())
		asked := endsWhenAsked{ctx, cancel, &atomic.Int64{}}
		asked.calls.Store(calls)
		_ = ledger.Exec(asked, l, `UPDATE totals SET pruned = pruned`) // fails or not
		cancel()
		if err := l.Finish(t.Context(), record("dns", time.Duration(calls)*time.Minute, check.Succeeded)); err != nil {
			t.Fatalf("after a context that ended when it was asked %d times: %v", calls, err)
		}
		if asked.calls.Load() > 0 { // it did not end
			return
		}
	}
}

func TestCloseStoresWhatWaits(t *testing.T) {
	dsn := sqliteDSN(t)
	l, err := ledger.Open(t.Context(), dsn, ledger.Options{})
	must(t, err)
	acknowledged := make(chan time.Duration, 200)
	var waiting sync.WaitGroup
	for w := range 4 {
		waiting.Go(func() {
			for i := 0; ; i++ {
				at := time.Duration(w)*100*time.Hour + time.Duration(i)*time.Minute
				if err := l.Finish(context.WithoutCancel(t.Context()), record("dns", at, check.Succeeded)); err != nil {
					if !errors.Is(err, ledger.ErrClosed) {
						t.Error(err)
					}
					return
				}
				select {
				case acknowledged <- at:
				default:
				}
			}
		})
	}
	for range 20 {
		<-acknowledged
	}
	must(t, l.Close())
	waiting.Wait()
	must(t, l.Close())
	close(acknowledged)
	stored := map[time.Time]bool{}
	again := open(t, dsn)
	for _, a := range ticks(t, again, "dns") {
		stored[a.Tick] = true
	}
	for at := range acknowledged {
		if !stored[noon.Add(at)] {
			t.Errorf("the tick at noon+%s was acknowledged and is not there", at)
		}
	}
	if err := again.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, dsn := range []string{
		"", "sqlite:", "sqlite::memory:", "mysql://host/db", filepathInNoDirectory(t), "postgres:///x?host=/nowhere&connect_timeout=1",
	} {
		if l, err := ledger.Open(t.Context(), dsn, ledger.Options{}); err == nil {
			t.Errorf("%q was opened", dsn)
			must(t, l.Close())
		}
	}
	if _, err := ledger.Open(t.Context(), sqliteDSN(t), ledger.Options{MaxConns: -1}); err == nil {
		t.Error("a negative number of connections was taken")
	}
}

func filepathInNoDirectory(t *testing.T) string {
	return fmt.Sprintf("%s/no/such/ledger.db", t.TempDir())
}
