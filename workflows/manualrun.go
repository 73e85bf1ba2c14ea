package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// ManualRun is a run that a program asks for and waits for. One is open for each check: a further caller joins it. The run
// UUID is the run ID of this workflow. If it is cancelled, it cancels the run and waits until the pod is deleted.
func ManualRun(ctx workflow.Context, in ManualRunInput) (ManualRunResult, error) {
	tick := workflow.Now(ctx).Truncate(time.Microsecond)
	var result CheckRunResult
	err := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            workflow.GetInfo(ctx).OriginalRunID,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WaitForCancellation:   true,
		TypedSearchAttributes: SearchAttributesOf(in.Ref),
		Memo:                  map[string]any{MemoRecordKey: activities.RecordKey{Ref: in.Ref, Trigger: check.TriggerManual, Tick: tick}},
		StaticSummary:         summaryOf(in.Ref, check.TriggerManual),
	}), CheckRun, CheckRunInput{
		Ref: in.Ref, Trigger: check.TriggerManual, Timeout: in.Timeout, Tick: tick, Given: in.Given,
	}).Get(ctx, &result)
	if err != nil {
		return ManualRunResult{}, fmt.Errorf("run %s: %w", in.Ref, err)
	}
	return ManualRunResult{Conclusion: result.Conclusion}, nil
}
