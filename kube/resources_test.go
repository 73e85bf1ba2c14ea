package kube_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
)

var (
	stateResource = schema.GroupResource{Group: "comcast.github.io", Resource: "khstates"}
	cartRef       = check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: "uid-of-cart", Generation: 1}
	smokeRef      = check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "smoke", UID: "uid-of-smoke", Generation: 1}
)

// edited is the check cart in its second revision.
func edited() *khv1.KuberhealthyCheck {
	c := khcheck("cart")
	c.Generation, c.Spec.Timeout = 2, "2m"
	return c
}

func TestWorkload(t *testing.T) {
	replaced := khcheck("cart")
	replaced.UID = "uid-of-another"
	second := cartRef
	second.Generation = 2
	down := apierrors.NewServiceUnavailable("down")
	tests := []struct {
		name   string
		cached []runtime.Object
		live   []runtime.Object
		answer *apierrors.StatusError
		ref    check.Ref
		want   *check.Workload // nil: it was deleted
		err    string
		calls  []string
	}{
		{name: "check in the cache", cached: []runtime.Object{khcheck("cart")}, ref: cartRef, want: workload(cartRef, "")},
		{name: "job in the cache", cached: []runtime.Object{khjob("smoke")}, ref: smokeRef, want: workload(smokeRef, "")},
		{name: "cache is ahead", cached: []runtime.Object{edited()}, ref: cartRef, want: workload(second, "2m")},
		{
			name: "cache is behind", cached: []runtime.Object{khcheck("cart")}, live: []runtime.Object{edited()}, ref: second,
			want: workload(second, "2m"), calls: []string{"GET khchecks shop/cart"},
		},
		{
			name: "not yet in the cache", live: []runtime.Object{khcheck("cart")}, ref: cartRef,
			want: workload(cartRef, ""), calls: []string{"GET khchecks shop/cart"},
		},
		{
			name: "job is not yet in the cache", live: []runtime.Object{khjob("smoke")}, ref: smokeRef,
			want: workload(smokeRef, ""), calls: []string{"GET khjobs shop/smoke"},
		},
		{
			name: "cache has the one before", cached: []runtime.Object{replaced}, live: []runtime.Object{khcheck("cart")}, ref: cartRef,
			want: workload(cartRef, ""), calls: []string{"GET khchecks shop/cart"},
		},
		{
			name: "replaced by another of its name", cached: []runtime.Object{replaced}, live: []runtime.Object{replaced}, ref: cartRef,
			calls: []string{"GET khchecks shop/cart"},
		},
		{name: "check is being deleted", cached: []runtime.Object{deleting()}, live: []runtime.Object{deleting()}, ref: cartRef, calls: []string{"GET khchecks shop/cart"}},
		{name: "check is gone", ref: cartRef, calls: []string{"GET khchecks shop/cart"}},
		{name: "job is gone", ref: smokeRef, calls: []string{"GET khjobs shop/smoke"}},
		{name: "a job is no check", cached: []runtime.Object{khjob("cart")}, live: []runtime.Object{khjob("cart")}, ref: cartRef, calls: []string{"GET khchecks shop/cart"}},
		{name: "API server is down", answer: down, ref: cartRef, err: "get KHCheck shop/cart: down", calls: []string{"GET khchecks shop/cart"}},
		{name: "API server is down, but the cache is there", cached: []runtime.Object{khcheck("cart")}, answer: down, ref: cartRef, want: workload(cartRef, "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := apitest.New(tt.cached...)
				cluster := synced(t, api, watching)
				api.ForgetUnseen()
				api.PutUnseen(tt.live...)
				api.Refuse(tt.answer)
				got, ok, err := cluster.Workload(t.Context(), tt.ref)
				if text(err) != tt.err {
					t.Fatalf("error %q, want %q", text(err), tt.err)
				}
				if ok != (tt.want != nil) {
					t.Fatalf("found: %t, want %t", ok, tt.want != nil)
				}
				if tt.want != nil {
					if diff := cmp.Diff(*tt.want, got); diff != "" {
						t.Errorf("workload differs (-want +got):\n%s", diff)
					}
				}
				if diff := cmp.Diff(tt.calls, api.Requests().Calls()); diff != "" {
					t.Errorf("requests differ (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func workload(ref check.Ref, timeout string) *check.Workload {
	w := check.Workload{Ref: ref, Timeout: timeout}
	if ref.Kind == khv1.KHCheck {
		w.Schedule = &check.ScheduleSpec{}
	}
	return &w
}

// showing returns a build function that shows the run uuid. It notes the runs that it saw, and "-" for no state.
func showing(uuid string, saw *[]string) func(*khv1.KuberhealthyState) *khv1.KuberhealthyState {
	return func(present *khv1.KuberhealthyState) *khv1.KuberhealthyState {
		if present == nil {
			*saw = append(*saw, "-")
			return state("cart", uuid)
		}
		*saw = append(*saw, present.Spec.CurrentUUID)
		wanted := present.DeepCopy()
		wanted.Spec.CurrentUUID = uuid
		return wanted
	}
}

func TestWriteState(t *testing.T) {
	tests := []struct {
		name   string
		cached []runtime.Object
		live   func(*apitest.Server) // a change that the cache has not seen
		saw    []string
		calls  []string
	}{
		{name: "create", saw: []string{"-"}, calls: []string{"POST khstates shop/cart"}},
		{name: "update", cached: []runtime.Object{state("cart", "run-1")}, saw: []string{"run-1"}, calls: []string{"PUT khstates shop/cart"}},
		{
			name: "another writer was faster", cached: []runtime.Object{state("cart", "run-1")},
			live:  func(a *apitest.Server) { a.PutUnseen(state("cart", "run-2")) },
			saw:   []string{"run-1", "run-2"},
			calls: []string{"PUT khstates shop/cart", "GET khstates shop/cart", "PUT khstates shop/cart"},
		},
		{
			name:  "another writer created it first",
			live:  func(a *apitest.Server) { a.PutUnseen(state("cart", "run-2")) },
			saw:   []string{"-", "run-2"},
			calls: []string{"POST khstates shop/cart", "GET khstates shop/cart", "PUT khstates shop/cart"},
		},
		{
			name: "deleted meanwhile", cached: []runtime.Object{state("cart", "run-1")},
			live:  func(a *apitest.Server) { a.ForgetUnseen() },
			saw:   []string{"run-1", "-"},
			calls: []string{"PUT khstates shop/cart", "GET khstates shop/cart", "POST khstates shop/cart"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := apitest.New(tt.cached...)
				cluster := synced(t, api, watching)
				if tt.live != nil {
					tt.live(api)
				}
				var saw []string
				if err := cluster.WriteState(t.Context(), "shop", "cart", showing("run-3", &saw)); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.saw, saw); diff != "" {
					t.Errorf("states that it was built from differ (-want +got):\n%s", diff)
				}
				requests := api.Requests()
				for _, r := range requests.OfOne() {
					if r.Method != http.MethodGet && r.FieldManager != "khronicle" {
						t.Errorf("%s with field manager %q", r.Method, r.FieldManager)
					}
				}
				if diff := cmp.Diff(tt.calls, requests.Calls()); diff != "" {
					t.Errorf("requests differ (-want +got):\n%s", diff)
				}
				var written khv1.KuberhealthyState
				if !api.Object(khv1.StateResource, "shop", "cart", &written) || written.Spec.CurrentUUID != "run-3" {
					t.Errorf("state shows %q, want run-3", written.Spec.CurrentUUID)
				}
			})
		})
	}
}

func TestWriteStateThatIsLeftAsItIsSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(state("cart", "run-1"))
		cluster := synced(t, api, watching)
		err := cluster.WriteState(t.Context(), "shop", "cart", func(*khv1.KuberhealthyState) *khv1.KuberhealthyState { return nil })
		if calls := api.Requests().Calls(); err != nil || len(calls) != 0 {
			t.Errorf("error %v, requests %v, want none", err, calls)
		}
	})
}

// If another writer wrote a newer state, there is nothing more to write.
func TestWriteStateLeavesTheStateOfALaterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(state("cart", "run-1"))
		cluster := synced(t, api, watching)
		api.PutUnseen(state("cart", "run-9"))
		err := cluster.WriteState(t.Context(), "shop", "cart", func(present *khv1.KuberhealthyState) *khv1.KuberhealthyState {
			if present.Spec.CurrentUUID == "run-9" {
				return nil
			}
			return present.DeepCopy()
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"PUT khstates shop/cart", "GET khstates shop/cart"}, api.Requests().Calls()); diff != "" {
			t.Errorf("requests differ (-want +got):\n%s", diff)
		}
	})
}

func TestWriteStateReturnsTheRefusal(t *testing.T) {
	conflict := apierrors.NewConflict(stateResource, "cart", errors.New("modified"))
	tests := []struct {
		name   string
		answer func(*http.Request) *apierrors.StatusError
		want   string
		writes int
	}{
		{"refused", func(*http.Request) *apierrors.StatusError {
			return apierrors.NewForbidden(stateResource, "cart", errors.New("no"))
		}, `write khstate shop/cart: khstates.comcast.github.io "cart" is forbidden: no`, 1},
		{"loses again and again", func(r *http.Request) *apierrors.StatusError {
			if r.Method == http.MethodPut {
				return conflict
			}
			return nil
		}, "write khstate shop/cart: " + conflict.Error(), 5},
		{"loses and cannot read", func(r *http.Request) *apierrors.StatusError {
			if r.Method == http.MethodPut {
				return conflict
			}
			return apierrors.NewServiceUnavailable("down")
		}, "write khstate shop/cart: down", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := apitest.New(state("cart", "run-1"))
				cluster := synced(t, api, watching)
				api.SetAnswer(tt.answer)
				var saw []string
				if err := cluster.WriteState(t.Context(), "shop", "cart", showing("run-3", &saw)); text(err) != tt.want {
					t.Errorf("error %q, want %q", text(err), tt.want)
				}
				if len(saw) != tt.writes {
					t.Errorf("tried %d times, want %d", len(saw), tt.writes)
				}
			})
		})
	}
}

func TestLiveCheck(t *testing.T) {
	tests := []struct {
		name   string
		live   []runtime.Object
		answer *apierrors.StatusError
		found  bool
		err    string
	}{
		{name: "there", live: []runtime.Object{edited()}, found: true},
		{name: "gone"},
		{name: "being deleted", live: []runtime.Object{deleting()}},
		{name: "API server is down", answer: apierrors.NewServiceUnavailable("down"), err: "get khcheck shop/cart: down"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := apitest.New(khcheck("cart"))
				cluster := synced(t, api, watching)
				api.ForgetUnseen()
				api.PutUnseen(tt.live...)
				api.Refuse(tt.answer)
				got, err := cluster.LiveCheck(t.Context(), "shop", "cart")
				if text(err) != tt.err || (got != nil) != tt.found {
					t.Errorf("check %+v, error %q, want found %t, error %q", got, text(err), tt.found, tt.err)
				}
				if tt.found && got.Generation != 2 {
					t.Errorf("generation %d, want that of the API server and not that of the cache", got.Generation)
				}
			})
		})
	}
}

// deleting is the check cart, whose deletion a finalizer delays.
func deleting() *khv1.KuberhealthyCheck {
	c := khcheck("cart")
	c.DeletionTimestamp, c.Finalizers = &metav1.Time{Time: time.Now()}, []string{"example.com/slow"}
	return c
}

func TestACheckThatIsBeingDeletedIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := khjob("smoke")
		job.DeletionTimestamp, job.Finalizers = &metav1.Time{Time: time.Now()}, []string{"example.com/slow"}
		cluster := synced(t, apitest.New(deleting(), job), watching)
		if _, ok := cluster.Check("shop", "cart"); ok || len(cluster.Checks()) > 0 {
			t.Error("a check is there that is being deleted")
		}
		if _, ok := cluster.Job("shop", "smoke"); ok || len(cluster.Jobs()) > 0 {
			t.Error("a job is there that is being deleted")
		}
	})
}

// replacement is another job of the name smoke.
func replacement() *khv1.KuberhealthyJob {
	job := khjob("smoke")
	job.UID = "uid-of-another"
	return job
}

func TestSetJobPhasePatchesThatJobAlone(t *testing.T) {
	tests := []struct {
		name    string
		present []runtime.Object
		answer  *apierrors.StatusError
		want    string
	}{
		{"written", []runtime.Object{khjob("smoke")}, nil, ""},
		{"job is gone", nil, nil, ""},
		{"job was replaced by another of its name", []runtime.Object{replacement()}, nil, ""},
		{"refused", nil, apierrors.NewServiceUnavailable("down"), "set phase of khjob shop/smoke to Completed: down"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := apitest.New(tt.present...)
			api.Refuse(tt.answer)
			cluster := connect(t, api, watching)
			if err := cluster.SetJobPhase(t.Context(), smokeRef, khv1.JobCompleted); text(err) != tt.want {
				t.Errorf("error %q, want %q", text(err), tt.want)
			}
			want := apitest.Request{
				Verb: "patch", Resource: "khjobs", Namespace: "shop", Name: "smoke",
				Method: "PATCH", Path: "namespaces/shop/khjobs/smoke?fieldManager=khronicle",
				FieldManager: "khronicle", UserAgent: "khronicle/test",
				ContentType: "application/merge-patch+json", Body: `{"metadata":{"uid":"uid-of-smoke"},"spec":{"phase":"Completed"}}`,
			}
			if diff := cmp.Diff(want, api.Requests().OfOne()[0]); diff != "" {
				t.Errorf("request differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetJobPhaseLeavesTheRestOfTheJob(t *testing.T) {
	job := khjob("smoke")
	job.Spec.Timeout = "1m"
	job.Spec.PodSpec.Containers = []corev1.Container{{Name: "main", Image: "smoke:1"}}
	api := apitest.New(job)
	if err := connect(t, api, watching).SetJobPhase(t.Context(), smokeRef, khv1.JobRunning); err != nil {
		t.Fatal(err)
	}
	want := job.DeepCopy()
	want.Spec.Phase = khv1.JobRunning
	got := &khv1.KuberhealthyJob{}
	if !api.Object(khv1.JobResource, "shop", "smoke", got) {
		t.Fatal("the job is not there")
	}
	if diff := cmp.Diff(want.Spec, got.Spec); diff != "" {
		t.Errorf("job differs (-want +got):\n%s", diff)
	}
}

func TestDeleteJob(t *testing.T) {
	tests := []struct {
		name    string
		present []runtime.Object
		answer  *apierrors.StatusError
		want    string
		left    int
	}{
		{"deleted", []runtime.Object{khjob("smoke")}, nil, "", 0},
		{"is gone", nil, nil, "", 0},
		{"was replaced by another of its name", []runtime.Object{replacement()}, nil, "", 1},
		{"refused", nil, apierrors.NewServiceUnavailable("down"), "delete khjob shop/smoke: down", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := apitest.New(tt.present...)
			api.Refuse(tt.answer)
			if err := connect(t, api, watching).DeleteJob(t.Context(), khjob("smoke")); text(err) != tt.want {
				t.Errorf("error %q, want %q", text(err), tt.want)
			}
			if left := api.Count(khv1.JobResource); left != tt.left {
				t.Errorf("%d jobs are left, want %d", left, tt.left)
			}
		})
	}
}

func TestDeleteState(t *testing.T) {
	tests := []struct {
		name    string
		present []runtime.Object
		answer  *apierrors.StatusError
		want    string
	}{
		{"deleted", []runtime.Object{state("cart", "run-1")}, nil, ""},
		{"is gone", nil, nil, ""},
		{"was written since", nil, apierrors.NewConflict(schema.GroupResource{}, "cart", nil), ""},
		{"refused", nil, apierrors.NewServiceUnavailable("down"), "delete khstate shop/cart: down"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := apitest.New(tt.present...)
			api.Refuse(tt.answer)
			if err := connect(t, api, watching).DeleteState(t.Context(), state("cart", "run-1")); text(err) != tt.want {
				t.Errorf("error %q, want %q", text(err), tt.want)
			}
			if left := api.Count(khv1.StateResource); left != 0 {
				t.Errorf("%d states are left, want none", left)
			}
		})
	}
}

func TestIsJob(t *testing.T) {
	of := func(kind khv1.KHWorkload) *khv1.KuberhealthyState {
		s := state("cart", "run-1")
		if kind != "" {
			s.Spec.KHWorkload = &kind
		}
		return s
	}
	both := []runtime.Object{khcheck("cart"), khjob("cart")}
	tests := []struct {
		name    string
		present []runtime.Object
		state   *khv1.KuberhealthyState
		want    bool
	}{
		{"says that it is a job's", nil, of(khv1.KHJob), true},
		{"says that it is a check's", both, of(khv1.KHCheck), false},
		{"says nothing, there is a job", []runtime.Object{khjob("cart")}, of(""), true},
		{"says nothing, there is a check", []runtime.Object{khcheck("cart")}, of(""), false},
		{"says nothing, there are both", both, of(""), false},
		{"says nothing, there is neither", nil, of(""), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := synced(t, apitest.New(tt.present...), kube.Options{Checks: true, Jobs: true})
				if got := cluster.IsJob(tt.state); got != tt.want {
					t.Errorf("%t, want %t", got, tt.want)
				}
			})
		})
	}
}
