package workflows_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// A run that succeeds costs one activity task. Everything else happens within workflow tasks.
func TestSuccessTakesOneActivityAndThreeLocalOnes(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5 * time.Second)
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	want := []string{"local CreatePod", "WatchPod", "local RecordOutcome", "local RecordRun"}
	if diff := cmp.Diff(want, *w.steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestReportIsRecordedBeforeThePodExits(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5 * time.Second)
	recorded := 0
	w.env.RegisterDelayedCallback(func() { recorded = len(w.outcomes) }, 6*time.Second)
	if _, err := w.execute(t, checkRef); err != nil || recorded != 1 {
		t.Errorf("error %v, %d outcomes recorded a second after the report, want 1", err, recorded)
	}
}

// The deadline is computed once, so the pod, the watch and the record have the same one.
func TestRunHasOneDeadline(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5 * time.Second)
	want := w.env.Now().Add(time.Minute).UTC()
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]time.Time{"pod": w.created[0].Deadline, "watch": w.watched[0].Deadline, "record": w.records[0].Deadline} {
		if !got.Equal(want) {
			t.Errorf("deadline of the %s is %s, want %s", name, got, want)
		}
	}
}

// A run that queues has its whole timeout from the moment at which its pod may start.
func TestRunThatQueuesCountsItsDeadlineFromItsTurn(t *testing.T) {
	w := newWorld(t)
	w.queue = 5 * time.Minute
	w.create = func(in activities.Attempt) (activities.CreatePodResult, error) {
		return activities.CreatePodResult{Queued: !in.Admitted}, nil
	}
	w.reportAfter(5*time.Minute + 50*time.Second)
	w.watchTakes = 55 * time.Second
	began := w.env.Now().UTC()
	outcome, err := w.execute(t, checkRef)
	if err != nil || !outcome.OK() {
		t.Fatalf("outcome is %+v, error %v", outcome, err)
	}
	want := []string{"local CreatePod", "AwaitStart", "local CreatePod", "WatchPod", "local RecordOutcome", "local RecordRun"}
	if diff := cmp.Diff(want, *w.steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	record, deadline := w.records[0], began.Add(6*time.Minute)
	if !w.created[1].Admitted || !w.created[1].Deadline.Equal(deadline) || record.Queued != w.queue || !record.Deadline.Equal(deadline) {
		t.Errorf("second call %+v, record queued for %s until %s; want it admitted with deadline %s", w.created[1], record.Queued, record.Deadline, deadline)
	}
	if !outcome.Started.Equal(began) {
		t.Errorf("started %s, want %s: the run began before it queued", outcome.Started, began)
	}
}

// The record says for which pod of an earlier run a run waited.
func TestRunNotesForWhichPodItWaited(t *testing.T) {
	w := newWorld(t)
	w.queue, w.queueNotes = time.Minute, []string{"pod cart-1 of an earlier run was given up"}
	w.create = func(in activities.Attempt) (activities.CreatePodResult, error) {
		if in.Admitted {
			return activities.CreatePodResult{}, nil
		}
		return activities.CreatePodResult{Queued: true, Behind: "cart-1"}, nil
	}
	w.reportAfter(time.Minute + 5*time.Second)
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	want := []string{"the run waited for the end of pod cart-1 of an earlier run", "pod cart-1 of an earlier run was given up"}
	if diff := cmp.Diff(want, w.records[0].Conclusion.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestCancelledWhileItQueues(t *testing.T) {
	w := newWorld(t)
	w.queue = time.Hour
	w.creates(activities.CreatePodResult{Queued: true})
	w.env.RegisterDelayedCallback(w.env.CancelWorkflow, time.Minute+time.Second) // after the time of a run
	if _, err := w.execute(t, checkRef); !temporal.IsCanceledError(err) {
		t.Errorf("run ends with %v, want it cancelled", err)
	}
	if len(w.created) != 1 || len(w.outcomes) != 0 {
		t.Errorf("%d pods created, recorded %v; want one pod and no record", len(w.created), w.texts())
	}
}

// While the API server is down, the outcome waits in the run: a local activity tries first, then a durable one. (The test
// environment tries no activity more than ten times.)
func TestOutcomeIsRecordedWhenTheAPIServerIsBack(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5*time.Second, "broken")
	w.recordErrors = slices.Repeat([]error{errors.New("connection refused")}, 17)
	began := w.env.Now()
	outcome, err := w.execute(t, checkRef)
	if err != nil || outcome.Outcome != check.Failed {
		t.Fatalf("outcome is %+v, error %v", outcome, err)
	}
	if diff := cmp.Diff([][]string{{"broken"}}, w.texts()); diff != "" {
		t.Errorf("recorded errors (-want +got):\n%s", diff)
	}
	local := slices.Index(*w.steps, "local RecordOutcome")
	durable := slices.Index(*w.steps, "RecordOutcome")
	if local < 0 || durable < local || slices.Contains((*w.steps)[durable:], "local RecordOutcome") {
		t.Errorf("steps are %q, want local ones before durable ones", *w.steps)
	}
	if took := w.env.Now().Sub(began); took < 20*time.Second {
		t.Errorf("took %s, want the tries to go on", took)
	}
}

// No pod is created after the deadline of its run, whatever happens to the tries.
func TestPodIsNotAskedForAfterTheDeadline(t *testing.T) {
	w := newWorld(t)
	began, last := w.env.Now(), time.Time{}
	w.create = func(activities.Attempt) (activities.CreatePodResult, error) {
		last = w.env.Now()
		return activities.CreatePodResult{}, errors.New("connection refused")
	}
	_, err := w.executeInput(t, workflows.CheckRunInput{Ref: checkRef, Trigger: check.TriggerSchedule, Timeout: 10 * time.Second, Tick: tick})
	if err != nil {
		t.Fatal(err)
	}
	if after := last.Sub(began); after > 10*time.Second || after < 6*time.Second {
		t.Errorf("the last request for the pod came after %s, want shortly before the deadline after 10s", after)
	}
}

func TestOutcomeCarriesItsTickAndPod(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5 * time.Second)
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	got := w.outcomes[0]
	if !got.Tick.Equal(tick) || got.Pod != podOf(checkRef, 1) || got.UUID != runUUID || got.Ref != checkRef || got.Provisional {
		t.Errorf("recorded %+v", got)
	}
}

// Each closed run has KhOutcome. KhReported is there only if the check reported, and KhRecord only if the record waits.
func TestSearchAttributesOfAClosedRun(t *testing.T) {
	tests := []struct {
		name              string
		setup             func(w *world)
		outcome           string
		reported, waiting bool
	}{
		{"success", func(w *world) { w.reportAfter(5 * time.Second) }, "succeeded", true, false},
		{"reported failure", func(w *world) { w.reportAfter(5*time.Second, "broken") }, "failed", true, false},
		{"crash", func(w *world) { w.watch = crashed }, "failed", false, false},
		{"deadline", func(w *world) { w.watch, w.watchTakes = running, time.Minute }, "timed-out", false, false},
		{"late report", func(w *world) { w.watch, w.atTheEnd = crashed, func() { w.report() } }, "succeeded", true, false},
		{"ledger down", func(w *world) { w.watch, w.ledger = crashed, ledgerDown }, "failed", false, true},
		{"cancelled", func(w *world) { w.env.RegisterDelayedCallback(w.env.CancelWorkflow, time.Second) }, "canceled", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.setup(w)
			if _, err := w.execute(t, checkRef); err != nil && !temporal.IsCanceledError(err) {
				t.Fatal(err)
			}
			outcome, _ := w.attributes.GetKeyword(workflows.SearchAttributeOutcome)
			reported, isReported := w.attributes.GetKeyword(workflows.SearchAttributeReported)
			record, isWaiting := w.attributes.GetKeyword(workflows.SearchAttributeRecord)
			if outcome != tt.outcome {
				t.Errorf("outcome is %q, want %q", outcome, tt.outcome)
			}
			if isReported != tt.reported || isReported && reported != "true" {
				t.Errorf("reported is %q, want it to be set: %t", reported, tt.reported)
			}
			if isWaiting != tt.waiting || isWaiting && record != workflows.RecordWaiting {
				t.Errorf("record is %q, want it to be set: %t", record, tt.waiting)
			}
		})
	}
}

func TestJobIsCompletedHoweverItEnds(t *testing.T) {
	for name, errs := range map[string][]string{"passed": nil, "failed": {"broken"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.reportAfter(5*time.Second, errs...)
			if _, err := w.execute(t, jobRef); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]khv1.JobPhase{khv1.JobRunning, khv1.JobCompleted}, w.phases); diff != "" {
				t.Errorf("phases (-want +got):\n%s", diff)
			}
		})
	}
}

// A job runs although its phase cannot be shown in time.
func TestJobRunsWhosePhaseCannotBeSet(t *testing.T) {
	w := newWorld(t)
	began, created := w.env.Now(), time.Time{}
	w.phaseErrors = 20
	w.create = func(activities.Attempt) (activities.CreatePodResult, error) {
		created = w.env.Now()
		return activities.CreatePodResult{}, nil
	}
	w.reportAfter(15 * time.Second)
	w.watchTakes = 20 * time.Second
	outcome, err := w.execute(t, jobRef)
	if err != nil || !outcome.OK() || !cmp.Equal(outcome.Notes, []string{"phase Running was not set"}) {
		t.Errorf("outcome is %+v, error %v", outcome, err)
	}
	if waited := created.Sub(began); waited > 10*time.Second {
		t.Errorf("the request for the pod came after %s, want at most 10s", waited)
	}
	if diff := cmp.Diff([]khv1.JobPhase{khv1.JobCompleted}, w.phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

// Job names do not repeat, and a series stays as long as the worker runs. So all jobs of a namespace share one series.
func TestJobsOfANamespaceShareASeries(t *testing.T) {
	metrics := newMetrics(t)
	for i, ref := range []check.Ref{
		{Kind: khv1.KHJob, Namespace: "shop", Name: "migrate-1"},
		{Kind: khv1.KHJob, Namespace: "shop", Name: "migrate-2"},
		{Kind: khv1.KHJob, Namespace: "bank", Name: "migrate-1"},
		checkRef,
	} {
		w := newMeasuredWorld(t, metrics.Temporal)
		w.reportAfter(5 * time.Second)
		if _, err := w.execute(t, ref); err != nil {
			t.Fatal(fmt.Sprint(i), err)
		}
	}
	want := map[string]float64{
		"KHJob shop/ shop succeeded": 2, "KHJob bank/ bank succeeded": 1, "KHCheck shop/cart shop succeeded": 1,
	}
	if diff := cmp.Diff(want, counted(t, metrics, "khronicle_runs_total")); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// A run that brings its own workload makes its pod from that. It does not change the phase of a job of that name.
func TestRunOfAGivenWorkload(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5 * time.Second)
	given := &activities.Given{Workload: check.Workload{Ref: jobRef, Timeout: "1m"}, ReportingURL: "http://elsewhere/externalCheckStatus"}
	outcome, err := w.executeInput(t, workflows.CheckRunInput{Ref: jobRef, Trigger: check.TriggerManual, Timeout: time.Minute, Tick: tick, Given: given})
	if err != nil || !outcome.OK() {
		t.Fatalf("outcome is %+v, error %v, want success", outcome, err)
	}
	if diff := cmp.Diff(given, w.created[0].Given); diff != "" {
		t.Errorf("workload of the pod (-want +got):\n%s", diff)
	}
	if len(w.phases) != 0 {
		t.Errorf("phases %v were set, want none", w.phases)
	}
}

func TestRunCountsFlakyRunsAndInfrastructureFailures(t *testing.T) {
	metrics := newMetrics(t)
	w := newMeasuredWorld(t, metrics.Temporal)
	w.creates(activities.CreatePodResult{Attempts: 2})
	w.firstThen(evicted, exited)
	w.reportAfter(15*time.Second, "hiccup")
	w.reportAfter(30 * time.Second)
	outcome, err := w.execute(t, checkRef)
	if err != nil || !outcome.OK() || !outcome.Flaky {
		t.Fatalf("outcome is %+v, error %v", outcome, err)
	}
	for name, want := range map[string]float64{"khronicle_flaky_runs_total": 1, "khronicle_infra_failed_attempts_total": 1} {
		if got := counted(t, metrics, name)["KHCheck shop/cart shop "]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if !w.records[0].Conclusion.Flaky || w.records[0].InfraFailures != 1 || w.records[0].Attempts != 3 {
		t.Errorf("record %+v", w.records[0])
	}
}
