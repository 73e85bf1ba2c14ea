package starter

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// A run that the annotation of a check asks for is a ManualRun, as those of programs. Its workflow ID derives from the check
// and the value, so a value starts one run, whoever looks at it and how often. The status of the check shows its progress.

const (
	// requestWithin bounds one look at a request. The statuses of other checks wait meanwhile.
	requestWithin = 5 * time.Second
	// The shortest and the longest pause between two looks at a requested run.
	firstFollow = time.Second
	mostFollow  = 5 * time.Second
)

// followRequest starts the run that a check asks for, or looks how far it is. It returns the progress to show, and how long
// to wait before the next look, or 0.
func (s *starter) followRequest(ctx context.Context, c *khv1.KuberhealthyCheck, known scheduling) (request *khv1.RunRequest, after time.Duration, err error) {
	value, open := check.OpenRequest(c)
	if !open {
		return c.Status.LastRequest, 0, nil
	}
	if refused := check.RefusedRequest(c, value, known.Scheduling, time.Now()); refused != nil {
		return refused, 0, nil
	}
	taken := check.TakenUp(c, value)
	if !taken && !known.begun { // the first run of the revision would start beside it
		return c.Status.LastRequest, 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	id := workflows.RequestedRunID(check.FromCheck(c).Ref, value)
	info, err := s.describe(ctx, id)
	switch {
	case err != nil:
		return nil, 0, err
	case info != nil:
		request, after, err = s.progress(ctx, c, value, info)
		if err == nil && check.AsksFurther(c, request) {
			after = firstFollow
		}
		return request, after, err
	case taken:
		return check.LostRequest(value, time.Now()), 0, nil
	}
	return s.startRequest(ctx, c, value)
}

// startRequest starts the run of a request. It begins when the open runs of the check have ended. While a tick decides whether
// a run starts, nobody knows which runs those are.
func (s *starter) startRequest(ctx context.Context, c *khv1.KuberhealthyCheck, value string) (request *khv1.RunRequest, after time.Duration, err error) {
	w := check.FromCheck(c)
	before, deciding, err := s.openRuns(ctx, c)
	switch {
	case err != nil:
		return nil, 0, err
	case deciding:
		return c.Status.LastRequest, lookAgain, nil
	}
	_, err = s.start(ctx, workflows.RequestedRunOptions(w.Ref, value), workflows.ManualRun, workflows.ManualRunInput{
		Ref: w.Ref, Timeout: timeoutOf(w), Before: before,
	})
	switch {
	case isStarted(err): // another starter was faster
		return c.Status.LastRequest, lookAgain, nil
	case err != nil:
		return nil, 0, err
	}
	s.Logger.Info("requested run starts", "namespace", c.Namespace, "check", c.Name)
	phase := khv1.RequestRunning
	if len(before) > 0 {
		phase = khv1.RequestWaiting
	}
	return check.NewRequest(value, phase, time.Now()), firstFollow, nil
}

// openRuns returns the open runs of a check: that of its schedule, and that of a program. deciding is true while a tick may
// be starting one.
func (s *starter) openRuns(ctx context.Context, c *khv1.KuberhealthyCheck) (open []activities.OpenRun, deciding bool, err error) {
	id, ref := workflows.ScheduledCheckID(c.Namespace, c.Name), check.FromCheck(c).Ref
	info, err := s.describe(ctx, id)
	if err != nil {
		return nil, false, err
	}
	last := scheduleOf(info)
	if last.exists {
		if err := s.readStart(ctx, id, &last); err != nil {
			return nil, false, err
		}
	}
	if last.deciding(time.Now()) {
		return nil, true, nil
	}
	found, err := s.findOpenRun(ctx, c, last)
	if err != nil {
		return nil, false, err
	}
	if found != (run{}) {
		open = append(open, activities.OpenRun{UUID: found.uuid, First: found.workflowID})
	}
	program, err := s.describe(ctx, workflows.ManualRunID(ref))
	if workflows.Open(program.GetStatus()) {
		open = append(open, activities.OpenRun{UUID: program.GetExecution().GetRunId(), First: workflows.ManualRunID(ref)})
	}
	return open, false, err
}

// openRequest returns the open run that somebody asked for. Temporal is asked only if status or annotation of the check say that
// there may be one.
func (s *starter) openRequest(ctx context.Context, c *khv1.KuberhealthyCheck) (run, error) {
	value, ok := check.OpenRequest(c)
	if !ok {
		return run{}, nil
	}
	id := workflows.RequestedRunID(check.FromCheck(c).Ref, value)
	info, err := s.describe(ctx, id)
	if err != nil || !workflows.Open(info.GetStatus()) {
		return run{}, err
	}
	return run{id, info.GetExecution().GetRunId()}, nil
}

// progress returns how far a request is whose ManualRun was started. The run may be open after its ManualRun was terminated.
func (s *starter) progress(ctx context.Context, c *khv1.KuberhealthyCheck, value string, asked *workflowpb.WorkflowExecutionInfo) (request *khv1.RunRequest, after time.Duration, err error) {
	uuid := asked.GetExecution().GetRunId()
	inOrder := asked.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	var started *workflowpb.WorkflowExecutionInfo
	if !inOrder {
		if started, err = s.describe(ctx, uuid); err != nil {
			return nil, 0, err
		}
	}
	switch {
	case workflows.Open(started.GetStatus()):
		return stillIn(c, value, khv1.RequestRunning), followAgain(asked), nil
	case workflows.Open(asked.GetStatus()) && started == nil:
		return stillIn(c, value, khv1.RequestWaiting), followAgain(asked), nil
	case workflows.Open(asked.GetStatus()): // it is about to end
		return stillIn(c, value, khv1.RequestRunning), firstFollow, nil
	case !inOrder && started == nil: // it ended before its run began
		return check.EndedRequest(value, outcomeOf(asked), "", asked.GetCloseTime().AsTime()), 0, nil
	case !inOrder:
		asked = started
	}
	outcome, err := s.outcome(ctx, asked)
	return check.EndedRequest(value, outcome, uuid, asked.GetCloseTime().AsTime()), 0, err
}

// stillIn returns the request that the status shows, unless its phase is another one. A run that runs never waits again.
func stillIn(c *khv1.KuberhealthyCheck, value string, phase khv1.RunRequestPhase) *khv1.RunRequest {
	shown := c.Status.LastRequest
	if shown != nil && shown.Value == value && (shown.Phase == phase || shown.Phase == khv1.RequestRunning) {
		return shown
	}
	return check.NewRequest(value, phase, time.Now())
}

// followAgain returns how long to wait before the next look at a requested run. The older it is, the longer.
func followAgain(asked *workflowpb.WorkflowExecutionInfo) time.Duration {
	return min(max(time.Since(asked.GetStartTime().AsTime())/10, firstFollow), mostFollow)
}

// outcome reads the outcome of a closed ManualRun or CheckRun, whose results both have a conclusion.
func (s *starter) outcome(ctx context.Context, closed *workflowpb.WorkflowExecutionInfo) (check.Outcome, error) {
	if closed.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		return outcomeOf(closed), nil
	}
	id := closed.GetExecution().GetWorkflowId()
	events := s.Temporal.GetWorkflowHistory(ctx, id, closed.GetExecution().GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	if !events.HasNext() {
		return "", fmt.Errorf("read the result of workflow %s: it has no last event", id)
	}
	event, err := events.Next()
	if err != nil {
		return "", fmt.Errorf("read the result of workflow %s: %w", id, err)
	}
	result := event.GetWorkflowExecutionCompletedEventAttributes().GetResult()
	if closed.GetType().GetName() == workflows.CheckRunType {
		var run workflows.CheckRunResult
		err = converter.GetDefaultDataConverter().FromPayloads(result, &run)
		return run.Outcome, err
	}
	var run workflows.ManualRunResult
	err = converter.GetDefaultDataConverter().FromPayloads(result, &run)
	return run.Conclusion.Outcome, err
}

// outcomeOf returns the outcome of a workflow that did not end in order.
func outcomeOf(closed *workflowpb.WorkflowExecutionInfo) check.Outcome {
	switch closed.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return check.Canceled
	default:
		return check.InfraFailed
	}
}
