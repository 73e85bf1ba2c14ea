package check

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/internal/protocol"
)

// Precedes is true for a pod of another run of a check or job whose containers may still run. The next pod of the check
// must wait for its end. Nobody knows the kind of a pod without an owner, so it precedes the pods of both kinds.
func Precedes(pod *corev1.Pod, ref Ref, runUUID string) bool {
	kind := KindOf(pod.OwnerReferences)
	switch {
	case pod.Namespace != ref.Namespace || pod.Labels[protocol.LabelCheckName] != ref.Name || kind != "" && kind != ref.Kind:
		return false
	case pod.Labels[protocol.LabelRunID] == runUUID:
		return false
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return false
	}
	return pod.Spec.NodeName != "" || pod.DeletionTimestamp == nil // a pod without a node never starts once it is being deleted
}

// NodeLostAfter is how long a node must be out of contact before its pods are given up. It is the time after which
// Kubernetes itself replaces pods of such a node elsewhere.
const NodeLostAfter = 5 * time.Minute

// NodeLost is true for a node that was deleted (nil), or with which Kubernetes has had no contact for NodeLostAfter. On a
// node that says that it is not ready, containers may still run: it is not lost.
func NodeLost(node *corev1.Node, now time.Time) bool {
	if node == nil {
		return true
	}
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown && now.Sub(c.LastTransitionTime.Time) >= NodeLostAfter
	})
}

// StopOverdue is true for a pod that is being deleted and should have ended by now: its grace period is over.
func StopOverdue(pod *corev1.Pod, now time.Time) bool {
	return pod.DeletionTimestamp != nil && now.After(pod.DeletionTimestamp.Time)
}
