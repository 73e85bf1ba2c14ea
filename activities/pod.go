package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"go.temporal.io/sdk/activity"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// leastLook is how long a waiting activity looks at the pod, even when it begins after the deadline: a run that all
// workers missed must still see how its pod ended.
const leastLook = 2 * time.Second

// heartbeatEvery is how often a waiting activity says that it is alive. It is well under the heartbeat timeout that the
// workflow sets.
const heartbeatEvery = 5 * time.Second

// CreatePodResult says why there is no pod: CheckGone, SpecChanged or Failure. All of them are empty when there is one.
type CreatePodResult struct {
	// CheckGone is true when the check or job does not exist any more.
	CheckGone bool
	// SpecChanged is true when the spec is not that of the attempt before.
	SpecChanged bool `json:",omitempty"`
	// Failure is why there is no pod, when another try would end the same.
	Failure *check.Failure
	// Containers is how many containers the pod has, besides those that run before the others start.
	Containers int
	// At is when the API server made the pod, in whole seconds, and SpecHash tells the specs of checks apart: it is that of
	// the spec from which the pod was asked for.
	At       time.Time `json:",omitzero"`
	SpecHash string    `json:",omitempty"`
	// Attempts is how many attempts must fail before the check has failed, as its spec says.
	Attempts int `json:",omitempty"`
}

// CreatePod makes the pod of a run from the present spec of its check. It may be called again: the same run and attempt
// have one pod. One that an earlier call made counts, also when a quota, an edit or a deletion since would refuse it.
func (a *Activities) CreatePod(ctx context.Context, run Run) (CreatePodResult, error) {
	a.begin(ctx, run)
	result, err := a.makePod(ctx, run)
	refused := result.CheckGone || result.SpecChanged || result.Failure != nil
	if err != nil || !refused || activity.GetInfo(ctx).Attempt == 1 {
		return result, err
	}
	return a.madeBefore(ctx, run, result)
}

// madeBefore finds the pod of an earlier call whose answer was lost: the API server asks quotas and webhooks before it looks
// whether there is a pod of that name. Without one, the refusal stands.
func (a *Activities) madeBefore(ctx context.Context, run Run, refusal CreatePodResult) (CreatePodResult, error) {
	name := check.Run{UUID: run.UUID, Attempt: run.Attempt}.PodName(run.Ref.Name)
	pod, err := a.Cluster.LivePod(ctx, run.Ref.Namespace, name)
	switch {
	case err != nil:
		return CreatePodResult{}, err
	case pod == nil || pod.Labels[protocol.LabelRunID] != run.UUID:
		return refusal, nil
	}
	return CreatePodResult{
		Containers: len(pod.Spec.Containers), At: pod.CreationTimestamp.UTC(),
		SpecHash: cmp.Or(run.SpecHash, refusal.SpecHash), Attempts: refusal.Attempts,
	}, nil
}

// makePod asks for the pod of a run.
func (a *Activities) makePod(ctx context.Context, run Run) (CreatePodResult, error) {
	workload, reportingURL, ok, err := a.workload(ctx, run)
	if err != nil || !ok {
		return CreatePodResult{CheckGone: !ok && err == nil}, err
	}
	if run.SpecHash != "" && run.SpecHash != workload.SpecHash() {
		return CreatePodResult{SpecChanged: true}, nil
	}
	if !a.Cluster.Watches(run.Ref.Namespace) {
		failure := check.CreateFailed(fmt.Sprintf("namespace %q is not among those whose checks are run", run.Ref.Namespace))
		failure.Final = true
		return CreatePodResult{Failure: &failure}, nil
	}
	if err := workload.Validate(); err != nil {
		failure := check.InvalidSpec(err)
		return CreatePodResult{Failure: &failure}, nil
	}
	pod := check.NewPod(workload, check.Run{
		UUID: run.UUID, Attempt: run.Attempt, Deadline: run.Deadline, ReportingURL: reportingURL, Avoid: run.Avoid,
	}, time.Now())
	result := CreatePodResult{SpecHash: workload.SpecHash(), Attempts: workload.Attempts}
	created, err := a.Cluster.CreatePod(ctx, pod)
	if err != nil {
		if !permanent(err) {
			return CreatePodResult{}, err
		}
		failure := check.CreateFailed(err.Error())
		failure.Final = !apierrors.IsForbidden(err) // a quota or an admission webhook may think otherwise later
		result.Failure = &failure
		return result, nil
	}
	// A webhook may have added a sidecar.
	result.Containers, result.At = len(created.Spec.Containers), created.CreationTimestamp.UTC()
	return result, nil
}

// workload returns what the run is to run, and where its check reports.
func (a *Activities) workload(ctx context.Context, run Run) (w check.Workload, reportingURL string, ok bool, err error) {
	if run.Given != nil {
		return run.Given.Workload, cmp.Or(run.Given.ReportingURL, a.ReportingURL()), true, nil
	}
	w, ok, err = a.Cluster.Workload(ctx, run.Ref)
	return w, a.ReportingURL(), ok, err
}

// permanent is true for an answer of the API server that the same request will get again.
func permanent(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsForbidden(err) ||
		apierrors.IsNotFound(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsAlreadyExists(err) ||
		apierrors.IsMethodNotSupported(err)
}

// WaitForPodStart waits until the pod runs, has ended, is gone, or cannot start by itself. At the deadline it returns
// what it saw last.
func (a *Activities) WaitForPodStart(ctx context.Context, pod Pod) (check.Observation, error) {
	return a.await(ctx, pod, func(o check.Observation) bool { return o.Started || o.Hopeless != "" })
}

// WaitForPodExit waits until the pod has ended or is gone. At the deadline it returns what it saw last. When someone else
// tells the pod to go, it reads the logs for as long as they are there.
func (a *Activities) WaitForPodExit(ctx context.Context, pod Pod) (check.Observation, error) {
	logs := a.newFollower(ctx, pod)
	defer logs.stop()
	seen, err := a.await(ctx, pod, func(o check.Observation) bool {
		// One in which a container has ended already is deleted because its sidecars never end.
		if o.Deleting && (o.Disrupted || !o.PartlyEnded) {
			logs.start()
		}
		return o.Ended
	})
	if err != nil {
		return seen, err
	}
	seen.Logs, err = logs.end()
	return seen, err
}

// waitForExit is WaitForPodExit without the logs.
func (a *Activities) waitForExit(ctx context.Context, pod Pod) (check.Observation, error) {
	return a.await(ctx, pod, func(o check.Observation) bool { return o.Ended })
}

// sidecarsLeave is how long the other containers may go on once the first one has ended after the report.
const sidecarsLeave = 5 * time.Second

// WaitForReporterExit waits for the end of the container that reported, in a pod of several: until the pod has ended or is
// gone, or until one container has ended and the others have had a moment to follow. Which of them reported is not known,
// but a pod in which none has ended is certainly not done.
func (a *Activities) WaitForReporterExit(ctx context.Context, pod Pod) (check.Observation, error) {
	seen, err := a.await(ctx, pod, func(o check.Observation) bool { return o.Ended || o.PartlyEnded })
	if err != nil || seen.Ended || seen.Gone || !seen.PartlyEnded {
		return seen, err
	}
	pod.Deadline = time.Now().Add(sidecarsLeave)
	return a.waitForExit(ctx, pod)
}

// LookAtPod returns how the pod is now.
func (a *Activities) LookAtPod(ctx context.Context, pod Pod) (check.Observation, error) {
	return a.Cluster.AwaitPod(ctx, pod.Namespace, pod.Name, func(check.Observation) bool { return true })
}

var (
	errDeadline = errors.New("deadline of the run")
	// errStopping makes the server hand a wait to another worker at once, and not only after the heartbeat timeout.
	errStopping = errors.New("the worker is stopping")
)

func (a *Activities) await(ctx context.Context, pod Pod, until func(check.Observation) bool) (check.Observation, error) {
	bounded, cancelWait := context.WithCancelCause(ctx)
	defer cancelWait(nil)
	before := lastSight(ctx)
	sighted := make(chan check.Observation, 1)
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
			default: // it was told already
			}
		}
		last = o
		return until(o)
	})
	if err != nil && errors.Is(context.Cause(bounded), errDeadline) { // err itself may be that of a request cut off
		return last, nil
	}
	if observed.Gone && before.Disrupted {
		observed.Disrupted, observed.Started = true, observed.Started || before.Started
		observed.Detail, observed.Node = cmp.Or(observed.Detail, before.Detail), cmp.Or(observed.Node, before.Node)
	}
	return observed, err
}

// lastSight is how an earlier worker, which died, saw that the platform takes the pod away: once that is gone, nothing else
// tells an eviction from a deletion by hand.
func lastSight(ctx context.Context) (seen check.Observation) {
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &seen); err != nil {
			activity.GetLogger(ctx).Warn("what the last worker saw cannot be read", "error", err)
		}
	}
	return seen
}

// heartbeat tells the server that the activity is alive until stop is called, and cancels its wait when the worker stops. What
// comes through sighted is told at once, and is there for the worker that takes over.
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
				activity.RecordHeartbeat(ctx, details...)
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

// CleanUpInput names the pod of a run that is over.
type CleanUpInput struct {
	Ref check.Ref
	Pod Pod
	// Ended is true when the pod is known to have ended.
	Ended bool
}

// longestExit bounds the wait for the end of a deleted pod. A pod that takes longer, on a lost node or with a finalizer,
// goes without being watched, so that it does not hold up the next run.
const longestExit = time.Minute

// CleanUp deletes the pod of a run if it has not ended, waits for its end, and deletes the finished pods of the check
// that the retention does not keep.
func (a *Activities) CleanUp(ctx context.Context, in CleanUpInput) error {
	if in.Pod.Name != "" && !in.Ended {
		if err := a.Cluster.DeletePod(ctx, in.Pod.Namespace, in.Pod.Name); err != nil {
			return err
		}
		in.Pod.Deadline = time.Now().Add(longestExit)
		if _, err := a.waitForExit(ctx, in.Pod); err != nil {
			return err
		}
	}
	return a.prune(ctx, in.Ref)
}

func (a *Activities) prune(ctx context.Context, ref check.Ref) error {
	var errs []error
	for _, pod := range a.Retention().Surplus(a.Cluster.PodsOf(ref.Namespace, ref.Name), time.Now()) {
		errs = append(errs, a.Cluster.DeletePod(ctx, pod.Namespace, pod.Name))
	}
	return errors.Join(errs...)
}
