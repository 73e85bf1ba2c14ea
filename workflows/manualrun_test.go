package workflows_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
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

func TestLostJobIsRecordedAndRunsNothing(t *testing.T) {
	metrics := newMetrics(t)
	w := newMeasuredWorld(t, metrics.Temporal)
	since := tick.Add(-time.Minute + 123*time.Nanosecond)
	w.env.ExecuteWorkflow(workflows.LostJob, workflows.LostJobInput{Ref: jobRef, Since: since})
	if err := w.env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"Job execution error: shop/cart: the run was lost: Temporal has no record of it any more"}}
	if diff := cmp.Diff(want, w.texts()); diff != "" {
		t.Errorf("recorded errors (-want +got):\n%s", diff)
	}
	got := w.outcomes[0] // nobody knows the scheduled time of the run; an outcome that was recorded meanwhile stays
	if got.Conclusion.Outcome != check.InfraFailed || !got.Conclusion.Started.Equal(since) || !got.Tick.IsZero() || got.UUID != "" {
		t.Errorf("recorded %+v", got)
	}
	if diff := cmp.Diff([]khv1.JobPhase{khv1.JobCompleted}, w.phases); diff != "" || len(w.created) != 0 {
		t.Errorf("%d pods, phases (-want +got):\n%s", len(w.created), diff)
	}
	key := activities.RecordKey{Ref: jobRef, Trigger: check.TriggerJob, Tick: tick.Add(-time.Minute)}
	if len(w.records) != 1 || !cmp.Equal(w.records[0].RecordKey, key, sameInstant) || w.records[0].Conclusion.Outcome != check.InfraFailed {
		t.Errorf("records are %+v, want one of %+v", w.records, key)
	}
	if got := counted(t, metrics, "khronicle_runs_total")["KHJob shop/ shop infra-failed"]; got != 1 {
		t.Errorf("counted %v lost runs, want 1", got)
	}
}

// A job whose run was lost is completed although the ledger has a record of it, or is down for a while.
func TestLostJobIsCompletedWhateverTheLedgerSays(t *testing.T) {
	for name, ledger := range map[string]func(activities.RecordInput) error{
		"has a record of the run": ledgerRefuses,
		"is down for a while":     failing(12),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ledger = ledger
			w.env.ExecuteWorkflow(workflows.LostJob, workflows.LostJobInput{Ref: jobRef, Since: tick})
			if err := w.env.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			if !cmp.Equal(w.phases, []khv1.JobPhase{khv1.JobCompleted}) || len(w.outcomes) != 1 {
				t.Errorf("phases %v, outcomes %v", w.phases, w.texts())
			}
			if slices.Contains(*w.steps, "RecordRun") == (name == "has a record of the run") {
				t.Errorf("steps are %q", *w.steps)
			}
		})
	}
}

// failing makes a ledger that fails this often before it takes a record.
func failing(times int) func(activities.RecordInput) error {
	return func(in activities.RecordInput) error {
		if times--; times >= 0 {
			return ledgerDown(in)
		}
		return nil
	}
}
