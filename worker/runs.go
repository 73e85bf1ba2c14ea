package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// temporalClient is what runs needs from Temporal's client.
type temporalClient interface {
	ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
	GetWorkflow(ctx context.Context, workflowID, runID string) client.WorkflowRun
	RecordActivityHeartbeat(ctx context.Context, taskToken []byte, details ...any) error
}

// runs starts runs in Temporal and reads them.
type runs struct {
	temporalClient
	// build is the build ID of this worker, or "".
	build string
}

// Start implements activities.Runs.
func (r runs) Start(ctx context.Context, run activities.Run) (tick time.Time, err error) {
	in := workflows.CheckRunInput{Ref: run.Key.Ref, Trigger: run.Key.Trigger, Timeout: run.Timeout, Tick: run.Key.Tick}
	options := workflows.RunOptions(run.UUID, in)
	options.TypedSearchAttributes = r.withBuild(options.TypedSearchAttributes)
	_, err = r.ExecuteWorkflow(ctx, options, workflows.CheckRunType, in)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &started):
		return r.tickOf(ctx, run)
	case err != nil:
		return tick, fmt.Errorf("start workflow %s of %s: %w", workflows.CheckRunType, run.Key.Ref, err)
	}
	return run.Key.Tick, nil
}

// searchAttributeBuilds is where Temporal lists the builds of the workers that took part in a workflow.
var searchAttributeBuilds = temporal.NewSearchAttributeKeyKeywordList("BuildIds")

// withBuild sets what Temporal would set at the end of the first workflow task, if a worker of the same build does it. This
// saves one of the writes of a run to the list of workflows.
func (r runs) withBuild(attributes temporal.SearchAttributes) temporal.SearchAttributes {
	if r.build == "" {
		return attributes
	}
	const unversioned = "unversioned"
	return temporal.NewSearchAttributes(attributes.Copy(), searchAttributeBuilds.ValueSet([]string{unversioned, unversioned + ":" + r.build}))
}

// tickOf returns the tick of a run that was started before.
func (r runs) tickOf(ctx context.Context, run activities.Run) (time.Time, error) {
	info, err := r.describe(ctx, run.UUID)
	if err != nil {
		return time.Time{}, err
	}
	key, ok := workflows.RecordKeyOf(info.GetMemo())
	if !ok {
		return run.Key.Tick, nil // Temporal no longer has a record of the run
	}
	return key.Tick, nil
}

// Open implements activities.Runs.
func (r runs) Open(ctx context.Context, runUUID, first string) (bool, error) {
	info, err := r.describe(ctx, runUUID)
	if info != nil || err != nil || first == "" {
		return workflows.Open(info.GetStatus()), err
	}
	if tick, err := r.describe(ctx, first); workflows.Open(tick.GetStatus()) || err != nil {
		return true, err
	}
	info, err = r.describe(ctx, runUUID) // the tick may have started it since
	return workflows.Open(info.GetStatus()), err
}

// OpenRequest implements activities.Runs.
func (r runs) OpenRequest(ctx context.Context, ref check.Ref, value string) (bool, error) {
	info, err := r.describe(ctx, workflows.RequestedRunID(ref, value))
	return workflows.Open(info.GetStatus()), err
}

// describe returns nil if Temporal has no record of the workflow.
func (r runs) describe(ctx context.Context, workflowID string) (*workflowpb.WorkflowExecutionInfo, error) {
	described, err := r.DescribeWorkflowExecution(ctx, workflowID, "")
	switch {
	case workflows.NotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("describe a run: %w", err)
	}
	return described.GetWorkflowExecutionInfo(), nil
}

// waitingAtATime is how many runs whose records wait are listed together, in pages of 1000.
const waitingAtATime = 3000

// Waiting implements activities.Runs.
func (r runs) Waiting(ctx context.Context, since, until time.Time) (found []activities.WaitingRun, all bool, err error) {
	query := fmt.Sprintf("WorkflowType = '%s' AND %s = '%s' AND CloseTime > '%s' AND CloseTime <= '%s'",
		workflows.CheckRunType, workflows.SearchAttributeRecord.GetName(), workflows.RecordWaiting,
		since.UTC().Format(time.RFC3339Nano), until.UTC().Format(time.RFC3339Nano))
	for next := []byte(nil); ; {
		page, err := r.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: 1000, NextPageToken: next})
		if err != nil {
			return nil, false, fmt.Errorf("list workflows where %s: %w", query, err)
		}
		for _, info := range page.GetExecutions() {
			if !workflows.Open(info.GetStatus()) {
				found = append(found, activities.WaitingRun{
					UUID: info.GetExecution().GetWorkflowId(), RunID: info.GetExecution().GetRunId(), Closed: info.GetCloseTime().AsTime(),
				})
			}
		}
		if next = page.GetNextPageToken(); len(next) == 0 || len(found) >= waitingAtATime {
			slices.SortFunc(found, func(a, b activities.WaitingRun) int { return a.Closed.Compare(b.Closed) })
			return found, len(next) == 0, nil
		}
	}
}

// Unrecorded implements activities.Runs. A run that was terminated, or that Temporal has no record of, has no result, so
// nothing can be recorded.
func (r runs) Unrecorded(ctx context.Context, run activities.WaitingRun) (activities.Unrecorded, error) {
	var result workflows.CheckRunResult
	err := r.GetWorkflow(ctx, run.UUID, run.RunID).Get(ctx, &result)
	var failed *temporal.WorkflowExecutionError
	switch {
	case workflows.NotFound(err), errors.As(err, &failed), err == nil && result.Unrecorded == nil:
		return activities.Unrecorded{}, nil
	case err != nil:
		return activities.Unrecorded{}, fmt.Errorf("read the result of a run: %w", err)
	}
	return *result.Unrecorded, nil
}

// lastListed is how many of the newest closed runs of a check are listed to find its last outcome. Temporal lists the newest
// first. Cancelled runs and those of a deleted check of the same name do not count.
const lastListed = 20

// LastOutcome implements activities.Runs.
func (r runs) LastOutcome(ctx context.Context, ref check.Ref) (last activities.EndedRun, ok bool, err error) {
	query := fmt.Sprintf("WorkflowType = '%s' AND %s = '%s' AND %s = '%s' AND ExecutionStatus = 'Completed'",
		workflows.CheckRunType, workflows.SearchAttributeNamespace.GetName(), ref.Namespace, workflows.SearchAttributeCheck.GetName(), ref.Name)
	page, err := r.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: lastListed})
	if err != nil {
		return last, false, fmt.Errorf("list workflows where %s: %w", query, err)
	}
	for _, info := range page.GetExecutions() {
		key, isRun := workflows.RecordKeyOf(info.GetMemo())
		if !isRun || key.Ref.UID != ref.UID {
			continue
		}
		found, err := r.conclusionOf(ctx, info.GetExecution())
		if err != nil {
			return last, false, err
		}
		if found.Outcome != check.Canceled {
			return activities.EndedRun{UUID: info.GetExecution().GetWorkflowId(), Tick: key.Tick, Conclusion: found}, true, nil
		}
	}
	return last, false, nil
}

// conclusionOf reads the conclusion of a run that has completed.
func (r runs) conclusionOf(ctx context.Context, run *commonpb.WorkflowExecution) (check.Conclusion, error) {
	var result workflows.CheckRunResult
	if err := r.GetWorkflow(ctx, run.GetWorkflowId(), run.GetRunId()).Get(ctx, &result); err != nil {
		return check.Conclusion{}, fmt.Errorf("read the result of a run: %w", err)
	}
	return result.Conclusion, nil
}

// Heartbeat implements activities.Runs.
func (r runs) Heartbeat(ctx context.Context, taskToken []byte, details any) error {
	err := r.RecordActivityHeartbeat(ctx, taskToken, details)
	if workflows.NotFound(err) {
		return activities.ErrRunEnded
	}
	return err
}
