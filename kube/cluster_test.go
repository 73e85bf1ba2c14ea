package kube_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
)

// TestMain switches off client-go's delay after errors. client-go stores the time of the last error in a package variable.
// In a bubble of fake time, that time is a quarter of a century ahead.
func TestMain(m *testing.M) {
	utilruntime.ErrorHandlers = nil
	os.Exit(m.Run())
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-of-" + name), Generation: 1}
}

func khType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: kind}
}

func khcheck(name string) *khv1.KuberhealthyCheck {
	return &khv1.KuberhealthyCheck{TypeMeta: khType(khv1.CheckKind), ObjectMeta: meta(name)}
}

func khjob(name string) *khv1.KuberhealthyJob {
	return &khv1.KuberhealthyJob{TypeMeta: khType(khv1.JobKind), ObjectMeta: meta(name)}
}

// state shows the run of that UUID.
func state(name, uuid string) *khv1.KuberhealthyState {
	s := &khv1.KuberhealthyState{TypeMeta: khType(khv1.StateKind), ObjectMeta: meta(name)}
	s.Spec = khv1.WorkloadDetails{Errors: []string{}, CurrentUUID: uuid}
	return s
}

// checkerPod is a pod of the check cart, pending.
func checkerPod(name string) *corev1.Pod {
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: meta(name)}
	pod.Labels = map[string]string{"kuberhealthy-check-name": "cart", "kuberhealthy-run-id": "run-1"}
	return pod
}

func in(pod *corev1.Pod, phase corev1.PodPhase) *corev1.Pod {
	pod.Spec.NodeName, pod.Status.Phase = "node-1", phase
	return pod
}

// watching is everything that can be watched.
var watching = kube.Options{UserAgent: "khronicle/test", Checks: true, Jobs: true, States: true, Pods: true}

func connect(t *testing.T, api *apitest.Server, o kube.Options) *kube.Cluster {
	t.Helper()
	o.Config = api.Config()
	cluster, err := kube.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// synced returns a cluster that has read everything.
func synced(t *testing.T, api *apitest.Server, o kube.Options) *kube.Cluster {
	t.Helper()
	cluster := connect(t, api, o)
	cluster.Start(t.Context())
	if err := cluster.WaitForSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return cluster
}

func TestClusterFollowsWhatItWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		managed := khcheck("cart")
		managed.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		api := apitest.New(managed, khjob("smoke"), state("cart", "run-1"))
		cluster := synced(t, api, watching)
		if c, ok := cluster.Check("shop", "cart"); !ok || c.UID != "uid-of-cart" || c.ManagedFields != nil {
			t.Errorf("check is %+v, want it without managed fields", c)
		}
		if j, ok := cluster.Job("shop", "smoke"); !ok || j.UID != "uid-of-smoke" {
			t.Errorf("job is %+v", j)
		}
		if all := cluster.States(); len(all) != 1 || all[0].Spec.CurrentUUID != "run-1" {
			t.Errorf("states are %+v", all)
		}

		api.Put(khcheck("till"))
		api.Remove(khv1.CheckResource, "shop", "cart")
		api.Put(khjob("fire"))
		synctest.Wait()
		if _, ok := cluster.Check("shop", "cart"); ok || len(cluster.Checks()) != 1 || len(cluster.Jobs()) != 2 {
			t.Errorf("checks %v and jobs %v, want one and two", cluster.Checks(), cluster.Jobs())
		}
		if sent := api.Requests().OfOne(); len(sent) != 0 {
			t.Errorf("reading sent %+v, want nothing but lists and watches", sent)
		}
	})
}

func TestClusterWatchesOnlyWhatItIsToldTo(t *testing.T) {
	elsewhere := func(c *khv1.KuberhealthyCheck, namespace string) *khv1.KuberhealthyCheck {
		c.Namespace = namespace
		return c
	}
	tests := []struct {
		name    string
		options kube.Options
		checks  []string
		watched []string
	}{
		{"nothing", kube.Options{}, nil, nil},
		{"all namespaces", kube.Options{Checks: true}, []string{"bank/cart", "post/cart", "shop/cart"}, []string{"khchecks"}},
		{"some namespaces", kube.Options{Checks: true, Namespaces: []string{"post", "shop"}}, []string{"post/cart", "shop/cart"}, []string{"khchecks"}},
		{"other resources", kube.Options{Jobs: true, States: true}, nil, []string{"khjobs", "khstates"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := apitest.New(khcheck("cart"), elsewhere(khcheck("cart"), "post"), elsewhere(khcheck("cart"), "bank"))
				cluster := synced(t, api, tt.options)
				var names []string
				for _, c := range cluster.Checks() {
					names = append(names, c.Namespace+"/"+c.Name)
				}
				slices.Sort(names)
				if diff := cmp.Diff(tt.checks, names); diff != "" {
					t.Errorf("checks differ (-want +got):\n%s", diff)
				}
				var watched []string
				for _, r := range api.Requests() {
					watched = append(watched, r.Resource)
				}
				slices.Sort(watched)
				if diff := cmp.Diff(tt.watched, slices.Compact(watched)); diff != "" {
					t.Errorf("watches differ (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// The API server sends only the pods of checkers.
func TestClusterWatchesOnlyCheckerPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := checkerPod("other")
		other.Labels = nil
		cluster := synced(t, apitest.New(checkerPod("cart-1"), other), watching)
		if pods := cluster.Pods(); len(pods) != 1 || pods[0].Name != "cart-1" {
			t.Errorf("pods %v, want cart-1 alone", pods)
		}
	})
}

func TestWaitForSyncWaitsForTheAPIServerOrTheEndOfItsContext(t *testing.T) {
	t.Run("waits until the API server answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			api := apitest.New(khcheck("cart"))
			began := time.Now()
			api.SetAnswer(func(*http.Request) *apierrors.StatusError {
				if time.Since(began) < 10*time.Second {
					return apierrors.NewServiceUnavailable("starting")
				}
				return nil
			})
			cluster := synced(t, api, watching)
			if _, ok := cluster.Check("shop", "cart"); !ok {
				t.Error("synced without the check")
			}
			if took := time.Since(began); took < 10*time.Second {
				t.Errorf("took %s, less than the API server was down", took)
			}
		})
	})
	t.Run("ends with its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			api := apitest.New()
			api.Refuse(apierrors.NewServiceUnavailable("down"))
			cluster := connect(t, api, watching)
			cluster.Start(t.Context())
			stopped := errors.New("stopped")
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, stopped)
			defer cancel()
			if err := cluster.WaitForSync(ctx); !errors.Is(err, stopped) {
				t.Errorf("error %v, want %v", err, stopped)
			}
		})
	})
}

func TestSyncedFailsUntilTheFirstList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := connect(t, apitest.New(), watching)
		if err := cluster.Synced(t.Context()); text(err) != "the watched resources have not been read yet" {
			t.Errorf("error %v before the first list", err)
		}
		cluster.Start(t.Context())
		synctest.Wait()
		if err := cluster.Synced(t.Context()); err != nil {
			t.Errorf("error %v after the first list", err)
		}
	})
}

func TestReachableFailsWhileTheAPIServerIsDown(t *testing.T) {
	api := apitest.New()
	cluster := connect(t, api, watching)
	if err := cluster.Reachable(t.Context()); err != nil {
		t.Error(err)
	}
	api.Refuse(apierrors.NewServiceUnavailable("down"))
	if err := cluster.Reachable(t.Context()); text(err) != "ask the API server whether it is ready: down" {
		t.Errorf("error %v", err)
	}
}

func TestWatches(t *testing.T) {
	tests := []struct {
		name       string
		namespaces []string
		want       bool
	}{
		{"all namespaces", nil, true},
		{"this one among others", []string{"post", "shop"}, true},
		{"others", []string{"post", "bank"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := connect(t, apitest.New(), kube.Options{Checks: true, Namespaces: tt.namespaces})
			if got := cluster.Watches("shop"); got != tt.want {
				t.Errorf("%t, want %t", got, tt.want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestNewFailsWithAWrongConfig(t *testing.T) {
	if _, err := kube.New(kube.Options{Config: &rest.Config{Host: "http://[broken"}}); err == nil || !strings.Contains(err.Error(), "make Kubernetes client: ") {
		t.Errorf("error %v, want one that says what failed", err)
	}
}

// The config belongs to the caller, who may use it for another cluster.
func TestNewLeavesTheConfigAsItIs(t *testing.T) {
	config := &rest.Config{Host: "http://api.test", QPS: 1, UserAgent: "mine"}
	if _, err := kube.New(kube.Options{Config: config, UserAgent: "khronicle/test"}); err != nil {
		t.Fatal(err)
	}
	if config.QPS != 1 || config.UserAgent != "mine" || config.APIPath != "" {
		t.Errorf("the config changed: %+v", config)
	}
}

func TestOnChangeNamesWhatAppearsChangesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(khcheck("cart"), khjob("smoke"))
		cluster := connect(t, api, watching)
		seen := make(chan string, 100)
		note := func(kind string) func(namespace, name string) {
			return func(namespace, name string) { seen <- kind + " " + namespace + "/" + name }
		}
		if err := errors.Join(cluster.OnCheckChange(note("check")), cluster.OnJobChange(note("job"))); err != nil {
			t.Fatal(err)
		}
		cluster.Start(t.Context())
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for len(seen) > 0 {
				got = append(got, <-seen)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("calls differ (-want +got):\n%s", diff)
			}
		}
		expect("check shop/cart", "job shop/smoke")
		api.Put(khcheck("till"))
		expect("check shop/till")
		api.Put(khjob("smoke"))
		expect("job shop/smoke")
		api.Remove(khv1.CheckResource, "shop", "cart")
		expect("check shop/cart")
		api.Lose(khv1.CheckResource, "shop", "till")
		time.Sleep(time.Minute)                     // of fake time: the watch begins anew
		expect("check shop/till", "job shop/smoke") // the job was listed again
	})
}
