//go:build unix

package ledger_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
)

// The measurement of docs/adr/0004-ledger-store.md:
//
//	make bench-ledger SIZE='-ledger.checks 1000 -ledger.days 4 -ledger.counted 90'
var (
	checks  = flag.Int("ledger.checks", 50, "checks with one run a minute")
	days    = flag.Int("ledger.days", 2, "days of records, written as Finish writes them")
	rollups = flag.Int("ledger.counted", 90, "days of counts by hour and day: those of which no records are written are written as if these had been pruned")
)

var end = noon.AddDate(0, 4, 0)

// synthetic returns the record of one tick. One in 500 failed, one in 1,000 was missed.
func synthetic(number int, at time.Time) ledger.Record {
	n := at.Unix()/60 + int64(number)
	a := record(checkName(number), at.Sub(noon), check.Succeeded)
	a.CheckUID = checkUID(number)
	a.WorkflowID, a.RunID = uuid.NewString(), uuid.NewString()
	a.Node = fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", n%4, n%25)
	a.Started = at.Add(time.Duration(n%97) * time.Millisecond)
	a.Reported = a.Started.Add(time.Duration(800+n%701) * time.Millisecond)
	switch {
	case n%500 == 0:
		a.Outcome, a.Errors = check.Failed, []string{"lookup kubernetes.default on 10.96.0.10:53: server misbehaving"}
	case n%1000 == 1:
		a.Outcome = check.Missed
	}
	return a
}

func checkName(number int) string { return fmt.Sprintf("check-%04d", number) }
func checkUID(number int) string  { return uuid.NewSHA1(uuid.Nil, []byte(checkName(number))).String() }

// fillCounts writes the counts of the days that will have no records.
func fillCounts(b *testing.B, l *ledger.Ledger) {
	b.Helper()
	first := end.AddDate(0, 0, -*days)
	var named []ledger.Record
	for c := range *checks {
		named = append(named, synthetic(c, first))
	}
	must(b, ledger.LoadCounts(b.Context(), l, named, end.AddDate(0, 0, -*rollups), first))
}

// fill writes the history with the statements of Finish, the oldest first, minute by minute.
func fill(b *testing.B, l *ledger.Ledger) (rows int, took time.Duration) {
	b.Helper()
	started := time.Now()
	var batch []ledger.Record
	for at := end.AddDate(0, 0, -*days); at.Before(end); at = at.Add(time.Minute) {
		for c := range *checks {
			batch = append(batch, synthetic(c, at))
		}
		if len(batch) >= 20_000 || !at.Add(time.Minute).Before(end) {
			must(b, ledger.Load(b.Context(), l, batch))
			rows, batch = rows+len(batch), batch[:0]
		}
	}
	return rows, time.Since(started)
}

func benchBoth(b *testing.B, bench func(b *testing.B, dsn string)) {
	b.Helper()
	b.Run("SQLite", func(b *testing.B) { bench(b, sqliteDSN(b)) })
	b.Run("PostgreSQL", func(b *testing.B) { bench(b, postgresDSN(b)) })
}

// question is a query of one kind. Each call is about another check.
type question struct {
	name string
	ask  func(ctx context.Context, l *ledger.Ledger, number int) error
}

var questions = []question{
	{"LastRuns50", func(ctx context.Context, l *ledger.Ledger, number int) error {
		runs, err := l.LastRuns(ctx, ref(checkName(number)), 50)
		return wantOf("runs", len(runs), 50, err)
	}},
	{"Recent40Of50Checks", func(ctx context.Context, l *ledger.Ledger, number int) error {
		refs := make([]check.Ref, 50)
		for i := range refs {
			refs[i] = ref(checkName((number + i) % *checks))
		}
		lists, err := l.Recent(ctx, refs, 40)
		if err != nil {
			return err
		}
		return wantOf("runs", len(lists[49]), 40, nil)
	}},
	{"LastTick", func(ctx context.Context, l *ledger.Ledger, number int) error {
		_, ok, err := l.Last(ctx, checkUID(number), check.TriggerSchedule, time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC))
		if err == nil && !ok {
			err = errors.New("there is none")
		}
		return err
	}},
	{"Uptime30d", func(ctx context.Context, l *ledger.Ledger, number int) error {
		to := end.Add(-time.Duration(number) * time.Second)
		counts, err := l.Uptime(ctx, ref(checkName(number)), to.AddDate(0, 0, -30), to)
		return wantOf("runs", int(counts.Total()), min(30, max(*rollups, *days))*24*60, err)
	}},
	{"Overview", func(ctx context.Context, l *ledger.Ledger, _ int) error {
		return overviewAt(ctx, l, end.Add(-time.Second))
	}},
	// Here all checks have a cached hour to subtract.
	{"OverviewAtTheFullHour", func(ctx context.Context, l *ledger.Ledger, _ int) error { return overviewAt(ctx, l, end) }},
	{"OverviewAfterAnOutage", func(ctx context.Context, l *ledger.Ledger, _ int) error {
		return overviewAt(ctx, l, end.Add(6*time.Hour))
	}},
	{"OpenRuns", func(ctx context.Context, l *ledger.Ledger, _ int) error {
		_, err := l.OpenRuns(ctx, end.AddDate(1, 0, 0), ledger.Key{}, 100)
		return err
	}},
}

func wantOf(what string, got, want int, err error) error {
	if err == nil && got < want-2 { // the ends may have parts of a minute
		err = fmt.Errorf("%d %s, want %d", got, what, want)
	}
	return err
}

func overviewAt(ctx context.Context, l *ledger.Ledger, now time.Time) error {
	s, err := l.Overview(ctx, now)
	if err == nil && (len(s) != *checks || s[0].Last == nil || s[0].Day.Total() < 18*60) {
		err = fmt.Errorf("%d checks in the overview, the first is %+v", len(s), s[:1])
	}
	return err
}

func BenchmarkQueries(b *testing.B) {
	benchBoth(b, func(b *testing.B, dsn string) {
		l := open(b, dsn)
		fillCounts(b, l)
		must(b, ledger.Settle(b.Context(), l))
		before := databaseSize(b, l, dsn)
		rows, took := fill(b, l)
		must(b, ledger.Settle(b.Context(), l))
		size := databaseSize(b, l, dsn)
		fmt.Printf("%d rows in %s, %.0f rows/s; %.0f MB, %.0f bytes a row without roll-ups, which were %.0f MB\n",
			rows, took.Round(time.Second), float64(rows)/took.Seconds(), float64(size)/1e6, float64(size-before)/float64(rows), float64(before)/1e6)
		verify(b, l)
		for _, q := range questions {
			order := rand.Perm(*checks)
			n := 0
			ask := func(l *ledger.Ledger) func() error {
				return func() error { n++; return q.ask(b.Context(), l, order[n%len(order)]) }
			}
			b.Run(q.name+"/cold", func(b *testing.B) {
				cold := open(b, chill(b, dsn))
				percentiles(b, ask(cold), min(b.N, *checks))
			})
			b.Run(q.name+"/warm", func(b *testing.B) {
				warm := ask(l)
				for range 20 {
					must(b, warm())
				}
				percentiles(b, warm, b.N)
			})
		}
	})
}

// chill removes the database from the memory of the machine. The next query reads from the disk, except for what the
// hardware caches.
func chill(b *testing.B, dsn string) string {
	b.Helper()
	root, isFile, err := ledger.SQLitePath(dsn)
	must(b, err)
	if !isFile {
		p, err := startPostgres()
		must(b, errors.Join(err, p.Restart()))
		return dsn
	}
	must(b, ledgertest.Evict(root))
	return dsn
}

// percentiles does something n times and reports how long it took.
func percentiles(b *testing.B, do func() error, n int) {
	b.Helper()
	var took []time.Duration
	before := processorTime(b)
	for range n {
		started := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(started))
	}
	spent := processorTime(b) - before
	slices.Sort(took)
	ms := func(share float64) float64 { return took[int(float64(len(took)-1)*share)].Seconds() * 1e3 }
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
	b.ReportMetric(ms(1), "max-ms")
	b.ReportMetric(spent.Seconds()*1e3/float64(n), "cpu-ms/op") // on a busy machine this says more; it does not include a server's time
	b.ReportMetric(0, "ns/op")
}

// processorTime is how much processor time this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
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

// BenchmarkWrite measures the two writes of a run: one run after the other, and a hundred that end together.
func BenchmarkWrite(b *testing.B) {
	benchBoth(b, func(b *testing.B, dsn string) {
		at := end // not reset: a benchmark is run several times, and no tick has two runs
		for _, together := range []int{1, 100} {
			b.Run(fmt.Sprint(together), func(b *testing.B) {
				l := open(b, dsn)
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
				}, b.N)
			})
		}
	})
}
