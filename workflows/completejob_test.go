package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

func TestLostJobIsRecordedAndRunsNothing(t *testing.T) {
	metrics := newMetrics(t)
	w := newMeasuredWorld(t, metrics.Temporal)
	since := tick.Add(-time.Minute + 123*time.Nanosecond)
	w.env.ExecuteWorkflow(workflows.CompleteJob, workflows.CompleteJobInput{Ref: jobRef, Since: since})
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
			w.env.ExecuteWorkflow(workflows.CompleteJob, workflows.CompleteJobInput{Ref: jobRef, Since: tick})
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

// A job whose phase was lost after its run had ended gets its phase again, and nothing else.
func TestJobThatHasRunGetsItsPhaseAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		ended, hasRun bool
		steps         []string
	}{
		"Temporal has the run":           {ended: true, steps: []string{"local SetJobPhase"}},
		"the state or the ledger has it": {hasRun: true, steps: []string{"local JobHasRun", "local SetJobPhase"}},
	} {
		t.Run(name, func(t *testing.T) {
			metrics := newMetrics(t)
			w := newMeasuredWorld(t, metrics.Temporal)
			w.hasRun = tt.hasRun
			w.env.ExecuteWorkflow(workflows.CompleteJob, workflows.CompleteJobInput{Ref: jobRef, Since: tick, Ended: tt.ended})
			if err := w.env.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.steps, *w.steps); diff != "" || !cmp.Equal(w.phases, []khv1.JobPhase{khv1.JobCompleted}) {
				t.Errorf("phases %v, steps (-want +got):\n%s", w.phases, diff)
			}
			if runs := counted(t, metrics, "khronicle_runs_total"); len(runs) != 0 {
				t.Errorf("counted %v, want no run", runs)
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
