package activities_test

import (
	"context"
	"errors"
	"fmt"
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
	open            []ledger.Account
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

func (f *fakeLedger) RecordTicks(_ context.Context, accounts []ledger.Account) error {
	f.ticks = append(f.ticks, append([]ledger.Account{}, accounts...))
	return f.refuse
}

var dueAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAccountOfARun(t *testing.T) {
	kept := &fakeLedger{}
	a, env := worker(&fakeCluster{})
	a.Ledger, a.Build = kept, "v1"
	in := activities.AccountInput{
		Due: activities.Due{Ref: checkRef, Trigger: check.TriggerSchedule, At: dueAt}, UUID: runUUID, RunID: "execution", Revision: 1, Attempts: 2,
		Outcome: check.Outcome{
			Result: check.Failed, Errors: []string{"broken"}, Notes: []string{"repeated"}, Node: "node-1",
			Started: dueAt.Add(1), Judged: dueAt.Add(4),
		},
		Created: dueAt.Add(2), Reported: dueAt.Add(4), Recorded: dueAt.Add(5), SpecHash: "abc",
		Seen: check.Observation{RunningSince: dueAt.Add(3), ExitedAt: dueAt.Add(6), Image: "sha256:1"},
	}
	if _, err := env.ExecuteActivity(a.RecordAccount, in); err != nil {
		t.Fatal(err)
	}
	want := []ledger.Account{{
		Key:  ledger.Key{CheckUID: "u-1", Trigger: ledger.Scheduled, Nominal: dueAt},
		Kind: checkRef.Kind, Namespace: "shop", Name: "cart", Outcome: ledger.Failed, Revision: 1,
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

func TestTicksWithoutARun(t *testing.T) {
	anchor := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return anchor.Add(time.Duration(n) * time.Minute) }
	tests := []struct {
		name                string
		after, before, busy time.Time
		want                map[time.Time]ledger.Outcome
	}{
		{"none", minute(1), minute(2), time.Time{}, map[time.Time]ledger.Outcome{}},
		{"missed", minute(1), minute(4), time.Time{}, map[time.Time]ledger.Outcome{minute(2): ledger.Missed, minute(3): ledger.Missed}},
		{
			"skipped, and then missed", minute(1), minute(5), minute(3),
			map[time.Time]ledger.Outcome{minute(2): ledger.Skipped, minute(3): ledger.Skipped, minute(4): ledger.Missed},
		},
		{"the tick itself", minute(0), minute(1).Add(1), minute(1), map[time.Time]ledger.Outcome{minute(1): ledger.Skipped}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kept := &fakeLedger{}
			a, env := worker(&fakeCluster{})
			a.Ledger = kept
			in := activities.TicksInput{
				Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"}, Anchor: anchor,
				After: tt.after, Before: tt.before, Busy: tt.busy,
			}
			encoded, err := env.ExecuteActivity(a.RecordTicks, in)
			counts := value[activities.TicksResult](t, encoded, err)
			got := map[time.Time]ledger.Outcome{}
			for _, batch := range kept.ticks {
				for _, account := range batch {
					got[account.Nominal] = account.Outcome
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ticks (-want +got):\n%s", diff)
			}
			var want activities.TicksResult
			for _, outcome := range tt.want {
				if outcome == ledger.Skipped {
					want.Skipped++
				} else {
					want.Missed++
				}
			}
			if counts != want {
				t.Errorf("counts are %+v, want %+v", counts, want)
			}
			a.Ledger = nil
			encoded, err = env.ExecuteActivity(a.RecordTicks, in)
			if without := value[activities.TicksResult](t, encoded, err); without != want {
				t.Errorf("counts without a ledger are %+v, want the same", without)
			}
		})
	}
}

func TestTicksThatCannotBeEnteredAreNotCounted(t *testing.T) {
	a, env := worker(&fakeCluster{})
	a.Ledger = &fakeLedger{refuse: errors.New("disk is full")}
	_, err := env.ExecuteActivity(a.RecordTicks, activities.TicksInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1m"}, Anchor: dueAt,
		After: dueAt, Before: dueAt.Add(time.Hour),
	})
	if err == nil {
		t.Error("no error: the ticks would be counted, and never entered")
	}
}

// Ticks of a long time are entered in parts.
func TestVeryManyTicks(t *testing.T) {
	kept := &fakeLedger{}
	a, env := worker(&fakeCluster{})
	a.Ledger = kept
	anchor := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	encoded, err := env.ExecuteActivity(a.RecordTicks, activities.TicksInput{
		Ref: checkRef, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "1s"}, Anchor: anchor,
		After: anchor, Before: anchor.Add(time.Hour),
	})
	if counted := value[activities.TicksResult](t, encoded, err); counted.Missed != 3599 {
		t.Errorf("counts are %+v", counted)
	}
	n := 0
	for _, batch := range kept.ticks {
		n += len(batch)
		if len(batch) > 1000 {
			t.Errorf("%d ticks at a time", len(batch))
		}
	}
	if n != 3599 {
		t.Errorf("%d ticks, want 3599", n)
	}
}
