package workflows_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

func TestDeletedCheckEndsItsRun(t *testing.T) {
	w := newWorld(t)
	w.watchTakes = time.Minute
	w.env.RegisterDelayedCallback(w.env.CancelWorkflow, 10*time.Second)
	_, err := w.execute(t, checkRef)
	if !temporal.IsCanceledError(err) {
		t.Errorf("run ends with %v, want it cancelled", err)
	}
	if len(w.outcomes) != 0 || !cmp.Equal(w.removed, []string{podOf(checkRef, 1)}) || len(w.kept) != 0 {
		t.Errorf("recorded %v, deleted %v, evidence %v; want nothing recorded and the pod deleted", w.texts(), w.removed, w.kept)
	}
	if diff := cmp.Diff([]check.Outcome{check.Canceled}, w.results()); diff != "" {
		t.Errorf("results in the ledger (-want +got):\n%s", diff)
	}
}

// A run that is cancelled after its report keeps its outcome, and its pod is deleted at once.
func TestCancelledAfterItsReport(t *testing.T) {
	for name, containers := range map[string]int{"one container": 1, "several containers": 2} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.creates(activities.CreatePodResult{Containers: containers})
			w.watchTakes, w.afterReportTakes = 50*time.Second, 50*time.Second
			w.reportAfter(5*time.Second, "its own outcome")
			w.env.RegisterDelayedCallback(w.env.CancelWorkflow, 10*time.Second)
			began := w.env.Now()
			outcome, err := w.execute(t, checkRef)
			if err != nil || outcome.Outcome != check.Failed {
				t.Fatalf("outcome is %+v, error %v, want the check's own outcome", outcome, err)
			}
			if diff := cmp.Diff([][]string{{"its own outcome"}}, w.texts()); diff != "" {
				t.Errorf("recorded errors (-want +got):\n%s", diff)
			}
			if !cmp.Equal(w.removed, []string{podOf(checkRef, 1)}) {
				t.Errorf("deleted %q, want the pod", w.removed)
			}
			if took := w.env.Now().Sub(began); took > 20*time.Second {
				t.Errorf("ended after %s, want soon after it was cancelled", took)
			}
		})
	}
}

// A report that was accepted is noted, also when the run is cancelled between two attempts.
func TestCancelledBetweenAttemptsNotesTheReport(t *testing.T) {
	w := newWorld(t)
	w.watch = evicted
	w.env.RegisterDelayedCallback(func() {
		w.report("too late")
		w.env.CancelWorkflow()
	}, 12500*time.Millisecond) // the pod ends after 11 s, a second passes before the next one
	if _, err := w.execute(t, checkRef); !temporal.IsCanceledError(err) || len(w.created) != 1 {
		t.Errorf("run ends with %v after %d attempts, want it cancelled after one", err, len(w.created))
	}
	want := []string{"a further report was ignored: OK=false, 1 errors"}
	if diff := cmp.Diff(want, w.records[0].Conclusion.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestRunOfADeletedCheckMakesNoPod(t *testing.T) {
	w := newWorld(t)
	w.creates(activities.CreatePodResult{CheckGone: true})
	_, err := w.execute(t, checkRef)
	if !temporal.IsCanceledError(err) || len(w.outcomes) != 0 || len(w.removed) != 0 {
		t.Errorf("run ends with %v, recorded %v, deleted %v, want it cancelled with none", err, w.texts(), w.removed)
	}
}

// When the answer of a creation is lost, there may be a pod. A cancelled run deletes it.
func TestCancelledWhileItsPodIsCreated(t *testing.T) {
	w := newWorld(t)
	w.create = func(activities.Attempt) (activities.CreatePodResult, error) {
		return activities.CreatePodResult{}, temporal.NewApplicationError("connection lost", "")
	}
	w.env.RegisterDelayedCallback(w.env.CancelWorkflow, 10*time.Second)
	if _, err := w.execute(t, checkRef); !temporal.IsCanceledError(err) || !cmp.Equal(w.removed, []string{podOf(checkRef, 1)}) {
		t.Errorf("run ends with %v, deleted %q, want it cancelled and the pod deleted", err, w.removed)
	}
}

// A workflow that ends with an error has no result. So a cancelled run whose record waits ends without an error.
func TestCancelledRunWhoseRecordWaitsHasAResult(t *testing.T) {
	w := newWorld(t)
	w.watchTakes, w.ledger = time.Minute, ledgerDown
	w.env.RegisterDelayedCallback(w.env.CancelWorkflow, 10*time.Second)
	result, err := w.execute(t, checkRef)
	if err != nil || result.Outcome != check.Canceled || result.Unrecorded == nil || result.Unrecorded.Record.Conclusion.Outcome != check.Canceled {
		t.Errorf("result is %+v, error %v, want it cancelled with its record", result, err)
	}
}

// If a check is deleted and nobody can cancel its run, the pod is deleted with the check. That is no failure of the check.
func TestPodDeletedWithItsCheckIsNoFailure(t *testing.T) {
	removed := func() (check.Observation, error) { return check.Observation{Started: true, Gone: true}, nil }
	given := &activities.Given{Workload: check.Workload{Ref: checkRef, Timeout: "1m"}}
	tests := []struct {
		name  string
		setup func(w *world)
		given *activities.Given
		// want are the results that the record had, in turn.
		want []check.Outcome
		note string
	}{
		{
			name: "with its pod", setup: func(w *world) { w.deleted, w.watch = true, removed },
			want: []check.Outcome{check.Canceled}, note: "without that: failed: Check execution error: pod deleted unexpectedly",
		},
		{
			name: "its pod reports that it was interrupted", setup: func(w *world) { w.deleted = true; w.reportAfter(5*time.Second, "interrupted") },
			want: []check.Outcome{check.Canceled}, note: "without that: failed: interrupted",
		},
		{
			name: "after a provisional outcome",
			setup: func(w *world) {
				failure := check.CreateFailed("quota exceeded")
				w.create = func(activities.Attempt) (activities.CreatePodResult, error) {
					w.deleted = len(w.created) >= 3
					return activities.CreatePodResult{Failure: &failure}, nil
				}
			},
			want: []check.Outcome{check.Canceled}, note: "without that: infra-failed",
		},
		{
			name: "and the report comes late",
			setup: func(w *world) {
				w.deleted, w.watch, w.atTheEnd = true, removed, func() { w.report() }
			},
			want: []check.Outcome{check.Canceled, check.Canceled}, note: "the report came late",
		},
		{
			name: "after its outcome was recorded, when the report comes late",
			setup: func(w *world) {
				w.watch = removed
				w.atTheEnd = func() { w.deleted = true; w.report() }
			},
			want: []check.Outcome{check.Failed, check.Succeeded}, note: "the report came late",
		},
		{
			name: "after its report was recorded, when its pod does not exit",
			setup: func(w *world) {
				w.reportAfter(5 * time.Second)
				w.watch, w.watchTakes = running, time.Minute
				w.env.RegisterDelayedCallback(func() { w.deleted = true }, 10*time.Second)
			},
			want: []check.Outcome{check.TimedOut}, note: "before the deadline the check reported: succeeded",
		},
		{
			name: "the run is a program's", setup: func(w *world) { w.deleted = true; w.reportAfter(5 * time.Second) }, given: given,
			want: []check.Outcome{check.Succeeded},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			metrics := newMetrics(t)
			w := newMeasuredWorld(t, metrics.Temporal)
			tt.setup(w)
			_, err := w.executeInput(t, workflows.CheckRunInput{
				Ref: checkRef, Trigger: check.TriggerSchedule, Timeout: time.Minute, Tick: tick, Given: tt.given,
			})
			last := tt.want[len(tt.want)-1]
			if temporal.IsCanceledError(err) != (last == check.Canceled) || err != nil && last != check.Canceled {
				t.Errorf("run ends with %v, want it to be %s", err, last)
			}
			if diff := cmp.Diff(tt.want, w.results()); diff != "" {
				t.Fatalf("results in the record (-want +got):\n%s", diff)
			}
			if slices.ContainsFunc(w.records, func(in activities.RecordInput) bool {
				return in.Conclusion.Outcome == check.Canceled && len(in.Conclusion.Errors) > 0
			}) {
				t.Errorf("records are %+v, want no errors in one that is cancelled", w.records)
			}
			if notes := strings.Join(w.records[len(w.records)-1].Conclusion.Notes, "\n"); !strings.Contains(notes, tt.note) {
				t.Errorf("notes are %q, want one with %q", notes, tt.note)
			}
			if diff := cmp.Diff(map[string]float64{"KHCheck shop/cart shop " + string(last): 1}, counted(t, metrics, "khronicle_runs_total")); diff != "" {
				t.Errorf("counted runs (-want +got):\n%s", diff)
			}
		})
	}
}
