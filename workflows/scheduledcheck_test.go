package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

var anchor = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func tickInput() workflows.ScheduledCheckInput {
	return workflows.ScheduledCheckInput{
		Ref: checkRef, Trigger: workflows.TriggerSchedule, Timeout: time.Minute, FirstRun: workflows.FirstRunID(checkRef),
		Schedule: check.ScheduleSpec{RunInterval: "2m"}, Anchor: anchor,
	}
}

// runTick executes one tick that starts a moment after its due time. probe is what asking for the first run gives.
func runTick(t *testing.T, in workflows.ScheduledCheckInput, previous *workflows.ScheduledCheckResult, probe error, outcome check.Outcome) (workflows.ScheduledCheckResult, []string) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(anchor.Add(2*time.Minute + 80*time.Millisecond))
	if previous != nil {
		env.SetLastCompletionResult(*previous)
	}
	env.RegisterWorkflow(workflows.CheckRun)
	env.RegisterWorkflow(workflows.KeepAccount)
	env.OnWorkflow(workflows.KeepAccount, anything, anything).Return(nil).Maybe()
	var runs []string
	env.OnWorkflow(workflows.CheckRun, anything, anything).Return(func(ctx workflow.Context, _ workflows.CheckRunInput) (check.Outcome, error) {
		runs = append(runs, workflow.GetInfo(ctx).WorkflowExecution.ID)
		return outcome, nil
	}).Maybe()
	env.OnSignalExternalWorkflow(anything, in.FirstRun, "", anything, anything).Return(probe).Maybe()
	env.ExecuteWorkflow(workflows.ScheduledCheck, in)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	var result workflows.ScheduledCheckResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	return result, runs
}

var errNotFound = errors.New("no such workflow")

func TestTickRunsOnceUnderANewUUID(t *testing.T) {
	result, runs := runTick(t, tickInput(), nil, errNotFound, check.Outcome{Result: check.Failed})
	if len(runs) != 1 {
		t.Fatalf("%d runs, want 1", len(runs))
	}
	if id, err := uuid.Parse(runs[0]); err != nil || id.Version() != 4 {
		t.Errorf("workflow ID of the run is %q, want a random UUID", runs[0])
	}
	result.Ended = time.Time{}
	want := workflows.ScheduledCheckResult{Runs: 1, FirstRunOver: true, Nominal: anchor.Add(2 * time.Minute), Result: check.Failed}
	if result != want {
		t.Errorf("result is %+v, want %+v", result, want)
	}
}

func TestTickIsSkippedWhileTheFirstRunIsOpen(t *testing.T) {
	result, runs := runTick(t, tickInput(), &workflows.ScheduledCheckResult{Skipped: 1}, nil, check.Outcome{})
	if len(runs) != 0 || result.Skipped != 2 || result.FirstRunOver {
		t.Errorf("%d runs, result %+v; want the second skip", len(runs), result)
	}
}

func TestTickDoesNotAskForAFirstRunThatIsOver(t *testing.T) {
	previous := workflows.ScheduledCheckResult{Runs: 4, Skipped: 1, FirstRunOver: true, Result: check.Failed}
	result, runs := runTick(t, tickInput(), &previous, nil, check.Outcome{Result: check.Succeeded})
	if len(runs) != 1 || result.Runs != 5 || result.Skipped != 1 || result.Result != check.Succeeded {
		t.Errorf("%d runs, result %+v; want the fifth run", len(runs), result)
	}
}

func TestFirstRunHasNoSchedule(t *testing.T) {
	in := workflows.ScheduledCheckInput{Ref: checkRef, Trigger: workflows.TriggerFirst, Timeout: time.Minute}
	result, runs := runTick(t, in, nil, nil, check.Outcome{Result: check.Succeeded})
	if len(runs) != 1 || result.Runs != 1 || !result.Nominal.IsZero() {
		t.Errorf("%d runs, result %+v; want one run without a due time", len(runs), result)
	}
}

func TestCheckOfScheduleIsTheInverseOfScheduledCheckID(t *testing.T) {
	tests := []struct {
		id, namespace, name string
		ok                  bool
	}{
		{id: workflows.ScheduledCheckID("shop", "cart"), namespace: "shop", name: "cart", ok: true},
		{id: workflows.FirstRunID(checkRef)},
		{id: workflows.JobRunID(jobRef)},
		{id: "khcheck/shop"},
		{id: runUUID},
	}
	for _, tt := range tests {
		namespace, name, ok := workflows.CheckOfSchedule(tt.id)
		if ok != tt.ok || ok && (namespace != tt.namespace || name != tt.name) {
			t.Errorf("CheckOfSchedule(%q) = %q, %q, %t", tt.id, namespace, name, ok)
		}
	}
}

// A program that asks for a run learns its UUID and outcome.
func TestRunThatAProgramAskedFor(t *testing.T) {
	in := workflows.ScheduledCheckInput{
		Ref: checkRef, Trigger: workflows.TriggerExternal, Timeout: time.Minute, RunUUID: runUUID,
		Given: &activities.Given{Workload: check.Workload{Ref: checkRef}},
	}
	outcome := check.Outcome{Result: check.Failed, Errors: []string{"broken"}, Reported: true}
	result, runs := runTick(t, in, nil, nil, outcome)
	if diff := cmp.Diff([]string{runUUID}, runs); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	result.Ended = time.Time{}
	if diff := cmp.Diff(workflows.ScheduledCheckResult{Runs: 1, FirstRunOver: true, Result: check.Failed, RunUUID: runUUID, Outcome: &outcome}, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestExternalRunsOfACheckAndAJobOfOneNameDiffer(t *testing.T) {
	if a, b := workflows.ExternalRunID(checkRef), workflows.ExternalRunID(jobRef); a == b {
		t.Errorf("both have workflow ID %q", a)
	}
	if _, _, ok := workflows.CheckOfSchedule(workflows.ExternalRunID(checkRef)); ok {
		t.Error("an external run is taken for a schedule")
	}
}
