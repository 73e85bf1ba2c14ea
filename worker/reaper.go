package worker

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// janitor is what the reaper needs from the cluster.
type janitor interface {
	Pods() []*corev1.Pod
	DeletePod(ctx context.Context, namespace, name string) error
	Jobs() []*khv1.KuberhealthyJob
	DeleteJob(ctx context.Context, job *khv1.KuberhealthyJob) error
	Check(namespace, name string) (*khv1.KuberhealthyCheck, bool)
	Job(namespace, name string) (*khv1.KuberhealthyJob, bool)
	// Lives is true when the API server has a check or job of this name that is not being deleted.
	Lives(ctx context.Context, namespace, name string) (bool, error)
	States() []*khv1.KuberhealthyState
	DeleteState(ctx context.Context, state *khv1.KuberhealthyState) error
}

// reaper deletes finished pods and completed jobs that are too old, also those of checks that no longer run. It deletes
// pods that outlived their run, and states without a check or job. It reads from the cache, and asks the API server only
// before it deletes a state. Several reapers may work at the same time.
type reaper struct {
	cluster   janitor
	retention func() check.Retention
	logger    *slog.Logger
	// alone is when each state was first seen without a check or job.
	alone map[writtenState]time.Time
}

// justEnded is how long after its end a pod is left to its run, which may still read the logs and then deletes the pod.
const justEnded = time.Minute

// writtenState is one version of a state. A program's run has no check or job in the cluster. Its state stays for as long
// as the program writes it again.
type writtenState struct {
	uid     types.UID
	version string
}

// leftAfter is how long a state stays after it was first seen without its check or job. The check or job may be about to be
// applied. A state is seen and deleted within five minutes, also by a worker that restarts once.
const leftAfter = 2 * time.Minute

// DefaultReapInterval is the time between two searches for old pods and jobs, as in Kuberhealthy.
const DefaultReapInterval = 30 * time.Second

func (r *reaper) run(ctx context.Context, every time.Duration) {
	if every <= 0 {
		every = DefaultReapInterval
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			r.reap(ctx, now)
		}
	}
}

func (r *reaper) reap(ctx context.Context, now time.Time) {
	retention := r.retention()
	r.reapPods(ctx, retention, now)
	r.reapJobs(ctx, retention, now)
	r.reapStates(ctx, now)
}

func (r *reaper) reapPods(ctx context.Context, retention check.Retention, now time.Time) {
	pods := r.cluster.Pods()
	for _, pod := range append(retention.Surplus(pods, now), check.Overdue(pods, now)...) {
		if now.Sub(check.FinishedAt(pod)) < justEnded {
			continue
		}
		if err := r.cluster.DeletePod(ctx, pod.Namespace, pod.Name); err != nil {
			r.logger.Warn("reap pod", "namespace", pod.Namespace, "pod", pod.Name, "error", err)
		}
	}
}

func (r *reaper) reapJobs(ctx context.Context, retention check.Retention, now time.Time) {
	for _, job := range r.cluster.Jobs() {
		if !retention.JobExpired(job, now) {
			continue
		}
		if err := r.cluster.DeleteJob(ctx, job); err != nil {
			r.logger.Warn("reap job", "namespace", job.Namespace, "check", job.Name, "error", err)
		}
	}
}

// reapStates deletes the states whose check or job was deleted, whoever wrote or owns them. Kubernetes deletes most of them
// together with their owner. The others have lost it: Kuberhealthy wrote them, or somebody orphaned or restored them.
func (r *reaper) reapStates(ctx context.Context, now time.Time) {
	seen := map[writtenState]time.Time{}
	defer func() { r.alone = seen }()
	for _, state := range r.cluster.States() {
		_, isCheck := r.cluster.Check(state.Namespace, state.Name)
		_, isJob := r.cluster.Job(state.Namespace, state.Name)
		if isCheck || isJob || state.DeletionTimestamp != nil {
			continue
		}
		written := writtenState{state.UID, state.ResourceVersion}
		since, known := r.alone[written]
		if !known {
			since = now
		}
		seen[written] = since
		if now.Sub(since) < leftAfter {
			continue
		}
		if err := r.reapState(ctx, state); err != nil {
			r.logger.Warn("reap state", "namespace", state.Namespace, "check", state.Name, "error", err)
		}
	}
}

// reapState deletes a state, unless the API server has its check or job: the cache may be behind.
func (r *reaper) reapState(ctx context.Context, state *khv1.KuberhealthyState) error {
	if lives, err := r.cluster.Lives(ctx, state.Namespace, state.Name); lives || err != nil {
		return err
	}
	return r.cluster.DeleteState(ctx, state)
}
