package activities_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// finishedRun is what is known of a run that failed.
func finishedRun() activities.RecordInput {
	return activities.RecordInput{
		RecordKey: activities.RecordKey{Ref: checkRef, Trigger: check.TriggerSchedule, Tick: tick}, UUID: runUUID, RunID: "execution", Revision: 1,
		Attempts: 2, InfraFailures: 1, Queued: time.Second, Deadline: tick.Add(time.Minute),
		Conclusion: check.Conclusion{
			Outcome: check.Failed, Errors: []string{"broken"}, Notes: []string{"repeated"}, Node: "node-1",
			Started: tick.Add(1), Concluded: tick.Add(4), Flaky: true,
		},
		Created: tick.Add(2), Reported: tick.Add(4), Recorded: tick.Add(5), SpecHash: "abc",
		Seen: check.Observation{RunningSince: tick.Add(3), ExitedAt: tick.Add(6), Image: "sha256:1"},
	}
}

func TestRecordOfARun(t *testing.T) {
	kept := &fakeLedger{}
	a, env := worker(&fakeCluster{})
	a.Ledger, a.Build = kept, "v1"
	if _, err := env.ExecuteActivity(a.RecordRun, finishedRun()); err != nil {
		t.Fatal(err)
	}
	want := []ledger.Record{{
		Key:  ledger.Key{CheckUID: "u-1", Trigger: check.TriggerSchedule, Tick: tick},
		Kind: checkRef.Kind, Namespace: "shop", Name: "cart", Outcome: check.Failed, Flaky: true, Revision: 1, InfraFailures: 1,
		Deadline: tick.Add(time.Minute), Queued: time.Second,
		Started: tick.Add(1), PodCreated: tick.Add(2), Running: tick.Add(3), Reported: tick.Add(4), Concluded: tick.Add(4),
		Recorded: tick.Add(5), Exited: tick.Add(6), Attempts: 2, Node: "node-1", ImageDigest: "sha256:1", SpecHash: "abc", WorkerBuild: "v1",
		WorkflowID: runUUID, RunID: "execution", Errors: []string{"broken"}, Notes: []string{"repeated"},
	}}
	if diff := cmp.Diff(want, kept.finished); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestRecordOfARunWithoutUIDIsNamedAfterIt(t *testing.T) {
	kept := &fakeLedger{}
	a, env := worker(&fakeCluster{})
	a.Ledger = kept
	in := finishedRun()
	in.Ref.UID = ""
	if _, err := env.ExecuteActivity(a.RecordRun, in); err != nil || kept.finished[0].CheckUID != "KHCheck/shop/cart" {
		t.Errorf("error %v, UID %q, want kind and name", err, kept.finished[0].CheckUID)
	}
}

// A record that the ledger will never take is not sent again.
func TestRecordThatTheLedgerRefusesIsNotSentAgain(t *testing.T) {
	for refuse, final := range map[error]bool{
		errors.New("disk is full"): false, fmt.Errorf("finish: %w", ledger.ErrOtherRun): true, fmt.Errorf("finish: %w", ledger.ErrInvalid): true,
		ledger.ErrUnavailable: false,
	} {
		a, env := worker(&fakeCluster{})
		a.Ledger = &fakeLedger{refuse: refuse}
		_, err := env.ExecuteActivity(a.RecordRun, finishedRun())
		var application *temporal.ApplicationError
		if !errors.As(err, &application) || application.NonRetryable() != final {
			t.Errorf("%v: error is %v, want one that is final: %t", refuse, err, final)
		}
	}
	a, env := worker(&fakeCluster{})
	if _, err := env.ExecuteActivity(a.RecordRun, finishedRun()); err != nil {
		t.Errorf("error %v without a ledger, want none", err)
	}
}

// A pod is created at once, whatever the ledger does meanwhile.
func TestOpeningTheRecordNeverDelaysThePod(t *testing.T) {
	for name, kept := range map[string]*fakeLedger{"takes it": {}, "refuses": {refuse: errors.New("disk is full")}, "hangs": {hang: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(&fakeCluster{
					workload:  present(validCheck()),
					createPod: func(pod *corev1.Pod) (*corev1.Pod, error) { return pod, nil },
				})
				a.Ledger, a.Build = kept, "v1"
				began := time.Now()
				encoded, err := env.ExecuteActivity(a.CreatePod, attempt(2))
				if got := value[activities.CreatePodResult](t, encoded, err); got.Failure != nil || got.SpecHash == "" {
					t.Errorf("result is %+v, want a pod", got)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("the pod took %s, want it at once", took)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				want := ledger.Record{
					Key:  ledger.Key{CheckUID: "u-1", Trigger: check.TriggerSchedule, Tick: tick},
					Kind: checkRef.Kind, Namespace: "shop", Name: "cart", WorkflowID: runUUID, RunID: "default-test-run-id",
					Attempts: 2, WorkerBuild: "v1", Started: tick.Add(1), Deadline: attempt(2).Deadline,
				}
				if diff := cmp.Diff([]ledger.Record{want}, kept.begun); diff != "" {
					t.Errorf("opened records (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// The record of a run is opened when its pod may start. A run that queues has none yet.
func TestPodIsQueuedWhenTheLimiterSaysNo(t *testing.T) {
	kept := &fakeLedger{}
	a, env := worker(&fakeCluster{workload: present(validCheck()), createPod: func(pod *corev1.Pod) (*corev1.Pod, error) { return pod, nil }})
	a.Ledger, a.Limiter = kept, activities.NewLimiter(0, 1, pods(1))
	encoded, err := env.ExecuteActivity(a.CreatePod, attempt(1))
	if diff := cmp.Diff(activities.CreatePodResult{Queued: true}, value[activities.CreatePodResult](t, encoded, err)); diff != "" || len(kept.begun) > 0 {
		t.Errorf("opened %v, result differs (-want +got):\n%s", kept.begun, diff)
	}
	admitted := attempt(1)
	admitted.Admitted = true
	encoded, err = env.ExecuteActivity(a.CreatePod, admitted)
	if got := value[activities.CreatePodResult](t, encoded, err); got.Queued || got.Containers != 1 {
		t.Errorf("result is %+v, want the pod of a run whose turn has come", got)
	}
}
