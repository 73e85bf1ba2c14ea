package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/khronicle/khronicle/check"
)

const runUUID = "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"

func aPod(name string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, Labels: map[string]string{"kuberhealthy-run-id": runUUID, "kuberhealthy-check-name": "dns"},
		},
		Status: corev1.PodStatus{Phase: phase},
	}
}

// testCluster is a cluster whose API server is client-go's fake, and whose cache is filled by the test: cached puts a pod
// into it as an informer does.
type testCluster struct {
	*Cluster
	api *fake.Clientset
}

func newTestCluster(onServer ...runtime.Object) *testCluster {
	api := fake.NewClientset(onServer...)
	c := &testCluster{Cluster: &Cluster{core: api, podWaiters: newWaiters()}, api: api}
	c.pods.add(&cache.ListWatch{}, &corev1.Pod{})
	return c
}

func (c *testCluster) cached(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := c.pods.informers[0].GetStore().Update(pod); err != nil {
		t.Fatal(err)
	}
	c.podWaiters.OnUpdate(nil, pod)
}

func (c *testCluster) uncached(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := c.pods.informers[0].GetStore().Delete(pod); err != nil {
		t.Fatal(err)
	}
	c.podWaiters.OnDelete(pod)
}

// requests are those that reached the API server, such as "get pods".
func (c *testCluster) requests() []string {
	var all []string
	for _, action := range c.api.Actions() {
		all = append(all, action.GetVerb()+" "+action.GetResource().Resource)
	}
	return all
}

// refuse lets the API server answer a verb with err.
func (c *testCluster) refuse(verb string, err error) {
	c.api.PrependReactor(verb, "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err })
}

func TestCreatePod(t *testing.T) {
	forbidden := apierrors.NewForbidden(corev1.Resource("pods"), "dns", errors.New("quota"))
	tests := []struct {
		name     string
		onServer *corev1.Pod
		refuse   error
		is       func(error) bool
		requests []string
	}{
		{"none before", nil, nil, nil, []string{"create pods"}},
		{"the same run created it before", aPod("dns", corev1.PodRunning), nil, nil, []string{"create pods", "get pods"}},
		{"another run has the name", func() *corev1.Pod {
			p := aPod("dns", corev1.PodRunning)
			p.Labels["kuberhealthy-run-id"] = "another"
			return p
		}(), nil, apierrors.IsAlreadyExists, []string{"create pods", "get pods"}},
		{"refused", nil, forbidden, apierrors.IsForbidden, []string{"create pods"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newTestCluster()
			if tt.onServer != nil {
				c = newTestCluster(tt.onServer)
			}
			if tt.refuse != nil {
				c.refuse("create", tt.refuse)
			}
			got, err := c.CreatePod(t.Context(), aPod("dns", ""))
			if tt.is == nil && (err != nil || got.Name != "dns" || got.Labels["kuberhealthy-run-id"] != runUUID) {
				t.Errorf("got %v %v, want the pod", got, err)
			}
			if tt.is != nil && !tt.is(err) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(tt.requests, c.requests()); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeletePod(t *testing.T) {
	c := newTestCluster(aPod("dns", corev1.PodRunning))
	for _, step := range []string{"there", "gone"} {
		if err := c.DeletePod(t.Context(), "ns", "dns"); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	c.refuse("delete", apierrors.NewInternalError(errors.New("etcd")))
	if err := c.DeletePod(t.Context(), "ns", "dns"); !apierrors.IsInternalError(err) || !strings.HasPrefix(err.Error(), "delete pod ns/dns: ") {
		t.Errorf("got %v, want the server's error with the pod's name", err)
	}
}

func TestPodsOf(t *testing.T) {
	c := newTestCluster()
	other, elsewhere := aPod("web-1", ""), aPod("dns-3", "")
	other.Labels["kuberhealthy-check-name"] = "web"
	elsewhere.Namespace = "other"
	for _, pod := range []*corev1.Pod{aPod("dns-1", ""), aPod("dns-2", ""), other, elsewhere} {
		c.cached(t, pod)
	}
	tests := []struct {
		name, namespace, check string
		want                   []string
	}{
		{"of a check", "ns", "dns", []string{"ns/dns-1", "ns/dns-2"}},
		{"of a namespace", "ns", "", []string{"ns/dns-1", "ns/dns-2", "ns/web-1"}},
		{"of all", "", "", []string{"ns/dns-1", "ns/dns-2", "ns/web-1", "other/dns-3"}},
		{"of a check without any", "other", "web", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, pod := range c.PodsOf(tt.namespace, tt.check) {
				got = append(got, pod.Namespace+"/"+pod.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("pods differ (-want +got):\n%s", diff)
			}
		})
	}
	if got := c.requests(); got != nil {
		t.Errorf("the API server was asked: %v", got)
	}
}

// waited is what AwaitPod returned, and when.
type waited struct {
	check.Observation
	err  error
	took time.Duration
}

// await starts AwaitPod in a bubble; the answer arrives at the channel.
func (c *testCluster) await(ctx context.Context, until func(check.Observation) bool) <-chan waited {
	answer := make(chan waited, 1)
	began := time.Now()
	go func() {
		seen, err := c.AwaitPod(ctx, "ns", "dns", until)
		answer <- waited{seen, err, time.Since(began)}
	}()
	synctest.Wait()
	return answer
}

func ended(o check.Observation) bool { return o.Ended }

func TestAwaitPodSeesWhatIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster()
		c.cached(t, aPod("dns", corev1.PodSucceeded))
		got := <-c.await(t.Context(), ended)
		if got.err != nil || !got.Ended || got.took != 0 {
			t.Errorf("got %+v, want the end at once", got)
		}
		if requests := c.requests(); requests != nil {
			t.Errorf("the API server was asked: %v", requests)
		}
	})
}

func TestAwaitPodFollowsThePod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster()
		var phases []bool
		answer := c.await(t.Context(), func(o check.Observation) bool {
			phases = append(phases, o.Started)
			return o.Ended
		})
		for _, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodRunning} {
			c.cached(t, aPod("dns", phase))
			synctest.Wait()
			time.Sleep(time.Second)
		}
		c.cached(t, aPod("other", corev1.PodFailed)) // of no interest
		time.Sleep(time.Hour)
		if len(answer) > 0 {
			t.Fatalf("ended too early: %+v", <-answer)
		}
		c.cached(t, aPod("dns", corev1.PodSucceeded))
		if got := <-answer; got.err != nil || !got.Ended || got.Gone {
			t.Errorf("got %+v, want the end", got)
		}
		if diff := cmp.Diff([]bool{false, true, true}, phases); diff != "" {
			t.Errorf("observations differ (-want +got):\n%s", diff)
		}
		if requests := c.requests(); requests != nil {
			t.Errorf("the API server was asked: %v", requests)
		}
	})
}

func TestAwaitPodEndsWhenThePodIsGone(t *testing.T) {
	tests := []struct {
		name   string
		delete func(*testCluster, *corev1.Pod)
	}{
		{"seen", func(c *testCluster, pod *corev1.Pod) { c.podWaiters.OnDelete(pod) }},
		{"missed by the watch", func(c *testCluster, pod *corev1.Pod) {
			c.podWaiters.OnDelete(cache.DeletedFinalStateUnknown{Key: "ns/dns", Obj: pod})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTestCluster()
				pod := aPod("dns", corev1.PodRunning)
				pod.Spec.NodeName = "node-1"
				c.cached(t, pod)
				answer := c.await(t.Context(), ended)
				tt.delete(c, pod)
				got := <-answer
				if diff := cmp.Diff(check.Observation{Started: true, Gone: true, Node: "node-1"}, got.Observation); diff != "" || got.err != nil {
					t.Errorf("error %v; observation differs (-want +got):\n%s", got.err, diff)
				}
			})
		})
	}
}

// A pod that the watch never shows was deleted before anyone looked, or the watch is behind.
func TestAwaitPodAsksForAPodThatIsNotCached(t *testing.T) {
	t.Run("it is gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newTestCluster()
			got := <-c.await(t.Context(), ended)
			if got.err != nil || !got.Gone || got.took != 3*time.Second {
				t.Errorf("got %+v, want that it is gone, after 3s", got)
			}
			if diff := cmp.Diff([]string{"get pods"}, c.requests()); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("the watch is behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newTestCluster(aPod("dns", corev1.PodRunning))
			answer := c.await(t.Context(), ended)
			time.Sleep(10 * time.Second)
			if len(answer) > 0 {
				t.Fatalf("ended too early: %+v", <-answer)
			}
			c.cached(t, aPod("dns", corev1.PodRunning))
			time.Sleep(time.Hour)
			if got := len(c.requests()); got != 3 {
				t.Errorf("%d requests, want 3, and none once it is cached", got)
			}
			c.cached(t, aPod("dns", corev1.PodFailed))
			if got := <-answer; got.err != nil || !got.Ended {
				t.Errorf("got %+v, want the end", got)
			}
		})
	})
	t.Run("the API server is away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newTestCluster()
			c.refuse("get", apierrors.NewServiceUnavailable("away"))
			got := <-c.await(t.Context(), ended)
			if !apierrors.IsServiceUnavailable(got.err) || !strings.HasPrefix(got.err.Error(), "get pod ns/dns: ") || got.Gone {
				t.Errorf("got %+v, want the server's error with the pod's name", got)
			}
		})
	})
}

func TestAwaitPodEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster()
		c.cached(t, aPod("dns", corev1.PodRunning))
		deadline := errors.New("deadline of the run")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, deadline)
		defer cancel()
		if got := <-c.await(ctx, ended); !errors.Is(got.err, deadline) || got.took != time.Minute {
			t.Errorf("got %+v, want the cause of the context's end", got)
		}
	})
}

func TestAwaitPodLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster()
		ctx, cancel := context.WithCancel(t.Context())
		first, second := c.await(t.Context(), ended), c.await(ctx, ended)
		cancel()
		<-second
		c.cached(t, aPod("dns", corev1.PodSucceeded))
		if got := <-first; got.err != nil || !got.Ended {
			t.Errorf("the other waiter got %+v, want the end", got)
		}
		c.podWaiters.mu.Lock()
		defer c.podWaiters.mu.Unlock()
		if len(c.podWaiters.byID) > 0 {
			t.Errorf("waiters are left: %v", c.podWaiters.byID)
		}
	})
}

// A waiter that is slow sees the newest status, and holds up nobody.
func TestWaiterKeepsTheNewest(t *testing.T) {
	all := newWaiters()
	slow := all.add("ns/dns")
	defer all.remove(slow)
	for _, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded} {
		all.OnUpdate(nil, aPod("dns", phase))
	}
	if got := <-slow.observations; !got.Ended {
		t.Errorf("got %+v, want the end", got)
	}
	if len(slow.observations) > 0 {
		t.Error("an older one was kept as well")
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

func TestWaitersAreSafeForConcurrentUse(t *testing.T) {
	c := newTestCluster()
	const pods = 50
	var group sync.WaitGroup
	for i := range pods {
		name := fmt.Sprintf("dns-%d", i)
		group.Go(func() {
			got, err := c.AwaitPod(t.Context(), "ns", name, ended)
			if err != nil || !got.Ended {
				t.Errorf("%s: %+v %v", name, got, err)
			}
		})
		group.Go(func() {
			for _, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded} {
				c.cached(t, aPod(name, phase))
			}
		})
	}
	group.Wait()
}

// behindStore hands out the pod as it is cached, and lets something happen before the caller can use it.
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

// A change that arrives while the first look at the cache is under way is newer than what the look found.
func TestAwaitPodDoesNotLoseAChangeDuringItsFirstLook(t *testing.T) {
	tests := []struct {
		name   string
		change func(*testCluster)
		want   check.Observation
	}{
		{"end", func(c *testCluster) { c.podWaiters.OnUpdate(nil, aPod("dns", corev1.PodSucceeded)) }, check.Observation{
			Started: true, Ended: true, Detail: "all containers exited with code 0",
		}},
		{"deletion", func(c *testCluster) { c.podWaiters.OnDelete(aPod("dns", corev1.PodRunning)) }, check.Observation{
			Started: true, Gone: true,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTestCluster()
				c.cached(t, aPod("dns", corev1.PodRunning))
				informer := c.pods.informers[0]
				c.pods.informers[0] = behindInformer{informer, behindStore{informer.GetStore(), func() { tt.change(c) }}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got := <-c.await(ctx, ended)
				if diff := cmp.Diff(tt.want, got.Observation); diff != "" || got.err != nil {
					t.Errorf("error %v; observation differs (-want +got):\n%s", got.err, diff)
				}
			})
		})
	}
}
