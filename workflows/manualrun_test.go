package workflows_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// A program that asks for a run gets its outcome; the UUID of the run is the run ID of the ManualRun.
func TestManualRunReturnsTheOutcomeOfItsRun(t *testing.T) {
	env, _ := newEnv(t, nil)
	given := &activities.Given{Workload: check.Workload{Ref: checkRef}}
	conclusion := check.Conclusion{Outcome: check.Failed, Errors: []string{"broken"}, Reported: true}
	var got workflows.CheckRunInput
	var id string
	var options workflow.ChildWorkflowOptions
	env.SetWorkerOptions(workerOptions(&completing{started: func(o workflow.ChildWorkflowOptions) { options = o }}))
	env.OnWorkflow(workflows.CheckRun, anything, anything).Return(func(ctx workflow.Context, in workflows.CheckRunInput) (workflows.CheckRunResult, error) {
		got, id = in, workflow.GetInfo(ctx).WorkflowExecution.ID
		return workflows.CheckRunResult{Conclusion: conclusion}, nil
	})
	began := env.Now().UTC().Truncate(time.Microsecond)
	env.ExecuteWorkflow(workflows.ManualRun, workflows.ManualRunInput{Ref: checkRef, Timeout: time.Minute, Given: given})
	var result workflows.ManualRunResult
	if err := errors.Join(env.GetWorkflowError(), env.GetWorkflowResult(&result)); err != nil {
		t.Fatal(err)
	}
	want := workflows.CheckRunInput{Ref: checkRef, Trigger: check.TriggerManual, Timeout: time.Minute, Tick: began, Given: given}
	if diff := cmp.Diff(want, got, sameInstant); diff != "" || id != tickRunID {
		t.Errorf("run %q, input (-want +got):\n%s", id, diff)
	}
	wantMemo := map[string]any{workflows.MemoRecordKey: activities.RecordKey{Ref: checkRef, Trigger: check.TriggerManual, Tick: began}}
	if diff := cmp.Diff(wantMemo, options.Memo, sameInstant); diff != "" {
		t.Errorf("memo of the run (-want +got):\n%s", diff)
	}
	name, _ := options.TypedSearchAttributes.GetKeyword(workflows.SearchAttributeCheck)
	if name != checkRef.Name || options.ParentClosePolicy != enumspb.PARENT_CLOSE_POLICY_ABANDON || !options.WaitForCancellation {
		t.Errorf("the run is found by check %q, and starts with %+v", name, options)
	}
	if diff := cmp.Diff(conclusion, result.Conclusion); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

// A caller that cancels a ManualRun waits until the pod of its run is deleted.
func TestCancelledManualRunWaitsForTheEndOfItsRun(t *testing.T) {
	w := newWorld(t)
	w.watchTakes = time.Minute
	w.env.RegisterDelayedCallback(w.env.CancelWorkflow, 10*time.Second)
	w.env.ExecuteWorkflow(workflows.ManualRun, workflows.ManualRunInput{Ref: checkRef, Timeout: time.Minute, Given: &activities.Given{}})
	if err := w.env.GetWorkflowError(); !temporal.IsCanceledError(err) {
		t.Errorf("it ends with %v, want it cancelled", err)
	}
	want := []string{check.Attempt{UUID: tickRunID, Attempt: 1}.PodName(checkRef.Name)}
	if diff := cmp.Diff(want, w.removed); diff != "" {
		t.Errorf("deleted pods (-want +got):\n%s", diff)
	}
}

// A run that the annotation of a check asks for begins when the open run has ended. It runs the check of the cluster, and
// ends with it.
func TestManualRunWaitsForOpenRuns(t *testing.T) {
	env, steps := newEnv(t, nil)
	var options workflow.ChildWorkflowOptions
	var got workflows.CheckRunInput
	env.SetWorkerOptions(workerOptions(&completing{started: func(o workflow.ChildWorkflowOptions) { options = o }}))
	env.OnWorkflow(workflows.CheckRun, anything, anything).Return(func(_ workflow.Context, in workflows.CheckRunInput) (workflows.CheckRunResult, error) {
		got = in
		return workflows.CheckRunResult{Conclusion: check.Conclusion{Outcome: check.Succeeded}}, nil
	})
	before := []activities.OpenRun{{UUID: runUUID, First: "first"}}
	var awaited activities.AwaitRunsInput
	env.OnActivity("AwaitRuns", anything, anything).After(time.Minute).Return(func(_ context.Context, in activities.AwaitRunsInput) error {
		awaited = in
		return nil
	})
	began := env.Now().Truncate(time.Microsecond)
	env.ExecuteWorkflow(workflows.ManualRun, workflows.ManualRunInput{Ref: checkRef, Timeout: time.Minute, Before: before})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(activities.AwaitRunsInput{Ref: checkRef, Runs: before}, awaited); diff != "" || !slices.Contains(*steps, "AwaitRuns") {
		t.Errorf("steps %v, waited for (-want +got):\n%s", *steps, diff)
	}
	if waited := got.Tick.Sub(began); waited < time.Minute || got.Given != nil {
		t.Errorf("the run is of %s after the request, with %v; want it after the wait, with the check of the cluster", waited, got.Given)
	}
	if options.Memo[workflows.MemoOfCluster] != true {
		t.Errorf("memo of the run %v", options.Memo)
	}
}
