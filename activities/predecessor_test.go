package activities_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// earlierPod is a running pod of an earlier run of the check cart.
func earlierPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "cart-earlier", OwnerReferences: check.OwnersOf(checkRef),
			Labels: map[string]string{protocol.LabelCheckName: "cart", protocol.LabelRunID: "earlier"},
		},
		Spec:   corev1.PodSpec{NodeName: "node-1"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

func TestPodQueuesBehindThatOfAnEarlierRun(t *testing.T) {
	own := earlierPod()
	own.Labels[protocol.LabelRunID] = runUUID
	for name, tt := range map[string]struct {
		pods     []*corev1.Pod
		admitted bool
		behind   string
	}{
		"no pod":                    {},
		"of an earlier run":         {pods: []*corev1.Pod{earlierPod()}, behind: "cart-earlier"},
		"of an earlier call":        {pods: []*corev1.Pod{own}},
		"its turn has come already": {pods: []*corev1.Pod{earlierPod()}, admitted: true},
	} {
		t.Run(name, func(t *testing.T) {
			created := 0
			a, env := worker(&fakeCluster{pods: tt.pods, workload: present(validCheck()), createPod: func(pod *corev1.Pod) (*corev1.Pod, error) {
				created++
				return pod, nil
			}})
			in := attempt(1)
			in.Admitted = tt.admitted
			encoded, err := env.ExecuteActivity(a.CreatePod, in)
			got := value[activities.CreatePodResult](t, encoded, err)
			if queued := tt.behind != ""; got.Queued != queued || got.Behind != tt.behind || created == 1 == queued {
				t.Errorf("%d pods are created, result %+v, want it behind %q", created, got, tt.behind)
			}
		})
	}
}

// waiting is a run that waits for the end of an earlier pod.
type waiting struct {
	fakeCluster
	deleted []string
}

// endsAfter makes the earlier pod end after a time. 0 means never.
func (w *waiting) endsAfter(d time.Duration) {
	end := make(chan struct{})
	if d > 0 {
		time.AfterFunc(d, func() { close(end) })
	}
	w.awaitPod = func(ctx context.Context, until func(check.Observation) bool) (check.Observation, error) {
		select {
		case <-end:
			o := check.Observation{Ended: true}
			until(o)
			return o, nil
		case <-ctx.Done():
			return check.Observation{}, context.Cause(ctx)
		}
	}
}

func TestRunWaitsForTheEndOfAnEarlierPod(t *testing.T) {
	going := func(since time.Duration) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(-since)} }
	}
	unreachable := func() *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionUnknown, LastTransitionTime: metav1.NewTime(time.Now()),
		}}}}
	}
	lost := []string{"pod cart-earlier of an earlier run was given up: its node node-1 is lost"}
	tests := []struct {
		name   string
		change func(*corev1.Pod)
		ends   time.Duration
		node   func() *corev1.Node // nil: it is not asked
		open   bool                // the run of the earlier pod
		took   time.Duration
		notes  []string
		delete bool
	}{
		{name: "that takes long to go", change: going(-90 * time.Second), ends: 85 * time.Second, took: 85 * time.Second},
		{
			name: "that outlives its grace period", change: going(time.Second), ends: 9 * time.Minute, took: 9 * time.Minute,
			node: func() *corev1.Node {
				node := unreachable()
				node.Status.Conditions[0].Status = corev1.ConditionFalse
				return node
			},
		},
		{name: "on a node out of contact", change: going(time.Second), node: unreachable, took: 5 * time.Minute, notes: lost},
		{name: "on a node that was deleted", change: going(-25 * time.Second), node: func() *corev1.Node { return nil }, took: 30 * time.Second, notes: lost},
		{name: "whose run is open", ends: time.Minute, open: true, took: time.Minute},
		{name: "whose run has ended without it", ends: 12 * time.Second, took: 12 * time.Second, delete: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pod := earlierPod()
				if tt.change != nil {
					tt.change(pod)
				}
				w := &waiting{fakeCluster: fakeCluster{pods: []*corev1.Pod{pod}, pod: pod}}
				w.endsAfter(tt.ends)
				w.deletePod = func(name string) error {
					w.deleted = append(w.deleted, name)
					return nil
				}
				if tt.node != nil {
					node := tt.node()
					w.node = func(string) (*corev1.Node, error) { return node, nil }
				}
				a, env := worker(&w.fakeCluster)
				if tt.open {
					a.Runs = &fakeRuns{open: []string{"earlier"}}
				}
				began := time.Now()
				encoded, err := env.ExecuteActivity(a.AwaitStart, attempt(1))
				got := value[activities.AwaitStartResult](t, encoded, err)
				if diff := cmp.Diff(tt.notes, got.Notes); diff != "" {
					t.Errorf("notes (-want +got):\n%s", diff)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("waited %s, want %s", took, tt.took)
				}
				if len(w.deleted) == 1 != tt.delete {
					t.Errorf("deleted %v", w.deleted)
				}
			})
		})
	}
}
