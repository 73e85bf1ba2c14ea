package khstatecrd_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/khronicle/khronicle/external/health"
	"github.com/khronicle/khronicle/external/internal/crdtest"
	"github.com/khronicle/khronicle/external/khstatecrd"
	"github.com/khronicle/khronicle/internal/apitest"
)

// client has the order of arguments that all clients have in the tests.
type client struct {
	*khstatecrd.KuberhealthyStateClient
}

func (c client) Delete(resource, namespace, name string) (*khstatecrd.KuberhealthyState, error) {
	return c.KuberhealthyStateClient.Delete(nil, resource, name, namespace)
}

func (c client) Update(state *khstatecrd.KuberhealthyState, resource, namespace, name string) (*khstatecrd.KuberhealthyState, error) {
	return c.KuberhealthyStateClient.Update(state, resource, name, namespace)
}

func (c client) Get(opts metav1.GetOptions, resource, namespace, name string) (*khstatecrd.KuberhealthyState, error) {
	return c.KuberhealthyStateClient.Get(opts, resource, name, namespace)
}

func cart() *khstatecrd.KuberhealthyState {
	state := khstatecrd.NewKuberhealthyState("cart", health.NewWorkloadDetails(health.KHCheck))
	return &state
}

func TestClientOfStates(t *testing.T) {
	type (
		state     = khstatecrd.KuberhealthyState
		list      = khstatecrd.KuberhealthyStateList
		anyClient = crdtest.Client[*state, *list]
	)
	crdtest.Kind[state, list, *state, *list]{
		Name: "khstate", Resource: "khstates", Other: "khchecks",
		New:    cart,
		Spec:   func(s *state) any { return s.Spec },
		Change: func(s *state) { s.Spec.Errors, s.Spec.CurrentUUID = []string{"cart is empty"}, "run-2" },
		Client: func(group, version, kubeconfig, namespace string) (anyClient, error) {
			c, err := khstatecrd.Client(group, version, kubeconfig, namespace)
			if c == nil {
				return nil, err
			}
			return client{c}, err
		},
		CreateClient:    func(own rest.Interface) anyClient { return client{khstatecrd.CreateClient(own)} },
		ConfigureScheme: khstatecrd.ConfigureScheme, SchemeGroupVersion: khstatecrd.SchemeGroupVersion,
	}.Run(t)
}

// As Kuberhealthy's own reflector of states reads.
func TestRestClientFeedsAnInformer(t *testing.T) {
	state := cart()
	state.Namespace = "shop"
	states, err := khstatecrd.Client(crdtest.Group, crdtest.Version, apitest.New(state).Kubeconfig(t), "shop")
	if err != nil {
		t.Fatal(err)
	}
	informer := cache.NewSharedInformer(
		cache.NewListWatchFromClient(states.RestClient(), "khstates", "", fields.Everything()), &khstatecrd.KuberhealthyState{}, 0)
	go informer.RunWithContext(t.Context())
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the informer has not synced")
	}
	if _, ok, err := informer.GetStore().GetByKey("shop/cart"); err != nil || !ok {
		t.Errorf("the informer has the state: %t, %v", ok, err)
	}
}
