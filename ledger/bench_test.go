package ledger_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/khronicle/khronicle/ledger"
)

// The full measurement of docs/adr/0004-ledger-store.md, which takes some minutes and less than 1 GB of disk for each database:
//
//	go test ./ledger -run '^$' -bench Queries -benchtime 200x -timeout 1h -ledger.deep 10 -ledger.days 90 -ledger.wide 1000
var (
	deep = flag.Int("ledger.deep", 2, "checks with the whole history, one run a minute")
	days = flag.Int("ledger.days", 3, "days of that history")
	wide = flag.Int("ledger.wide", 50, "checks in all; the others have the last 25 hours")
)

var end = noon.AddDate(0, 4, 0)

// synthetic returns the account of one tick. One in 500 failed, one in 1,000 was missed.
func synthetic(check int, at time.Time) ledger.Account {
	n := at.Unix()/60 + int64(check)
	a := account(fmt.Sprintf("check-%04d", check), at.Sub(noon), ledger.Succeeded)
	a.CheckUID = uuid.NewSHA1(uuid.Nil, []byte(a.Name)).String()
	a.WorkflowID, a.RunID = uuid.NewString(), uuid.NewString()
	a.Node = fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", n%4, n%25)
	a.Started = at.Add(time.Duration(n%97) * time.Millisecond)
	a.Reported = a.Started.Add(time.Duration(800+n%701) * time.Millisecond)
	switch {
	case n%500 == 0:
		a.Outcome, a.Errors = ledger.Failed, []string{"lookup kubernetes.default on 10.96.0.10:53: server misbehaving"}
	case n%1000 == 1:
		a.Outcome = ledger.Missed
	}
	return a
}

// fill writes the history by the statements that Finish uses, the oldest first, as it would have come.
func fill(b *testing.B, l *ledger.Ledger) (rows int) {
	b.Helper()
	var batch []ledger.Account
	for at := end.AddDate(0, 0, -*days); at.Before(end); at = at.Add(time.Minute) {
		checks := *deep
		if end.Sub(at) <= 25*time.Hour {
			checks = max(*deep, *wide)
		}
		for c := range checks {
			batch = append(batch, synthetic(c, at))
		}
		if len(batch) >= 5000 || !at.Add(time.Minute).Before(end) {
			must(b, ledger.Load(b.Context(), l, batch))
			rows, batch = rows+len(batch), batch[:0]
		}
	}
	return rows
}

func benchBoth(b *testing.B, bench func(b *testing.B, dsn string)) {
	b.Helper()
	b.Run("SQLite", func(b *testing.B) { bench(b, sqliteDSN(b)) })
	b.Run("PostgreSQL", func(b *testing.B) { bench(b, postgresDSN(b)) })
}

func BenchmarkQueries(b *testing.B) {
	benchBoth(b, func(b *testing.B, dsn string) {
		l := open(b, dsn)
		started := time.Now()
		rows := fill(b, l)
		took := time.Since(started)
		must(b, ledger.Settle(b.Context(), l))
		size := databaseSize(b, l, dsn)
		fmt.Printf("%d rows in %s, %.0f rows/s; %.0f MB, %.0f bytes a row with roll-ups and indexes\n",
			rows, took.Round(time.Second), float64(rows)/took.Seconds(), float64(size)/1e6, float64(size)/float64(rows))
		n := 0
		next := func() string { n++; return fmt.Sprintf("check-%04d", n%*deep) }
		for _, q := range []struct {
			name string
			ask  func(context.Context) error
		}{
			{"LastRuns50", func(ctx context.Context) error { _, err := l.LastRuns(ctx, ref(next()), 50); return err }},
			{"Uptime30d", func(ctx context.Context) error {
				to := end.Add(-time.Duration(n%600) * time.Second)
				_, err := l.Uptime(ctx, ref(next()), to.AddDate(0, 0, -30), to)
				return err
			}},
			{"Overview", func(ctx context.Context) error {
				s, err := l.Overview(ctx, end)
				if err == nil && (len(s) != max(*deep, *wide) || s[0].Last == nil) {
					return fmt.Errorf("%d checks in the overview", len(s))
				}
				return err
			}},
			{"OpenRuns", func(ctx context.Context) error { _, err := l.OpenRuns(ctx); return err }},
		} {
			b.Run(q.name, func(b *testing.B) { percentiles(b, func() error { return q.ask(b.Context()) }) })
		}
	})
}

func percentiles(b *testing.B, do func() error) {
	b.Helper()
	must(b, do()) // statements are prepared once
	var took []time.Duration
	for b.Loop() {
		started := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(started))
	}
	slices.Sort(took)
	ms := func(share float64) float64 { return took[int(float64(len(took)-1)*share)].Seconds() * 1e3 }
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
}

func databaseSize(b *testing.B, l *ledger.Ledger, dsn string) (size int64) {
	b.Helper()
	if filepath.Ext(dsn) != ".db" {
		lines, err := ledger.Query(b.Context(), l, `SELECT pg_database_size(current_database())`)
		must(b, err)
		_, err = fmt.Sscan(lines[0], &size)
		must(b, err)
		return size
	}
	info, err := os.Stat(dsn[len("sqlite:"):])
	must(b, err)
	return info.Size()
}

// BenchmarkWrite is a run's two writes: one run after the other, and a hundred that end together.
func BenchmarkWrite(b *testing.B) {
	benchBoth(b, func(b *testing.B, dsn string) {
		for _, together := range []int{1, 100} {
			b.Run(fmt.Sprint(together), func(b *testing.B) {
				l := open(b, dsn)
				at := end.Add(time.Duration(together) * time.Hour * 1000)
				percentiles(b, func() error {
					at = at.Add(time.Minute)
					var waiting sync.WaitGroup
					failed := make(chan error, together)
					for c := range together {
						waiting.Go(func() {
							a := synthetic(c, at)
							if err := l.Begin(b.Context(), opened(a)); err != nil {
								failed <- err
							} else if err := l.Finish(b.Context(), a); err != nil {
								failed <- err
							}
						})
					}
					waiting.Wait()
					close(failed)
					return <-failed
				})
			})
		}
	})
}
