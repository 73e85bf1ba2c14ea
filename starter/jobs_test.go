package starter_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

var (
	smokeRef = check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "smoke", UID: jobUID, Generation: 1}
	smokeRun = workflows.JobRunID(smokeRef)
)

func TestJobIsStartedOnce(t *testing.T) {
	t.Run("new", func(t *testing.T) {
		inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
			w.expect(t, time.Hour, "start "+smokeRun)
			want := workflows.ScheduledCheckInput{Ref: smokeRef, Trigger: check.TriggerJob, Timeout: time.Minute}
			if diff := cmp.Diff(want, w.temporal.get(t, smokeRun).scheduled(t)); diff != "" {
				t.Errorf("input differs (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("completed", func(t *testing.T) {
		inWorld(t, []any{smoke(khv1.JobCompleted)}, func(t *testing.T, w *world) { w.expect(t, time.Hour) })
	})
	t.Run("is started once", func(t *testing.T) {
		inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
			w.expect(t, atOnce, "start "+smokeRun)
			w.temporal.complete(w.temporal.uuid(t, smokeRun))
			w.cluster.apply(smoke("")) // replaced: its phase is lost
			w.expect(t, 20*time.Second)
			w.expect(t, time.Hour, "start "+smokeRun+"/lost") // which writes the phase, and changes no outcome
		})
	})
}

func TestRunningJob(t *testing.T) {
	running := func(t *testing.T, w *world) (run string) {
		t.Helper()
		w.expect(t, atOnce, "start "+smokeRun)
		w.cluster.apply(smoke(khv1.JobRunning))
		return w.temporal.uuid(t, smokeRun)
	}
	t.Run("of which Temporal has no record", func(t *testing.T) {
		inWorld(t, []any{smoke(khv1.JobRunning)}, func(t *testing.T, w *world) {
			w.expect(t, time.Hour, "start "+smokeRun+"/lost")
			lost := w.temporal.get(t, smokeRun+"/lost")
			if _, ok := lost.input.(workflows.LostJobInput); !ok || lost.workflowType != "LostJob" {
				t.Errorf("a %s is started with %+v, want the loss recorded", lost.workflowType, lost.input)
			}
		})
	})
	t.Run("whose run goes on", func(t *testing.T) {
		inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
			run := running(t, w)
			w.expect(t, time.Hour)
			w.temporal.terminate(run)
			w.expect(t, 20*time.Second) // the cache may be behind
			w.expect(t, 2*time.Minute, "start "+smokeRun+"/lost")
		})
	})
	t.Run("whose run ends", func(t *testing.T) {
		inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
			w.temporal.complete(running(t, w))
			w.expect(t, 20*time.Second)
			w.cluster.apply(smoke(khv1.JobCompleted))
			w.expect(t, time.Hour)
		})
	})
	t.Run("whose run no worker has started yet", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			w.temporal.setIdle(true)
			w.cluster.apply(smoke(""))
			running(t, w)
			w.expect(t, time.Hour)
			w.temporal.terminate(smokeRun)
			w.expect(t, 20*time.Second)
			w.expect(t, 2*time.Minute, "start "+smokeRun+"/lost")
		})
	})
	t.Run("whose run is lost, and Temporal does not answer", func(t *testing.T) {
		inWorld(t, []any{smoke(khv1.JobRunning)}, func(t *testing.T, w *world) {
			synctest.Wait()
			w.temporal.forget()
			w.temporal.lose()
			w.temporal.failNext("describe "+smokeRun, errDown)
			w.temporal.failNext("execute "+smokeRun+"/lost", errDown)
			w.expect(t, 2*time.Minute, "start "+smokeRun+"/lost")
		})
	})
}
