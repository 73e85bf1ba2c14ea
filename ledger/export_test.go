package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/khronicle/khronicle/check"
)

// Migrations returns the newest version of the schema.
func Migrations() int {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		panic(err)
	}
	return len(files)
}

// Queries whose plans are tested.
var (
	NewestQuery = selectNewest
)

// RecentQuery is the statement of Recent for a number of checks.
func RecentQuery(checks int) string { return selectRecent(checks) }

// Explain returns how the database would answer a query, as its EXPLAIN says.
func Explain(ctx context.Context, l *Ledger, query string, args ...any) (plan string, err error) {
	if sqliteOf(l) == nil {
		err = queryRows(ctx, l.reader(), "EXPLAIN "+query, func(scan scanner) error {
			var line string
			err := scan(&line)
			plan += line + "\n"
			return err
		}, args...)
		return plan, err
	}
	err = queryRows(ctx, l.reader(), "EXPLAIN QUERY PLAN "+query, func(scan scanner) error {
		var id, parent, unused int64
		var detail string
		err := scan(&id, &parent, &unused, &detail)
		plan += detail + "\n"
		return err
	}, args...)
	return plan, err
}

// sqliteOf returns the SQLite store of a ledger, and nil if it has another.
func sqliteOf(l *Ledger) *sqliteStore {
	s := l.store()
	if bounded, ok := s.(withTimeout); ok {
		s = bounded.store
	}
	found, _ := s.(*sqliteStore)
	return found
}

// Exec runs statements in a write transaction, without any check.
func Exec(ctx context.Context, l *Ledger, statements string) error {
	return l.store().write(ctx, func(tx transaction) error { return tx.script(ctx, statements) })
}

// Hold makes every writer wait until release is called.
func Hold(l *Ledger) (release func() error) {
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- l.store().write(context.Background(), func(transaction) error {
			close(held)
			<-free
			return nil
		})
	}()
	<-held
	return func() error {
		close(free)
		return <-done
	}
}

// Load finishes many records in one transaction, with the statements of Finish.
func Load(ctx context.Context, l *Ledger, records []Record) error {
	changes := make([]change, 0, len(records))
	for _, a := range records {
		changes = append(changes, l.change(finish, a))
	}
	return l.send(ctx, &request{changes: changes})
}

// LoadCounts writes the counts of some days, with the statements of Finish. Each check has one succeeded run in every
// minute. That is what remains when all records of these days were pruned.
func LoadCounts(ctx context.Context, l *Ledger, checks []Record, from, to time.Time) error {
	b := newBatch(l.dictionary, []*request{{changes: make([]change, 0, len(checks))}})
	for _, a := range checks {
		b.entries = append(b.entries, &entry{record: a.normal()})
	}
	if err := l.store().write(ctx, func(tx transaction) error { return b.findChecks(ctx, tx) }); err != nil {
		return err
	}
	for at := from.UnixMicro(); at < to.UnixMicro(); at += hour {
		err := l.store().write(ctx, func(tx transaction) error {
			var hours, days [][]any
			for _, e := range b.entries {
				counts := []any{60, 0, 0, 0, 0, 0, 0, 0, 0, 60, 60 * 1_150_000, 1_500_000 + at/hour%7}
				hours = append(hours, append([]any{at, e.checkID}, counts...))
				days = append(days, append([]any{floor(at, day), e.checkID}, counts...))
			}
			return errors.Join(tx.each(ctx, putHourly, hours, nil), tx.each(ctx, putDaily, days, nil),
				one(ctx, tx, `UPDATE totals SET pruned = $1`, nil, at+hour))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Query returns the first column of what a query finds, as text.
func Query(ctx context.Context, l *Ledger, query string) (lines []string, err error) {
	err = queryRows(ctx, l.reader(), query, func(scan scanner) error {
		var line string
		err := scan(&line)
		lines = append(lines, line)
		return err
	})
	return lines, err
}

// ExplainWrite returns how a writer would run a statement, line by line.
func ExplainWrite(ctx context.Context, l *Ledger, statement string) (lines []string, err error) {
	return QueryWriter(ctx, l, "EXPLAIN "+statement)
}

// QueryWriter is Query in a write transaction.
func QueryWriter(ctx context.Context, l *Ledger, query string) (lines []string, err error) {
	err = l.store().write(ctx, func(tx transaction) error {
		return one(ctx, tx, query, func(scan scanner) error {
			var line string
			err := scan(&line)
			lines = append(lines, line)
			return err
		})
	})
	return lines, err
}

// Settle brings the main file and the statistics of the database up to date. The databases would do that themselves after
// some time.
func Settle(ctx context.Context, l *Ledger) error {
	if s := sqliteOf(l); s != nil {
		_, err := s.conn.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
		return err
	}
	_, err := l.reader().ExecContext(ctx, `VACUUM ANALYZE`)
	return err
}

// HoldWriter does as Hold, and returns when the writer waits with a batch. Later requests gather for the next batch.
func HoldWriter(ctx context.Context, l *Ledger) (release func() error) {
	release = Hold(l)
	if err := l.enqueue(&request{ctx: ctx, done: make(chan error, 1)}); err != nil {
		panic(err)
	}
	for len(l.queue) > 0 {
		runtime.Gosched()
	}
	return release
}

// Ticks returns the records of a check's schedule in [from, to), the oldest first.
func (l *Ledger) Ticks(ctx context.Context, checkUID string, from, to time.Time) ([]Record, error) {
	ticks, err := queryRecords(ctx, l.reader(), selectRecords+` WHERE c.uid = $1 AND r.tick >= $2
AND r.tick < $3 AND r.trigger = $4 ORDER BY r.tick`, checkUID, ceilMicro(from), ceilMicro(to), triggerIndex(check.TriggerSchedule))
	if err != nil {
		return nil, fmt.Errorf("ticks of %s: %w", checkUID, err)
	}
	return ticks, nil
}

// Slow makes each transaction of a ledger take this long before its commit.
func Slow(l *Ledger, pause time.Duration) {
	var slow store = slowStore{l.store(), pause}
	l.current.Store(&slow)
}

type slowStore struct {
	store
	pause time.Duration
}

func (s slowStore) write(ctx context.Context, do func(transaction) error) error {
	return s.store.write(ctx, func(tx transaction) error {
		defer time.Sleep(s.pause)
		return do(tx)
	})
}

// Total returns the number of closed records.
func (c Counts) Total() int64 {
	return c.Succeeded + c.Failed + c.InfraFailed + c.TimedOut + c.Skipped + c.Paused + c.Missed + c.Canceled
}

// Contents returns every row of every table as text, in the order of the bytes. The identities of copies are left out.
func Contents(ctx context.Context, l *Ledger) (map[string][]string, error) {
	all := map[string][]string{}
	tables := append(slices.Clone(copied), copiedTable{name: "totals", order: []string{"id"}, values: []string{"records", "pruned"}})
	for _, t := range tables {
		err := queryRows(ctx, l.reader(), t.selectAll(""), func(scan scanner) error {
			r, err := t.scan(scan)
			all[t.name] = append(all[t.name], fmt.Sprintf("%q", r))
			return err
		})
		if err != nil {
			return nil, err
		}
		slices.Sort(all[t.name])
	}
	return all, nil
}
