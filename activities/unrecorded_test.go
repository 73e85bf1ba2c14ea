package activities_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// A ledger that does not answer stops no check. A later tick enters what the ledger has not taken.
func TestTickWhileTheLedgerDoesNotTakeRecords(t *testing.T) {
	ticks(t, "hangs: the run starts at once and the tick ends after 2 s", func(t *testing.T, start time.Time, runs *fakeRuns, kept *fakeLedger, tick doTick) {
		kept.hang = true
		time.Sleep(3 * time.Minute)
		began := time.Now()
		got := tick(tickAt(start, 0))
		if took := time.Since(began); took != 2*time.Second || len(runs.started) != 1 {
			t.Errorf("took %s and started %d runs, want 2s and one", took, len(runs.started))
		}
		want := []activities.Span{{After: start, Through: start.Add(3*time.Minute - 1), Outcome: check.Missed}}
		if diff := cmp.Diff(want, got.Unrecorded); diff != "" || got.Recorded != (activities.TickCounts{}) {
			t.Errorf("counted %+v, unrecorded (-want +got):\n%s", got.Recorded, diff)
		}
	})
	ticks(t, "hangs: a tick with nothing to record does not wait", func(t *testing.T, start time.Time, _ *fakeRuns, kept *fakeLedger, tick doTick) {
		kept.hang = true
		time.Sleep(time.Minute)
		began := time.Now()
		if tick(tickAt(start, 0)); time.Since(began) != 0 {
			t.Errorf("took %s", time.Since(began))
		}
	})
	ticks(t, "refuses: ticks that follow one another are one span, which a later tick enters", func(t *testing.T, start time.Time, runs *fakeRuns, kept *fakeLedger, tick doTick) {
		kept.refuse = ledger.ErrUnavailable
		runs.open = []string{"before"}
		var last activities.TickResult
		for minute := range 5 {
			time.Sleep(time.Minute)
			in := tickAt(start, minute)
			in.Previous, in.Unrecorded = "before", last.Unrecorded
			last = tick(in)
		}
		want := []activities.Span{{After: start, Through: start.Add(5 * time.Minute), Outcome: check.Skipped}}
		if diff := cmp.Diff(want, last.Unrecorded); diff != "" {
			t.Errorf("unrecorded (-want +got):\n%s", diff)
		}
		kept.refuse, runs.open = nil, nil
		time.Sleep(3 * time.Minute)
		in := tickAt(start, 5)
		in.Unrecorded = last.Unrecorded
		last = tick(in)
		if last.Unrecorded != nil || last.Recorded != (activities.TickCounts{Skipped: 5, Missed: 2}) {
			t.Errorf("result is %+v, want 5 that were skipped and 2 that were missed", last)
		}
		all := at(start, check.Skipped, 1, 2, 3, 4, 5)
		for due, outcome := range at(start, check.Missed, 6, 7) {
			all[due] = outcome
		}
		if diff := cmp.Diff(all, kept.outcomes()); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
	})
	ticks(t, "begins to hang: what it took is not entered again", func(t *testing.T, start time.Time, _ *fakeRuns, kept *fakeLedger, tick doTick) {
		kept.room = 2 // transactions of 256
		time.Sleep(1000 * time.Minute)
		first := tick(tickAt(start, 0))
		want := []activities.Span{{After: start.Add(512 * time.Minute), Through: start.Add(1000*time.Minute - 1), Outcome: check.Missed}}
		if diff := cmp.Diff(want, first.Unrecorded); diff != "" || first.Recorded.Missed != 512 {
			t.Errorf("counted %+v, unrecorded (-want +got):\n%s", first.Recorded, diff)
		}
		kept.hang = false
		time.Sleep(time.Minute)
		in := tickAt(start, 1000)
		in.Unrecorded, in.RunUUID = first.Unrecorded, "the next"
		second := tick(in)
		if second.Unrecorded != nil || second.Recorded.Missed != 999-512 || len(kept.rows) != 999 || len(slices.Concat(kept.ticks...)) != 999 {
			t.Errorf("result %+v, %d records in %d rows, want each of 999 once", second, len(slices.Concat(kept.ticks...)), len(kept.rows))
		}
	})
	ticks(t, "will never take some: they are left out, and the others are entered", func(t *testing.T, start time.Time, _ *fakeRuns, kept *fakeLedger, tick doTick) {
		kept.refuse = fmt.Errorf("record ticks: %w", ledger.ErrInvalid)
		time.Sleep(3 * time.Minute)
		if got := tick(tickAt(start, 0)); got.Unrecorded != nil || got.Recorded != (activities.TickCounts{}) {
			t.Errorf("result is %+v, want nothing that waits for ever", got)
		}
	})
}

func TestTickKeepsAThousandSpansAtMost(t *testing.T) {
	ticks(t, "the newest", func(t *testing.T, start time.Time, _ *fakeRuns, kept *fakeLedger, tick doTick) {
		kept.refuse = ledger.ErrUnavailable
		time.Sleep(5000 * time.Minute)
		in := tickAt(start, 4998)
		for n := range 1200 { // every other tick had a run
			after := start.Add(time.Duration(2*n) * time.Minute)
			in.Unrecorded = append(in.Unrecorded, activities.Span{After: after, Through: after.Add(time.Minute), Outcome: check.Skipped})
		}
		got := tick(in).Unrecorded
		if len(got) != 1000 || got[999].Outcome != check.Missed || !cmp.Equal(got[0], in.Unrecorded[201]) {
			t.Errorf("%d spans wait, want 1000, of which the last is that of this tick: %+v", len(got), got[len(got)-1])
		}
	})
}

func TestTickEntersSoManyAtMostAndTheRestLater(t *testing.T) {
	ticks(t, "2000", func(t *testing.T, start time.Time, _ *fakeRuns, kept *fakeLedger, tick doTick) {
		time.Sleep(4500 * time.Minute)
		in := tickAt(start, 0)
		var total, calls int
		for last := 4500; ; last++ {
			calls++
			got := tick(in)
			total += got.Recorded.Missed
			if got.Recorded.Missed > 2000 {
				t.Fatalf("entered %d", got.Recorded.Missed)
			}
			if got.Unrecorded == nil {
				break
			}
			time.Sleep(time.Minute)
			in = tickAt(start, last)
			in.Unrecorded, in.RunUUID = got.Unrecorded, fmt.Sprint("run ", last)
		}
		if total != 4499 || len(kept.rows) != 4499 || calls != 3 {
			t.Errorf("%d entered in %d rows by %d ticks, want 4499 by 3", total, len(kept.rows), calls)
		}
		for _, batch := range kept.ticks {
			if len(batch) > 256 {
				t.Errorf("%d records in one transaction", len(batch))
			}
		}
	})
}

func TestTickWithoutALedgerCountsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(&fakeCluster{})
		start := time.Now()
		time.Sleep(3 * time.Minute)
		in := tickAt(start, 0)
		in.Now = time.Now()
		encoded, err := env.ExecuteActivity(a.Tick, in)
		want := activities.TickResult{Tick: start.Add(3 * time.Minute), Recorded: activities.TickCounts{Missed: 2}}
		if diff := cmp.Diff(want, value[activities.TickResult](t, encoded, err)); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
	})
}
