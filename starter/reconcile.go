package starter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// beginWithin bounds the steps that begin a schedule. Its due times count from the first of them: one that takes longer is
// begun anew.
const beginWithin = 5 * time.Second

// errScheduleChanged is the error of a schedule that is not the one which was to be replaced: another starter was faster.
var errScheduleChanged = errors.New("the schedule has changed meanwhile")

// lookAgain is how soon an edited check is looked at again while a run of its old spec is in flight.
const lookAgain = 500 * time.Millisecond

func (s *starter) reconcileCheck(ctx context.Context, k key) (after time.Duration, err error) {
	c, ok := s.Cluster.Check(k.namespace, k.name)
	if !ok {
		c = nil
	}
	id := workflows.ScheduledCheckID(k.namespace, k.name)
	present, err := s.describe(ctx, id)
	if err != nil {
		return 0, err
	}
	todo, err := s.decide(ctx, k, id, c, &present)
	if err != nil {
		return 0, err
	}
	if todo == start {
		if later := s.spread.wait(k, c, time.Now()); later > 0 {
			return later, nil
		}
	}
	after, err = s.act(ctx, todo, id, c, present)
	if err == nil && todo != wait {
		s.spread.settled(k)
	}
	return after, err
}

func (s *starter) act(ctx context.Context, todo action, id string, c *khv1.KuberhealthyCheck, present schedule) (after time.Duration, err error) {
	if todo != nothing && todo != wait {
		s.Logger.Info("schedule changes", "workflow", id, "action", todo.String())
	}
	switch todo {
	case end:
		return 0, s.end(ctx, id, present)
	case start, pause, fault:
		return 0, s.begin(ctx, todo, id, c, present)
	case stop:
		if err := s.accountForPredecessor(ctx, id, c, present); err != nil {
			return 0, err
		}
		return 0, s.stop(ctx, id, "the check is suspended, and its schedule cannot be read")
	case wait:
		return lookAgain, nil
	}
	return 0, nil
}

// decide plans with what the cache and the description say; when something is to change, it looks more closely first.
func (s *starter) decide(ctx context.Context, k key, id string, c *khv1.KuberhealthyCheck, present *schedule) (action, error) {
	if plan(c, *present) == nothing {
		return nothing, nil
	}
	if c == nil {
		// Before a schedule is ended, the API server is asked: the cache may be behind.
		live, err := s.Cluster.LiveCheck(ctx, k.namespace, k.name)
		if err != nil || live != nil {
			return wait, err
		}
	}
	if err := s.addRunsInFlight(ctx, id, present); err != nil {
		return nothing, err
	}
	return plan(c, *present), nil
}

// describe reads a check's cron workflow and finds the runs in flight.
func (s *starter) describe(ctx context.Context, id string) (schedule, error) {
	described, err := s.Temporal.DescribeWorkflowExecution(ctx, id, "")
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return schedule{}, nil
	}
	if err != nil {
		return schedule{}, fmt.Errorf("describe workflow %s: %w", id, err)
	}
	found := schedule{running: open(described), first: described.GetWorkflowExecutionInfo().GetFirstRunId()}
	for _, child := range runsOf(described) {
		found.children = append(found.children, child.GetWorkflowId())
	}
	revision := described.GetWorkflowExecutionInfo().GetMemo().GetFields()[workflows.MemoRevision]
	if err := converter.GetDefaultDataConverter().FromPayload(revision, &found.revision); err != nil || revision == nil {
		return found, nil // not one of ours, or of a later version: it is replaced
	}
	var grid workflows.Grid
	kept := described.GetWorkflowExecutionInfo().GetMemo().GetFields()[workflows.MemoGrid]
	if err := converter.GetDefaultDataConverter().FromPayload(kept, &grid); err == nil && kept != nil {
		found.grid = &grid
		found.children = append(found.children, grid.Runs...)
	}
	return found, nil
}

// addRunsInFlight finds which runs of the schedule are open: those of its ticks, and the one that was started together
// with it. A closed schedule names its children for ever, so each is asked.
func (s *starter) addRunsInFlight(ctx context.Context, id string, found *schedule) error {
	candidates := found.children
	if found.revision != (workflows.Revision{}) {
		candidates = append(candidates, workflows.FirstRunOf(id, found.revision))
	}
	for _, run := range candidates {
		described, err := s.Temporal.DescribeWorkflowExecution(ctx, run, "")
		var notFound *serviceerror.NotFound
		switch {
		case errors.As(err, &notFound):
		case err != nil:
			return fmt.Errorf("describe a run of %s: %w", id, err)
		case open(described):
			found.inFlight = append(found.inFlight, run)
		}
	}
	return nil
}

// runsOf returns the runs that a workflow began. It has other children too, such as accounts that wait for the ledger.
func runsOf(described *workflowservice.DescribeWorkflowExecutionResponse) []*workflowpb.PendingChildExecutionInfo {
	return slices.DeleteFunc(slices.Clone(described.GetPendingChildren()), func(child *workflowpb.PendingChildExecutionInfo) bool {
		return child.GetWorkflowTypeName() != workflows.CheckRunType
	})
}

func open(described *workflowservice.DescribeWorkflowExecutionResponse) bool {
	status := described.GetWorkflowExecutionInfo().GetStatus()
	return status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING || status == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
}

// begin begins a schedule: start one with a first run at once, pause one that runs nothing, and fault the latter with the one run
// that records what is wrong with the spec. The order matters: when the process dies before the last step, the next one finds
// what was done, and goes on.
func (s *starter) begin(ctx context.Context, todo action, id string, c *khv1.KuberhealthyCheck, last schedule) error {
	ctx, cancel := context.WithTimeout(ctx, beginWithin)
	defer cancel()
	now := time.Now()
	if err := s.accountForPredecessor(ctx, id, c, last); err != nil {
		return err
	}
	if err := s.accountForGap(ctx, gap(c, last, gapEnd(now))); err != nil {
		return err
	}
	if todo != pause {
		if err := s.startFirst(ctx, check.FromCheck(c)); err != nil {
			return err
		}
	}
	if todo == start {
		return s.startSchedule(ctx, id, last, input(c, anchorOf(now)))
	}
	spec, known := quietSchedule(c, last)
	if !known {
		return s.stop(ctx, id, "the check's schedule cannot be read")
	}
	return s.startSchedule(ctx, id, last, pausedInput(c, spec, anchorOf(now)))
}

// anchorOf is what a schedule counts its due times from that begins now. Temporal counts whole seconds: with a part of one,
// two ticks may come to the same due time when the clocks of starter and Temporal differ by as little.
func anchorOf(now time.Time) time.Time { return now.Truncate(time.Second) }

// gapEnd is what the ticks of the schedule before are due before: it leaves the next one no tick at its anchor. Two starters that
// see the same change find the same, mostly, and so the same workflow.
func gapEnd(now time.Time) time.Time { return anchorOf(now).Add(1) }

// startSchedule starts the cron workflow. A schedule of an older revision is replaced; without one, a second starter that does the
// same finds it done.
func (s *starter) startSchedule(ctx context.Context, id string, last schedule, in workflows.ScheduledCheckInput) error {
	parsed, err := check.ParseSchedule(in.Schedule)
	if err != nil {
		return err
	}
	grid := workflows.Grid{Schedule: in.Schedule, Anchor: in.Anchor, Paused: in.Paused, Runs: last.inFlight}
	summary := fmt.Sprintf("%s %s, %s", in.Ref.Kind, in.Ref, parsed.CronSpec())
	if in.Paused {
		summary += ", paused"
	}
	conflict := enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	if last.running {
		present, err := s.describe(ctx, id)
		if err != nil {
			return err
		}
		if present.running && present.first != last.first {
			return fmt.Errorf("start workflow %s: %w", id, errScheduleChanged)
		}
		conflict = enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
	}
	_, err = s.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.TaskQueue, CronSchedule: parsed.CronSpec(),
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy:                 conflict,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    workflows.SearchAttributesOf(in.Ref),
		Memo:                                     map[string]any{workflows.MemoRevision: workflows.RevisionOf(in.Ref), workflows.MemoGrid: grid},
		StaticSummary:                            summary,
	}, workflows.ScheduledCheck, in)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if err != nil && !errors.As(err, &started) {
		return fmt.Errorf("start workflow %s: %w", id, err)
	}
	return nil
}

// accountForGap has the ticks accounted for that schedules left open, if there are any.
func (s *starter) accountForGap(ctx context.Context, ticks *workflows.TicksInput) error {
	if ticks == nil {
		return nil
	}
	id := workflows.GapID(ticks.Ref, ticks.Before)
	_, err := s.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.TaskQueue, TypedSearchAttributes: workflows.SearchAttributesOf(ticks.Ref),
		StaticSummary: "account of " + ticks.Ref.String(),
	}, workflows.KeepAccount, workflows.KeepAccountInput{Ticks: ticks})
	if err != nil {
		return fmt.Errorf("start workflow %s: %w", id, err)
	}
	return nil
}

// accountForPredecessor has the last ticks accounted for of a check that was deleted before this one was made under its name, and
// whose schedule still runs.
func (s *starter) accountForPredecessor(ctx context.Context, id string, c *khv1.KuberhealthyCheck, last schedule) error {
	if !last.running || last.revision.UID == string(c.UID) {
		return nil
	}
	return s.accountForGap(ctx, gapOfGone(id, last, c.CreationTimestamp.Time))
}

// startFirst starts the one run that a new revision of a check is due.
func (s *starter) startFirst(ctx context.Context, w check.Workload) error {
	return s.startSingle(ctx, workflows.FirstRunID(w.Ref), firstInput(w, workflows.TriggerFirst))
}

// startSingle starts a run under an ID of its own. That it was started before is a success.
func (s *starter) startSingle(ctx context.Context, id string, in workflows.ScheduledCheckInput) error {
	_, err := s.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.TaskQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    workflows.SearchAttributesOf(in.Ref),
		StaticSummary:                            fmt.Sprintf("%s %s (%s)", in.Ref.Kind, in.Ref, in.Trigger),
	}, workflows.ScheduledCheck, in)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if err != nil && !errors.As(err, &started) {
		return fmt.Errorf("start workflow %s: %w", id, err)
	}
	return nil
}

// anyOpen is true when one of the runs is open.
func (s *starter) anyOpen(ctx context.Context, runs []*workflowpb.PendingChildExecutionInfo) (bool, error) {
	for _, run := range runs {
		described, err := s.Temporal.DescribeWorkflowExecution(ctx, run.GetWorkflowId(), "")
		var notFound *serviceerror.NotFound
		if errors.As(err, &notFound) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("describe a run: %w", err)
		}
		if open(described) {
			return true, nil
		}
	}
	return false, nil
}

// stop ends the cron workflow; a run in flight goes on. A schedule in its pause between two ticks takes no cancellation,
// so it is terminated.
func (s *starter) stop(ctx context.Context, id, why string) error {
	err := s.Temporal.TerminateWorkflow(ctx, id, "", why)
	var notFound *serviceerror.NotFound
	if err != nil && !errors.As(err, &notFound) {
		return fmt.Errorf("terminate workflow %s: %w", id, err)
	}
	return nil
}

// end cancels the runs of a check that is gone, which then delete their pods, has its last ticks accounted for and ends its
// schedule. The order matters: as long as the schedule is there, what could not be done is tried again.
func (s *starter) end(ctx context.Context, id string, present schedule) error {
	var errs []error
	for _, run := range present.inFlight {
		err := s.Temporal.CancelWorkflow(ctx, run, "")
		var notFound *serviceerror.NotFound
		if err != nil && !errors.As(err, &notFound) {
			errs = append(errs, fmt.Errorf("cancel a run of %s: %w", id, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := s.accountForGap(ctx, gapOfGone(id, present, gapEnd(time.Now()))); err != nil {
		return err
	}
	return s.stop(ctx, id, "the check was deleted")
}

// reconcileJob starts a job that has no phase yet, and ends one that is Running though nothing runs it.
func (s *starter) reconcileJob(ctx context.Context, k key) (after time.Duration, err error) {
	job, ok := s.Cluster.Job(k.namespace, k.name)
	switch {
	case !ok:
		return 0, nil
	case job.Spec.Phase == "":
		return 0, s.startSingle(ctx, workflows.JobRunID(check.FromJob(job).Ref), jobInput(job))
	case job.Spec.Phase == khv1.JobRunning:
		return s.recordLostRun(ctx, job)
	}
	return 0, nil
}

// settled is how long after the end of its run a job may still be seen Running in the cache.
const settled = 30 * time.Second

// recordLostRun starts a run that records the loss of the job's own, when that is not there any more: Temporal's data went,
// someone terminated it, or Kuberhealthy left the job behind. It is not run again: nobody knows how far it came.
func (s *starter) recordLostRun(ctx context.Context, job *khv1.KuberhealthyJob) (after time.Duration, err error) {
	w := check.FromJob(job)
	described, err := s.Temporal.DescribeWorkflowExecution(ctx, workflows.JobRunID(w.Ref), "")
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
	case err != nil:
		return 0, fmt.Errorf("describe the run of khjob %s: %w", w.Ref, err)
	case open(described):
		return 0, nil
	}
	// The run itself does not end with the workflow that began it.
	alive, err := s.anyOpen(ctx, runsOf(described))
	switch {
	case err != nil || alive:
		return settled, err
	case time.Since(described.GetWorkflowExecutionInfo().GetCloseTime().AsTime()) < settled:
		return settled, nil
	}
	in := jobInput(job)
	in.LostSince = &job.CreationTimestamp.Time
	return 0, s.startSingle(ctx, workflows.LostJobRunID(w.Ref), in)
}

// enqueueOrphans enqueues the checks of all open schedules that have no check: they were deleted while no starter was
// there to see it.
func (s *starter) enqueueOrphans(ctx context.Context) error {
	var next []byte
	for {
		page, err := s.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query: "WorkflowType = '" + workflows.ScheduledCheckType + "' AND ExecutionStatus = 'Running'", NextPageToken: next,
		})
		if err != nil {
			return fmt.Errorf("list open schedules: %w", err)
		}
		for _, execution := range page.GetExecutions() {
			namespace, name, ok := workflows.CheckOfSchedule(execution.GetExecution().GetWorkflowId())
			if _, exists := s.Cluster.Check(namespace, name); ok && !exists && s.Cluster.Watches(namespace) {
				s.enqueue(khv1.KHCheck)(namespace, name)
			}
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return nil
		}
	}
}

// String names an action in logs.
func (a action) String() string {
	return strings.Fields("nothing end pause stop wait fault start")[a]
}
