package starter

import (
	"context"
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// schedule is what Temporal knows of the newest execution of a check's cron workflow. One execution is one tick.
type schedule struct {
	exists, open bool
	// runID is the run ID of the execution. If the tick starts a run, it is the run UUID too.
	runID string
	// executionTime is when the tick begins, and closeTime when the execution ended.
	executionTime, closeTime time.Time
	revision                 workflows.Revision

	// The fields below are set only if the schedule does not match the check.

	// input is the input of each tick. It is empty if it cannot be read.
	input workflows.ScheduledCheckInput
	// last is the result of the previous tick, or what the first tick begins with.
	last workflows.ScheduledCheckResult
	// openRun is the open run of the check, if any.
	openRun run
}

// run names a run, and the workflow that is open while the run is open or has yet to start.
type run struct{ workflowID, uuid string }

// load reads the schedule of a check, which is nil when the check is deleted. A schedule that matches its check costs one
// request.
func (s *starter) load(ctx context.Context, id string, c *khv1.KuberhealthyCheck) (schedule, error) {
	info, err := s.describe(ctx, id)
	found := scheduleOf(info)
	if err != nil || found.inStep(c) {
		return found, err
	}
	if found.exists {
		if err := s.readStart(ctx, id, &found); err != nil {
			return found, err
		}
	}
	if c != nil {
		found.openRun, err = s.findOpenRun(ctx, c, found)
	}
	return found, err
}

// scheduleOf returns the schedule in the description of a cron workflow, or nil if there is none.
func scheduleOf(info *workflowpb.WorkflowExecutionInfo) (found schedule) {
	if info == nil {
		return found
	}
	found = schedule{
		exists: true, open: workflows.Open(info.GetStatus()), runID: info.GetExecution().GetRunId(),
		executionTime: info.GetExecutionTime().AsTime(), closeTime: info.GetCloseTime().AsTime(),
	}
	if payload := info.GetMemo().GetFields()[workflows.MemoRevision]; payload != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(payload, &found.revision) // one that cannot be read differs
	}
	return found
}

// scheduling returns what the status of a check shows of its schedule, which is in step with the check.
func (l schedule) scheduling() check.Scheduling {
	found := check.Scheduling{Scheduled: true}
	if !l.revision.Paused {
		found.Next = l.executionTime
	}
	return found
}

// describe returns the newest execution of a workflow, or nil if Temporal has no record of it.
func (s *starter) describe(ctx context.Context, id string) (*workflowpb.WorkflowExecutionInfo, error) {
	described, err := s.Temporal.DescribeWorkflowExecution(ctx, id, "")
	switch {
	case workflows.NotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("describe workflow %s: %w", id, err)
	}
	return described.GetWorkflowExecutionInfo(), nil
}

// readStart reads the input of a tick. If it is not an input of Khronicle, nothing is known of the schedule.
func (s *starter) readStart(ctx context.Context, id string, found *schedule) error {
	var input workflows.ScheduledCheckInput
	results, at, err := s.started(ctx, id, found.runID, &input)
	if err != nil {
		return err
	}
	last := workflows.FirstTick(input, at)
	if results != nil {
		last = workflows.ScheduledCheckResult{}
		if converter.GetDefaultDataConverter().FromPayloads(results, &last) != nil {
			return nil
		}
	}
	found.input, found.last = input, last
	return nil
}

// started reads the first event of a workflow: its input, the result of the previous execution, and its time. An input of
// another kind is left empty.
func (s *starter) started(ctx context.Context, id, runID string, input any) (last *commonpb.Payloads, at time.Time, err error) {
	events := s.Temporal.GetWorkflowHistory(ctx, id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	if !events.HasNext() {
		return nil, at, fmt.Errorf("read the start of workflow %s: it has no events", id)
	}
	event, err := events.Next()
	if err != nil {
		return nil, at, fmt.Errorf("read the start of workflow %s: %w", id, err)
	}
	attributes := event.GetWorkflowExecutionStartedEventAttributes()
	_ = converter.GetDefaultDataConverter().FromPayloads(attributes.GetInput(), input)
	return attributes.GetLastCompletionResult(), event.GetEventTime().AsTime(), nil
}

// findOpenRun finds an open run of the check. It may be the newest run of its schedule, the run of the tick that has just
// begun, or a run that somebody asked for. If a starter died before it began the schedule, it may also be the first run that the starter had started.
func (s *starter) findOpenRun(ctx context.Context, c *khv1.KuberhealthyCheck, last schedule) (run, error) {
	for _, candidate := range last.runs(time.Now()) {
		if open, err := s.isOpen(ctx, candidate.workflowID); open || err != nil {
			return candidate, err
		}
	}
	if found, err := s.openRequest(ctx, c); found != (run{}) || err != nil {
		return found, err
	}
	if last.open || last.revisionsUntil(c) == 0 {
		return run{}, nil
	}
	return s.runOfUnfinishedStart(ctx, check.FromCheck(c).Ref)
}

// revisionsUntil counts the revisions of a check between that of its schedule and the present one.
func (l schedule) revisionsUntil(c *khv1.KuberhealthyCheck) int64 {
	if l.revision.UID != string(c.UID) {
		return c.Generation - 1
	}
	return max(c.Generation-l.revision.Generation-1, 0)
}

// runs are the runs of the schedule that may be open.
func (l schedule) runs(now time.Time) (found []run) {
	if first := l.input.First; first != "" && l.input.Previous == l.last.Run {
		// The tick may still have to start the run. A tick that has ended has started its run. So the tick is read before the
		// run.
		found = append(found, run{first, l.last.Run})
	}
	if l.last.Run != "" {
		found = append(found, run{l.last.Run, l.last.Run})
	}
	if l.exists && !l.input.Paused && l.begun(now) {
		found = append(found, run{l.runID, l.runID})
	}
	return found
}

// begun is true when the tick of the execution may have begun.
func (l schedule) begun(now time.Time) bool {
	if l.open {
		return now.After(l.executionTime.Add(-almostDue))
	}
	return !l.closeTime.Before(l.executionTime)
}

// Bounds of the time in which a tick may be starting a run.
const (
	// almostDue is how long before a tick the starter begins to wait for it.
	almostDue = 100 * time.Millisecond
	// decidesWithin is how long after its time a tick may decide. If it takes longer, there is no worker for it.
	decidesWithin = 5 * time.Second
	// endsWithin is how long a tick may continue after its workflow was terminated: its worker may not know that yet.
	endsWithin = 2 * time.Second
)

// deciding is true while the tick may be starting a run that is not visible yet.
func (l schedule) deciding(now time.Time) bool {
	if !l.exists || l.input.Paused || !l.begun(now) {
		return false
	}
	if l.open {
		return now.Before(l.executionTime.Add(decidesWithin))
	}
	return now.Before(l.closeTime.Add(endsWithin))
}

func (s *starter) isOpen(ctx context.Context, id string) (bool, error) {
	info, err := s.describe(ctx, id)
	return workflows.Open(info.GetStatus()), err
}

// runOfUnfinishedStart finds the first run of an earlier revision whose schedule was never begun. No schedule names it.
func (s *starter) runOfUnfinishedStart(ctx context.Context, ref check.Ref) (run, error) {
	query := fmt.Sprintf("%s = '%s' AND %s = '%s' AND CloseTime IS NULL",
		workflows.SearchAttributeNamespace.GetName(), ref.Namespace, workflows.SearchAttributeCheck.GetName(), ref.Name)
	var found run
	err := s.list(ctx, query, func(info *workflowpb.WorkflowExecutionInfo) {
		id, runID := info.GetExecution().GetWorkflowId(), info.GetExecution().GetRunId()
		key, isRun := workflows.RecordKeyOf(info.GetMemo())
		switch {
		case isRun && key.Ref.Kind == khv1.KHCheck && key.Trigger == check.TriggerFirst && key.Ref.Generation != ref.Generation:
			found = run{id, id}
		case isFirstTick(id, ref) && id != workflows.FirstRunID(ref):
			found = run{id, runID}
		}
	})
	return found, err
}

// isFirstTick is true for the ID of the tick that starts the first run of some revision of a check.
func isFirstTick(id string, ref check.Ref) bool {
	this := workflows.FirstRunID(ref)
	return strings.HasPrefix(id, this[:strings.LastIndex(this, "/")+1])
}

// list calls f for each workflow that a query finds.
func (s *starter) list(ctx context.Context, query string, f func(*workflowpb.WorkflowExecutionInfo)) error {
	for next := []byte(nil); ; {
		page, err := s.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query: query, PageSize: 1000, NextPageToken: next,
		})
		if err != nil {
			return fmt.Errorf("list workflows where %s: %w", query, err)
		}
		for _, info := range page.GetExecutions() {
			f(info)
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return nil
		}
	}
}
