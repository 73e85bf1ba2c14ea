package workflows_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/internal/telemetry"
	"github.com/khronicle/khronicle/workflows"
)

var due = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (w *world) executeDue(t *testing.T) (check.Outcome, error) {
	t.Helper()
	return w.executeInput(t, workflows.CheckRunInput{Ref: checkRef, Trigger: workflows.TriggerSchedule, Timeout: time.Minute, Due: due})
}

// ledgerOf makes the ledger of a world, which fails so often before it takes an account.
func (w *world) ledgerOf(failures int) *[]activities.AccountInput {
	var a *activities.Activities
	accounts := &[]activities.AccountInput{}
	w.env.RegisterWorkflow(workflows.KeepAccount)
	w.env.OnActivity(a.RecordAccount, anything, anything).Return(func(_ context.Context, in activities.AccountInput) error {
		if failures--; failures >= 0 {
			return errors.New("database is locked")
		}
		*accounts = append(*accounts, in)
		return nil
	})
	return accounts
}

func TestAccountOfARun(t *testing.T) {
	w := newWorld(t)
	w.create = func(activities.Run) (activities.CreatePodResult, error) {
		return activities.CreatePodResult{At: due.Add(time.Second), SpecHash: "abc"}, nil
	}
	accounts := w.ledgerOf(0)
	w.reportAfter(5*time.Second, "broken")
	began := w.env.Now().UTC()
	if _, err := w.executeDue(t); err != nil {
		t.Fatal(err)
	}
	if len(*accounts) != 1 {
		t.Fatalf("%d accounts, want 1", len(*accounts))
	}
	got := (*accounts)[0]
	want := activities.Due{Ref: checkRef, Trigger: workflows.TriggerSchedule, At: due}
	if got.Due != want || got.UUID != runUUID || got.Attempts != 1 || got.SpecHash != "abc" || got.Revision != 0 {
		t.Errorf("account is %+v", got)
	}
	if got.Outcome.Result != check.Failed || !cmp.Equal(got.Outcome.Errors, []string{"broken"}) {
		t.Errorf("outcome is %+v", got.Outcome)
	}
	if !got.Outcome.Started.Equal(began) || !got.Reported.Equal(began.Add(5*time.Second)) || got.Recorded.Before(got.Reported) || !got.Created.Equal(due.Add(time.Second)) {
		t.Errorf("times: started %s, reported %s, recorded %s, pod created %s", got.Outcome.Started, got.Reported, got.Recorded, got.Created)
	}
	if run := w.created[0]; run.Due == nil || *run.Due != want {
		t.Errorf("the creation of the pod is told that the run was due %v", run.Due)
	}
}

func TestAccountOfARunWhoseReportIsFasterThanTheNewsOfItsPod(t *testing.T) {
	w := newWorld(t)
	accounts := w.ledgerOf(0)
	w.reportAfter(100 * time.Millisecond)
	if _, err := w.executeDue(t); err != nil {
		t.Fatal(err)
	}
	if node := (*accounts)[0].Outcome.Node; node != "node-1" {
		t.Errorf("node is %q, want that of the pod", node)
	}
}

// When nobody is there to cancel the run of a check that is deleted, its pod goes with the check. That is no failure of the check.
func TestCheckThatIsDeletedWhileNoStarterRuns(t *testing.T) {
	removed := func() (check.Observation, error) { return check.Observation{Started: true, Gone: true}, nil }
	given := &activities.Given{Workload: check.Workload{Ref: checkRef, Timeout: "1m"}}
	tests := []struct {
		name  string
		setup func(w *world)
		given *activities.Given
		// want are the results that the account had, in turn.
		want []check.Result
		note string
	}{
		{
			name: "with its pod", setup: func(w *world) { w.gone, w.exit = true, removed },
			want: []check.Result{check.Canceled}, note: "without that: failed: Check execution error: pod deleted unexpectedly",
		},
		{
			name: "its pod reports that it was told to go", setup: func(w *world) { w.gone = true; w.reportAfter(5*time.Second, "interrupted") },
			want: []check.Result{check.Canceled}, note: "without that: failed: interrupted",
		},
		{
			name: "after a provisional outcome",
			setup: func(w *world) {
				failure := check.CreateFailed("quota exceeded")
				w.create = func(activities.Run) (activities.CreatePodResult, error) {
					w.gone = len(w.created) == 3
					return activities.CreatePodResult{Failure: &failure}, nil
				}
			},
			want: []check.Result{check.Canceled}, note: "without that: infra-failed",
		},
		{
			name: "and the report comes late",
			setup: func(w *world) {
				w.gone, w.exit = true, removed
				w.whileCleaning = func() { w.env.SignalWorkflow(workflows.ReportSignal, status.NewReport(nil)) }
			},
			want: []check.Result{check.Canceled, check.Canceled}, note: "the report came late",
		},
		{
			name: "after its outcome was recorded, when the report comes late",
			setup: func(w *world) {
				w.exit = removed
				w.whileCleaning = func() {
					w.gone = true
					w.env.SignalWorkflow(workflows.ReportSignal, status.NewReport(nil))
				}
			},
			want: []check.Result{check.Failed, check.Succeeded}, note: "the report came late",
		},
		{
			name: "the run is a program's", setup: func(w *world) { w.gone = true; w.reportAfter(5 * time.Second) }, given: given,
			want: []check.Result{check.Succeeded},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			metrics, err := telemetry.NewMetrics(slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			w := newMeasuredWorld(t, metrics.Temporal)
			accounts := w.ledgerOf(0)
			w.keepsEvidence(activities.EvidenceResult{}, nil)
			tt.setup(w)
			_, err = w.executeInput(t, workflows.CheckRunInput{
				Ref: checkRef, Trigger: workflows.TriggerSchedule, Timeout: time.Minute, Due: due, Given: tt.given,
			})
			last := tt.want[len(tt.want)-1]
			if temporal.IsCanceledError(err) != (last == check.Canceled) || err != nil && last != check.Canceled {
				t.Errorf("run ends with %v, want it to be %s", err, last)
			}
			var got []check.Result
			for _, account := range *accounts {
				got = append(got, account.Outcome.Result)
				if account.Outcome.Result == check.Canceled && len(account.Outcome.Errors) > 0 {
					t.Errorf("account has errors %q, want none", account.Outcome.Errors)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatalf("results in the account (-want +got):\n%s", diff)
			}
			if notes := strings.Join((*accounts)[len(got)-1].Outcome.Notes, "\n"); !strings.Contains(notes, tt.note) {
				t.Errorf("notes are %q, want one with %q", notes, tt.note)
			}
			if diff := cmp.Diff(map[string]float64{"KHCheck shop/cart shop " + string(last): 1}, counted(t, metrics, "khronicle_runs_total")); diff != "" {
				t.Errorf("counted runs (-want +got):\n%s", diff)
			}
		})
	}
}

// While the ledger is down, the run ends, and its account waits in a workflow of its own.
func TestLedgerThatIsDown(t *testing.T) {
	w := newWorld(t)
	w.ledgerOf(1000)
	var waiting []workflows.KeepAccountInput
	w.env.OnWorkflow(workflows.KeepAccount, anything, anything).Return(func(_ workflow.Context, in workflows.KeepAccountInput) error {
		waiting = append(waiting, in)
		return nil
	})
	w.reportAfter(5 * time.Second)
	outcome, err := w.executeDue(t)
	if err != nil || !outcome.OK() {
		t.Fatalf("outcome is %+v, error %v; want the run to end as if the ledger were there", outcome, err)
	}
	if len(waiting) != 1 || waiting[0].Run == nil || waiting[0].Run.Outcome.Result != check.Succeeded || waiting[0].Run.At != due {
		t.Errorf("accounts that wait: %+v, want that of the run", waiting)
	}
}

// An account that the ledger will never take is noted, and does not wait.
func TestLedgerThatRefuses(t *testing.T) {
	w := newWorld(t)
	var a *activities.Activities
	w.env.OnActivity(a.RecordAccount, anything, anything).Return(temporal.NewNonRetryableApplicationError("the ledger refuses", activities.AccountRefused, nil))
	w.reportAfter(5 * time.Second)
	outcome, err := w.executeDue(t) // starting a KeepAccount would panic: it is not registered
	if err != nil || !outcome.OK() || !cmp.Equal(outcome.Notes, []string{"the ledger refuses"}) {
		t.Errorf("outcome is %+v, error %v", outcome, err)
	}
}

// A waiting account is entered as soon as the ledger is back.
func TestKeepAccountTriesUntilItIsDone(t *testing.T) {
	w := newWorld(t)
	accounts := w.ledgerOf(5)
	in := &activities.AccountInput{Due: activities.Due{Ref: checkRef, At: due}, UUID: runUUID}
	w.env.ExecuteWorkflow(workflows.KeepAccount, workflows.KeepAccountInput{Run: in})
	if err := w.env.GetWorkflowError(); err != nil || len(*accounts) != 1 || (*accounts)[0].UUID != runUUID {
		t.Errorf("accounts are %+v, error %v", *accounts, err)
	}
}

func TestLateReportAmendsTheAccount(t *testing.T) {
	w := newWorld(t)
	accounts := w.ledgerOf(0)
	w.exit, w.exitAfter = running, time.Minute
	w.whileCleaning = func() { w.env.SignalWorkflow(workflows.ReportSignal, status.NewReport(nil)) }
	if _, err := w.executeDue(t); err != nil {
		t.Fatal(err)
	}
	var results []check.Result
	var revisions []int
	for _, account := range *accounts {
		results, revisions = append(results, account.Outcome.Result), append(revisions, account.Revision)
	}
	if !cmp.Equal(results, []check.Result{check.TimedOut, check.Succeeded}) || !cmp.Equal(revisions, []int{0, 1}) {
		t.Errorf("accounts %v with revisions %v, want the second to amend the first", results, revisions)
	}
}

// runTickAt executes one tick and returns the accounts of ticks at which no run started.
func runTickAt(t *testing.T, at time.Time, previous *workflows.ScheduledCheckResult, probe error, change ...func(*workflows.ScheduledCheckInput)) (workflows.ScheduledCheckResult, []activities.TicksInput, []time.Time) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(at)
	if previous != nil {
		env.SetLastCompletionResult(*previous)
	}
	env.RegisterWorkflow(workflows.CheckRun)
	env.RegisterWorkflow(workflows.KeepAccount)
	env.RegisterActivity(&activities.Activities{})
	var dues []time.Time
	env.OnWorkflow(workflows.CheckRun, anything, anything).Return(func(_ workflow.Context, in workflows.CheckRunInput) (check.Outcome, error) {
		dues = append(dues, in.Due.UTC())
		return check.Outcome{Result: check.Succeeded}, nil
	}).Maybe()
	var ticks []activities.TicksInput
	env.OnWorkflow(workflows.KeepAccount, anything, anything).Return(func(_ workflow.Context, in workflows.KeepAccountInput) error {
		ticks = append(ticks, *in.Ticks)
		return nil
	}).Maybe()
	in := tickInput()
	for _, c := range change {
		c(&in)
	}
	env.OnSignalExternalWorkflow(anything, in.FirstRun, "", anything, anything).Return(probe).Maybe()
	env.ExecuteWorkflow(workflows.ScheduledCheck, in)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	var result workflows.ScheduledCheckResult
	if err := env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	return result, ticks, dues
}

// Of every due time since the previous tick, the next tick says what became of it.
func TestTicksBetweenTwoRuns(t *testing.T) {
	const interval = 2 * time.Minute // of tickInput
	tests := []struct {
		name     string
		at       time.Duration // since the anchor
		previous *workflows.ScheduledCheckResult
		probe    error
		due      time.Duration // of the run; 0 for none
		after    time.Duration
		before   time.Duration // 0: no ticks
		busy     time.Duration
	}{
		{name: "first tick, on time", at: interval, probe: errNotFound, due: interval},
		{
			name: "next tick, on time", at: 2 * interval, due: 2 * interval,
			previous: &workflows.ScheduledCheckResult{FirstRunOver: true, Nominal: anchor.Add(interval), Ended: anchor.Add(interval + 10*time.Second)},
		},
		{
			name: "after a long run", at: 4*interval + time.Second, due: 4 * interval, after: interval, before: 4 * interval, busy: 3*interval + time.Second,
			previous: &workflows.ScheduledCheckResult{FirstRunOver: true, Nominal: anchor.Add(interval), Ended: anchor.Add(3*interval + time.Second)},
		},
		{
			name: "after an outage at the start", at: 5*interval + 30*time.Second, probe: errNotFound, due: 5 * interval, after: 0, before: 5 * interval,
		},
		{name: "while the first run is open", at: interval, probe: nil, after: 0, before: interval + 1, busy: interval},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result, ticks, dues := runTickAt(t, anchor.Add(tt.at), tt.previous, tt.probe)
			var wantDues []time.Time
			if tt.due != 0 {
				wantDues = []time.Time{anchor.Add(tt.due)}
			}
			if diff := cmp.Diff(wantDues, dues); diff != "" {
				t.Errorf("runs were due (-want +got):\n%s", diff)
			}
			if tt.due != 0 && result.Ended.IsZero() {
				t.Error("the result does not say when the run ended")
			}
			var want []activities.TicksInput
			if tt.before != 0 {
				in := activities.TicksInput{
					Ref: checkRef, Trigger: workflows.TriggerSchedule, Schedule: tickInput().Schedule, Anchor: anchor,
					After: anchor.Add(tt.after), Before: anchor.Add(tt.before),
				}
				in.SinceFirst = tt.probe != nil
				if tt.busy != 0 {
					in.Busy = anchor.Add(tt.busy)
				}
				want = append(want, in)
			}
			if diff := cmp.Diff(want, ticks, cmp.Transformer("utc", time.Time.UTC)); diff != "" {
				t.Errorf("ticks without a run (-want +got):\n%s", diff)
			}
		})
	}
}

// A tick of a suspended check runs nothing and asks for nothing; it says that it, and what was due before it, was paused.
func TestTickOfASuspendedCheck(t *testing.T) {
	const interval = 2 * time.Minute
	previous := &workflows.ScheduledCheckResult{Nominal: anchor.Add(interval)}
	paused := func(in *workflows.ScheduledCheckInput) { in.Paused, in.FirstRun = true, "" }
	result, ticks, dues := runTickAt(t, anchor.Add(3*interval), previous, nil, paused)
	want := []activities.TicksInput{{
		Ref: checkRef, Trigger: workflows.TriggerSchedule, Schedule: tickInput().Schedule, Anchor: anchor,
		After: anchor.Add(interval), Before: anchor.Add(3*interval + 1), Paused: true,
	}}
	if diff := cmp.Diff(want, ticks, cmp.Transformer("utc", time.Time.UTC)); diff != "" {
		t.Errorf("ticks without a run (-want +got):\n%s", diff)
	}
	if len(dues) != 0 || result.Runs != 0 || result.Skipped != 1 || !result.Nominal.Equal(anchor.Add(3*interval)) {
		t.Errorf("runs %v, result %+v", dues, result)
	}
}
