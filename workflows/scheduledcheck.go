package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// ScheduledCheck is one tick: it decides in one workflow task whether a run starts, and ends. The run UUID is the tick's
// own run ID, so a tick that decides twice starts one run. With a cron schedule it ticks again and again, without one it
// ticks once.
func ScheduledCheck(ctx workflow.Context, in ScheduledCheckInput) (ScheduledCheckResult, error) {
	last, err := lastTick(ctx, in)
	if err != nil {
		return last, err
	}
	if in.Paused {
		return pausedTick(ctx, in, last)
	}
	info := workflow.GetInfo(ctx)
	var decided activities.TickResult
	err = shortly(ctx, step{"tick — " + in.Ref.String(), a.Tick}, tickOptions(), activities.TickInput{
		Ref: in.Ref, Trigger: in.Trigger, Timeout: in.Timeout, Tick: in.Tick, Schedule: in.Schedule, Start: last.Start,
		Last: last.Tick, Since: info.WorkflowStartTime, Now: workflow.Now(ctx), Previous: last.Run, First: in.First,
		RunUUID: info.OriginalRunID, Unrecorded: last.Unrecorded,
	}, &decided)
	if err != nil {
		return last, fmt.Errorf("tick of %s: %w", in.Ref, err)
	}
	if decided.Tick.IsZero() {
		measureTicks(ctx, in.Ref, decided.Recorded)
		last.Unrecorded = decided.Unrecorded
		workflow.SetCurrentDetails(ctx, "nothing to do: the schedule has no tick at this time")
		return last, nil
	}
	measureTick(ctx, in, decided)
	next := ScheduledCheckResult{Start: last.Start, Tick: decided.Tick, Run: info.OriginalRunID, Unrecorded: decided.Unrecorded}
	switch {
	case decided.Skipped:
		next.Run, next.Outcome = last.Run, check.Skipped
		workflow.SetCurrentDetails(ctx, "skipped: the previous run is open")
	case decided.Completed:
		next.Run = ""
		workflow.SetCurrentDetails(ctx, "the job has run before; only its phase was lost")
	}
	return next, nil
}

// FirstTick is the state with which the first tick of a cron workflow begins. An interval counts from the start of the
// workflow. A cron expression may have ticks between the previous schedule and this one.
func FirstTick(in ScheduledCheckInput, started time.Time) ScheduledCheckResult {
	start := started.Truncate(time.Second)
	first := ScheduledCheckResult{Start: start, Tick: start, Run: in.Previous}
	if in.Schedule.Schedule != "" && !in.Covered.IsZero() && in.Covered.Before(start) {
		first.Tick = in.Covered.Add(-1)
	}
	return first
}

// lastTick is the result of the tick before.
func lastTick(ctx workflow.Context, in ScheduledCheckInput) (last ScheduledCheckResult, err error) {
	if !workflow.HasLastCompletionResult(ctx) {
		return FirstTick(in, workflow.GetInfo(ctx).WorkflowStartTime), nil
	}
	if err := workflow.GetLastCompletionResult(ctx, &last); err != nil {
		return last, fmt.Errorf("read the result of the previous tick of %s: %w", in.Ref, err)
	}
	return last, nil
}

// tickOptions are the options of the activity that decides a tick when a slow or overloaded Temporal delayed the decision.
func tickOptions() workflow.ActivityOptions {
	return workflow.ActivityOptions{StartToCloseTimeout: 30 * time.Second, RetryPolicy: retryPolicy(200*time.Millisecond, 10*time.Second)}
}

// pausedTick records the ticks of a paused check since the previous step. The next step records what the ledger has not
// taken.
func pausedTick(ctx workflow.Context, in ScheduledCheckInput, last ScheduledCheckResult) (ScheduledCheckResult, error) {
	now := workflow.Now(ctx)
	options := ticksOptions()
	options.Summary, options.ScheduleToCloseTimeout = "record the ticks of a paused check — "+in.Ref.String(), time.Hour
	var counts activities.TickCounts
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), a.RecordTicks, activities.TicksInput{
		Ref: in.Ref, Schedule: in.Schedule, Start: last.Start, Before: now,
		Spans: []activities.Span{{After: last.Tick, Through: now, Outcome: check.Paused}},
	}).Get(ctx, &counts)
	if err != nil {
		workflow.GetLogger(ctx).Warn("ticks of a paused check are not recorded yet", "namespace", in.Ref.Namespace, "check", in.Ref.Name, "error", err)
		return last, nil
	}
	measureTicks(ctx, in.Ref, counts)
	last.Tick, last.Outcome = now, check.Paused
	return last, nil
}

// RecordTicks records the ticks between two schedules of a check, none of which started a run. It retries until that is
// done.
func RecordTicks(ctx workflow.Context, in activities.TicksInput) error {
	var counts activities.TickCounts
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, ticksOptions()), a.RecordTicks, in).Get(ctx, &counts)
	if err != nil {
		return fmt.Errorf("record ticks of %s: %w", in.Ref, err)
	}
	measureTicks(ctx, in.Ref, counts)
	return nil
}

// ticksOptions are the options of an activity that records many ticks.
func ticksOptions() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: 5 * time.Minute, HeartbeatTimeout: time.Minute, RetryPolicy: retryPolicy(time.Second, time.Minute),
	}
}
