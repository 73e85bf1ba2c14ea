package starter_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

var (
	smokeRef = check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "smoke", UID: jobUID, Generation: 1}
	smokeRun = workflows.JobRunID(smokeRef)
	// completion is the workflow that completes the job.
	completion = workflows.CompleteJobID(smokeRef)
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
			w.expect(t, time.Hour, "start "+completion)
			if in := w.temporal.get(t, completion).input.(workflows.CompleteJobInput); !in.Ended {
				t.Errorf("input is %+v, want that of a run that has ended in order", in)
			}
			w.temporal.complete(completion)
			w.cluster.apply(smoke(khv1.JobCompleted))
			w.expect(t, time.Hour)
			w.cluster.apply(smoke("")) // lost once more
			w.expect(t, time.Hour, "start "+completion)
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
			w.expect(t, time.Hour, "start "+completion)
			lost := w.temporal.get(t, completion)
			if in, ok := lost.input.(workflows.CompleteJobInput); !ok || in.Ended || lost.workflowType != "CompleteJob" {
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
			w.expect(t, 2*time.Minute, "start "+completion)
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
			w.expect(t, 2*time.Minute, "start "+completion)
		})
	})
	t.Run("whose run is lost, and Temporal does not answer", func(t *testing.T) {
		inWorld(t, []any{smoke(khv1.JobRunning)}, func(t *testing.T, w *world) {
			synctest.Wait()
			w.temporal.forget()
			w.temporal.lose()
			w.temporal.failNext("describe "+smokeRun, errDown)
			w.temporal.failNext("execute "+completion, errDown)
			w.expect(t, 2*time.Minute, "start "+completion)
		})
	})
}

// A job that is being deleted never starts, however long a finalizer delays its deletion.
func TestDeletedJob(t *testing.T) {
	t.Run("does not start", func(t *testing.T) {
		inWorld(t, []any{deleting(smoke(""))}, func(t *testing.T, w *world) { w.expect(t, time.Hour) })
	})
	for name, remove := range map[string]func(w *world){
		"is held by a finalizer": func(w *world) { w.cluster.apply(deleting(smoke(khv1.JobRunning))) },
		"is gone":                func(w *world) { w.cluster.forgetJob("shop", "smoke") },
		"is replaced by another of its name": func(w *world) {
			another := smoke(khv1.JobCompleted)
			another.UID = "uid-of-another"
			w.cluster.apply(another)
		},
	} {
		t.Run(name+", and its run is cancelled", func(t *testing.T) {
			inWorld(t, []any{smoke("")}, func(t *testing.T, w *world) {
				w.expect(t, atOnce, "start "+smokeRun)
				run := w.temporal.uuid(t, smokeRun)
				remove(w)
				w.expect(t, 61*time.Second, "cancel "+run)
				w.temporal.complete(run)
				w.expect(t, time.Hour)
			})
		})
	}
}

func deleting(job *khv1.KuberhealthyJob) *khv1.KuberhealthyJob {
	now := metav1.Now()
	job.DeletionTimestamp = &now
	return job
}
