package kube_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/kube"
)

// ownedState is the state of the check cart.
func ownedState() *khv1.KuberhealthyState {
	s := state("cart", "run-1")
	s.OwnerReferences = check.OwnersOf(cartRef)
	return s
}

func namesOf(states []*khv1.KuberhealthyState) (names []string) {
	for _, s := range states {
		names = append(names, s.Name+" "+s.Spec.CurrentUUID)
	}
	return names
}

// The last outcome of a check is true although somebody deleted its state.
func TestDeletedStateStaysUntilItIsRestored(t *testing.T) {
	replaced := khcheck("cart")
	replaced.UID = "uid-of-another"
	tests := []struct {
		name    string
		present []runtime.Object
		then    func(api *apitest.Server)
		want    []string
	}{
		{"of a check", []runtime.Object{khcheck("cart"), ownedState()}, nil, []string{"cart run-1"}},
		{"of a check, for a minute", []runtime.Object{khcheck("cart"), ownedState()}, func(*apitest.Server) { time.Sleep(61 * time.Second) }, nil},
		{"and then restored", []runtime.Object{khcheck("cart"), ownedState()}, func(api *apitest.Server) { api.Put(state("cart", "run-2")) }, []string{"cart run-2"}},
		{"of a check that is deleted too", []runtime.Object{khcheck("cart"), ownedState()}, func(api *apitest.Server) { api.Remove(khv1.CheckResource, "shop", "cart") }, nil},
		{"of a check of the same name", []runtime.Object{replaced, ownedState()}, nil, nil},
		{"without an owner", []runtime.Object{khcheck("cart"), state("cart", "run-1")}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := apitest.New(tt.present...)
				cluster := synced(t, api, watching)
				api.Remove(khv1.StateResource, "shop", "cart")
				synctest.Wait()
				if tt.then != nil {
					tt.then(api)
					synctest.Wait()
				}
				if diff := cmp.Diff(tt.want, namesOf(cluster.States())); diff != "" {
					t.Errorf("states (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A finalizer delays the deletion of a state. It says nothing any more once its check is deleted.
func TestStateThatIsBeingDeleted(t *testing.T) {
	held := ownedState()
	held.DeletionTimestamp, held.Finalizers = &metav1.Time{Time: time.Now()}, []string{"example.com/slow"}
	for name, tt := range map[string]struct {
		present []runtime.Object
		want    []string
	}{
		"of a check":                     {[]runtime.Object{khcheck("cart"), held}, []string{"cart run-1"}},
		"of a check that is gone":        {[]runtime.Object{held}, nil},
		"of a check that is deleted too": {[]runtime.Object{deleting(), held}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := synced(t, apitest.New(tt.present...), watching)
				if diff := cmp.Diff(tt.want, namesOf(cluster.States())); diff != "" {
					t.Errorf("states (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWithoutState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shown, fire := state("cart", "1"), state("fire", "1")
		shown.Spec.AuthoritativePod, fire.Spec.AuthoritativePod = "worker-1", "worker-1"
		cluster := synced(t, apitest.New(khcheck("cart"), khcheck("till"), khjob("smoke"), khjob("fire"), shown, fire, state("till", "wiped")), watching)
		var got []string
		for _, ref := range cluster.WithoutState() {
			got = append(got, string(ref.Kind)+" "+ref.Name+" "+string(ref.UID))
		}
		if diff := cmp.Diff([]string{"KHCheck till uid-of-till", "KHJob smoke uid-of-smoke"}, got); diff != "" {
			t.Errorf("without a state (-want +got):\n%s", diff)
		}
	})
}

func TestLives(t *testing.T) {
	for name, tt := range map[string]struct {
		live []runtime.Object
		want bool
	}{
		"check": {[]runtime.Object{khcheck("cart")}, true}, "job": {[]runtime.Object{khjob("cart")}, true},
		"neither": {nil, false}, "check that is being deleted": {[]runtime.Object{deleting()}, false},
	} {
		got, err := connect(t, apitest.New(tt.live...), kube.Options{}).Lives(t.Context(), "shop", "cart")
		if got != tt.want || err != nil {
			t.Errorf("%s: %t, error %v, want %t", name, got, err, tt.want)
		}
	}
}

func TestPodsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := checkerPod("till-1")
		other.Labels = map[string]string{"kuberhealthy-check-name": "till"}
		cluster := synced(t, apitest.New(checkerPod("cart-1"), checkerPod("cart-2"), other), watching)
		var names []string
		for _, pod := range cluster.PodsOf("shop", "cart") {
			names = append(names, pod.Name)
		}
		slices.Sort(names)
		if diff := cmp.Diff([]string{"cart-1", "cart-2"}, names); diff != "" || len(cluster.PodsOf("office", "cart")) != 0 {
			t.Errorf("pods (-want +got):\n%s", diff)
		}
	})
}

func TestNode(t *testing.T) {
	cluster := connect(t, apitest.New(), kube.Options{})
	if node, err := cluster.Node(t.Context(), "node-1"); node != nil || err != nil {
		t.Errorf("node %v, error %v, want none", node, err)
	}
}
