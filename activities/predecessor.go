package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"go.temporal.io/sdk/activity"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// lookAtPredecessor is how often a waiting run asks why the pod of an earlier run has not ended.
const lookAtPredecessor = 10 * time.Second

var errLookAgain = errors.New("time to look at the pod of an earlier run again")

// predecessors returns the pods of other runs of the check whose containers may still run. They are read from the cache.
func (a *Activities) predecessors(attempt Attempt) []*corev1.Pod {
	ref := attempt.Key.Ref
	var found []*corev1.Pod
	for _, pod := range a.Cluster.PodsOf(ref.Namespace, ref.Name) {
		if check.Precedes(pod, ref, attempt.UUID) {
			found = append(found, pod)
		}
	}
	return found
}

// awaitPredecessors waits until no other pod of the check runs. It returns notes about pods on lost nodes, which it gives
// up: nobody can see whether their containers run.
func (a *Activities) awaitPredecessors(ctx context.Context, attempt Attempt) (notes []string, err error) {
	for _, pod := range a.predecessors(attempt) {
		note, err := a.awaitPredecessor(ctx, pod)
		if err != nil {
			return nil, err
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	return notes, nil
}

func (a *Activities) awaitPredecessor(ctx context.Context, pod *corev1.Pod) (note string, err error) {
	for {
		ended, err := a.awaitEnd(ctx, pod)
		if ended || err != nil {
			return "", err
		}
		present, ok := a.Cluster.Pod(pod.Namespace, pod.Name)
		switch {
		case !ok:
			return "", nil
		case present.DeletionTimestamp == nil:
			err = a.removeLeftPod(ctx, present)
		case check.StopOverdue(present, time.Now()):
			note, err = a.giveUp(ctx, present)
		}
		if err != nil {
			activity.GetLogger(ctx).Warn("pod of an earlier run has not ended, and the run waits", "namespace", pod.Namespace, "pod", pod.Name, "error", err)
		}
		if note != "" {
			return note, nil
		}
	}
}

// awaitEnd waits for the end of a pod, for a bounded time.
func (a *Activities) awaitEnd(ctx context.Context, pod *corev1.Pod) (ended bool, err error) {
	bounded, cancel := context.WithTimeoutCause(ctx, lookAtPredecessor, errLookAgain)
	defer cancel()
	_, err = a.Cluster.AwaitPod(bounded, pod.Namespace, pod.Name, func(o check.Observation) bool { return o.Ended })
	if err != nil && ctx.Err() == nil && bounded.Err() != nil { // err itself may come from a request that was cut off
		return false, nil
	}
	return err == nil, err
}

// removeLeftPod deletes a pod whose run has ended without it: somebody terminated the run, or Temporal's data was lost.
func (a *Activities) removeLeftPod(ctx context.Context, pod *corev1.Pod) error {
	if open, err := a.Runs.Open(ctx, pod.Labels[protocol.LabelRunID], ""); open || err != nil {
		return err
	}
	activity.GetLogger(ctx).Warn("pod of a run that has ended is deleted", "namespace", pod.Namespace, "pod", pod.Name)
	return a.Cluster.DeletePod(ctx, pod.Namespace, pod.Name)
}

// giveUp returns a note if the node of a deleted pod is lost.
func (a *Activities) giveUp(ctx context.Context, pod *corev1.Pod) (note string, err error) {
	node, err := a.Cluster.Node(ctx, pod.Spec.NodeName)
	if err != nil || !check.NodeLost(node, time.Now()) {
		return "", err
	}
	activity.GetLogger(ctx).Warn("pod on a lost node is given up", "namespace", pod.Namespace, "pod", pod.Name, "node", pod.Spec.NodeName)
	return fmt.Sprintf("pod %s of an earlier run was given up: its node %s is lost", pod.Name, pod.Spec.NodeName), nil
}
