package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/check"
)

// Bounds of explaining why a pod does not start or end.
const (
	// heldFor is how long a pod may be held before its events are read. By then the kubelet has tried to set up its volumes
	// about five times.
	heldFor = 10 * time.Second
	// explainWithin bounds the request for the events. An outcome waits for it.
	explainWithin = 2 * time.Second
)

// LookAtPod returns the present state of the pod from the API server, and why it has not started or not ended.
func (a *Activities) LookAtPod(ctx context.Context, pod Pod) (check.Observation, error) {
	live, err := a.Cluster.LivePod(ctx, pod.Namespace, pod.Name)
	if err != nil || live == nil {
		return check.Observation{Gone: err == nil}, err
	}
	return a.explain(ctx, check.Observe(live), live), nil
}

// explain reads the events of a pod that has not ended, by one request. Without them, the status and the spec must do.
func (a *Activities) explain(ctx context.Context, seen check.Observation, pod *corev1.Pod) check.Observation {
	if seen.Ended || seen.AllEnded {
		return seen
	}
	bounded, cancel := context.WithTimeout(ctx, explainWithin)
	defer cancel()
	events, err := a.Cluster.PodEvents(bounded, pod.Namespace, pod.Name)
	if err != nil {
		activity.GetLogger(ctx).Warn("events of the pod cannot be read", "namespace", pod.Namespace, "pod", pod.Name, "error", err)
	}
	return check.Explain(seen, pod, events)
}

// awaitExplained waits as await does. The events of a pod that is held for long, or that cannot start, are read once. A pod
// that waits for an object that does not exist cannot start.
func (a *Activities) awaitExplained(ctx context.Context, pod Pod, until func(check.Observation) bool) (check.Observation, error) {
	seen, err := a.await(ctx, pod, func(o check.Observation) bool { return until(o) || o.Held })
	if err == nil && seen.Held && !until(seen) {
		seen, err = a.awaitRelease(ctx, pod, until)
	}
	if err != nil || seen.Started || seen.Hopeless == "" || seen.Missing != "" || !until(seen) {
		return seen, err
	}
	if cached, ok := a.Cluster.Pod(pod.Namespace, pod.Name); ok {
		seen = a.explain(ctx, seen, cached)
	}
	return seen, nil
}

// awaitRelease waits as await does for a pod that is held, unless it is held for an object that does not exist.
func (a *Activities) awaitRelease(ctx context.Context, pod Pod, until func(check.Observation) bool) (check.Observation, error) {
	soon := pod
	if held := time.Now().Add(heldFor); held.Before(pod.Deadline) {
		soon.Deadline = held
	}
	seen, err := a.await(ctx, soon, func(o check.Observation) bool { return until(o) || !o.Held })
	if err != nil || until(seen) || seen.Gone || !time.Now().Before(pod.Deadline) {
		return seen, err
	}
	if cached, ok := a.Cluster.Pod(pod.Namespace, pod.Name); seen.Held && ok && check.Observe(cached).Held {
		if explained := a.explain(ctx, check.Observe(cached), cached); explained.Missing != "" {
			explained.Hopeless = explained.Missing
			return explained, nil
		}
	}
	return a.await(ctx, pod, until)
}
