package starter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// lookAgain is how soon to look again at a check that is changing.
const lookAgain = 150 * time.Millisecond

// cacheBehind is how soon to look again at a check that the API server has and the cache does not.
const cacheBehind = time.Second

// beginWithin bounds the steps that begin a schedule. The facts on which they depend are true for a short time only.
const beginWithin = 10 * time.Second

// reconcileCheck changes the workflows of one check to match its spec. It returns how long to wait before the next look, or
// 0.
func (s *starter) reconcileCheck(ctx context.Context, k key) (after time.Duration, err error) {
	c, ok := s.Cluster.Check(k.namespace, k.name)
	if !ok {
		c = nil
	}
	if after, err := s.stillWaits(ctx, k, c); after > 0 || err != nil {
		return after, err
	}
	defer func() { s.noteFailure(k, c, err) }()
	id := workflows.ScheduledCheckID(k.namespace, k.name)
	last, err := s.load(ctx, id, c)
	if err != nil {
		return 0, err
	}
	todo := plan(c, last, time.Now())
	if todo == start {
		if later := s.spread.wait(k, c, time.Now()); later > 0 {
			s.noteSchedule(k, c, check.Scheduling{Scheduled: true, Next: time.Now().Add(later)})
			return later, nil
		}
	}
	switch todo {
	case nothing:
	case look:
		return lookAgain, nil
	case wait:
		s.noteSchedule(k, c, check.Scheduling{Problem: "the run of the previous spec has not ended"})
		return s.waits.begin(k, last.openRun.workflowID), nil
	case end:
		after, err = s.end(ctx, id, c, last)
	case start, pause, fault:
		after, err = s.begin(ctx, todo, id, c, last)
	}
	switch {
	case errors.Is(err, errChanged):
		return lookAgain, nil
	case err == nil && after == 0:
		s.spread.settled(k)
		s.noteSchedule(k, c, s.schedulingAfter(ctx, todo, id, last))
	}
	return after, err
}

// schedulingAfter returns what the status shows of a schedule once the check is in step with it. The next tick of a schedule
// that has just begun is read from Temporal. If Temporal does not answer, resync reads it later.
func (s *starter) schedulingAfter(ctx context.Context, done action, id string, last schedule) check.Scheduling {
	switch done {
	case nothing:
		return last.scheduling()
	case start:
		if info, err := s.describe(ctx, id); err == nil && info != nil {
			return scheduleOf(info).scheduling()
		}
	}
	return check.Scheduling{Scheduled: true}
}

// begin begins a schedule anew. Each step may be repeated: if the process dies between two steps, any starter finds what
// was done and continues. The old schedule ends first, so that no tick of it starts a run meanwhile.
func (s *starter) begin(ctx context.Context, todo action, id string, c *khv1.KuberhealthyCheck, last schedule) (after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, beginWithin)
	defer cancel()
	if last.open {
		if err := s.refuseRun(ctx, last); err != nil {
			return 0, err
		}
		if err := s.terminate(ctx, id, last.runID, "the check has changed"); err != nil {
			return 0, err
		}
		if last, err = s.load(ctx, id, c); err != nil {
			return 0, err
		}
		if plan(c, last, time.Now()) != todo { // a run began meanwhile, or another starter is faster
			return lookAgain, nil
		}
	}
	covered := time.Now()
	if err := s.recordTicks(ctx, ticksBetween(c, last, covered)); err != nil {
		return 0, err
	}
	previous := last.openRun
	if todo != pause {
		if previous, err = s.startFirst(ctx, c); err != nil {
			return 0, err
		}
	}
	in := scheduleInput(c, previous, covered)
	if todo != start {
		var known bool
		in.Paused = true
		if in.Schedule, known = pausedSchedule(c, last); !known {
			return 0, nil
		}
	}
	return 0, s.startSchedule(ctx, todo, in)
}

// refuseRun prevents a tick that has begun, but not decided, from starting its run later. The worker of the tick may be
// slow, or cut off. refuseRun occupies the workflow ID of the run.
func (s *starter) refuseRun(ctx context.Context, last schedule) error {
	if last.input.Paused || !last.begun(time.Now()) {
		return nil
	}
	taken, err := s.start(ctx, workflows.NoRunOptions(last.runID, last.input.Ref), workflows.NoRunType, nil)
	switch {
	case isStarted(err): // when the tick has ended, the starter looks at that run
		return nil
	case err != nil:
		return err
	}
	err = s.Temporal.TerminateWorkflow(ctx, last.runID, taken.GetRunID(), "the run must not start any more")
	if err != nil && !workflows.NotFound(err) {
		return fmt.Errorf("terminate the workflow in the place of a run of %s: %w", last.input.Ref, err)
	}
	return nil
}

// end ends the schedule of a check that was deleted. It cancels the runs, which then delete their pods, and records the
// last ticks. The schedule ends last: while it is open, failed steps are retried. If the check was created anew (not nil),
// the ticks of the old one end at the creation of the new one.
func (s *starter) end(ctx context.Context, id string, c *khv1.KuberhealthyCheck, last schedule) (after time.Duration, err error) {
	before := time.Now()
	if c != nil {
		before, after = c.CreationTimestamp.Time, lookAgain
	} else if namespace, name, ok := workflows.CheckOfSchedule(id); ok {
		// Before a schedule is ended, the API server is asked: the cache may be behind.
		if live, err := s.Cluster.LiveCheck(ctx, namespace, name); err != nil || live != nil {
			return cacheBehind, err
		}
	}
	open, err := s.cancelRuns(ctx, last)
	if err != nil {
		return 0, err
	}
	ticks := ticksOf(last, before)
	if open && !last.input.Paused { // the tick that is still to come would have been skipped
		ticks.Spans[len(ticks.Spans)-1].Outcome = check.Skipped
	}
	if err := s.recordTicks(ctx, ticks); err != nil {
		return 0, err
	}
	return after, s.terminate(ctx, id, last.runID, "the check was deleted")
}

// cancelRuns cancels the runs of a schedule that may be open, and the tick that has yet to start the first one. open is
// true if one was open.
func (s *starter) cancelRuns(ctx context.Context, last schedule) (open bool, err error) {
	var errs []error
	for _, run := range last.runs(time.Now()) {
		canceled, err := s.cancelRun(ctx, last.input.Ref, run.workflowID)
		open = open || canceled
		errs = append(errs, err)
	}
	return open, errors.Join(errs...)
}

// errChanged is the error of a schedule that is no longer the one to replace. The starter must plan again.
var errChanged = errors.New("the schedule has changed meanwhile")

// terminate ends one execution of a cron workflow. An execution that waits for its next tick cannot be cancelled.
func (s *starter) terminate(ctx context.Context, id, runID, why string) error {
	err := s.Temporal.TerminateWorkflow(ctx, id, runID, why)
	switch {
	case workflows.NotFound(err):
		return errChanged
	case err != nil:
		return fmt.Errorf("terminate workflow %s: %w", id, err)
	}
	s.Logger.Info("schedule ends", "workflow", id, "reason", why)
	return nil
}

// recordTicks starts the workflow that records ticks without a run. It leaves out the ticks of an earlier try, which ended
// before its schedule began. The workflow that the earlier try started says up to which time it records.
func (s *starter) recordTicks(ctx context.Context, in workflows.TicksInput) error {
	for in.Spans = due(in); len(in.Spans) > 0; in.Spans = due(in) {
		o := workflows.TicksOptions(in)
		_, err := s.start(ctx, o, workflows.RecordTicks, in)
		if !isStarted(err) {
			return err
		}
		var earlier workflows.TicksInput
		if _, _, err := s.started(ctx, o.ID, "", &earlier); err != nil {
			return err
		}
		rest := in.Spans[len(in.Spans)-1]
		if rest.After = earlier.Before.Add(-1); earlier.Before.IsZero() {
			return nil
		}
		in.Spans = []workflows.Span{rest}
	}
	return nil
}

// startFirst starts the tick that starts the first run of a revision of a check, once, and returns both.
func (s *starter) startFirst(ctx context.Context, c *khv1.KuberhealthyCheck) (first run, err error) {
	in := firstInput(c)
	first.workflowID = workflows.FirstRunID(in.Ref)
	tick, err := s.start(ctx, workflows.SingleTickOptions(first.workflowID, in), workflows.ScheduledCheck, in)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &started):
		first.uuid = started.RunId
	case err != nil:
		return first, err
	default:
		first.uuid = tick.GetRunID()
	}
	return first, nil
}

// startSchedule starts the cron workflow of a check. If another starter was faster, it has started the same workflow.
func (s *starter) startSchedule(ctx context.Context, todo action, in workflows.ScheduledCheckInput) error {
	o, err := workflows.ScheduleOptions(in, time.Now())
	if err != nil {
		return fmt.Errorf("read the schedule of %s: %w", in.Ref, err)
	}
	_, err = s.start(ctx, o, workflows.ScheduledCheck, in)
	switch {
	case isStarted(err):
		return nil
	case err != nil:
		return err
	}
	s.Logger.Info("schedule begins", "workflow", o.ID, "action", todo.String(), "schedule", in.Schedule.String(), "cron", o.CronSchedule)
	return nil
}

// start starts a workflow.
func (s *starter) start(ctx context.Context, o client.StartWorkflowOptions, workflow any, in any) (client.WorkflowRun, error) {
	started, err := s.Temporal.ExecuteWorkflow(ctx, o, workflow, in)
	if err != nil {
		return nil, fmt.Errorf("start workflow %s: %w", o.ID, err)
	}
	return started, nil
}

// isStarted is true for the error that a workflow was started before.
func isStarted(err error) bool {
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &started)
}

// maxWorkflowID is the longest workflow ID that Temporal stores in PostgreSQL.
const maxWorkflowID = 255

// tooLong is true for an object whose name makes a workflow ID too long. It is logged once: only a new object helps.
func (s *starter) tooLong(k key) bool {
	ref := check.Ref{Kind: k.kind, Namespace: k.namespace, Name: k.name}
	longest := len(workflows.TicksID(ref, time.Now()))
	if k.kind == khv1.KHJob {
		longest = len(workflows.CompleteJobID(ref))
	}
	if longest <= maxWorkflowID {
		return false
	}
	if _, logged := s.refused.LoadOrStore(k, true); !logged {
		s.Logger.Error("the name is too long for a workflow ID; the object does not run", "kind", k.kind, "namespace", k.namespace,
			"check", k.name, "field", "metadata.name", "too_long_by", longest-maxWorkflowID)
	}
	return true
}
