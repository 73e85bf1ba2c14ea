package kube_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
)

var podResource = schema.GroupResource{Resource: "pods"}

// retried is true for an error after which another try may create the pod.
func retried(err error) bool {
	return err != nil && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err)
}

func TestCreatePod(t *testing.T) {
	otherRun := checkerPod("cart-1")
	otherRun.Labels["kuberhealthy-run-id"] = "run-2"
	started := in(checkerPod("cart-1"), corev1.PodRunning)
	tests := []struct {
		name    string
		present []runtime.Object
		answer  func(*http.Request) *apierrors.StatusError
		node    string // of the returned pod
		err     func(error) bool
		calls   []string
	}{
		{name: "created", calls: []string{"POST pods shop/cart-1"}},
		{
			name: "was created by an earlier call", present: []runtime.Object{started}, node: "node-1",
			calls: []string{"POST pods shop/cart-1", "GET pods shop/cart-1"},
		},
		{
			name: "name is taken by another run", present: []runtime.Object{otherRun}, err: apierrors.IsAlreadyExists,
			calls: []string{"POST pods shop/cart-1", "GET pods shop/cart-1"},
		},
		{
			name: "name was taken and is free again",
			answer: func(r *http.Request) *apierrors.StatusError {
				if r.Method == http.MethodPost {
					return apierrors.NewAlreadyExists(podResource, "cart-1")
				}
				return nil
			},
			err: retried, calls: []string{"POST pods shop/cart-1", "GET pods shop/cart-1"},
		},
		{
			name: "name is taken, and it cannot be seen by whom", present: []runtime.Object{otherRun},
			answer: func(r *http.Request) *apierrors.StatusError {
				if r.Method == http.MethodGet {
					return apierrors.NewServiceUnavailable("down")
				}
				return nil
			},
			err: apierrors.IsServiceUnavailable, calls: []string{"POST pods shop/cart-1", "GET pods shop/cart-1"},
		},
		{
			name: "forbidden",
			answer: func(*http.Request) *apierrors.StatusError {
				return apierrors.NewForbidden(podResource, "cart-1", errors.New("exceeded quota"))
			},
			err: apierrors.IsForbidden, calls: []string{"POST pods shop/cart-1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := apitest.New(tt.present...)
			api.SetAnswer(tt.answer)
			pod, err := connect(t, api, watching).CreatePod(t.Context(), checkerPod("cart-1"))
			switch {
			case tt.err != nil:
				if !tt.err(err) {
					t.Errorf("error %v", err)
				}
			case err != nil:
				t.Error(err)
			case pod.Name != "cart-1" || pod.Labels["kuberhealthy-run-id"] != "run-1" || pod.Spec.NodeName != tt.node:
				t.Errorf("pod is %+v", pod)
			}
			if diff := cmp.Diff(tt.calls, api.Requests().Calls()); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
		})
	}
}

// Policies and webhooks quote labels, and whoever reads the run UUID can report for the run.
func TestRefusalOfAPodDoesNotSayTheRunUUID(t *testing.T) {
	const runUUID = "6f6cf0a5-2d3a-4c9b-8f4e-1f5f0f6f7a11"
	pod := checkerPod("cart-1")
	pod.Labels["kuberhealthy-run-id"] = runUUID
	api := apitest.New()
	api.SetAnswer(func(*http.Request) *apierrors.StatusError {
		denied := apierrors.NewForbidden(podResource, "cart-1", errors.New("kuberhealthy-run-id is "+runUUID))
		denied.ErrStatus.Details.Causes = []metav1.StatusCause{{Message: "label " + strings.ToUpper(runUUID)}}
		return denied
	})
	_, err := connect(t, api, watching).CreatePod(t.Context(), pod)
	var refusal *apierrors.StatusError
	if !errors.As(err, &refusal) || !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "kuberhealthy-run-id is ****") {
		t.Fatalf("got %v, want the refusal with a hidden run UUID", err)
	}
	if cause := refusal.ErrStatus.Details.Causes[0].Message; !strings.HasPrefix(cause, "label ****") {
		t.Errorf("the cause is %q", cause)
	}
}

func TestCreatePodSaysWhoWrites(t *testing.T) {
	api := apitest.New()
	if _, err := connect(t, api, watching).CreatePod(t.Context(), checkerPod("cart-1")); err != nil {
		t.Fatal(err)
	}
	sent := api.Requests().OfOne()[0]
	if sent.FieldManager != "khronicle" || sent.UserAgent != "khronicle/test" {
		t.Errorf("field manager %q and user agent %q", sent.FieldManager, sent.UserAgent)
	}
}

func TestLivePod(t *testing.T) {
	tests := []struct {
		name    string
		present []runtime.Object
		answer  *apierrors.StatusError
		found   bool
		want    string
	}{
		{name: "is there", present: []runtime.Object{checkerPod("cart-1")}, found: true},
		{name: "is not there"},
		{name: "refused", answer: apierrors.NewServiceUnavailable("down"), want: "get pod shop/cart-1: down"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := apitest.New(tt.present...)
			api.Refuse(tt.answer)
			pod, err := connect(t, api, watching).LivePod(t.Context(), "shop", "cart-1")
			if (pod != nil) != tt.found || text(err) != tt.want {
				t.Errorf("pod %v, error %q, want a pod: %t, error %q", pod, text(err), tt.found, tt.want)
			}
			if diff := cmp.Diff([]string{"GET pods shop/cart-1"}, api.Requests().Calls()); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeletePod(t *testing.T) {
	tests := []struct {
		name    string
		present []runtime.Object
		answer  *apierrors.StatusError
		want    string
	}{
		{"deleted", []runtime.Object{checkerPod("cart-1")}, nil, ""},
		{"is gone", nil, nil, ""},
		{"refused", nil, apierrors.NewServiceUnavailable("down"), "delete pod shop/cart-1: down"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := apitest.New(tt.present...)
			api.Refuse(tt.answer)
			if err := connect(t, api, watching).DeletePod(t.Context(), "shop", "cart-1"); text(err) != tt.want {
				t.Errorf("error %q, want %q", text(err), tt.want)
			}
			if api.Count("pods") != 0 {
				t.Error("the pod is still there")
			}
			if diff := cmp.Diff([]string{"DELETE pods shop/cart-1"}, api.Requests().Calls()); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPodsAreThoseOfAllNamespaces(t *testing.T) {
	pod := func(namespace, name string) *corev1.Pod {
		p := checkerPod(name)
		p.Namespace = namespace
		return p
	}
	synctest.Test(t, func(t *testing.T) {
		cluster := synced(t, apitest.New(pod("shop", "cart-1"), pod("shop", "till-1"), pod("bank", "cart-3")), watching)
		var got []string
		for _, p := range cluster.Pods() {
			got = append(got, p.Name)
			if !cluster.HasPod(p.Namespace, p.Name) || cluster.HasPod(p.Namespace, "other") {
				t.Errorf("want pod %s to be there, and no other", p.Name)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"cart-1", "cart-3", "till-1"}, got); diff != "" {
			t.Errorf("pods differ (-want +got):\n%s", diff)
		}
	})
}

func started(o check.Observation) bool { return o.Started }

func ended(o check.Observation) bool { return o.Ended }

// unlisted is a pod that exists and is not in the cache.
func unlisted() *corev1.Pod {
	pod := checkerPod("cart-1")
	pod.Labels = nil
	return pod
}

func TestAwaitPod(t *testing.T) {
	pending := func() *corev1.Pod { return checkerPod("cart-1") }
	running := func() *corev1.Pod { return in(checkerPod("cart-1"), corev1.PodRunning) }
	succeeded := func() *corev1.Pod { return in(checkerPod("cart-1"), corev1.PodSucceeded) }
	const done = "all containers exited with code 0"
	tests := []struct {
		name    string
		present []runtime.Object
		until   func(check.Observation) bool
		later   map[time.Duration]func(*apitest.Server)
		want    check.Observation
		took    time.Duration
		gets    int
	}{
		{
			name: "condition holds already", present: []runtime.Object{running()}, until: started,
			want: check.Observation{Started: true, Node: "node-1"},
		},
		{
			name: "condition holds later", present: []runtime.Object{pending()}, until: ended,
			later: map[time.Duration]func(*apitest.Server){
				20 * time.Second: func(a *apitest.Server) { a.Put(running()) },
				40 * time.Second: func(a *apitest.Server) { a.Put(succeeded()) },
			},
			want: check.Observation{Started: true, Ended: true, Node: "node-1", Detail: done}, took: 40 * time.Second,
		},
		{
			name: "pod comes into the cache late", until: started,
			later: map[time.Duration]func(*apitest.Server){400 * time.Millisecond: func(a *apitest.Server) { a.Put(running()) }},
			want:  check.Observation{Started: true, Node: "node-1"}, took: 400 * time.Millisecond,
		},
		{
			name: "deleted: gone with its last status", present: []runtime.Object{running()}, until: ended,
			later: map[time.Duration]func(*apitest.Server){20 * time.Second: func(a *apitest.Server) { a.Remove("pods", "shop", "cart-1") }},
			want:  check.Observation{Started: true, Gone: true, Node: "node-1"}, took: 20 * time.Second,
		},
		{
			name: "deleted once it had ended", present: []runtime.Object{running()}, until: func(check.Observation) bool { return false },
			later: map[time.Duration]func(*apitest.Server){20 * time.Second: func(a *apitest.Server) {
				a.Put(succeeded())
				a.Remove("pods", "shop", "cart-1")
			}},
			want: check.Observation{Started: true, Ended: true, Gone: true, Node: "node-1", Detail: done}, took: 20 * time.Second,
		},
		{
			name: "never there", until: started,
			want: check.Observation{Gone: true}, took: 500 * time.Millisecond, gets: 1,
		},
		{
			name: "the watch lags: what the API server says counts", present: []runtime.Object{unlisted()}, until: started,
			later: map[time.Duration]func(*apitest.Server){time.Second: func(a *apitest.Server) {
				pod := unlisted()
				pod.Status.Phase = corev1.PodRunning
				a.Put(pod)
			}},
			want: check.Observation{Started: true}, took: 1500 * time.Millisecond, gets: 2,
		},
		{
			name: "the watch lags for long: asked ever more rarely", present: []runtime.Object{unlisted()}, until: started,
			later: map[time.Duration]func(*apitest.Server){time.Minute: func(a *apitest.Server) { a.Remove("pods", "shop", "cart-1") }},
			want:  check.Observation{Gone: true}, took: 65500 * time.Millisecond, gets: 10,
		},
		{
			name: "missing in the cache, and there: asked again until it is gone", present: []runtime.Object{unlisted()}, until: started,
			later: map[time.Duration]func(*apitest.Server){1200 * time.Millisecond: func(a *apitest.Server) { a.Remove("pods", "shop", "cart-1") }},
			want:  check.Observation{Gone: true}, took: 1500 * time.Millisecond, gets: 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := apitest.New(tt.present...)
				cluster := synced(t, api, watching)
				began := time.Now()
				for after, happens := range tt.later {
					time.AfterFunc(after, func() { happens(api) })
				}
				got, err := cluster.AwaitPod(t.Context(), "shop", "cart-1", tt.until)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("observation differs (-want +got):\n%s", diff)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if calls := api.Requests().Calls(); len(calls) != tt.gets {
					t.Errorf("requests %v, want %d", calls, tt.gets)
				}
			})
		})
	}
}

// The watch was broken while the pod was deleted. Its last status is the one in the cache.
func TestAwaitPodReturnsTheLastStatusOfAPodThatWentUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(in(checkerPod("cart-1"), corev1.PodRunning))
		cluster := synced(t, api, watching)
		time.AfterFunc(10*time.Second, func() { api.Lose("pods", "shop", "cart-1") })
		got, err := cluster.AwaitPod(t.Context(), "shop", "cart-1", ended)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(check.Observation{Started: true, Gone: true, Node: "node-1"}, got); diff != "" {
			t.Errorf("observation differs (-want +got):\n%s", diff)
		}
	})
}

// A caller that looks away while the pod changes then sees the present status, not the old one.
func TestAwaitPodSeesTheNewestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(checkerPod("cart-1"))
		cluster := synced(t, api, watching)
		var seen []check.Observation
		_, err := cluster.AwaitPod(t.Context(), "shop", "cart-1", func(o check.Observation) bool {
			seen = append(seen, o)
			if len(seen) == 1 {
				for _, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded} {
					api.Put(in(checkerPod("cart-1"), phase))
					synctest.Wait()
				}
			}
			return o.Ended
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []check.Observation{{}, {Started: true, Ended: true, Node: "node-1", Detail: "all containers exited with code 0"}}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("observations differ (-want +got):\n%s", diff)
		}
	})
}

func TestAwaitPodIsNotDisturbedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := checkerPod("cart-1")
		other.Namespace = "bank"
		api := apitest.New(checkerPod("cart-1"), checkerPod("cart-2"), other)
		cluster := synced(t, api, watching)
		type answer struct {
			who string
			check.Observation
		}
		answers := make(chan answer, 4)
		for _, who := range []string{"first of cart-1", "second of cart-1", "of cart-2"} {
			go func() {
				name := who[len(who)-len("cart-1"):]
				o, err := cluster.AwaitPod(t.Context(), "shop", name, started)
				if err == nil {
					answers <- answer{who, o}
				}
			}()
		}
		api.Put(in(other, corev1.PodRunning))
		synctest.Wait()
		if len(answers) != 0 {
			t.Fatalf("answer %+v, want none: it was another pod that started", <-answers)
		}
		api.Put(in(checkerPod("cart-1"), corev1.PodRunning))
		synctest.Wait()
		if len(answers) != 2 {
			t.Fatalf("%d answers, want one for each who waits for cart-1", len(answers))
		}
		for range 2 {
			if a := <-answers; !strings.HasSuffix(a.who, "cart-1") || !a.Started {
				t.Errorf("answer %+v", a)
			}
		}
	})
}

func TestAwaitPodFailsWhenThePodCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New()
		cluster := synced(t, api, watching)
		api.Refuse(apierrors.NewServiceUnavailable("down"))
		_, err := cluster.AwaitPod(t.Context(), "shop", "cart-1", started)
		if text(err) != "get pod shop/cart-1: down" {
			t.Errorf("error %v", err)
		}
	})
}

func TestAwaitPodEndsWithItsContext(t *testing.T) {
	stopped := errors.New("stopped")
	tests := []struct {
		name    string
		present []runtime.Object
		slow    bool // the API server does not answer
		after   time.Duration
		want    error
	}{
		{"pod in the cache", []runtime.Object{checkerPod("cart-1")}, false, time.Minute, stopped},
		{"pod missing in the cache", []runtime.Object{unlisted()}, false, 1200 * time.Millisecond, stopped},
		{"before the API server is asked", nil, false, 400 * time.Millisecond, stopped},
		{"while the API server is asked", nil, true, time.Minute, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := apitest.New(tt.present...)
				cluster := synced(t, api, watching)
				if tt.slow {
					api.SetAnswer(func(r *http.Request) *apierrors.StatusError { <-r.Context().Done(); return nil })
				}
				ctx, cancel := context.WithTimeoutCause(t.Context(), tt.after, stopped)
				defer cancel()
				began := time.Now()
				if _, err := cluster.AwaitPod(ctx, "shop", "cart-1", started); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took != tt.after {
					t.Errorf("took %s, want %s", took, tt.after)
				}
			})
		})
	}
}

// A worker that continues a wait at the deadline still returns what the pod is doing. It does so each time, not by chance.
func TestAwaitPodLooksOnceAlthoughItsContextHasEnded(t *testing.T) {
	tests := []struct {
		name  string
		phase corev1.PodPhase
		holds bool
	}{
		{"condition holds", corev1.PodRunning, true},
		{"condition does not hold", corev1.PodPending, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := synced(t, apitest.New(in(checkerPod("cart-1"), tt.phase)), watching)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				for range 20 {
					looked := 0
					o, err := cluster.AwaitPod(ctx, "shop", "cart-1", func(o check.Observation) bool { looked++; return o.Started })
					if looked != 1 || (err == nil) != tt.holds || o.Started != tt.holds {
						t.Fatalf("looked %d times, observation %+v, error %v", looked, o, err)
					}
				}
			})
		})
	}
}

func TestAwaitPodWithoutACacheOfPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := synced(t, apitest.New(), kube.Options{Checks: true})
		o, err := cluster.AwaitPod(t.Context(), "shop", "cart-1", started)
		if err != nil || !o.Gone {
			t.Errorf("observation %+v, error %v, want Gone", o, err)
		}
	})
}

func TestObserveIsNotFromTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(in(checkerPod("cart-1"), corev1.PodRunning))
		cluster := synced(t, api, watching)
		for _, tt := range []struct {
			name string
			want check.Observation
		}{{"cart-1", check.Observation{Started: true, Node: "node-1"}}, {"cart-2", check.Observation{Gone: true}}} {
			got, err := cluster.Observe(t.Context(), "shop", tt.name)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%s, error %v (-want +got):\n%s", tt.name, err, diff)
			}
		}
		if calls := api.Requests().Calls(); len(calls) != 2 {
			t.Errorf("requests %v, want one for each", calls)
		}
		api.Refuse(apierrors.NewInternalError(errors.New("down")))
		if got, err := cluster.Observe(t.Context(), "shop", "cart-1"); err == nil || got.Gone {
			t.Errorf("got %+v, error %v, want an error", got, err)
		}
	})
}

func TestUnfinishedPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(checkerPod("cart-1"), in(checkerPod("cart-2"), corev1.PodRunning), in(checkerPod("cart-3"), corev1.PodFailed))
		cluster := synced(t, api, watching)
		want := func(n int) {
			t.Helper()
			synctest.Wait()
			if got := cluster.UnfinishedPods(); got != n {
				t.Errorf("%d pods have not ended, want %d", got, n)
			}
		}
		want(2)
		api.Put(checkerPod("cart-4"))
		want(3)
		api.Put(in(checkerPod("cart-1"), corev1.PodSucceeded))
		want(2)
		api.Remove("pods", "shop", "cart-1")
		want(2)
		api.Remove("pods", "shop", "cart-2")
		want(1)
	})
}

// If a pod succeeded, the cache has only how it ended. Any other pod may become evidence, so the cache has all of it.
func TestCachedPodsAreTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := func(name string, phase corev1.PodPhase) *corev1.Pod {
			pod := in(checkerPod(name), phase)
			pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
			pod.Spec.ActiveDeadlineSeconds = new(int64(90))
			pod.Spec.InitContainers = []corev1.Container{{Name: "proxy", Image: "proxy:1", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
			pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "registry.example/check:1", Command: []string{"check"}}}
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", ImageID: "sha256:1"}}
			return pod
		}
		cluster := synced(t, apitest.New(whole("cart-1", corev1.PodSucceeded), whole("cart-2", corev1.PodFailed)), watching)
		for name, want := range map[string]corev1.PodSpec{
			"cart-1": {
				NodeName: "node-1", ActiveDeadlineSeconds: new(int64(90)), Containers: []corev1.Container{{Name: "main"}},
				InitContainers: []corev1.Container{{Name: "proxy", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}},
			},
			"cart-2": whole("cart-2", corev1.PodFailed).Spec,
		} {
			pod, ok := cluster.Pod("shop", name)
			if !ok {
				t.Fatalf("%s is not cached", name)
			}
			if diff := cmp.Diff(want, pod.Spec); diff != "" {
				t.Errorf("spec of %s (-want +got):\n%s", name, diff)
			}
			if pod.ManagedFields != nil || len(pod.Status.ContainerStatuses) != 1 || len(pod.Labels) == 0 {
				t.Errorf("%s is %+v", name, pod)
			}
		}
	})
}
