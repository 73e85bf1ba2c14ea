package check_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

func TestPrecedes(t *testing.T) {
	ref := check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: "u-2"}
	earlier := check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: "u-1"}
	job := check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "cart", UID: "u-3"}
	going := &metav1.Time{Time: time.Now()}
	tests := []struct {
		name   string
		change func(*corev1.Pod)
		want   bool
	}{
		{"running", func(*corev1.Pod) {}, true},
		{"of a deleted check of the same name", func(p *corev1.Pod) { p.OwnerReferences = check.OwnersOf(earlier) }, true},
		{"without an owner", func(p *corev1.Pod) { p.OwnerReferences = nil }, true},
		{"pending, without a node", func(p *corev1.Pod) { p.Status.Phase, p.Spec.NodeName = corev1.PodPending, "" }, true},
		{"being deleted", func(p *corev1.Pod) { p.DeletionTimestamp = going }, true},
		{"of a node that is out of contact", func(p *corev1.Pod) { p.Status.Phase = corev1.PodUnknown }, true},
		{"being deleted, without a node", func(p *corev1.Pod) { p.DeletionTimestamp, p.Spec.NodeName = going, "" }, false},
		{"succeeded", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, false},
		{"failed, held by a finalizer", func(p *corev1.Pod) { p.Status.Phase, p.DeletionTimestamp = corev1.PodFailed, going }, false},
		{"of the run itself", func(p *corev1.Pod) { p.Labels[protocol.LabelRunID] = "run-2" }, false},
		{"of a job of the same name", func(p *corev1.Pod) { p.OwnerReferences = check.OwnersOf(job) }, false},
		{"of another check", func(p *corev1.Pod) { p.Labels[protocol.LabelCheckName] = "till" }, false},
		{"of another namespace", func(p *corev1.Pod) { p.Namespace = "office" }, false},
	}
	for _, tt := range tests {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", OwnerReferences: check.OwnersOf(ref),
				Labels: map[string]string{protocol.LabelCheckName: "cart", protocol.LabelRunID: "run-1"},
			},
			Spec: corev1.PodSpec{NodeName: "node-1"}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
		}
		tt.change(pod)
		if got := check.Precedes(pod, ref, "run-2"); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestNodeLost(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	node := func(ready corev1.ConditionStatus, since time.Duration) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeDiskPressure, Status: corev1.ConditionUnknown, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))},
			{Type: corev1.NodeReady, Status: ready, LastTransitionTime: metav1.NewTime(now.Add(-since))},
		}}}
	}
	for _, tt := range []struct {
		name string
		node *corev1.Node
		want bool
	}{
		{"deleted", nil, true},
		{"out of contact", node(corev1.ConditionUnknown, 5*time.Minute), true},
		{"out of contact for a moment", node(corev1.ConditionUnknown, 5*time.Minute-1), false},
		{"not ready", node(corev1.ConditionFalse, time.Hour), false},
		{"ready", node(corev1.ConditionTrue, time.Hour), false},
	} {
		if got := check.NodeLost(tt.node, now); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}
