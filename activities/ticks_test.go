package activities_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

func TestTicksWithoutARun(t *testing.T) {
	anchor := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return anchor.Add(time.Duration(n) * time.Minute) }
	tests := []struct {
		name                string
		after, before, busy time.Time
		want                map[time.Time]ledger.Outcome
	}{
		{"none", minute(1), minute(2), time.Time{}, map[time.Time]ledger.Outcome{}},
		{"missed", minute(1), minute(4), time.Time{}, map[time.Time]ledger.Outcome{minute(2): ledger.Missed, minute(3): ledger.Missed}},
		{
			"skipped, and then missed", minute(1), minute(5), minute(3),
			map[time.Time]ledger.Outcome{minute(2): ledger.Skipped, minute(3): ledger.Skipped, minute(4): ledger.Missed},
		},
		{"skipped by a run that ended just before", minute(1), minute(3), minute(2).Add(-900 * time.Millisecond), map[time.Time]ledger.Outcome{minute(2): ledger.Skipped}},
		{"missed after a run that ended well before", minute(1), minute(3), minute(2).Add(-1100 * time.Millisecond), map[time.Time]ledger.Outcome{minute(2): ledger.Missed}},
		{"paused", minute(1), minute(3), time.Time{}, map[time.Time]ledger.Outcome{minute(2): ledger.Paused}},
		{"the tick itself", minute(0), minute(1).Add(1), minute(1), map[time.Time]ledger.Outcome{minute(1): ledger.Skipped}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kept := &fakeLedger{}
			a, env := worker(&fakeCluster{})
			a.Ledger = kept
			in := activities.TicksInput{
				Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"}, Anchor: anchor,
				After: tt.after, Before: tt.before, Busy: tt.busy, Paused: tt.name == "paused",
			}
			encoded, err := env.ExecuteActivity(a.RecordTicks, in)
			counts := value[activities.TicksResult](t, encoded, err)
			got := map[time.Time]ledger.Outcome{}
			for _, batch := range kept.ticks {
				for _, account := range batch {
					got[account.Nominal] = account.Outcome
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ticks (-want +got):\n%s", diff)
			}
			var want activities.TicksResult
			for _, outcome := range tt.want {
				switch outcome {
				case ledger.Skipped:
					want.Skipped++
				case ledger.Paused:
					want.Paused++
				default:
					want.Missed++
				}
			}
			if counts != want {
				t.Errorf("counts are %+v, want %+v", counts, want)
			}
			a.Ledger = nil
			encoded, err = env.ExecuteActivity(a.RecordTicks, in)
			if without := value[activities.TicksResult](t, encoded, err); without != want {
				t.Errorf("counts without a ledger are %+v, want the same", without)
			}
		})
	}
}

func TestATickWithTheAccountOfARunIsNotCounted(t *testing.T) {
	anchor := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a, env := worker(&fakeCluster{})
	a.Ledger = &fakeLedger{ran: anchor.Add(2 * time.Minute)}
	encoded, err := env.ExecuteActivity(a.RecordTicks, activities.TicksInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"}, Anchor: anchor,
		After: anchor, Before: anchor.Add(3*time.Minute + time.Second),
	})
	if counted := value[activities.TicksResult](t, encoded, err); counted != (activities.TicksResult{Missed: 2}) {
		t.Errorf("counts are %+v, want the two that were missed, not the one whose workflow was ended by hand", counted)
	}
}

func TestTicksThatCannotBeEnteredAreNotCounted(t *testing.T) {
	a, env := worker(&fakeCluster{})
	a.Ledger = &fakeLedger{refuse: errors.New("disk is full")}
	_, err := env.ExecuteActivity(a.RecordTicks, activities.TicksInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"}, Anchor: dueAt,
		After: dueAt, Before: dueAt.Add(time.Hour),
	})
	if err == nil {
		t.Error("no error: the ticks would be counted, and never entered")
	}
}

func TestTicksSinceTheLastOne(t *testing.T) {
	activities.WaitForAccounts(0, 0)
	anchor := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return anchor.Add(time.Duration(n) * time.Minute) }
	tick := func(n int, outcome ledger.Outcome, run string, ended time.Time) ledger.Account {
		return ledger.Account{
			Key: ledger.Key{CheckUID: "u-1", Trigger: ledger.Scheduled, Nominal: minute(n)}, Name: "cart",
			Outcome: outcome, WorkflowID: run, Judged: ended.Add(-time.Second), Recorded: ended,
		}
	}
	tests := []struct {
		name   string
		last   ledger.Account
		run    ledger.Account // where last has none
		first  ledger.Account
		anchor time.Time
		paused bool
		want   map[time.Time]ledger.Outcome
	}{
		{name: "no tick and nothing to go by", want: map[time.Time]ledger.Outcome{}},
		{name: "no tick", anchor: anchor, want: map[time.Time]ledger.Outcome{minute(1): ledger.Missed, minute(2): ledger.Missed, minute(3): ledger.Missed}},
		{
			name: "after a run", anchor: anchor, last: tick(1, ledger.Failed, runUUID, minute(2)),
			want: map[time.Time]ledger.Outcome{minute(2): ledger.Skipped, minute(3): ledger.Missed},
		},
		{name: "after a missed one", anchor: anchor, last: tick(2, ledger.Missed, "", minute(9)), want: map[time.Time]ledger.Outcome{minute(3): ledger.Missed}},
		{
			name: "after ticks that another gap has entered", anchor: anchor, last: tick(1, ledger.Skipped, "", minute(0)),
			run:  tick(0, ledger.Canceled, runUUID, minute(2)),
			want: map[time.Time]ledger.Outcome{minute(2): ledger.Skipped, minute(3): ledger.Missed},
		},
		{
			name: "paused, after a run", anchor: anchor, paused: true, last: tick(1, ledger.Succeeded, runUUID, minute(2)),
			want: map[time.Time]ledger.Outcome{minute(2): ledger.Skipped, minute(3): ledger.Paused},
		},
		{name: "of a grid that is not known", last: tick(2, ledger.Succeeded, runUUID, minute(2)), want: map[time.Time]ledger.Outcome{minute(3): ledger.Missed}},
		{
			name: "of the schedule before the last one", anchor: minute(1).Add(time.Second), last: tick(0, ledger.Succeeded, runUUID, minute(0)),
			want: map[time.Time]ledger.Outcome{minute(2).Add(time.Second): ledger.Missed, minute(3).Add(time.Second): ledger.Missed},
		},
		{
			name: "after the run at once", anchor: anchor, first: tick(0, ledger.Failed, runUUID, minute(2)),
			want: map[time.Time]ledger.Outcome{minute(1): ledger.Skipped, minute(2): ledger.Skipped, minute(3): ledger.Missed},
		},
		{
			name: "before the run at once of the next schedule", anchor: anchor, first: tick(4, "", runUUID, time.Time{}),
			want: map[time.Time]ledger.Outcome{minute(1): ledger.Missed, minute(2): ledger.Missed, minute(3): ledger.Missed},
		},
		{name: "all are there", anchor: anchor, last: tick(3, ledger.Succeeded, runUUID, minute(3)), want: map[time.Time]ledger.Outcome{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kept := &fakeLedger{last: tt.last, run: tt.run, first: tt.first}
			a, env := worker(&fakeCluster{})
			a.Ledger = kept
			in := activities.TicksInput{
				Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"}, Paused: tt.paused,
				Anchor: tt.anchor, After: tt.anchor, Before: minute(3).Add(2 * time.Second), SinceLast: true,
			}
			if _, err := env.ExecuteActivity(a.RecordTicks, in); err != nil {
				t.Fatal(err)
			}
			got := map[time.Time]ledger.Outcome{}
			for _, account := range slices.Concat(kept.ticks...) {
				got[account.Nominal] = account.Outcome
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ticks (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("of a schedule whose first run was long", func(t *testing.T) {
		a, env := worker(&fakeCluster{})
		kept := &fakeLedger{first: tick(0, ledger.Succeeded, runUUID, minute(2))}
		a.Ledger = kept
		in := activities.TicksInput{
			Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"},
			Anchor: anchor, After: anchor, Before: minute(4), SinceFirst: true,
		}
		if _, err := env.ExecuteActivity(a.RecordTicks, in); err != nil {
			t.Fatal(err)
		}
		if got := kept.ticks[0]; len(got) != 3 || got[1].Outcome != ledger.Skipped || got[2].Outcome != ledger.Missed {
			t.Errorf("ticks are %+v, want two that were skipped and one that was missed", got)
		}
		for _, change := range []func(){
			func() { // that of the spec before
				kept.first.Nominal, kept.first.Judged, kept.first.Recorded = minute(-60), minute(-60), minute(-60)
			},
			func() { kept.first.Name = "" },
		} {
			change()
			kept.ticks = nil
			if _, err := env.ExecuteActivity(a.RecordTicks, in); err != nil || len(kept.ticks) != 1 || kept.ticks[0][0].Outcome != ledger.Missed {
				t.Errorf("error %v, ticks %+v, want all missed, as the account of the first run did not come", err, kept.ticks)
			}
		}
	})
	t.Run("after a run in flight whose account is late", func(t *testing.T) {
		a, env := worker(&fakeCluster{})
		kept := &fakeLedger{last: tick(1, ledger.Succeeded, runUUID, minute(2)), late: 3}
		a.Ledger = kept
		in := activities.TicksInput{
			Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"},
			Anchor: anchor, After: anchor, Before: minute(4), SinceLast: true, Runs: []string{runUUID},
		}
		activities.WaitForAccounts(time.Minute, time.Millisecond)
		defer activities.WaitForAccounts(0, 0)
		if _, err := env.ExecuteActivity(a.RecordTicks, in); err != nil || kept.late != -1 {
			t.Errorf("error %v, looked %d times more often than it had to", err, -kept.late-1)
		}
		kept.last.Outcome = ledger.Unfinished
		activities.WaitForAccounts(0, 0)
		if _, err := env.ExecuteActivity(a.RecordTicks, in); err == nil || !strings.Contains(err.Error(), "not over yet") {
			t.Errorf("error %v, want to be tried again: the run is open", err)
		}
	})
	t.Run("after a run that ended later than its account says", func(t *testing.T) {
		a, env := worker(&fakeCluster{})
		kept := &fakeLedger{last: tick(1, ledger.Succeeded, runUUID, minute(2).Add(-2*time.Second))}
		a.Ledger, a.Executions = kept, fakeExecutions{runUUID: {Open: true}}
		in := activities.TicksInput{
			Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"},
			Anchor: anchor, After: anchor, Before: minute(4), SinceLast: true,
		}
		if _, err := env.ExecuteActivity(a.RecordTicks, in); err == nil || !strings.Contains(err.Error(), "not over yet") {
			t.Errorf("error %v, want to be tried again: the run is open", err)
		}
		a.Executions = fakeExecutions{runUUID: {Closed: minute(2).Add(time.Second)}}
		encoded, err := env.ExecuteActivity(a.RecordTicks, in)
		if counted := value[activities.TicksResult](t, encoded, err); counted != (activities.TicksResult{Skipped: 1, Missed: 1}) {
			t.Errorf("counts are %+v, want one that was skipped and one that was missed", counted)
		}
		a.Executions = fakeExecutions{runUUID: {}}
		if _, err := env.ExecuteActivity(a.RecordTicks, in); err == nil {
			t.Error("no error, though Temporal cannot be asked")
		}
	})
	t.Run("after a run that was lost", func(t *testing.T) {
		a, env := worker(&fakeCluster{})
		kept := &fakeLedger{last: tick(1, ledger.InfraFailed, runUUID, minute(60))}
		kept.last.Started, kept.last.Judged = minute(1), time.Time{}
		a.Ledger = kept
		in := activities.TicksInput{
			Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"},
			Anchor: anchor, After: anchor, Before: minute(61), SinceLast: true,
		}
		encoded, err := env.ExecuteActivity(a.RecordTicks, in)
		if counted := value[activities.TicksResult](t, encoded, err); counted != (activities.TicksResult{Missed: 59}) {
			t.Errorf("counts are %+v, want all missed: when the run ended is not known", counted)
		}
	})
	t.Run("while the run before them is open", func(t *testing.T) {
		a, env := worker(&fakeCluster{})
		kept := &fakeLedger{last: tick(1, ledger.Unfinished, runUUID, time.Time{})}
		a.Ledger = kept
		_, err := env.ExecuteActivity(a.RecordTicks, activities.TicksInput{
			Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"},
			Anchor: anchor, After: anchor, Before: minute(3), SinceLast: true,
		})
		if err == nil || !strings.Contains(err.Error(), "not over yet") || len(kept.ticks) != 0 {
			t.Errorf("error %v and ticks %v, want to be tried again", err, kept.ticks)
		}
	})
}

// Ticks of a long time are entered in parts.
func TestVeryManyTicks(t *testing.T) {
	kept := &fakeLedger{}
	a, env := worker(&fakeCluster{})
	a.Ledger = kept
	anchor := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	encoded, err := env.ExecuteActivity(a.RecordTicks, activities.TicksInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1s"}, Anchor: anchor,
		After: anchor, Before: anchor.Add(time.Hour),
	})
	if counted := value[activities.TicksResult](t, encoded, err); counted.Missed != 3599 {
		t.Errorf("counts are %+v", counted)
	}
	n := 0
	for _, batch := range kept.ticks {
		n += len(batch)
		if len(batch) > 256 {
			t.Errorf("%d ticks at a time", len(batch))
		}
	}
	if n != 3599 {
		t.Errorf("%d ticks, want 3599", n)
	}
	// The worker dies after the first part: the next one finds a newest tick that was skipped, which says nothing of a run.
	kept.ticks, kept.last = nil, ledger.Account{Name: "cart", Key: ledger.Key{Nominal: anchor.Add(3000 * time.Second)}, Outcome: ledger.Skipped}
	env.SetHeartbeatDetails(activities.TicksProgress{
		Upto: anchor.Add(3000 * time.Second), Anchor: anchor, Result: activities.TicksResult{Skipped: 3000},
		Busy: []activities.Span{{From: anchor, To: anchor.Add(3590 * time.Second)}},
	})
	encoded, err = env.ExecuteActivity(a.RecordTicks, activities.TicksInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1s"}, Before: anchor.Add(time.Hour), SinceLast: true,
	})
	want := activities.TicksResult{Skipped: 3591, Missed: 8} // a run that ended just before a tick has hindered it
	if counted := value[activities.TicksResult](t, encoded, err); counted != want || !kept.ticks[0][0].Nominal.Equal(anchor.Add(3001*time.Second)) {
		t.Errorf("counts are %+v from %s on, want %+v: it goes on where another worker was", counted, kept.ticks[0][0].Nominal, want)
	}
}
