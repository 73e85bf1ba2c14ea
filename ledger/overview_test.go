package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// wantOverview compares the overview with the records. The overview must have the newest closed record of each check, and
// the outcomes of its last day.
func wantOverview(t *testing.T, l *ledger.Ledger, now time.Time, names ...string) {
	t.Helper()
	overview, err := l.Overview(t.Context(), now)
	must(t, err)
	if len(overview) != len(names) {
		t.Fatalf("%d checks in the overview, want %v", len(overview), names)
	}
	for i, name := range names {
		runs, err := l.LastRuns(t.Context(), ref(name), 10_000)
		must(t, err)
		want := ledger.Summary{CheckUID: "uid-" + name, Ref: overview[i].Ref}
		runs = slices.DeleteFunc(runs, func(a ledger.Record) bool {
			if a.Outcome == check.Unfinished {
				want.Running++
			}
			return a.Outcome == check.Unfinished
		})
		if len(runs) > 0 {
			want.Last = &runs[0]
		}
		want.Day = counted(runs, now.Add(-24*time.Hour).Truncate(time.Hour), noon.AddDate(1, 0, 0))
		want.Day.DurationMax = 0
		if diff := cmp.Diff(want, overview[i]); diff != "" {
			t.Errorf("%s as of %s (-want +got):\n%s", name, now, diff)
		}
	}
}

// Records are opened, closed, amended, replaced or missed, in any order, and the overview agrees with them. It agrees at
// once, when an hour begins, after an outage, and when a clock is behind.
func TestOverviewSaysWhatTheRecordsSay(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		l := open(t, dsn)
		names := []string{"a", "b", "c", "d"}
		every := []time.Duration{17 * time.Minute, 50 * time.Minute, 5 * time.Hour, 26 * time.Hour}
		must(t, l.Begin(t.Context(), opened(record("d", 0, check.Failed)))) // has none that is closed at first
		wantOverview(t, l, noon, "d")
		for i, name := range names {
			for at := time.Duration(0); at < 60*time.Hour; at += every[i] {
				a := record(name, at+time.Duration(random.IntN(60))*time.Second, []check.Outcome{check.Succeeded, check.Failed}[random.IntN(2)])
				a.Trigger = []check.Trigger{check.TriggerSchedule, check.TriggerManual}[random.IntN(2)]
				must(t, randomly(t, random, l, a))
			}
			for range 5 { // out of order
				must(t, randomly(t, random, l, record(name, rand.N(60*time.Hour).Truncate(time.Second), check.TimedOut)))
			}
		}
		verify(t, l)
		end := noon.Add(60 * time.Hour)
		for _, now := range []time.Time{
			end, end.Add(59 * time.Minute), end.Add(time.Hour), end.Add(5 * time.Hour), end.Add(25 * time.Hour), end.Add(100 * time.Hour),
			end.Add(-time.Hour), end.Add(-40 * time.Hour), noon.Add(-time.Hour),
		} {
			wantOverview(t, l, now, names...)
		}
	})
}

// randomly makes a run do one of the things that runs do.
func randomly(t *testing.T, random *rand.Rand, l *ledger.Ledger, a ledger.Record) error {
	t.Helper()
	amended := a
	amended.Outcome, amended.Revision, amended.Flaky, amended.Reported = check.Succeeded, 1, true, a.Started.Add(time.Millisecond)
	missed := []ledger.Record{missedTick(a)}
	steps := [][]func() error{
		{func() error { return l.Finish(t.Context(), a) }},
		{func() error { return l.Begin(t.Context(), opened(a)) }, func() error { return l.Finish(t.Context(), a) }},
		{func() error { return l.Begin(t.Context(), opened(a)) }},
		{func() error { return recordTicks(t.Context(), l, missed...) }},
		{func() error { return recordTicks(t.Context(), l, missed...) }, func() error { return l.Begin(t.Context(), opened(a)) }},
		{func() error { return recordTicks(t.Context(), l, missed...) }, func() error { return l.Finish(t.Context(), amended) }},
		{func() error { return l.Finish(t.Context(), a) }, func() error { return l.Finish(t.Context(), amended) }},
	}
	for _, step := range steps[random.IntN(len(steps))] {
		if err := step(); err != nil {
			return fmt.Errorf("%s: %w", a.Key, err)
		}
	}
	return nil
}

// A check that was deleted long ago loses its newest record, then its hours, then its row. The overview follows.
func TestOverviewFollowsThePruning(t *testing.T) {
	const days = 24 * time.Hour
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		failed := record("gone", -30*time.Hour, check.Failed)
		must(t, l.Finish(t.Context(), failed))
		must(t, ledger.Load(t.Context(), l, history("gone", 29*time.Hour, 20*time.Minute)))
		must(t, l.Finish(t.Context(), record("gone", 0, check.Succeeded)))
		for _, step := range []struct {
			after time.Duration
			names []string
		}{
			{0, []string{"gone"}},
			{95 * days, []string{"gone"}},  // its passes are deleted
			{391 * days, []string{"gone"}}, // all records are deleted, the hours are not
			{400 * days, []string{"gone"}}, // the first hours are deleted
			{402 * days, nil},
		} {
			now := noon.Add(step.after)
			_, err := l.Prune(t.Context(), ledger.Retention{PassesFor: 90 * days, FailuresFor: 390 * days}, now)
			must(t, err)
			verify(t, l)
			wantOverview(t, l, now, step.names...)
			if t.Failed() {
				t.Fatalf("%s after noon", step.after)
			}
		}
	})
}
