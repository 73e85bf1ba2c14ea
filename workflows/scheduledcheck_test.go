package workflows_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// ticker executes one ScheduledCheck.
type ticker struct {
	env   *testsuite.TestWorkflowEnvironment
	steps *[]string
	// decide is what Tick answers, and record what RecordTicks answers.
	decide func(activities.TickInput) (activities.TickResult, error)
	record func(activities.TicksInput) (activities.TickCounts, error)

	decided  []activities.TickInput
	recorded []activities.TicksInput
}

func newTicker(t *testing.T, metrics client.MetricsHandler) *ticker {
	t.Helper()
	k := &ticker{
		decide: func(in activities.TickInput) (activities.TickResult, error) {
			return activities.TickResult{Tick: in.Last.Add(2 * time.Minute)}, nil
		},
		record: func(activities.TicksInput) (activities.TickCounts, error) { return activities.TickCounts{}, nil },
	}
	k.env, k.steps = newEnv(t, metrics)
	var a *activities.Activities
	k.env.OnActivity(a.Tick, anything, anything).Return(func(_ context.Context, in activities.TickInput) (activities.TickResult, error) {
		k.decided = append(k.decided, in)
		return k.decide(in)
	}).Maybe()
	k.env.OnActivity(a.RecordTicks, anything, anything).Return(func(_ context.Context, in activities.TicksInput) (activities.TickCounts, error) {
		k.recorded = append(k.recorded, in)
		return k.record(in)
	}).Maybe()
	return k
}

// tick executes one tick. last is the result of the tick before, if any.
func (k *ticker) tick(t *testing.T, in workflows.ScheduledCheckInput, last *workflows.ScheduledCheckResult) (result workflows.ScheduledCheckResult, err error) {
	t.Helper()
	if last != nil {
		k.env.SetLastCompletionResult(*last)
	}
	k.env.ExecuteWorkflow(workflows.ScheduledCheck, in)
	if err := k.env.GetWorkflowError(); err != nil {
		return result, err
	}
	if err := k.env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	return result, nil
}

func tickInput() workflows.ScheduledCheckInput {
	return workflows.ScheduledCheckInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Timeout: time.Minute, Schedule: check.ScheduleSpec{RunInterval: "2m"},
	}
}

// lastResult is that of the tick before, two minutes after the start.
func lastResult() *workflows.ScheduledCheckResult {
	return &workflows.ScheduledCheckResult{Start: tick, Tick: tick.Add(2 * time.Minute), Run: "run-before"}
}

// sameInstant compares times by their instant.
var sameInstant = cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })

func TestTickDecidesInOneLocalActivity(t *testing.T) {
	k := newTicker(t, nil)
	result, err := k.tick(t, tickInput(), lastResult())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"local Tick"}, *k.steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	want := activities.TickInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Timeout: time.Minute, Schedule: tickInput().Schedule,
		Start: tick, Last: tick.Add(2 * time.Minute), Previous: "run-before", RunUUID: tickRunID,
	}
	if diff := cmp.Diff(want, k.decided[0], sameInstant, cmpopts.IgnoreFields(want, "Since", "Now")); diff != "" {
		t.Errorf("decided by (-want +got):\n%s", diff)
	}
	if k.decided[0].Since.IsZero() || k.decided[0].Now.IsZero() {
		t.Error("the tick does not know since when it was scheduled")
	}
	next := workflows.ScheduledCheckResult{Start: tick, Tick: tick.Add(4 * time.Minute), Run: tickRunID}
	if diff := cmp.Diff(next, result, sameInstant); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// The first tick of a cron workflow counts the ticks from its own start, in whole seconds as Temporal does. It also knows
// of a run that may still be open.
func TestFirstTickCountsFromTheStartOfItsSchedule(t *testing.T) {
	k := newTicker(t, nil)
	started := k.env.Now()
	in := tickInput()
	in.Previous = "first-run"
	result, err := k.tick(t, in, nil)
	if err != nil {
		t.Fatal(err)
	}
	start, got := started.Truncate(time.Second), k.decided[0]
	if !got.Start.Equal(start) || !got.Last.Equal(start) || got.Previous != "first-run" || !got.Since.Equal(started) {
		t.Errorf("decided by %+v, want start and last tick %s, and the first run as the previous one", got, start)
	}
	if !result.Start.Equal(start) || result.Run != tickRunID {
		t.Errorf("result is %+v", result)
	}
}

func TestTickIsSkippedWhileThePreviousRunIsOpen(t *testing.T) {
	k := newTicker(t, nil)
	k.decide = func(in activities.TickInput) (activities.TickResult, error) {
		return activities.TickResult{Tick: tick.Add(4 * time.Minute), Skipped: in.Previous == "run-before"}, nil
	}
	result, err := k.tick(t, tickInput(), lastResult())
	want := workflows.ScheduledCheckResult{Start: tick, Tick: tick.Add(4 * time.Minute), Outcome: check.Skipped, Run: "run-before"}
	if diff := cmp.Diff(want, result, sameInstant); diff != "" || err != nil {
		t.Errorf("error %v, result (-want +got):\n%s", err, diff)
	}
}

// Temporal also starts at times that are no tick. Then the result is that of the tick before.
func TestTickAtATimeThatIsNoTickChangesNothing(t *testing.T) {
	k := newTicker(t, nil)
	span := activities.Span{After: tick, Through: tick.Add(time.Minute), Outcome: check.Missed}
	k.decide = func(activities.TickInput) (activities.TickResult, error) {
		return activities.TickResult{Unrecorded: []activities.Span{span}}, nil
	}
	result, err := k.tick(t, tickInput(), lastResult())
	want := *lastResult()
	want.Unrecorded = []activities.Span{span}
	if diff := cmp.Diff(want, result, sameInstant); diff != "" || err != nil {
		t.Errorf("error %v, result (-want +got):\n%s", err, diff)
	}
}

// What the ledger has not taken is passed from tick to tick until the ledger takes it.
func TestTickHandsUnrecordedSpansToTheNext(t *testing.T) {
	old := activities.Span{After: tick, Through: tick.Add(time.Minute), Outcome: check.Missed}
	added := activities.Span{After: tick.Add(time.Minute), Through: tick.Add(2 * time.Minute), Outcome: check.Skipped}
	k := newTicker(t, nil)
	k.decide = func(in activities.TickInput) (activities.TickResult, error) {
		return activities.TickResult{Tick: tick, Unrecorded: append(in.Unrecorded, added)}, nil
	}
	last := lastResult()
	last.Unrecorded = []activities.Span{old}
	result, err := k.tick(t, tickInput(), last)
	if diff := cmp.Diff([]activities.Span{old, added}, result.Unrecorded, sameInstant); diff != "" || err != nil {
		t.Errorf("error %v, spans (-want +got):\n%s", err, diff)
	}
}

// A tick that cannot decide within seconds continues as an activity with durable retries, and starts the same run.
func TestTickFallsBackToDurableRetries(t *testing.T) {
	k := newTicker(t, nil)
	failures := 13
	k.decide = func(activities.TickInput) (activities.TickResult, error) {
		if failures--; failures >= 0 {
			return activities.TickResult{}, errors.New("resource exhausted")
		}
		return activities.TickResult{Tick: tick.Add(4 * time.Minute)}, nil
	}
	began := k.env.Now()
	result, err := k.tick(t, tickInput(), lastResult())
	if err != nil || result.Run != tickRunID {
		t.Fatalf("result is %+v, error %v", result, err)
	}
	durable := slices.Index(*k.steps, "Tick")
	if durable < 2 || slices.Contains((*k.steps)[durable:], "local Tick") || slices.Contains((*k.steps)[:durable], "Tick") {
		t.Errorf("steps are %q, want local ones before durable ones", *k.steps)
	}
	if took := k.env.Now().Sub(began); took < 6*time.Second {
		t.Errorf("took %s, want the tries to go on after the local ones", took)
	}
	for _, in := range k.decided {
		if in.RunUUID != tickRunID {
			t.Errorf("a try would start run %s, want %s", in.RunUUID, tickRunID)
		}
	}
}

func TestTickOfAScheduleThatCannotBeReadFails(t *testing.T) {
	k := newTicker(t, nil)
	k.decide = func(activities.TickInput) (activities.TickResult, error) {
		return activities.TickResult{}, temporal.NewNonRetryableApplicationError("read the schedule", activities.ScheduleInvalid, nil)
	}
	if _, err := k.tick(t, tickInput(), lastResult()); err == nil || len(k.decided) != 1 {
		t.Errorf("error %v after %d tries, want one try", err, len(k.decided))
	}
}

// A single tick, such as that of a job, has the scheduled time that its starter set.
func TestSingleTickHasTheTimeOfItsStarter(t *testing.T) {
	k := newTicker(t, nil)
	in := workflows.ScheduledCheckInput{Ref: jobRef, Trigger: check.TriggerJob, Timeout: time.Minute, Tick: tick}
	result, err := k.tick(t, in, nil)
	if err != nil || result.Run != tickRunID || !k.decided[0].Tick.Equal(tick) || k.decided[0].Trigger != check.TriggerJob || k.decided[0].Previous != "" {
		t.Errorf("result %+v, error %v, decided by %+v", result, err, k.decided[0])
	}
}

// A paused check costs one step a day, which records all ticks since the step before.
func TestPausedTickRecordsTheTicksSinceTheOneBefore(t *testing.T) {
	metrics := newMetrics(t)
	k := newTicker(t, metrics.Temporal)
	k.record = func(activities.TicksInput) (activities.TickCounts, error) {
		return activities.TickCounts{Paused: 720}, nil
	}
	in, last := tickInput(), lastResult()
	in.Paused = true
	now := k.env.Now()
	result, err := k.tick(t, in, last)
	if err != nil {
		t.Fatal(err)
	}
	want := []activities.TicksInput{{
		Ref: checkRef, Schedule: in.Schedule, Start: tick, Before: now,
		Spans: []activities.Span{{After: last.Tick, Through: now, Outcome: check.Paused}},
	}}
	if diff := cmp.Diff(want, k.recorded, sameInstant); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"RecordTicks"}, *k.steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	next := workflows.ScheduledCheckResult{Start: tick, Tick: now, Outcome: check.Paused, Run: "run-before"}
	if diff := cmp.Diff(next, result, sameInstant); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if got := counted(t, metrics, "khronicle_ticks_without_run_total")["KHCheck shop/cart shop paused"]; got != 720 {
		t.Errorf("counted %v paused ticks, want 720", got)
	}
}

// If the ledger does not take the ticks of a paused check, the next tick records them.
func TestPausedTickWhileTheLedgerIsDown(t *testing.T) {
	k := newTicker(t, nil)
	k.record = func(activities.TicksInput) (activities.TickCounts, error) {
		return activities.TickCounts{}, errors.New("database is locked")
	}
	in, last := tickInput(), lastResult()
	in.Paused = true
	result, err := k.tick(t, in, last)
	if diff := cmp.Diff(*last, result, sameInstant); diff != "" || err != nil {
		t.Errorf("error %v, result (-want +got):\n%s", err, diff)
	}
}

// Ticks without a run are counted once, when the ledger has them. Only ticks of a schedule measure their delay.
func TestTicksWithoutARunAreCounted(t *testing.T) {
	metrics := newMetrics(t)
	k := newTicker(t, metrics.Temporal)
	k.decide = func(activities.TickInput) (activities.TickResult, error) {
		return activities.TickResult{Tick: tick, Skipped: true, Recorded: activities.TickCounts{Skipped: 1, Missed: 7}}, nil
	}
	if _, err := k.tick(t, tickInput(), lastResult()); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"KHCheck shop/cart shop skipped": 1, "KHCheck shop/cart shop missed": 7}
	if diff := cmp.Diff(want, counted(t, metrics, "khronicle_ticks_without_run_total")); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// RecordTicks tries until the ledger has the ticks, and counts what was entered at the end.
func TestRecordTicksTriesUntilItIsDone(t *testing.T) {
	metrics := newMetrics(t)
	k := newTicker(t, metrics.Temporal)
	failures := 5
	k.record = func(activities.TicksInput) (activities.TickCounts, error) {
		if failures--; failures >= 0 {
			return activities.TickCounts{Skipped: 100}, errors.New("database is locked")
		}
		return activities.TickCounts{Missed: 5, Paused: 1}, nil
	}
	in := activities.TicksInput{Ref: checkRef, Schedule: tickInput().Schedule, Start: tick, Before: tick.Add(time.Hour), SinceNewest: true}
	k.env.ExecuteWorkflow(workflows.RecordTicks, in)
	if err := k.env.GetWorkflowError(); err != nil || len(k.recorded) != 6 {
		t.Fatalf("error %v after %d tries", err, len(k.recorded))
	}
	if diff := cmp.Diff(in, k.recorded[5], sameInstant); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	want := map[string]float64{"KHCheck shop/cart shop missed": 5, "KHCheck shop/cart shop paused": 1}
	if diff := cmp.Diff(want, counted(t, metrics, "khronicle_ticks_without_run_total")); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}
