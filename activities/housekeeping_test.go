package activities_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

type fakeHeart struct{ beats int }

func (f *fakeHeart) Beat(context.Context) { f.beats++ }

func TestHeartbeat(t *testing.T) {
	a, env := worker(&fakeCluster{})
	if _, err := env.ExecuteActivity(a.Heartbeat); err != nil {
		t.Errorf("without a heart: %v", err)
	}
	heart := &fakeHeart{}
	a.Heart = heart
	if _, err := env.ExecuteActivity(a.Heartbeat); err != nil || heart.beats != 1 {
		t.Errorf("%d beats, error %v", heart.beats, err)
	}
}

// openRun is the open account of a run that began so long after it was due.
func openRun(name string, started time.Duration) ledger.Account {
	return ledger.Account{
		Key:  ledger.Key{CheckUID: "u-1", Trigger: ledger.Scheduled, Nominal: dueAt},
		Kind: khv1.KHCheck, Namespace: "shop", Name: name, Due: dueAt, Started: dueAt.Add(started), Attempts: 2,
		WorkflowID: runUUID, RunID: "execution", WorkerBuild: "v1",
	}
}

func TestOpenAccounts(t *testing.T) {
	elsewhere := openRun("elsewhere", 1)
	elsewhere.Namespace = "bank" // fakeCluster watches shop alone
	names := func(accounts []activities.AccountInput) (names []string) {
		for _, account := range accounts {
			names = append(names, account.Ref.Name)
		}
		return names
	}
	tests := []struct {
		name  string
		open  []ledger.Account
		limit int
		want  []string
	}{
		{"none", nil, 3, nil},
		{"those that began before", []ledger.Account{openRun("a", 1), openRun("young", time.Minute), openRun("b", time.Minute-1)}, 3, []string{"a", "b"}},
		{"those whose namespace is watched", []ledger.Account{elsewhere, openRun("a", 1)}, 3, []string{"a"}},
		{"the first, up to the limit", []ledger.Account{openRun("a", 1), elsewhere, openRun("b", 2), openRun("c", 3)}, 2, []string{"a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, env := worker(&fakeCluster{})
			a.Ledger = &fakeLedger{open: tt.open}
			encoded, err := env.ExecuteActivity(a.OpenAccounts, activities.OpenAccountsInput{Before: dueAt.Add(time.Minute), Limit: tt.limit})
			if diff := cmp.Diff(tt.want, names(value[[]activities.AccountInput](t, encoded, err))); diff != "" {
				t.Errorf("accounts of (-want +got):\n%s", diff)
			}
		})
	}
	a, env := worker(&fakeCluster{})
	if encoded, err := env.ExecuteActivity(a.OpenAccounts, activities.OpenAccountsInput{}); err != nil || encoded.HasValue() && len(value[[]activities.AccountInput](t, encoded, err)) != 0 {
		t.Errorf("without a ledger: error %v", err)
	}
	a.Ledger = &fakeLedger{refuse: errors.New("database is locked")}
	if _, err := env.ExecuteActivity(a.OpenAccounts, activities.OpenAccountsInput{}); err == nil {
		t.Error("no error of a ledger that cannot be read")
	}
}

// What is said of an open account is enough to close that very row, of each kind of run.
func TestOpenAccountsAreThoseOfTheirRuns(t *testing.T) {
	kept, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	at := dueAt.Add(123456789) // Temporal's times have nanoseconds, the ledger's microseconds
	refs := map[check.Trigger]check.Ref{
		check.TriggerSchedule: checkRef, check.TriggerFirst: checkRef, check.TriggerJob: jobRef,
		check.TriggerExternal: {Kind: khv1.KHCheck, Namespace: "shop", Name: "no-uid"},
	}
	for trigger, ref := range refs {
		account := activities.AccountOf(activities.Due{Ref: ref, Trigger: trigger, At: at})
		account.WorkflowID, account.Started, account.Attempts = "run of "+string(trigger), at.Add(time.Second), 1
		if err := kept.Begin(t.Context(), account); err != nil {
			t.Fatal(err)
		}
	}
	a, env := worker(&fakeCluster{})
	a.Ledger = kept
	encoded, err := env.ExecuteActivity(a.OpenAccounts, activities.OpenAccountsInput{Before: time.Now().Add(10000 * time.Hour), Limit: 100})
	open := value[[]activities.AccountInput](t, encoded, err)
	if len(open) != len(refs) {
		t.Fatalf("%d open accounts, want %d", len(open), len(refs))
	}
	for _, in := range open {
		if in.UUID != "run of "+string(in.Trigger) || !in.At.Equal(at.Truncate(time.Microsecond)) || in.Outcome.Started.IsZero() || in.Attempts != 1 {
			t.Errorf("open account %+v", in)
		}
		in.Outcome.Result, in.Outcome.Judged = check.InfraFailed, at.Add(time.Minute)
		if _, err := env.ExecuteActivity(a.RecordAccount, in); err != nil {
			t.Error(err)
		}
		rows, err := kept.LastRuns(t.Context(), refs[in.Trigger], 10)
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(outcomesOf(rows)[in.UUID], ledger.InfraFailed) {
			t.Errorf("accounts of %s are %v, want that of the run to be closed", in.Ref, outcomesOf(rows))
		}
	}
	if left, err := kept.OpenRuns(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("%d accounts are open, error %v", len(left), err)
	}
}

func outcomesOf(rows []ledger.Account) map[string]ledger.Outcome {
	outcomes := map[string]ledger.Outcome{}
	for _, row := range rows {
		outcomes[row.WorkflowID] = row.Outcome
	}
	return outcomes
}

// fakeExecutions are workflows that Temporal has a record of, by ID. One that is neither open nor closed cannot be asked for.
type fakeExecutions map[string]activities.Execution

func (f fakeExecutions) Execution(_ context.Context, id string) (activities.Execution, error) {
	execution, known := f[id]
	if known && execution == (activities.Execution{}) {
		return execution, errors.New("unavailable")
	}
	return execution, nil
}

// A workflow that cannot be asked for counts as open, and does not keep the others from being asked for.
func TestClosedWorkflows(t *testing.T) {
	a, env := worker(&fakeCluster{})
	a.Executions = fakeExecutions{"open": {Open: true}, "ended": {Closed: dueAt}, "not-answered": {}}
	encoded, err := env.ExecuteActivity(a.ClosedWorkflows, []string{"not-answered", "gone", "open", "ended"})
	if diff := cmp.Diff([]string{"gone", "ended"}, value[[]string](t, encoded, err)); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
	var many []string
	for n := range 200 {
		many = append(many, fmt.Sprint(n))
	}
	encoded, err = env.ExecuteActivity(a.ClosedWorkflows, many)
	if got := value[[]string](t, encoded, err); len(got) != len(many) {
		t.Errorf("%d of %d are closed", len(got), len(many))
	}
}
