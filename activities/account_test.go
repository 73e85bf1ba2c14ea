package activities_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// fakeLedger keeps what it is told, or refuses it.
type fakeLedger struct {
	refuse          error
	begun, finished []ledger.Account
	ticks           [][]ledger.Account
	// ran is a tick that has the account of a run.
	ran time.Time
	// last is the newest tick, and first the newest run at once, if they have a name.
	last, first ledger.Account
	// run is the newest run of a tick, where the newest tick has none.
	run      ledger.Account
	evidence []piece
	open     []ledger.Account
	// late is how often RunOf finds nothing before it finds a run.
	late int
}

func (f *fakeLedger) OpenRuns(context.Context) ([]ledger.Account, error) { return f.open, f.refuse }

func (f *fakeLedger) Begin(_ context.Context, account ledger.Account) error {
	f.begun = append(f.begun, account)
	return f.refuse
}

func (f *fakeLedger) Finish(_ context.Context, account ledger.Account) error {
	f.finished = append(f.finished, account)
	return f.refuse
}

func (f *fakeLedger) RecordTicks(_ context.Context, accounts []ledger.Account) ([]ledger.Account, error) {
	f.ticks = append(f.ticks, append([]ledger.Account{}, accounts...))
	return slices.DeleteFunc(slices.Clone(accounts), func(a ledger.Account) bool { return a.Nominal.Equal(f.ran) }), f.refuse
}

func (f *fakeLedger) Last(_ context.Context, _ string, trigger ledger.Trigger, before time.Time) (ledger.Account, bool, error) {
	last := f.last
	if trigger == ledger.First {
		last = f.first
	}
	return last, last.Name != "" && last.Nominal.Before(before), f.refuse
}

func (f *fakeLedger) LastRun(ctx context.Context, uid string, trigger ledger.Trigger, before time.Time) (ledger.Account, bool, error) {
	last, ok, err := f.Last(ctx, uid, trigger, before)
	if trigger == ledger.Scheduled && last.WorkflowID == "" {
		last, ok = f.run, f.run.Name != ""
	}
	return last, ok && last.WorkflowID != "", err
}

func (f *fakeLedger) PutEvidence(_ context.Context, key ledger.Key, e ledger.Evidence) error {
	if f.refuse != nil {
		return f.refuse
	}
	f.evidence = append(f.evidence, piece{key, e})
	return nil
}

func (f *fakeLedger) RunOf(_ context.Context, _ check.Ref, workflowID string) (ledger.Account, bool, error) {
	f.late--
	return f.last, f.last.WorkflowID == workflowID && f.late < 0, f.refuse
}

var dueAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAccountOfARun(t *testing.T) {
	kept := &fakeLedger{}
	a, env := worker(&fakeCluster{})
	a.Ledger, a.Build = kept, "v1"
	in := activities.AccountInput{
		Due: activities.Due{Ref: checkRef, Trigger: check.TriggerSchedule, At: dueAt}, UUID: runUUID, RunID: "execution", Revision: 1, Attempts: 2, InfraFailures: 1,
		Outcome: check.Outcome{
			Result: check.Failed, Errors: []string{"broken"}, Notes: []string{"repeated"}, Node: "node-1",
			Started: dueAt.Add(1), Judged: dueAt.Add(4), Flaky: true,
		},
		Created: dueAt.Add(2), Reported: dueAt.Add(4), Recorded: dueAt.Add(5), SpecHash: "abc",
		Seen: check.Observation{RunningSince: dueAt.Add(3), ExitedAt: dueAt.Add(6), Image: "sha256:1"},
	}
	if _, err := env.ExecuteActivity(a.RecordAccount, in); err != nil {
		t.Fatal(err)
	}
	want := []ledger.Account{{
		Key:  ledger.Key{CheckUID: "u-1", Trigger: ledger.Scheduled, Nominal: dueAt},
		Kind: checkRef.Kind, Namespace: "shop", Name: "cart", Outcome: ledger.Failed, Flaky: true, Revision: 1, InfraFailures: 1,
		Due: dueAt, Started: dueAt.Add(1), PodCreated: dueAt.Add(2), Running: dueAt.Add(3), Reported: dueAt.Add(4), Judged: dueAt.Add(4),
		Recorded: dueAt.Add(5), Exited: dueAt.Add(6), Attempts: 2, Node: "node-1", ImageDigest: "sha256:1", SpecHash: "abc", WorkerBuild: "v1",
		WorkflowID: runUUID, RunID: "execution", Errors: []string{"broken"}, Notes: []string{"repeated"},
	}}
	if diff := cmp.Diff(want, kept.finished); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	for refuse, final := range map[error]bool{
		errors.New("disk is full"): false, fmt.Errorf("finish: %w", ledger.ErrOtherRun): true, fmt.Errorf("finish: %w", ledger.ErrInvalid): true,
	} {
		kept.refuse = refuse
		_, err := env.ExecuteActivity(a.RecordAccount, in)
		var application *temporal.ApplicationError
		if !errors.As(err, &application) || application.NonRetryable() != final {
			t.Errorf("%v: error is %v, want one that is final: %t", refuse, err, final)
		}
	}
}

// A run whose account cannot be opened is run all the same.
func TestPodIsCreatedWhateverTheLedgerSays(t *testing.T) {
	for name, refuse := range map[string]error{"kept": nil, "refused": errors.New("disk is full")} {
		t.Run(name, func(t *testing.T) {
			kept := &fakeLedger{refuse: refuse}
			a, env := worker(&fakeCluster{
				workload:  present(validCheck()),
				createPod: func(pod *corev1.Pod) (*corev1.Pod, error) { return pod, nil },
			})
			a.Ledger = kept
			run := attempt(1)
			run.Due, run.Started = &activities.Due{Ref: checkRef, Trigger: check.TriggerFirst, At: dueAt}, dueAt.Add(1)
			encoded, err := env.ExecuteActivity(a.CreatePod, run)
			if got := value[activities.CreatePodResult](t, encoded, err); got.Failure != nil || got.SpecHash == "" {
				t.Errorf("result is %+v, want a pod", got)
			}
			if len(kept.begun) != 1 || kept.begun[0].Outcome != "" || kept.begun[0].Trigger != ledger.First || kept.begun[0].WorkflowID != runUUID {
				t.Errorf("opened %+v", kept.begun)
			}
		})
	}
}
