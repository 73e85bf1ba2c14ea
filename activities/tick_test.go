package activities_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the zones of the tests, whatever the machine has

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	"k8s.io/apimachinery/pkg/types"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// tickAt is a tick of a check that is due each minute from start on. It decides now. last is the previous tick, in minutes
// after the start.
func tickAt(start time.Time, last int) activities.TickInput {
	before := start.Add(time.Duration(last) * time.Minute)
	return activities.TickInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Timeout: time.Minute, Schedule: check.ScheduleSpec{RunInterval: "1m"},
		Start: start, Last: before, Since: before.Add(50 * time.Millisecond), RunUUID: runUUID,
	}
}

// ticks runs ticks with a clock of their own, which begins at the start of their schedule.
func ticks(t *testing.T, name string, test func(t *testing.T, start time.Time, runs *fakeRuns, kept *fakeLedger, tick func(activities.TickInput) activities.TickResult)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, env := worker(&fakeCluster{})
			runs, kept := &fakeRuns{}, &fakeLedger{}
			a.Runs, a.Ledger = runs, kept
			test(t, time.Now(), runs, kept, func(in activities.TickInput) activities.TickResult {
				t.Helper()
				in.Now = time.Now()
				encoded, err := env.ExecuteActivity(a.Tick, in)
				return value[activities.TickResult](t, encoded, err)
			})
		})
	})
}

type doTick = func(activities.TickInput) activities.TickResult

// at returns the ticks that are these minutes after the start, with one outcome.
func at(start time.Time, outcome check.Outcome, minutes ...int) map[time.Time]check.Outcome {
	due := map[time.Time]check.Outcome{}
	for _, minute := range minutes {
		due[start.Add(time.Duration(minute)*time.Minute).UTC()] = outcome
	}
	return due
}

func TestTick(t *testing.T) {
	ticks(t, "starts the run under its own UUID", func(t *testing.T, start time.Time, runs *fakeRuns, kept *fakeLedger, tick doTick) {
		time.Sleep(time.Minute + 40*time.Millisecond)
		due := start.Add(time.Minute)
		want := activities.TickResult{Tick: due, Delay: 40 * time.Millisecond}
		if diff := cmp.Diff(want, tick(tickAt(start, 0))); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		started := []activities.Run{{UUID: runUUID, Timeout: time.Minute, Key: activities.RecordKey{Ref: checkRef, Trigger: check.TriggerSchedule, Tick: due}}}
		if diff := cmp.Diff(started, runs.started); diff != "" || len(kept.rows) > 0 {
			t.Errorf("recorded %v, started (-want +got):\n%s", kept.rows, diff)
		}
	})
	ticks(t, "called again starts nothing and has the tick of the first call", func(t *testing.T, start time.Time, runs *fakeRuns, kept *fakeLedger, tick doTick) {
		time.Sleep(time.Minute)
		first := tick(tickAt(start, 0))
		time.Sleep(3 * time.Minute) // the worker died
		second := tick(tickAt(start, 0))
		if len(runs.started) != 1 || !second.Tick.Equal(first.Tick) || second.Skipped || len(kept.rows) > 0 {
			t.Errorf("started %d runs, result %+v, want one that was due at %s, and nothing missed", len(runs.started), second, first.Tick)
		}
	})
	ticks(t, "is skipped while the previous run is open", func(t *testing.T, start time.Time, runs *fakeRuns, kept *fakeLedger, tick doTick) {
		time.Sleep(time.Minute)
		runs.open = []string{"before"}
		in := tickAt(start, 0)
		in.Previous = "before"
		want := activities.TickResult{Tick: start.Add(time.Minute), Skipped: true, Recorded: activities.TickCounts{Skipped: 1}}
		if diff := cmp.Diff(want, tick(in)); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(at(start, check.Skipped, 1), kept.outcomes()); diff != "" || len(runs.started) > 0 {
			t.Errorf("started %v, recorded (-want +got):\n%s", runs.started, diff)
		}
		record := kept.rows[start.Add(time.Minute).UTC()]
		wantRef := check.Ref{Kind: checkRef.Kind, Namespace: "shop", Name: "cart", UID: "u-1"}
		gotRef := check.Ref{Kind: record.Kind, Namespace: record.Namespace, Name: record.Name, UID: types.UID(record.CheckUID)}
		if diff := cmp.Diff(wantRef, gotRef); diff != "" {
			t.Errorf("check of the record (-want +got):\n%s", diff)
		}
		if record.WorkflowID != "" {
			t.Error("the record has a run, want none")
		}
	})
	ticks(t, "starts a run when the previous one has ended", func(t *testing.T, start time.Time, runs *fakeRuns, _ *fakeLedger, tick doTick) {
		time.Sleep(time.Minute)
		in := tickAt(start, 0)
		in.Previous = "before"
		if got := tick(in); got.Skipped || len(runs.started) != 1 {
			t.Errorf("result %+v, started %v, want a run", got, runs.started)
		}
	})
	ticks(t, "after an outage takes the latest tick, and the others are missed", func(t *testing.T, start time.Time, _ *fakeRuns, kept *fakeLedger, tick doTick) {
		time.Sleep(4*time.Minute + 30*time.Second)
		got := tick(tickAt(start, 0))
		if !got.Tick.Equal(start.Add(4*time.Minute)) || got.Delay != 30*time.Second || got.Recorded != (activities.TickCounts{Missed: 3}) {
			t.Errorf("result is %+v, want the fourth minute and three that were missed", got)
		}
		if diff := cmp.Diff(at(start, check.Missed, 1, 2, 3), kept.outcomes()); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
	})
	ticks(t, "late within its interval keeps its own tick", func(t *testing.T, start time.Time, _ *fakeRuns, kept *fakeLedger, tick doTick) {
		time.Sleep(2*time.Minute - 300*time.Millisecond)
		if got := tick(tickAt(start, 0)); !got.Tick.Equal(start.Add(time.Minute)) || len(kept.rows) > 0 {
			t.Errorf("result %+v, recorded %v, want the first minute and nothing missed", got, kept.outcomes())
		}
	})
	ticks(t, "whose tick before ended late leaves out what was due meanwhile", func(t *testing.T, start time.Time, _ *fakeRuns, kept *fakeLedger, tick doTick) {
		time.Sleep(3 * time.Minute)
		in := tickAt(start, 1)
		in.Since = start.Add(2*time.Minute + time.Second) // Temporal scheduled this tick for the third minute
		if got := tick(in); !got.Tick.Equal(start.Add(3 * time.Minute)) {
			t.Errorf("result %+v, want the third minute", got)
		}
		if diff := cmp.Diff(at(start, check.Missed, 2), kept.outcomes()); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
	})
	ticks(t, "of a single run is due when it was asked for", func(t *testing.T, start time.Time, runs *fakeRuns, kept *fakeLedger, tick doTick) {
		due := start.Add(1234567 * time.Nanosecond)
		time.Sleep(time.Second)
		in := activities.TickInput{Ref: jobRef, Trigger: check.TriggerJob, Tick: due, RunUUID: runUUID, Last: start.Add(-time.Hour)}
		got := tick(in)
		if want := start.Add(1234 * time.Microsecond); !got.Tick.Equal(want) || !runs.started[0].Key.Tick.Equal(want) || len(kept.rows) > 0 {
			t.Errorf("result %+v, started %+v, recorded %v, want the tick at %s, in the precision of the ledger", got, runs.started, kept.rows, want)
		}
	})
	ticks(t, "of a single run without a tick is due now", func(t *testing.T, start time.Time, runs *fakeRuns, _ *fakeLedger, tick doTick) {
		got := tick(activities.TickInput{Ref: checkRef, Trigger: check.TriggerFirst, RunUUID: runUUID})
		if !got.Tick.Equal(start) || runs.started[0].Key.Trigger != check.TriggerFirst {
			t.Errorf("result %+v, started %+v", got, runs.started)
		}
	})
}

// Ticks follow the zone of the schedule. On the day on which summer time begins, a daily tick at 02:30 does not exist.
func TestTickAfterAnOutageRecordsNoTimeThatSummerTimeSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Date(2000, 3, 28, 1, 0, 0, 0, time.UTC)
		time.Sleep(time.Until(now))
		a, env := worker(&fakeCluster{})
		runs, kept := &fakeRuns{}, &fakeLedger{}
		a.Runs, a.Ledger = runs, kept
		last := time.Date(2000, 3, 24, 1, 30, 0, 0, time.UTC)
		encoded, err := env.ExecuteActivity(a.Tick, activities.TickInput{
			Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{Schedule: "30 2 * * *", TimeZone: "Europe/Berlin"},
			Start: last, Last: last, Since: last.Add(time.Second), Now: time.Now(), RunUUID: runUUID,
		})
		got := value[activities.TickResult](t, encoded, err)
		if want := time.Date(2000, 3, 28, 0, 30, 0, 0, time.UTC); !got.Tick.Equal(want) {
			t.Errorf("due at %s, want %s", got.Tick, want)
		}
		want := map[time.Time]check.Outcome{
			time.Date(2000, 3, 25, 1, 30, 0, 0, time.UTC): check.Missed,
			time.Date(2000, 3, 27, 0, 30, 0, 0, time.UTC): check.Missed,
		}
		if diff := cmp.Diff(want, kept.outcomes()); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
	})
}

// Temporal starts a check of noon in Cairo at 9:00 and at 10:00 in UTC, in summer and in winter. One of them is noon.
func TestNoRunStartsAtATimeThatIsNoTick(t *testing.T) {
	old := activities.Span{After: tick, Through: tick.AddDate(0, 0, 7), Outcome: check.Missed}
	for name, tt := range map[string]struct {
		now  string
		runs int
	}{
		"winter, an hour early": {"2027-04-23T09:00:00Z", 0},
		"winter, on time":       {"2027-04-23T10:00:00Z", 1},
		"summer, on time":       {"2027-04-30T09:00:00Z", 1},
		"summer, an hour late":  {"2027-04-30T10:00:00Z", 0},
	} {
		t.Run(name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			a, env := worker(&fakeCluster{})
			runs, kept := &fakeRuns{open: []string{"before"}}, &fakeLedger{refuse: ledger.ErrUnavailable}
			if tt.runs == 1 {
				runs.open = nil
			}
			a.Runs, a.Ledger = runs, kept
			encoded, err := env.ExecuteActivity(a.Tick, activities.TickInput{
				Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{Schedule: "0 12 * * 5", TimeZone: "Africa/Cairo"},
				Start: now.AddDate(0, 0, -6), Last: now.AddDate(0, 0, -6), Since: now.Add(-time.Hour + time.Second), Now: now,
				Previous: "before", RunUUID: runUUID, Unrecorded: []activities.Span{old},
			})
			got := value[activities.TickResult](t, encoded, err)
			if len(runs.started) != tt.runs || got.Tick.IsZero() == (tt.runs == 1) || got.Skipped || got.Delay != 0 {
				t.Errorf("started %d runs, result %+v, want %d", len(runs.started), got, tt.runs)
			}
			if diff := cmp.Diff([]activities.Span{old}, got.Unrecorded); diff != "" {
				t.Errorf("unrecorded (-want +got):\n%s", diff)
			}
		})
	}
}

// A tick that Temporal prevents from deciding is retried: it neither starts nor skips.
// The worker's clock may be ahead of Temporal's, by which ticks are scheduled.
func TestATickIsDueByTheClockOfTemporal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(&fakeCluster{})
		kept := &fakeLedger{}
		a.Runs, a.Ledger = &fakeRuns{}, kept
		start := time.Now()
		time.Sleep(2*time.Minute + 3*time.Second) // as the worker sees it
		in := tickAt(start, 0)
		in.Now = start.Add(time.Minute + 58*time.Second)
		encoded, err := env.ExecuteActivity(a.Tick, in)
		if got := value[activities.TickResult](t, encoded, err); !got.Tick.Equal(start.Add(time.Minute)) || len(kept.rows) > 0 {
			t.Errorf("result %+v, recorded %v, want the tick after a minute, and none missed", got, kept.rows)
		}
	})
}

func TestTickWithoutTemporalIsTriedAgain(t *testing.T) {
	for _, previous := range []string{"", "before"} {
		a, env := worker(&fakeCluster{})
		kept := &fakeLedger{}
		a.Runs, a.Ledger = &fakeRuns{down: true}, kept
		in := tickAt(time.Now().Truncate(time.Second).Add(-time.Hour), 0)
		in.Previous = previous
		if _, err := env.ExecuteActivity(a.Tick, in); err == nil || !strings.Contains(err.Error(), "temporal is down") || len(kept.rows) > 0 {
			t.Errorf("previous run %q: error %v, recorded %v", previous, err, kept.rows)
		}
	}
}

func TestTickOfAScheduleThatCannotBeReadIsNotTriedAgain(t *testing.T) {
	a, env := worker(&fakeCluster{})
	in := tickAt(tick, 0)
	in.Schedule = check.ScheduleSpec{Schedule: "often"}
	for name, do := range map[string]func() error{
		"tick": func() error { _, err := env.ExecuteActivity(a.Tick, in); return err },
		"record ticks": func() error {
			_, err := env.ExecuteActivity(a.RecordTicks, activities.TicksInput{Ref: checkRef, Schedule: in.Schedule})
			return err
		},
	} {
		var refused *temporal.ApplicationError
		if err := do(); !errors.As(err, &refused) || !refused.NonRetryable() || refused.Type() != activities.ScheduleInvalid {
			t.Errorf("%s: error %v, want one that is final", name, err)
		}
	}
}
