package activities_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

func minute(n int) time.Time { return tick.Add(time.Duration(n) * time.Minute) }

// minutely are ticks of a check that is due each minute.
func minutely(spans ...activities.Span) activities.TicksInput {
	return activities.TicksInput{Ref: checkRef, Schedule: check.ScheduleSpec{RunInterval: "1m"}, Start: tick, Spans: spans}
}

func TestRecordTicks(t *testing.T) {
	tests := []struct {
		name  string
		in    activities.TicksInput
		want  map[time.Time]check.Outcome
		count activities.TickCounts
	}{
		{"none", minutely(activities.Span{After: minute(1), Through: minute(2).Add(-1), Outcome: check.Missed}), nil, activities.TickCounts{}},
		{
			"those after the beginning up to the end", minutely(activities.Span{After: minute(1), Through: minute(3), Outcome: check.Missed}),
			at(tick, check.Missed, 2, 3),
			activities.TickCounts{Missed: 2},
		},
		{
			"paused", minutely(activities.Span{After: minute(0), Through: minute(3).Add(time.Second), Outcome: check.Paused}),
			at(tick, check.Paused, 1, 2, 3),
			activities.TickCounts{Paused: 3},
		},
		{
			"several spans", minutely(
				activities.Span{After: minute(0), Through: minute(1), Outcome: check.Skipped},
				activities.Span{After: minute(4), Through: minute(4), Outcome: check.Missed},
				activities.Span{After: minute(5), Through: minute(6), Outcome: check.Skipped},
			), at(tick, check.Skipped, 1, 6), activities.TickCounts{Skipped: 2},
		},
		{
			"of a cron expression with a zone", activities.TicksInput{
				Ref: checkRef, Schedule: check.ScheduleSpec{Schedule: "0 9 * * *", TimeZone: "Europe/Berlin"},
				Spans: []activities.Span{{After: tick, Through: tick.AddDate(0, 0, 1), Outcome: check.Paused}},
			}, map[time.Time]check.Outcome{time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC): check.Paused}, activities.TickCounts{Paused: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kept := &fakeLedger{}
			a, env := worker(&fakeCluster{})
			a.Ledger = kept
			for _, want := range []activities.TickCounts{tt.count, {}} { // a further call counts nothing twice
				encoded, err := env.ExecuteActivity(a.RecordTicks, tt.in)
				if got := value[activities.TickCounts](t, encoded, err); got != want {
					t.Errorf("counts are %+v, want %+v", got, want)
				}
			}
			if tt.want == nil {
				tt.want = map[time.Time]check.Outcome{}
			}
			if diff := cmp.Diff(tt.want, kept.outcomes()); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
			a.Ledger = nil
			encoded, err := env.ExecuteActivity(a.RecordTicks, tt.in)
			if got := value[activities.TickCounts](t, encoded, err); got != tt.count {
				t.Errorf("counts without a ledger are %+v, want %+v", got, tt.count)
			}
		})
	}
}

func TestATickWithTheRecordOfARunIsNotCounted(t *testing.T) {
	a, env := worker(&fakeCluster{})
	a.Ledger = &fakeLedger{rows: map[time.Time]ledger.Record{minute(2): {WorkflowID: runUUID}}}
	encoded, err := env.ExecuteActivity(a.RecordTicks, minutely(activities.Span{After: tick, Through: minute(3), Outcome: check.Missed}))
	if got := value[activities.TickCounts](t, encoded, err); got != (activities.TickCounts{Missed: 2}) {
		t.Errorf("counts are %+v, want the two without a run", got)
	}
}

// If nothing says when the ticks between two schedules begin, they begin at the newest tick in the ledger.
func TestRecordTicksSinceTheNewestTick(t *testing.T) {
	offset := minute(2).Add(15 * time.Second) // of the schedule before
	in := minutely(activities.Span{Through: minute(5), Outcome: check.Paused})
	in.SinceNewest, in.Start, in.Before = true, time.Time{}, minute(5).Add(time.Second)
	kept := &fakeLedger{rows: map[time.Time]ledger.Record{
		minute(1): {Key: ledger.Key{Tick: minute(1)}}, offset: {Key: ledger.Key{Tick: offset}},
		minute(9): {Key: ledger.Key{Tick: minute(9)}}, // of the next schedule
	}}
	a, env := worker(&fakeCluster{})
	a.Ledger = kept
	encoded, err := env.ExecuteActivity(a.RecordTicks, in)
	if got := value[activities.TickCounts](t, encoded, err); got != (activities.TickCounts{Paused: 2}) {
		t.Errorf("counts are %+v, want 2", got)
	}
	for n, record := range slices.Concat(kept.ticks...) {
		if want := offset.Add(time.Duration(n+1) * time.Minute); !record.Tick.Equal(want) || record.Outcome != check.Paused {
			t.Errorf("tick %d is %+v, want it due at %s", n, record, want)
		}
	}
	for name, l := range map[string]activities.Ledger{"no ledger": nil, "no tick in the ledger": &fakeLedger{}} {
		a.Ledger = l
		encoded, err := env.ExecuteActivity(a.RecordTicks, in)
		if got := value[activities.TickCounts](t, encoded, err); got != (activities.TickCounts{}) {
			t.Errorf("%s: counts are %+v, want none", name, got)
		}
	}
}

func TestTicksThatCannotBeRecordedAreTriedAgain(t *testing.T) {
	for refuse, final := range map[error]bool{errors.New("disk is full"): false, fmt.Errorf("ticks: %w", ledger.ErrInvalid): true} {
		for _, sinceNewest := range []bool{false, true} {
			a, env := worker(&fakeCluster{})
			a.Ledger = &fakeLedger{refuse: refuse}
			in := minutely(activities.Span{After: tick, Through: minute(3), Outcome: check.Missed})
			in.SinceNewest = sinceNewest
			_, err := env.ExecuteActivity(a.RecordTicks, in)
			var application *temporal.ApplicationError
			if !errors.As(err, &application) || application.NonRetryable() != (final && !sinceNewest) {
				t.Errorf("%v: error %v, want one that is final: %t", refuse, err, final)
			}
		}
	}
}

// ledgerWithRoom takes this many parts, and refuses the others.
type ledgerWithRoom struct {
	*fakeLedger
	parts int
}

func (l *ledgerWithRoom) RecordTicks(ctx context.Context, records []ledger.Record) ([]ledger.Record, error) {
	if l.parts--; l.parts < 0 {
		return nil, errors.New("disk is full")
	}
	return l.fakeLedger.RecordTicks(ctx, records)
}

// Another attempt continues where the one before ended, and includes its counts.
func TestRecordTicksGoesOnAfterAnError(t *testing.T) {
	const due = 5000
	kept, beats := &ledgerWithRoom{fakeLedger: &fakeLedger{}, parts: 10}, &pulse{}
	a, env := worker(&fakeCluster{})
	a.Ledger = kept
	env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{beats}})
	in := minutely(
		activities.Span{After: tick, Through: minute(10), Outcome: check.Skipped}, activities.Span{After: minute(10), Through: minute(due), Outcome: check.Missed})
	if _, err := env.ExecuteActivity(a.RecordTicks, in); err == nil {
		t.Fatal("no error of a ledger that is full")
	}
	env.SetHeartbeatDetails(beats.details[len(beats.details)-1][0])
	kept.parts = 1000
	encoded, err := env.ExecuteActivity(a.RecordTicks, in)
	if got, want := value[activities.TickCounts](t, encoded, err), (activities.TickCounts{Skipped: 10, Missed: due - 10}); got != want {
		t.Errorf("counts are %+v, want %+v", got, want)
	}
	if n := len(slices.Concat(kept.ticks...)); n != due || len(kept.rows) != due {
		t.Errorf("%d ticks were recorded, %d of them different, want each of %d once", n, len(kept.rows), due)
	}
}

// Weeks of ticks are recorded in parts, each of them once.
func TestVeryManyTicks(t *testing.T) {
	for _, n := range []int{255, 256, 257, 1999, 2000, 2001, 86400} {
		kept := &fakeLedger{}
		a, env := worker(&fakeCluster{})
		a.Ledger = kept
		in := minutely(activities.Span{After: tick, Through: tick.Add(time.Duration(n) * time.Second), Outcome: check.Paused})
		in.Schedule.RunInterval = "1s"
		encoded, err := env.ExecuteActivity(a.RecordTicks, in)
		if got := value[activities.TickCounts](t, encoded, err); got.Paused != n || len(kept.rows) != n || len(slices.Concat(kept.ticks...)) != n {
			t.Errorf("counts are %+v, recorded %d times in %d rows, want %d", got, len(slices.Concat(kept.ticks...)), len(kept.rows), n)
		}
		for _, batch := range kept.ticks {
			if len(batch) > 256 {
				t.Errorf("%d ticks at a time", len(batch))
			}
		}
	}
}
