package view_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/view"
)

func wantStatistics(t *testing.T, v *view.View, name string, want view.Statistics) {
	t.Helper()
	got := shown(t, v, name).Statistics
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(view.Statistics{})); diff != "" {
		t.Errorf("statistics of %s (-want +got):\n%s", name, diff)
	}
}

func TestStatisticsAreThoseOfTheLedger(t *testing.T) {
	l := openLedger(t)
	const day = 24 * time.Hour
	records := []ledger.Record{
		record("pay", noon.Add(-40*day), bad, time.Second), // too old
		record("pay", noon.Add(-20*day), bad, 9*time.Second),
		record("pay", noon.Add(-3*day), check.InfraFailed, 8*time.Second), // says nothing about what is checked
		record("pay", noon.Add(-2*day), slow, 7*time.Second),
		record("pay", noon.Add(-time.Hour), good, 2*time.Second),
		record("pay", noon.Add(-time.Minute), good, 4*time.Second),
	}
	again := record("pay", noon.Add(-5*time.Hour), bad, 3*time.Second) // of a check of this name that was deleted
	again.CheckUID = "uid-earlier"
	ledgertest.Fill(t, l, append(records, again))
	open := record("pay", noon, good, 0)
	must(t, l.Begin(t.Context(), open))
	_, err := l.RecordTicks(t.Context(), []ledger.Record{{
		Key: record("new", noon.Add(-time.Minute), good, 0).Key, Kind: khv1.KHCheck, Namespace: "shop", Name: "new", Outcome: check.Missed,
	}})
	must(t, err)
	v := view.New(view.Options{Cluster: &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("pay"), newCheck("new"), newCheck("none")}}, Ledger: l, Now: at(noon)})
	if got := v.Snapshot().Ledger; got != view.LedgerUnavailable {
		t.Errorf("before the first reading the ledger is %s", got)
	}
	must(t, v.Refresh(t.Context()))
	if got := v.Snapshot().Ledger; got != view.LedgerAvailable {
		t.Errorf("the ledger is %s", got)
	}
	wantStatistics(t, v, "pay", view.Statistics{
		Day: view.Uptime{Succeeded: 2, Known: 3}, Week: view.Uptime{Succeeded: 2, Known: 4}, Month: view.Uptime{Succeeded: 2, Known: 5},
		Durations: view.Durations{Median: 4 * time.Second, P95: 9 * time.Second, Sample: 7}, Running: 1,
	})
	wantStatistics(t, v, "new", view.Statistics{})
	wantStatistics(t, v, "none", view.Statistics{})
	if sum := v.Snapshot().Summary(); sum.Running != 1 || sum.Uptime != (view.Uptime{Succeeded: 2, Known: 3}) {
		t.Errorf("summary is %+v", sum)
	}
	if got, want := shown(t, v, "pay").NextRun, noon.Add(time.Minute); !got.Equal(want) { // counted from the last tick of the schedule
		t.Errorf("next run at %s, want %s", got, want)
	}
}

func TestUptimeIsTheShareOfKnownRuns(t *testing.T) {
	if share, ok := (view.Uptime{Succeeded: 3, Known: 4}).Share(); share != 0.75 || !ok {
		t.Errorf("share is %v, %t", share, ok)
	}
	if share, ok := (view.Uptime{}).Share(); share != 0 || ok {
		t.Errorf("share of no run is %v, %t", share, ok)
	}
}

// Durations of the last 100 records count. One slow run of 20 is no more than P95, two of 20 are.
func TestP95IsTheNearestRank(t *testing.T) {
	for slowRuns, want := range map[int]time.Duration{1: time.Second, 2: time.Minute} {
		l := openLedger(t)
		var records []ledger.Record
		for i := range 20 {
			took := time.Second
			if i < slowRuns {
				took = time.Minute
			}
			records = append(records, record("pay", noon.Add(-time.Duration(i+1)*time.Minute), good, took))
		}
		ledgertest.Fill(t, l, records)
		v := view.New(view.Options{Cluster: &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("pay")}}, Ledger: l, Now: at(noon)})
		must(t, v.Refresh(t.Context()))
		if got := shown(t, v, "pay"); got.P95 != want || got.Median != time.Second || got.Sample != 20 {
			t.Errorf("%d of 20 are slow: %+v, want P95 %s", slowRuns, got.Durations, want)
		}
	}
}

// unreliable is a ledger that fails while down is true, and counts what is asked of it.
type unreliable struct {
	view.Ledger
	down      atomic.Bool
	overviews atomic.Int32
	durations int
}

func (u *unreliable) Overview(ctx context.Context, now time.Time) ([]ledger.Summary, error) {
	if u.overviews.Add(1); u.down.Load() {
		return nil, ledger.ErrUnavailable
	}
	return u.Ledger.Overview(ctx, now)
}

func (u *unreliable) Durations(ctx context.Context, uids []string, records int) (map[string][]time.Duration, error) {
	u.durations += len(uids)
	return u.Ledger.Durations(ctx, uids, records)
}

// While the ledger does not answer, its last statistics are shown, and that it does not answer.
func TestStatisticsOutliveAnOutageOfTheLedger(t *testing.T) {
	l := openLedger(t)
	ledgertest.Fill(t, l, []ledger.Record{record("pay", noon.Add(-time.Minute), good, time.Second)})
	u := &unreliable{Ledger: l}
	v := view.New(view.Options{Cluster: &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("pay")}}, Ledger: u, Now: at(noon)})
	want := view.Statistics{
		Day: view.Uptime{Succeeded: 1, Known: 1}, Week: view.Uptime{Succeeded: 1, Known: 1}, Month: view.Uptime{Succeeded: 1, Known: 1},
		Durations: view.Durations{Median: time.Second, P95: time.Second, Sample: 1},
	}
	for _, step := range []struct {
		down bool
		want view.Statistics
	}{{true, view.Statistics{}}, {false, want}, {true, want}, {false, want}} {
		u.down.Store(step.down)
		if err := v.Refresh(t.Context()); errors.Is(err, ledger.ErrUnavailable) != step.down {
			t.Errorf("down %t: error %v", step.down, err)
		}
		wantStatistics(t, v, "pay", step.want)
		if got := v.Snapshot().Ledger; (got == view.LedgerUnavailable) != step.down {
			t.Errorf("down %t: the ledger is %s", step.down, got)
		}
	}
}

// The durations are the expensive part: they are read again only after five minutes, and only of checks that ran since.
func TestDurationsAreReadOnlyOfWhatHasRun(t *testing.T) {
	l := openLedger(t)
	ledgertest.Fill(t, l, []ledger.Record{record("pay", noon.Add(-time.Minute), good, time.Second), record("cart", noon.Add(-time.Minute), good, time.Second)})
	u, now := &unreliable{Ledger: l}, noon
	v := view.New(view.Options{
		Cluster: &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("pay"), newCheck("cart")}}, Ledger: u, Now: func() time.Time { return now },
	})
	must(t, v.Refresh(t.Context()))
	ledgertest.Fill(t, l, []ledger.Record{record("pay", noon, good, 3*time.Second)})
	for _, step := range []struct {
		after  time.Duration
		asked  int
		sample int
	}{{30 * time.Second, 2, 1}, {5 * time.Minute, 3, 2}, {10 * time.Minute, 3, 2}} {
		now = noon.Add(step.after)
		must(t, v.Refresh(t.Context()))
		if got := shown(t, v, "pay").Sample; u.durations != step.asked || got != step.sample {
			t.Errorf("after %s: %d checks were asked for, the sample is %d, want %d and %d", step.after, u.durations, got, step.asked, step.sample)
		}
	}
	if got := shown(t, v, "cart").Sample; got != 1 {
		t.Errorf("the sample of a check that has not run since is %d, want 1", got)
	}
}

// empty is a ledger without records.
type empty struct{ view.Ledger }

func (empty) Overview(context.Context, time.Time) ([]ledger.Summary, error) { return nil, nil }
func (empty) CountsSince(context.Context, time.Time) (map[string]ledger.Counts, error) {
	return nil, nil
}

func (empty) Durations(context.Context, []string, int) (map[string][]time.Duration, error) {
	return nil, nil
}

// Run asks every half minute. Until the ledger answers for the first time, it asks more often.
func TestRunReadsFromTimeToTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &unreliable{Ledger: empty{}}
		u.down.Store(true)
		v := view.New(view.Options{Cluster: &cluster{}, Ledger: u})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { v.Run(ctx); close(ended) }()
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if asked := u.overviews.Swap(0); asked != 5 {
			t.Errorf("asked %d times in the first 9s, want 5", asked)
		}
		u.down.Store(false)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if asked := u.overviews.Load(); asked != 10 {
			t.Errorf("asked %d times in 5m, want 10", asked)
		}
		stop()
		<-ended
	})
}

func TestRunEndsAtOnceWithoutALedger(t *testing.T) {
	v := view.New(view.Options{Cluster: &cluster{}})
	v.Run(t.Context())
	must(t, v.Refresh(t.Context()))
	if got := v.Snapshot().Ledger; got != view.LedgerNone {
		t.Errorf("the ledger is %s", got)
	}
}
