package kube

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/khronicle/khronicle/check"
)

func aPod(phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "dns"}, Status: corev1.PodStatus{Phase: phase}}
}

func ended(o check.Observation) bool { return o.Ended }

// behindStore returns the pod in the cache, and lets something happen before the caller can use it.
type behindStore struct {
	cache.Store
	then func()
}

func (s behindStore) GetByKey(key string) (any, bool, error) {
	obj, ok, err := s.Store.GetByKey(key)
	s.then()
	return obj, ok, err
}

type behindInformer struct {
	cache.SharedIndexInformer
	store behindStore
}

func (i behindInformer) GetStore() cache.Store { return i.store }

// A change that arrives during the first look at the cache is newer than the pod that the look found.
func TestAwaitPodDoesNotLoseAChangeDuringItsFirstLook(t *testing.T) {
	tests := []struct {
		name   string
		change func(*waiters)
		want   check.Observation
	}{
		{"end", func(w *waiters) { w.OnUpdate(nil, aPod(corev1.PodSucceeded)) }, check.Observation{
			Started: true, Ended: true, Detail: "all containers exited with code 0",
		}},
		{"deletion", func(w *waiters) { w.OnDelete(aPod(corev1.PodRunning)) }, check.Observation{Started: true, Gone: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Cluster{core: fake.NewClientset(), podWaiters: newWaiters()}
				c.pods.add(&cache.ListWatch{}, &corev1.Pod{})
				informer := c.pods.informers[0]
				if err := informer.GetStore().Add(aPod(corev1.PodRunning)); err != nil {
					t.Fatal(err)
				}
				c.pods.informers[0] = behindInformer{informer, behindStore{informer.GetStore(), func() { tt.change(c.podWaiters) }}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got, err := c.AwaitPod(ctx, "ns", "dns", ended)
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
					t.Errorf("error %v; observation differs (-want +got):\n%s", err, diff)
				}
				if len(c.podWaiters.byID) > 0 {
					t.Errorf("waiters are left: %v", c.podWaiters.byID)
				}
			})
		})
	}
}

// A slow waiter sees the newest status, and delays nobody.
func TestWaiterKeepsTheNewest(t *testing.T) {
	all := newWaiters()
	slow := all.add("ns/dns")
	for _, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded} {
		all.OnUpdate(nil, aPod(phase))
	}
	if got := <-slow.observations; !got.Ended {
		t.Errorf("got %+v, want the end", got)
	}
	if len(slow.observations) > 0 {
		t.Error("an older observation was there too")
	}
}

func TestWaitersIgnoreWhatIsNoPod(t *testing.T) {
	all := newWaiters()
	waiting := all.add("ns/dns")
	all.OnDelete(cache.DeletedFinalStateUnknown{Key: "ns/dns"})
	all.OnDelete("?")
	if len(waiting.observations) > 0 {
		t.Errorf("got %+v", <-waiting.observations)
	}
}
