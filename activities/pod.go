package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"go.temporal.io/sdk/activity"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// CheckerPods are the pods of checks and jobs in a cluster.
type CheckerPods interface {
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	// LivePod reads a pod from the API server. It returns nil if there is none.
	LivePod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	// PodsOf returns the cached pods of a check or job, which must not be changed. Node reads the node of a pod from the API
	// server, and returns nil if it was deleted.
	PodsOf(namespace, name string) []*corev1.Pod
	Node(ctx context.Context, name string) (*corev1.Node, error)
	AwaitPod(ctx context.Context, namespace, name string, until func(check.Observation) bool) (check.Observation, error)
	DeletePod(ctx context.Context, namespace, name string) error
}

// leastLook is how long a waiting activity watches the pod, even when it begins after the deadline. A run that all workers
// missed must still see how its pod ended.
const leastLook = 2 * time.Second

// heartbeatEvery is how often a waiting activity sends a heartbeat. It is well under the heartbeat timeout of the workflow.
const heartbeatEvery = 10 * time.Second

// Attempt names one attempt of a run.
type Attempt struct {
	// Key is the key of the record of the run.
	Key     RecordKey
	UUID    string
	Number  int
	Started time.Time
	// Deadline is the end of the run.
	Deadline time.Time
	// Admitted is true for an attempt whose turn to start a pod has come.
	Admitted bool `json:",omitempty"`
	// SpecHash is the hash of the first attempt's spec, in a further attempt. If the spec has changed since, there is no
	// pod.
	SpecHash string `json:",omitempty"`
	// Avoid are the nodes on which the platform ended an earlier attempt.
	Avoid []string `json:",omitempty"`
	// The workload that the starter of the run supplied, if any.
	Given *Given `json:",omitempty"`
}

func (a Attempt) pod() Pod {
	return Pod{Namespace: a.Key.Ref.Namespace, Name: a.check().PodName(a.Key.Ref.Name)}
}

func (a Attempt) check() check.Attempt {
	return check.Attempt{UUID: a.UUID, Attempt: a.Number, Deadline: a.Deadline, Avoid: a.Avoid}
}

// CreatePodResult says why there is no pod: Queued, CheckGone, SpecChanged or Failure. If there is a pod, all of them are
// empty.
type CreatePodResult struct {
	// Queued is true when the pod may not start yet: AwaitStart says when it may. Too many pods start or run, or a pod of an
	// earlier run has not ended. Then Behind is the name of that pod.
	Queued bool   `json:",omitempty"`
	Behind string `json:",omitempty"`
	// CheckGone is true when the check or job does not exist any more, or its namespace is being deleted.
	CheckGone bool `json:",omitempty"`
	// SpecChanged is true when the spec is not that of the attempt before.
	SpecChanged bool `json:",omitempty"`
	// Failure is why there is no pod, if another try would end in the same way.
	Failure *check.Failure `json:",omitempty"`
	// Containers is how many containers the pod has, besides those that run before the others start.
	Containers int `json:",omitempty"`
	// At is when the API server made the pod, in whole seconds.
	// SpecHash identifies the spec from which the pod was made.
	At       time.Time `json:",omitzero"`
	SpecHash string    `json:",omitempty"`
	// Attempts is how many attempts must fail before the check has failed, as its spec says.
	Attempts int `json:",omitempty"`
}

// Refused is true when there is no pod, and the pod need not queue.
func (r CreatePodResult) Refused() bool { return r.CheckGone || r.SpecChanged || r.Failure != nil }

// CreatePod makes the pod of an attempt from the present spec of its check, and opens the record of the run. It may be
// called again: the same run and attempt have one pod. A pod of an earlier call counts, even if a quota, an edit or a
// deletion would refuse it now.
func (a *Activities) CreatePod(ctx context.Context, attempt Attempt) (CreatePodResult, error) {
	if !attempt.Admitted {
		if before := a.predecessors(attempt); len(before) > 0 {
			return CreatePodResult{Queued: true, Behind: before[0].Name}, nil
		}
		if !a.Limiter.TryStart(attempt.pod()) {
			return CreatePodResult{Queued: true}, nil
		}
	}
	a.openRecord(ctx, attempt)
	result, err := a.makePod(ctx, attempt)
	if err != nil || !result.Refused() {
		return result, err
	}
	return a.madeBefore(ctx, attempt, result)
}

// AwaitStartResult says what happened while a pod waited for its turn.
type AwaitStartResult struct {
	Notes []string `json:",omitempty"`
}

// AwaitStart returns when the pod of an attempt may start. A further call queues again.
func (a *Activities) AwaitStart(ctx context.Context, attempt Attempt) (AwaitStartResult, error) {
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer heartbeat(ctx, cancel, nil)()
	notes, err := a.awaitPredecessors(waiting, attempt)
	if err != nil {
		return AwaitStartResult{}, err
	}
	return AwaitStartResult{Notes: notes}, a.Limiter.AwaitStart(waiting, attempt.pod())
}

// madeBefore finds the pod of an earlier call whose answer was lost. The API server checks quotas and webhooks before it
// looks for a pod of that name. If there is no such pod, the refusal remains.
func (a *Activities) madeBefore(ctx context.Context, attempt Attempt, refusal CreatePodResult) (CreatePodResult, error) {
	named := attempt.pod()
	pod, err := a.Cluster.LivePod(ctx, named.Namespace, named.Name)
	switch {
	case err != nil:
		return CreatePodResult{}, err
	case pod == nil || pod.Labels[protocol.LabelRunID] != attempt.UUID:
		return refusal, nil
	}
	return CreatePodResult{
		Containers: len(pod.Spec.Containers), At: pod.CreationTimestamp.UTC(),
		SpecHash: cmp.Or(attempt.SpecHash, refusal.SpecHash), Attempts: refusal.Attempts,
	}, nil
}

// makePod asks for the pod of an attempt.
func (a *Activities) makePod(ctx context.Context, attempt Attempt) (CreatePodResult, error) {
	workload, reportingURL, ok, err := a.workload(ctx, attempt)
	if err != nil || !ok {
		return CreatePodResult{CheckGone: !ok && err == nil}, err
	}
	if attempt.SpecHash != "" && attempt.SpecHash != workload.SpecHash() {
		return CreatePodResult{SpecChanged: true}, nil
	}
	if !a.Cluster.Watches(attempt.Key.Ref.Namespace) {
		failure := check.CreateFailed(fmt.Sprintf("namespace %q is not among those whose checks are run", attempt.Key.Ref.Namespace))
		failure.Final = true
		return CreatePodResult{Failure: &failure}, nil
	}
	if err := workload.Validate(); err != nil {
		failure := check.InvalidSpec(err)
		return CreatePodResult{Failure: &failure}, nil
	}
	of := attempt.check()
	of.ReportingURL = reportingURL
	pod := check.NewPod(workload, of, time.Now())
	result := CreatePodResult{SpecHash: workload.SpecHash(), Attempts: workload.Attempts}
	created, err := a.Cluster.CreatePod(ctx, pod)
	if err != nil {
		return notCreated(result, err)
	}
	// A webhook may have added a sidecar.
	result.Containers, result.At = len(created.Spec.Containers), created.CreationTimestamp.UTC()
	return result, nil
}

// workload returns the workload of the run, and where its check reports.
func (a *Activities) workload(ctx context.Context, attempt Attempt) (w check.Workload, reportingURL string, ok bool, err error) {
	if attempt.Given != nil {
		return attempt.Given.Workload, cmp.Or(attempt.Given.ReportingURL, a.ReportingURL()), true, nil
	}
	w, ok, err = a.Cluster.Workload(ctx, attempt.Key.Ref)
	return w, a.ReportingURL(), ok, err
}

// notCreated says why the API server does not create a pod. An error that says nothing about the pod is returned, so that
// the same request is sent again.
func notCreated(result CreatePodResult, err error) (CreatePodResult, error) {
	if namespaceGoes(err) {
		return CreatePodResult{CheckGone: true}, nil
	}
	failure, ok := check.RefusedPod(err)
	if !ok {
		return CreatePodResult{}, err
	}
	result.Failure = &failure
	return result, nil
}

// WatchInput names the pod that is watched.
type WatchInput struct {
	Pod
	// Reported is when the check reported last, if it has. Of several containers, the end of one after that is then enough:
	// the others may never end.
	Reported time.Time `json:",omitzero"`
	// Containers is how many main containers the pod has.
	Containers int `json:",omitempty"`
}

// WatchPod waits until the pod has ended, is deleted, or cannot start without a change. It also returns a while after the check
// has ended, if other containers still run. At the deadline it returns what it saw last. It reads the events of a pod that does
// not start. While someone else deletes the pod, it reads the logs for as long as they exist.
func (a *Activities) WatchPod(ctx context.Context, in WatchInput) (check.Observation, error) {
	logs := a.newFollower(ctx, in.Pod)
	defer logs.stop()
	reporter := reporterWatch{reported: in.Reported, alone: in.Containers < 2}
	over := false // the check has ended, and other containers may still run
	seen, err := a.awaitExplained(ctx, in.Pod, func(o check.Observation) bool {
		reporter.see(o)
		over = o.OnlySidecars || reporter.ended
		// When the check has ended beside other containers, it is the run that deletes the pod.
		if o.Deleting && (o.Disrupted || !over) {
			logs.start()
		}
		return o.Ended || over || in.Reported.IsZero() && !o.Started && o.Hopeless != ""
	})
	if err == nil && over && !seen.Ended && !seen.Gone {
		in.Deadline = time.Now().Add(othersLeave)
		seen, err = a.await(ctx, in.Pod, func(o check.Observation) bool { return o.Ended })
	}
	if err != nil {
		return seen, err
	}
	seen.Logs, seen.ReporterEnded = logs.end(), reporter.ended
	return seen, nil
}

// othersLeave is how long the other containers may run once the check has ended.
const othersLeave = 5 * time.Second

// statusDelay is within what time a kubelet shows that a container has ended.
const statusDelay = 2 * time.Second

// reporterWatch finds out whether the container that reported has ended. Nobody knows which one it was. So it is the first
// of several that ends after the report.
type reporterWatch struct {
	reported time.Time
	// alone is true in a pod of one main container, whose end is that of the pod.
	alone bool
	// looked is true once the pod was seen, and last is when a container had ended by then.
	looked bool
	last   time.Time
	ended  bool
}

func (w *reporterWatch) see(o check.Observation) {
	// If a container ends during the watch, and long ago by the clock of its node, then that clock is behind.
	behind := w.looked && o.ExitedAt.After(w.last) && time.Since(o.ExitedAt) > statusDelay
	if !w.reported.IsZero() && !w.alone && o.PartlyEnded && (behind || o.EndedSince(w.reported)) {
		w.ended = true
	}
	w.looked, w.last = true, o.ExitedAt
}

var (
	errDeadline = errors.New("deadline of the run")
	// errStopping makes the server pass a wait to another worker at once, without waiting for the heartbeat timeout.
	errStopping = errors.New("the worker is stopping")
)

func (a *Activities) await(ctx context.Context, pod Pod, until func(check.Observation) bool) (check.Observation, error) {
	bounded, cancelWait := context.WithCancelCause(ctx)
	defer cancelWait(nil)
	before := lastSight(ctx)
	sighted := make(chan check.Observation, 1)
	if before.Disrupted {
		sighted <- before // the next worker must know it too
	}
	stop := heartbeat(ctx, cancelWait, sighted)
	defer stop()
	if !pod.Deadline.IsZero() {
		var cancel context.CancelFunc
		left := max(time.Until(pod.Deadline), leastLook)
		bounded, cancel = context.WithTimeoutCause(bounded, left, errDeadline)
		defer cancel()
	}
	var last check.Observation
	observed, err := a.Cluster.AwaitPod(bounded, pod.Namespace, pod.Name, func(o check.Observation) bool {
		if o.Disrupted && !last.Disrupted {
			select {
			case sighted <- o:
				go a.sendAtOnce(ctx, o)
			default: // the channel has the same observation already
			}
		}
		last = o
		return until(o)
	})
	if err != nil && errors.Is(context.Cause(bounded), errDeadline) { // err itself may come from a request that was cut off
		return last, nil
	}
	if observed.Gone && before.Disrupted {
		observed.Disrupted, observed.Started = true, observed.Started || before.Started
		observed.Detail, observed.Node = cmp.Or(observed.Detail, before.Detail), cmp.Or(observed.Node, before.Node)
	}
	return observed, err
}

// lastSight is the last observation of an earlier worker, which died. It shows that the platform is removing the pod. Once
// the pod is deleted, nothing else distinguishes an eviction from a deletion by hand.
func lastSight(ctx context.Context) (seen check.Observation) {
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &seen); err != nil {
			activity.GetLogger(ctx).Warn("observation of the previous worker cannot be read", "error", err)
		}
	}
	return seen
}

// sendAtOnce sends a heartbeat without the SDK's throttle. After a heartbeat, the SDK delays the next ones for 0.8 of the
// heartbeat timeout: 16 s, in which the worker may die. A shorter MaxHeartbeatThrottleInterval does not help. It also
// limits the time of each heartbeat, and when the server is slower once, the SDK cancels the activity. This call may fail:
// the heartbeats that follow have the same details.
func (a *Activities) sendAtOnce(ctx context.Context, seen check.Observation) {
	bounded, cancel := context.WithTimeout(ctx, heartbeatEvery/2)
	defer cancel()
	if err := a.Runs.Heartbeat(bounded, activity.GetInfo(ctx).TaskToken, seen); err != nil && ctx.Err() == nil && !errors.Is(err, ErrRunEnded) {
		activity.GetLogger(ctx).Warn("heartbeat was not sent at once", "error", err)
	}
}

// heartbeat sends heartbeats of the activity until stop is called, and cancels its wait when the worker stops. What comes
// through sighted is sent at once, for the worker that takes over.
func heartbeat(ctx context.Context, cancel context.CancelCauseFunc, sighted <-chan check.Observation) (stop func()) {
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(heartbeatEvery)
		defer ticker.Stop()
		details := []any{}
		for {
			select {
			case <-ticker.C:
				activity.RecordHeartbeat(ctx, details...)
			case seen := <-sighted:
				details = []any{seen}
				activity.RecordHeartbeat(ctx, details...) // replaces the details that the SDK delays
			case <-activity.GetWorkerStopChannel(ctx):
				cancel(errStopping)
				return
			case <-done:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { close(done) }
}

// DeletePod deletes the pod of an attempt that has not ended, and waits for its end.
func (a *Activities) DeletePod(ctx context.Context, pod Pod) error {
	if err := a.Cluster.DeletePod(ctx, pod.Namespace, pod.Name); err != nil {
		return err
	}
	pod.Deadline = time.Now().Add(check.LongestExit)
	_, err := a.await(ctx, pod, func(o check.Observation) bool { return o.Ended })
	return err
}
