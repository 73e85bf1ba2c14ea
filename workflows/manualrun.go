package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// ManualRun is a run that somebody asks for: a program, which waits for it, or the annotation of a check. Of the runs of
// programs, one is open for each check: a further caller joins it. The run UUID is the run ID of this workflow. If it is
// cancelled, it cancels the run and waits until the pod is deleted.
func ManualRun(ctx workflow.Context, in ManualRunInput) (ManualRunResult, error) {
	if err := awaitRuns(ctx, in); err != nil {
		return ManualRunResult{}, fmt.Errorf("wait for the open run of %s: %w", in.Ref, err)
	}
	tick := workflow.Now(ctx).Truncate(time.Microsecond)
	memo := map[string]any{MemoRecordKey: activities.RecordKey{Ref: in.Ref, Trigger: check.TriggerManual, Tick: tick}}
	if in.Given == nil {
		memo[MemoOfCluster] = true
	}
	var result CheckRunResult
	err := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            workflow.GetInfo(ctx).OriginalRunID,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WaitForCancellation:   true,
		TypedSearchAttributes: SearchAttributesOf(in.Ref),
		Memo:                  memo,
		StaticSummary:         summaryOf(in.Ref, check.TriggerManual),
	}), CheckRun, CheckRunInput{
		Ref: in.Ref, Trigger: check.TriggerManual, Timeout: in.Timeout, Tick: tick, Given: in.Given,
	}).Get(ctx, &result)
	if err != nil {
		return ManualRunResult{}, fmt.Errorf("run %s: %w", in.Ref, err)
	}
	return ManualRunResult{Conclusion: result.Conclusion}, nil
}

// awaitRuns waits for the end of the runs that were open when a run was asked for.
func awaitRuns(ctx workflow.Context, in ManualRunInput) error {
	if len(in.Before) == 0 {
		return nil
	}
	workflow.SetCurrentDetails(ctx, "waits until the open run has ended")
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:             "wait for the open run — " + in.Ref.String(),
		StartToCloseTimeout: 24 * time.Hour,
		HeartbeatTimeout:    heartbeatTimeout,
		RetryPolicy:         retryPolicy(200*time.Millisecond, 5*time.Second),
		WaitForCancellation: true,
	}), a.AwaitRuns, activities.AwaitRunsInput{Ref: in.Ref, Runs: in.Before}).Get(ctx, nil)
}
