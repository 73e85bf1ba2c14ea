package workflows

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// ScheduledCheck is one tick of a check: it starts a CheckRun under a new run UUID and waits for its end, so that two
// ticks never overlap. With a cron schedule it runs again and again; without, once.
func ScheduledCheck(ctx workflow.Context, in ScheduledCheckInput) (ScheduledCheckResult, error) {
	t := &tick{in: in}
	defer t.drain(ctx)
	if err := t.setup(ctx); err != nil {
		return t.result, err
	}
	return t.run(ctx)
}

type tick struct {
	in     ScheduledCheckInput
	result ScheduledCheckResult
	// at is when the run is due, and previous when the one before it was.
	at, previous time.Time
}

func (t *tick) setup(ctx workflow.Context) error {
	if !workflow.HasLastCompletionResult(ctx) {
		return nil
	}
	if err := workflow.GetLastCompletionResult(ctx, &t.result); err != nil {
		return fmt.Errorf("read the result of the previous tick: %w", err)
	}
	t.result.Result = ""
	return nil
}

// due finds out which due time this tick serves, and measures how late it is.
func (t *tick) due(ctx workflow.Context) error {
	if t.at = t.in.Due; t.at.IsZero() {
		t.at = workflow.Now(ctx)
	}
	if t.in.Trigger != TriggerSchedule {
		return nil
	}
	schedule, err := check.ParseSchedule(t.in.Schedule)
	if err != nil {
		return fmt.Errorf("read the schedule of %s: %w", t.in.Ref, err)
	}
	if t.previous = t.result.Nominal; t.previous.IsZero() {
		t.previous = t.in.Anchor
	}
	now := workflow.Now(ctx)
	t.at = schedule.Nominal(t.in.Anchor, t.previous, now)
	t.result.Nominal = t.at
	if t.in.Paused {
		return nil
	}
	workflow.GetMetricsHandler(ctx).Timer("khronicle_run_start_delay").Record(max(now.Sub(t.result.Nominal), 0))
	return nil
}

func (t *tick) run(ctx workflow.Context) (ScheduledCheckResult, error) {
	if err := t.due(ctx); err != nil {
		return t.result, err
	}
	if t.in.Paused {
		t.result.Skipped++
		workflow.SetCurrentDetails(ctx, "paused: the check is suspended")
		return t.result, t.accountForTicks(ctx, t.at.Add(1), time.Time{})
	}
	if t.firstRunOpen(ctx) {
		t.result.Skipped++
		workflow.SetCurrentDetails(ctx, "skipped: the first run has not ended")
		return t.result, t.accountForTicks(ctx, t.at.Add(1), t.at)
	}
	t.result.FirstRunOver = true
	if err := t.accountForTicks(ctx, t.at, t.result.Ended); err != nil {
		return t.result, err
	}
	runUUID, err := t.runUUID(ctx)
	if err != nil {
		return t.result, err
	}
	var outcome check.Outcome
	run := workflow.ExecuteChildWorkflow(t.childOptions(ctx, runUUID), CheckRun, CheckRunInput{
		Ref: t.in.Ref, Trigger: t.in.Trigger, Timeout: t.in.Timeout, Given: t.in.Given, LostSince: t.in.LostSince,
		Due: t.at.Truncate(time.Microsecond), // as the ledger counts: the workflow ID of its account follows from it
	})
	workflow.SetCurrentDetails(ctx, "run in progress")
	err = run.Get(ctx, &outcome)
	switch {
	case temporal.IsCanceledError(err) && ctx.Err() == nil:
		outcome.Result = check.Canceled // that run alone was cancelled: the schedule goes on
	case err != nil:
		return t.result, fmt.Errorf("run %s: %w", t.in.Ref, err)
	}
	t.result.Runs++
	t.result.Result, t.result.Ended = outcome.Result, workflow.Now(ctx)
	if t.in.Trigger == TriggerExternal {
		t.result.RunUUID, t.result.Outcome = runUUID, &outcome
	}
	workflow.SetCurrentDetails(ctx, "last run: "+string(outcome.Result))
	return t.result, nil
}

// accountForTicks accounts for the due times since the previous tick and before another at which no run started: those up to
// busy, or during the first run, were skipped, the others missed, or paused where the check is.
func (t *tick) accountForTicks(ctx workflow.Context, before, busy time.Time) error {
	if t.in.Trigger != TriggerSchedule {
		return nil
	}
	schedule, err := check.ParseSchedule(t.in.Schedule)
	if err != nil {
		return fmt.Errorf("read the schedule of %s: %w", t.in.Ref, err)
	}
	if !schedule.Next(t.in.Anchor, t.previous).Before(before) {
		return nil
	}
	due := activities.Due{Ref: t.in.Ref, Trigger: t.in.Trigger, At: before}
	return keepAccount(ctx, due, KeepAccountInput{Ticks: &activities.TicksInput{
		Ref: t.in.Ref, Trigger: t.in.Trigger, Schedule: t.in.Schedule, Anchor: t.in.Anchor, After: t.previous, Before: before, Busy: busy,
		Paused: t.in.Paused, SinceFirst: t.in.FirstRun != "" && t.result.FirstRunOver && t.result.Ended.IsZero(),
	}})
}

// runUUID is the one that the input names, or a new one.
func (t *tick) runUUID(ctx workflow.Context) (string, error) {
	if t.in.RunUUID != "" {
		return t.in.RunUUID, nil
	}
	return newUUID(ctx)
}

// firstRunOpen is true when the run that was started together with this schedule has not ended.
func (t *tick) firstRunOpen(ctx workflow.Context) bool {
	if t.in.FirstRun == "" || t.result.FirstRunOver {
		return false
	}
	return workflow.SignalExternalWorkflow(ctx, t.in.FirstRun, "", probeSignal, nil).Get(ctx, nil) == nil
}

// drain reads the probes that a schedule sent to its first run; they ask for nothing.
func (t *tick) drain(ctx workflow.Context) {
	for probes := workflow.GetSignalChannel(ctx, probeSignal); probes.ReceiveAsync(nil); {
		workflow.GetLogger(ctx).Debug("probed by the schedule", "check", t.in.Ref.String())
	}
}

func newUUID(ctx workflow.Context) (string, error) {
	var id string
	err := workflow.SideEffect(ctx, func(workflow.Context) any { return uuid.NewString() }).Get(&id)
	if err != nil {
		return "", fmt.Errorf("make run UUID: %w", err)
	}
	return id, nil
}

// childOptions let a run outlive its tick: ending or replacing the schedule of a check does not touch a run in flight. A
// program that cancels the run it asked for waits until the pod is gone.
func (t *tick) childOptions(ctx workflow.Context, runUUID string) workflow.Context {
	return workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            runUUID,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WaitForCancellation:   t.in.Trigger == TriggerExternal,
		TypedSearchAttributes: SearchAttributesOf(t.in.Ref),
		Memo:                  map[string]any{MemoDue: activities.Due{Ref: t.in.Ref, Trigger: t.in.Trigger, At: t.at}},
		StaticSummary:         fmt.Sprintf("%s %s (%s)", t.in.Ref.Kind, t.in.Ref, t.in.Trigger),
	})
}
