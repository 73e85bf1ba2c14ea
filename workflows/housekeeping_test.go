package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/telemetry"
	"github.com/khronicle/khronicle/workflows"
)

// house is a ledger with open accounts, and a Temporal in which some workflows are known to have ended.
type house struct {
	env *testsuite.TestWorkflowEnvironment

	open    []activities.AccountInput
	closed  []string
	listErr error
	askErr  error
	// recordErr is returned for the account of the first check.
	recordErr error
	beatErr   error

	beats    int
	listed   []activities.OpenAccountsInput
	asked    []string
	recorded []activities.AccountInput
}

func newHouse(t *testing.T) *house {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	h := &house{env: suite.NewTestWorkflowEnvironment()}
	h.env.RegisterWorkflow(workflows.Housekeeping)
	h.env.RegisterActivity(&activities.Activities{})
	var a *activities.Activities
	h.env.OnActivity(a.Heartbeat, anything).Return(func(context.Context) error { h.beats++; return h.beatErr })
	h.env.OnActivity(a.OpenAccounts, anything, anything).Return(func(_ context.Context, in activities.OpenAccountsInput) ([]activities.AccountInput, error) {
		h.listed = append(h.listed, in)
		rest := h.open[min(in.Skip, len(h.open)):]
		return slices.Clone(rest[:min(in.Limit, len(rest))]), h.listErr
	})
	h.env.OnActivity(a.ClosedWorkflows, anything, anything).Return(func(_ context.Context, ids []string) ([]string, error) {
		h.asked = append(h.asked, ids...)
		return h.closed, h.askErr
	}).Maybe()
	h.env.OnActivity(a.RecordAccount, anything, anything).Return(func(_ context.Context, in activities.AccountInput) error {
		if h.recordErr != nil && in.Ref.Name == "check-0" {
			return h.recordErr
		}
		h.recorded = append(h.recorded, in)
		h.open = slices.DeleteFunc(h.open, func(open activities.AccountInput) bool { return open.UUID == in.UUID })
		return nil
	}).Maybe()
	return h
}

func (h *house) keep() error {
	h.env.ExecuteWorkflow(workflows.Housekeeping)
	return h.env.GetWorkflowError()
}

// openAccount is the n-th, of a run that was due at noon; keeper is the workflow in which it may wait.
func openAccount(n int) (account activities.AccountInput, keeper string) {
	ref := checkRef
	ref.Name = fmt.Sprintf("check-%d", n)
	at := due.Add(time.Duration(n) * time.Second)
	return activities.AccountInput{
		Due: activities.Due{Ref: ref, Trigger: check.TriggerFirst, At: at}, UUID: fmt.Sprintf("run-%d", n), RunID: "execution", Attempts: 1,
		Outcome: check.Outcome{Started: at.Add(time.Second)},
	}, fmt.Sprintf("account/KHCheck/shop/check-%d/first/%d/0", n, at.UnixNano())
}

func TestHousekeepingBeats(t *testing.T) {
	h := newHouse(t)
	now := h.env.Now()
	if err := h.keep(); err != nil || h.beats != 1 {
		t.Errorf("%d beats, error %v", h.beats, err)
	}
	want := []activities.OpenAccountsInput{{Before: now.Add(-2 * time.Minute), Limit: 100}}
	if diff := cmp.Diff(want, h.listed); diff != "" || h.asked != nil {
		t.Errorf("asked for %q; looked for (-want +got):\n%s", h.asked, diff)
	}
}

// The account of a run is closed when neither the run nor a keeper of its account is open.
func TestHousekeepingClosesTheAccountsOfLostRuns(t *testing.T) {
	tests := []struct {
		name   string
		closed func(run, keeper string) []string
		want   bool
	}{
		{"both are over", func(run, keeper string) []string { return []string{run, keeper} }, true},
		{"the run is open, or nobody knows", func(_, keeper string) []string { return []string{keeper} }, false},
		{"the account waits, or nobody knows", func(run, _ string) []string { return []string{run} }, false},
		{"nobody knows anything", func(string, string) []string { return nil }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			account, keeper := openAccount(1)
			_, other := openAccount(2)
			h.open, h.closed = []activities.AccountInput{account}, append(tt.closed(account.UUID, keeper), "run-2", other)
			if err := h.keep(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{account.UUID, keeper}, h.asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
			if !tt.want {
				if len(h.recorded) != 0 {
					t.Errorf("recorded %+v, want nothing", h.recorded)
				}
				return
			}
			want := account
			want.Outcome = check.Outcome{
				Result: check.InfraFailed, Started: account.Outcome.Started,
				Errors: []string{"Check execution error: shop/check-1: the run was lost: Temporal has no record of it any more"},
				Final:  true,
			}
			if diff := cmp.Diff([]activities.AccountInput{want}, h.recorded); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHousekeepingOfManyAccounts(t *testing.T) {
	h := newHouse(t)
	var lost []string
	for n := range 250 {
		account, keeper := openAccount(n)
		h.open = append(h.open, account)
		if n%3 == 0 {
			h.closed, lost = append(h.closed, account.UUID, keeper), append(lost, account.UUID)
		}
	}
	slices.Reverse(h.closed)
	if err := h.keep(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, account := range h.recorded {
		got = append(got, account.UUID)
	}
	if diff := cmp.Diff(lost, got); diff != "" {
		t.Errorf("accounts closed (-want +got):\n%s", diff)
	}
}

// Whatever fails, the heart beats, nothing is closed that should not be, and the failure is seen.
func TestHousekeepingThatFails(t *testing.T) {
	down := errors.New("down")
	tests := []struct {
		name     string
		fail     func(h *house)
		recorded int
	}{
		{"the ledger cannot be read", func(h *house) { h.listErr = down }, 0},
		{"Temporal cannot be asked", func(h *house) { h.askErr = down }, 0},
		{"one account cannot be entered", func(h *house) { h.recordErr = down }, 0},
		{"one account is refused", func(h *house) {
			h.recordErr = temporal.NewNonRetryableApplicationError("the ledger refuses", activities.AccountRefused, nil)
		}, 1},
		{"the heart does not beat", func(h *house) { h.beatErr = down }, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			for n := range 2 {
				account, keeper := openAccount(n)
				h.open, h.closed = append(h.open, account), append(h.closed, account.UUID, keeper)
			}
			tt.fail(h)
			if err := h.keep(); err == nil {
				t.Error("no error")
			}
			if h.beats != 1 || len(h.recorded) != tt.recorded {
				t.Errorf("%d beats, %d accounts recorded; want 1 and %d", h.beats, len(h.recorded), tt.recorded)
			}
		})
	}
}

// The ledger keeps microseconds: what it says of a run must lead to the workflow in which the run's account waits.
func TestKeeperOfAnAccountIsFoundByWhatTheLedgerKeeps(t *testing.T) {
	w := newWorld(t)
	w.ledgerOf(1000)
	keeper := ""
	w.env.OnWorkflow(workflows.KeepAccount, anything, anything).Return(nil)
	w.env.SetOnChildWorkflowStartedListener(func(info *workflow.Info, _ workflow.Context, _ converter.EncodedValues) {
		keeper = info.WorkflowExecution.ID
	})
	w.reportAfter(5 * time.Second)
	at := due.Add(123456 * time.Microsecond) // as ticks give it to their runs
	if _, err := w.executeInput(t, workflows.CheckRunInput{Ref: checkRef, Trigger: workflows.TriggerFirst, Timeout: time.Minute, Due: at}); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	h.open = []activities.AccountInput{{Due: activities.Due{Ref: checkRef, Trigger: check.TriggerFirst, At: at.Truncate(time.Microsecond)}, UUID: runUUID}}
	h.closed = []string{runUUID}
	if err := h.keep(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{runUUID, keeper}, h.asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

// Ticks at which no run started are counted as they are entered, as Prometheus shows it.
func TestTicksWithoutARunAreCounted(t *testing.T) {
	metrics, err := telemetry.NewMetrics(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	failures := 2
	for _, result := range []activities.TicksResult{{Skipped: 3, Missed: 2}, {Missed: 5, Paused: 1}} {
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
		suite.SetMetricsHandler(metrics.Temporal)
		env := suite.NewTestWorkflowEnvironment()
		env.RegisterActivity(&activities.Activities{})
		var a *activities.Activities
		env.OnActivity(a.RecordTicks, anything, anything).Return(func(context.Context, activities.TicksInput) (activities.TicksResult, error) {
			if failures--; failures >= 0 {
				return activities.TicksResult{Skipped: 100}, errors.New("database is locked") // what was not entered is not counted
			}
			return result, nil
		})
		env.ExecuteWorkflow(workflows.KeepAccount, workflows.KeepAccountInput{Ticks: &activities.TicksInput{Ref: checkRef}})
		if err := env.GetWorkflowError(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{"KHCheck shop/cart shop skipped": 3, "KHCheck shop/cart shop missed": 7, "KHCheck shop/cart shop paused": 1}
	if diff := cmp.Diff(want, counted(t, metrics, "khronicle_ticks_without_run_total")); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// counted returns a counter by workload, check, namespace and outcome.
func counted(t *testing.T, metrics telemetry.Metrics, name string) map[string]float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			values[labels["workload"]+" "+labels["check"]+" "+labels["check_namespace"]+" "+labels["outcome"]] = metric.GetCounter().GetValue()
		}
	}
	return values
}

// The due time goes with the outcome, but for a run that was lost: when that had started, nobody knows.
func TestOutcomeGoesWithItsDueTime(t *testing.T) {
	since := due.Add(-time.Minute)
	for name, tt := range map[string]struct {
		in   workflows.CheckRunInput
		want time.Time
	}{
		"due":                {workflows.CheckRunInput{Ref: checkRef, Trigger: workflows.TriggerSchedule, Timeout: time.Minute, Due: due}, due},
		"of earlier version": {workflows.CheckRunInput{Ref: checkRef, Trigger: workflows.TriggerSchedule, Timeout: time.Minute}, time.Time{}},
		"lost":               {workflows.CheckRunInput{Ref: jobRef, Trigger: workflows.TriggerJob, Timeout: time.Minute, Due: since, LostSince: &since}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ledgerOf(0)
			w.reportAfter(5 * time.Second)
			if _, err := w.executeInput(t, tt.in); err != nil {
				t.Fatal(err)
			}
			if len(w.dues) != 1 || !w.dues[0].Equal(tt.want) {
				t.Errorf("recorded with due times %v, want %v", w.dues, tt.want)
			}
		})
	}
}
