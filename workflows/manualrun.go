package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
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

// LostJob records that the one run of a job was lost: Temporal no longer has a record of it. The job does not run again,
// because nobody knows how far it came.
func LostJob(ctx workflow.Context, in LostJobInput) error {
	conclusion := check.Lost().Conclude(in.Ref)
	conclusion.Started, conclusion.Concluded = in.Since, workflow.Now(ctx) // an outcome that was recorded meanwhile stays
	info := workflow.GetInfo(ctx)
	for _, s := range []struct {
		step
		in any
	}{
		{step{"record the outcome — " + in.Ref.String(), a.RecordOutcome}, activities.RecordOutcomeInput{Ref: in.Ref, Conclusion: conclusion}},
		{step{"set the phase — " + in.Ref.String(), a.SetJobPhase}, activities.SetJobPhaseInput{Ref: in.Ref, Phase: khv1.JobCompleted}},
		{step{"record the run — " + in.Ref.String(), a.RecordRun}, activities.RecordInput{
			RecordKey: activities.RecordKey{Ref: in.Ref, Trigger: check.TriggerJob, Tick: in.Since.Truncate(time.Microsecond)},
			UUID:      info.WorkflowExecution.ID, RunID: info.WorkflowExecution.RunID, Conclusion: conclusion, Recorded: workflow.Now(ctx),
		}},
	} {
		if err := shortly(ctx, s.step, persistently(0), s.in, nil); err != nil && !refused(err) {
			return fmt.Errorf("lost run of %s: %w", in.Ref, err)
		}
	}
	measureRun(ctx, in.Ref, conclusion, check.Attempts{})
	return nil
}
