package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
)

var startPostgres = sync.OnceValues(ledgertest.NewPostgres)

func TestMain(m *testing.M) {
	if dsn := os.Getenv("LEDGER_TEST_WRITER"); dsn != "" {
		os.Exit(writeUntilKilled(dsn))
	}
	if path := os.Getenv("LEDGER_TEST_LOCK"); path != "" {
		os.Exit(lockUntilTold(path))
	}
	if from := os.Getenv("LEDGER_TEST_COPY_FROM"); from != "" {
		os.Exit(copyUntilKilled(from, os.Getenv("LEDGER_TEST_COPY_TO")))
	}
	code := m.Run()
	if p, err := startPostgres(); err == nil {
		if err := p.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// onBoth runs a test of the contract on both kinds of database, each time a new one.
func onBoth(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, sqliteDSN(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, postgresDSN(t)) })
}

func sqliteDSN(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "a ledger?#%.db")
}

func postgresDSN(t testing.TB) string {
	t.Helper()
	p, err := startPostgres()
	dsn, err := ledgertest.Need(t, p, err).Database()
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func open(t testing.TB, dsn string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), dsn, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// verify fails the test if the ledger contradicts itself.
func verify(t testing.TB, l *ledger.Ledger) ledger.Findings {
	t.Helper()
	f, err := l.Verify(context.WithoutCancel(t.Context()), time.Time{})
	must(t, err)
	if len(f.Problems) > 0 {
		t.Errorf("the ledger contradicts itself: %s", strings.Join(f.Problems, "; "))
	}
	return f
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ref(name string) check.Ref { return check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: name} }

// record returns a closed record with all fields set. Its tick is a time after noon.
func record(name string, at time.Duration, outcome check.Outcome) ledger.Record {
	tick := noon.Add(at)
	return ledger.Record{
		Key:  ledger.Key{CheckUID: "uid-" + name, Trigger: check.TriggerSchedule, Tick: tick},
		Kind: khv1.KHCheck, Namespace: "ns", Name: name, Outcome: outcome,
		Deadline: tick.Add(5 * time.Minute), Queued: 30 * time.Millisecond, Started: tick.Add(40 * time.Millisecond), PodCreated: tick.Add(60 * time.Millisecond),
		Running: tick.Add(time.Second), Reported: tick.Add(2040 * time.Millisecond), Concluded: tick.Add(2050 * time.Millisecond),
		Exited: tick.Add(3 * time.Second), Recorded: tick.Add(4 * time.Second),
		Attempts: 1, Node: "node-1", ImageDigest: "sha256:" + strings.Repeat("ab", 32), SpecHash: "f00", WorkerBuild: "v1.2.3",
		WorkflowID: "run-" + name + tick.Format(time.RFC3339), RunID: "8c0d6e0e-7b1c-4c57-9b0c-0d0a3c6f0001",
	}
}

func opened(a ledger.Record) ledger.Record {
	return ledger.Record{
		Key: a.Key, Kind: a.Kind, Namespace: a.Namespace, Name: a.Name, Deadline: a.Deadline, Started: a.Started,
		WorkflowID: a.WorkflowID, RunID: a.RunID, WorkerBuild: a.WorkerBuild,
	}
}

// missedTick returns the record of the same tick as a missed one.
func missedTick(a ledger.Record) ledger.Record {
	return ledger.Record{
		Key: a.Key, Kind: a.Kind, Namespace: a.Namespace, Name: a.Name, Outcome: check.Missed, Recorded: a.Recorded,
	}
}

func ticks(t testing.TB, l *ledger.Ledger, name string) []ledger.Record {
	t.Helper()
	found, err := l.Ticks(t.Context(), "uid-"+name, time.Unix(0, 0), noon.AddDate(10, 0, 0))
	must(t, err)
	return found
}

func wantTicks(t testing.TB, l *ledger.Ledger, name string, want ...ledger.Record) {
	t.Helper()
	if diff := cmp.Diff(want, ticks(t, l, name)); diff != "" {
		t.Errorf("records of %s (-want +got):\n%s", name, diff)
	}
}

func TestARunIsOpenedAndClosed(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		a := record("dns", 0, check.Failed)
		a.Attempts, a.InfraFailures = 3, 1
		a.Errors, a.Notes = []string{"no answer", "a \x00 zero, \xff no text"}, []string{"a second report"}
		must(t, l.Begin(t.Context(), opened(a)))
		wantTicks(t, l, "dns", opened(a))
		runs, err := l.OpenRuns(t.Context(), noon.AddDate(1, 0, 0), ledger.Key{}, 10)
		must(t, err)
		if diff := cmp.Diff([]ledger.Record{opened(a)}, runs); diff != "" {
			t.Errorf("open runs (-want +got):\n%s", diff)
		}
		must(t, l.Finish(t.Context(), a))
		a.Errors[1] = "a  zero,  no text"
		wantTicks(t, l, "dns", a)
		if runs, err := l.OpenRuns(t.Context(), noon.AddDate(1, 0, 0), ledger.Key{}, 10); err != nil || len(runs) > 0 {
			t.Errorf("open runs are %v, %v, want none", runs, err)
		}
		verify(t, l)
	})
}

func TestWhoChangesAnRecord(t *testing.T) {
	first := record("dns", 0, check.Failed)
	late := first
	late.Outcome, late.Revision, late.Notes = check.Succeeded, 1, []string{"reported late"}
	other := first
	other.WorkflowID, other.Outcome, other.Revision = "another", check.Succeeded, 7
	missed := missedTick(first)
	type step func(context.Context, *ledger.Ledger) error
	begins := func(a ledger.Record) step {
		return func(ctx context.Context, l *ledger.Ledger) error { return l.Begin(ctx, opened(a)) }
	}
	finishes := func(a ledger.Record) step {
		return func(ctx context.Context, l *ledger.Ledger) error { return l.Finish(ctx, a) }
	}
	records := func(a ledger.Record) step {
		return func(ctx context.Context, l *ledger.Ledger) error { return recordTicks(ctx, l, a) }
	}
	tests := []struct {
		name  string
		steps []step
		want  ledger.Record
		err   error // of the last step
	}{
		{"finish without begin", []step{finishes(first)}, first, nil},
		{"begin after finish", []step{finishes(first), begins(first)}, first, nil},
		{"amended by a later revision", []step{finishes(first), finishes(late)}, late, nil},
		{"the first delivered again after the amendment", []step{finishes(first), finishes(late), finishes(first)}, late, nil},
		{"another run finds it open", []step{begins(first), finishes(other)}, opened(first), ledger.ErrOtherRun},
		{"another run finds it closed", []step{finishes(first), finishes(other)}, first, ledger.ErrOtherRun},
		{"another run begins", []step{begins(first), begins(other)}, opened(first), ledger.ErrOtherRun},
		{"a run that took place was not missed", []step{records(missed), finishes(first)}, first, nil},
		{"a run that takes place is not missed", []step{records(missed), begins(first)}, opened(first), nil},
		{"another run finds one that was not missed", []step{records(missed), begins(first), finishes(other)}, opened(first), ledger.ErrOtherRun},
		{"a tick that runs is not missed", []step{begins(first), records(missed)}, opened(first), nil},
		{"a tick that ran is not missed", []step{finishes(first), records(missed)}, first, nil},
		{"a missed tick twice", []step{records(missed), records(missed)}, missed, nil},
	}
	onBoth(t, func(t *testing.T, dsn string) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				l := open(t, dsn)
				must(t, ledger.Exec(t.Context(), l,
					`DELETE FROM records; DELETE FROM hourly; DELETE FROM daily; DELETE FROM checks; UPDATE totals SET records = 0`))
				for i, step := range test.steps {
					err := step(t.Context(), l)
					if i < len(test.steps)-1 {
						must(t, err)
					} else if !errors.Is(err, test.err) {
						t.Errorf("last step: %v, want %v", err, test.err)
					}
				}
				wantTicks(t, l, "dns", test.want)
				verify(t, l)
			})
		}
	})
}

// The records of a run may arrive in any order and more than once. The same record remains, and is counted once.
func TestOrderAndRepetitionChangeNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		a, b := open(t, dsn), open(t, dsn)
		const runs = 60
		var want []ledger.Record
		var waiting sync.WaitGroup
		for i := range runs {
			revisions := []ledger.Record{}
			for revision := range 1 + random.IntN(3) {
				r := record("dns", time.Duration(i)*7*time.Minute, []check.Outcome{check.Failed, check.TimedOut, check.Succeeded}[revision])
				r.Revision, r.Flaky = revision, revision == 2
				r.Reported = r.Started.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
				revisions = append(revisions, r)
			}
			want = append(want, revisions[len(revisions)-1])
			var steps []func(*ledger.Ledger) error
			for range 1 + random.IntN(3) {
				steps = append(steps, func(l *ledger.Ledger) error { return l.Begin(t.Context(), opened(revisions[0])) })
				for _, r := range revisions {
					steps = append(steps, func(l *ledger.Ledger) error { return l.Finish(t.Context(), r) })
				}
				if i%2 == 0 {
					missed := []ledger.Record{missedTick(revisions[0])}
					steps = append(steps, func(l *ledger.Ledger) error { return recordTicks(t.Context(), l, missed...) })
				}
			}
			random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
			for _, step := range steps {
				l := []*ledger.Ledger{a, b}[random.IntN(2)]
				waiting.Go(func() {
					if err := step(l); err != nil {
						t.Error(err)
					}
				})
			}
		}
		waiting.Wait()
		wantTicks(t, a, "dns", want...)
		if f := verify(t, b); f.Records != runs || f.Open != 0 {
			t.Errorf("%d records, %d open, want %d and none", f.Records, f.Open, runs)
		}
	})
}

// Each test case is a set of records of one tick. Whatever the order in which they arrive, the same record remains. It is
// the highest revision, or else the open run, or else "missed".
func TestRecordsOfATickMergeTheSameInEveryOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		var want []ledger.Record
		for order := range orders(4) {
			at := time.Duration(len(want)) * 7 * time.Minute
			failed, late := record("dns", at, check.Failed), record("dns", at, check.Succeeded)
			late.Revision, late.Reported = 1, late.Started.Add(time.Second)
			missed := missedTick(failed)
			missed.Started, missed.Concluded = failed.Tick, failed.Tick.Add(time.Hour) // nothing of it remains, also not the longest duration
			records := []ledger.Record{missed, opened(failed), failed, late}
			for _, n := range order {
				var err error
				switch n {
				case 0:
					err = recordTicks(t.Context(), l, records[0])
				case 1:
					err = l.Begin(t.Context(), records[n])
				default:
					err = l.Finish(t.Context(), records[n])
				}
				must(t, err)
			}
			want = append(want, records[slices.Max(order)])
		}
		wantTicks(t, l, "dns", want...)
		verify(t, l)
	})
}

// orders yields every order of every choice of the numbers below n, except the empty one.
func orders(n int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		var extend func(order []int) bool
		extend = func(order []int) bool {
			for i := range n {
				if slices.Contains(order, i) {
					continue
				}
				longer := append(slices.Clone(order), i)
				if !yield(longer) || !extend(longer) {
					return false
				}
			}
			return true
		}
		extend(nil)
	}
}

// Fifty goroutines on two ledgers of one database write about the same ticks.
func TestManyWritersShareOneDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		ledgers := []*ledger.Ledger{open(t, dsn), open(t, dsn)}
		const writers, each, checks = 50, 20, 5
		var waiting sync.WaitGroup
		for w := range writers {
			waiting.Go(func() {
				l := ledgers[w%len(ledgers)]
				for i := range each {
					a := record(fmt.Sprint("check", w%checks), time.Duration(i)*time.Minute, check.Succeeded)
					missed := a
					missed.Tick, missed.Outcome, missed.WorkflowID = a.Tick.Add(30*time.Second), check.Missed, ""
					err := errors.Join(l.Begin(t.Context(), opened(a)), l.Finish(t.Context(), a),
						recordTicks(t.Context(), l, missed))
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		waiting.Wait()
		if f := verify(t, ledgers[0]); f.Records != checks*each*2 || f.Open != 0 {
			t.Errorf("%d records, %d open, want %d and none", f.Records, f.Open, checks*each*2)
		}
		s := ledgers[0].Stats()
		if s.LastError != nil || s.FailedRows != 0 || s.Rows != writers/2*each*3 || s.Batches > s.Rows {
			t.Errorf("stats are %+v", s)
		}
	})
}

func TestARecordIsBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		a := record("dns", 0, check.Failed)
		a.Node = strings.Repeat("n", 10_000)
		for range 100 {
			a.Errors = append(a.Errors, strings.Repeat("é", 5000))
		}
		must(t, l.Finish(t.Context(), a))
		got := ticks(t, l, "dns")[0]
		if len(got.Errors) != ledger.MaxTexts || got.Errors[ledger.MaxTexts-1] != "and 69 more" {
			t.Errorf("%d errors, the last %q", len(got.Errors), got.Errors[len(got.Errors)-1])
		}
		if text := got.Errors[0]; len(text) > ledger.MaxTextBytes || !strings.HasSuffix(text, "é…") {
			t.Errorf("an error of %d bytes that ends in %q", len(text), text[len(text)-8:])
		}
		if len(got.Node) > 512 {
			t.Errorf("a node of %d bytes", len(got.Node))
		}
	})
}

func TestTimesAreTheSameInEveryZone(t *testing.T) {
	zone := time.FixedZone("far", 13*3600)
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		a := record("dns", 123*time.Microsecond, check.Succeeded)
		there := a
		there.Tick, there.Started = a.Tick.In(zone).Add(400), a.Started.In(zone) // a part of a microsecond makes no other tick
		must(t, l.Begin(t.Context(), opened(there)))
		must(t, l.Finish(t.Context(), a))
		wantTicks(t, l, "dns", a)
		found, err := l.Ticks(t.Context(), a.CheckUID, a.Tick.In(zone), a.Tick.Add(time.Microsecond).In(zone))
		if err != nil || len(found) != 1 {
			t.Errorf("%d ticks, %v, want 1: from is included", len(found), err)
		}
		found, err = l.Ticks(t.Context(), a.CheckUID, noon, a.Tick)
		if err != nil || len(found) != 0 {
			t.Errorf("%d ticks, %v, want none: to is not included", len(found), err)
		}
	})
}

func TestWhatNoStoreCouldHoldIsRefused(t *testing.T) {
	l := open(t, sqliteDSN(t))
	for name, change := range map[string]func(*ledger.Record){
		"no UID":      func(a *ledger.Record) { a.CheckUID = "" },
		"zero in UID": func(a *ledger.Record) { a.CheckUID = "a\x00" },
		"trigger":     func(a *ledger.Record) { a.Trigger = "whim" },
		"no time":     func(a *ledger.Record) { a.Tick = time.Time{} },
		"outcome":     func(a *ledger.Record) { a.Outcome = "fine" },
		"open":        func(a *ledger.Record) { a.Outcome = check.Unfinished },
		"no workflow": func(a *ledger.Record) { a.WorkflowID = "" },
		"no name":     func(a *ledger.Record) { a.Name = "" },
		"attempts":    func(a *ledger.Record) { a.Attempts = 1 << 40 },
		"more ended":  func(a *ledger.Record) { a.Attempts, a.InfraFailures = 2, 3 },
		"fewer ended": func(a *ledger.Record) { a.InfraFailures = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			a := record("dns", 0, check.Succeeded)
			change(&a)
			if err := l.Finish(t.Context(), a); !errors.Is(err, ledger.ErrInvalid) {
				t.Errorf("error is %v, want ErrInvalid", err)
			}
		})
	}
	ran := record("dns", 0, check.Succeeded)
	if err := recordTicks(t.Context(), l, ran); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a run that succeeded as a tick without a run: %v, want ErrInvalid", err)
	}
	ran.Outcome = check.Missed
	if err := recordTicks(t.Context(), l, ran); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a tick without a run, but of a workflow: %v, want ErrInvalid", err)
	}
	if f := verify(t, l); f.Records != 0 {
		t.Errorf("%d records, want none", f.Records)
	}
}

func recordTicks(ctx context.Context, l *ledger.Ledger, ticks ...ledger.Record) error {
	_, err := l.RecordTicks(ctx, ticks)
	return err
}

// Whoever counts ticks without a run must count each of them once, and must count no tick that had a run.
func TestRecordTicksReturnsTheNewOnes(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		var gap, want []time.Time
		var ticks []ledger.Record
		for i := range 5 {
			a := record("dns", time.Duration(i)*time.Minute, check.Succeeded)
			if i == 1 {
				must(t, l.Finish(t.Context(), a))
			}
			if i == 2 {
				must(t, l.Begin(t.Context(), opened(a)))
			}
			missed := missedTick(a)
			if i == 3 {
				skipped := missed
				skipped.Outcome = check.Skipped
				must(t, recordTicks(t.Context(), l, skipped))
			}
			ticks, gap = append(ticks, missed), append(gap, a.Tick)
		}
		want = []time.Time{gap[0], gap[4]}
		for range 2 {
			added, err := l.RecordTicks(t.Context(), ticks)
			must(t, err)
			var got []time.Time
			for _, a := range added {
				got = append(got, a.Tick)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("new ticks (-want +got):\n%s", diff)
			}
			want = nil // the second time none is new
		}
	})
}

func TestManyTicksAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		var gap []ledger.Record
		for i := range 2000 {
			a := record("dns", time.Duration(i)*time.Minute, []check.Outcome{check.Missed, check.Skipped, check.Paused}[i%3])
			a.Started, a.WorkflowID, a.RunID = time.Time{}, "", ""
			gap = append(gap, a)
		}
		must(t, recordTicks(t.Context(), l, gap...))
		must(t, recordTicks(t.Context(), l, gap...))
		must(t, recordTicks(t.Context(), l))
		wantTicks(t, l, "dns", gap...)
		verify(t, l)
	})
}

func TestIDsComeBackAsTheyWere(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		var want []ledger.Record
		for i, id := range []string{
			uuid.NewString(), strings.ToUpper(uuid.NewString()), "urn:uuid:" + uuid.NewString(), "khcheck/ns/dns", "sixteen bytes id",
		} {
			a := record("dns", time.Duration(i)*time.Minute, check.Succeeded)
			a.WorkflowID, a.RunID = id, ""
			must(t, l.Finish(t.Context(), a))
			must(t, l.Finish(t.Context(), a)) // the ID is recognised
			want = append(want, a)
		}
		wantTicks(t, l, "dns", want...)
	})
}
