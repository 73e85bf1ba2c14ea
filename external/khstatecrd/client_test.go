package khstatecrd_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/health"
	"github.com/khronicle/khronicle/external/khstatecrd"
	"github.com/khronicle/khronicle/internal/apitest"
)

const (
	group, version = "comcast.github.io", "v1"
	resource       = "khstates"
)

func cart() *khstatecrd.KuberhealthyState {
	state := khstatecrd.NewKuberhealthyState("cart", health.NewWorkloadDetails(health.KHCheck))
	return &state
}

// stored is a state as it is in the cluster.
func stored(namespace, name string) *khstatecrd.KuberhealthyState {
	state := khstatecrd.NewKuberhealthyState(name, health.NewWorkloadDetails(health.KHCheck))
	state.Namespace = namespace
	return &state
}

func connect(t *testing.T, objects ...runtime.Object) (*khstatecrd.KuberhealthyStateClient, *apitest.Server) {
	t.Helper()
	api := apitest.New(objects...)
	client, err := khstatecrd.Client(group, version, api.Kubeconfig(t), "shop")
	if err != nil {
		t.Fatal(err)
	}
	return client, api
}

func TestStateIsCreatedReadUpdatedAndDeleted(t *testing.T) {
	client, api := connect(t)
	created, err := client.Create(cart(), resource, "shop")
	if err != nil || created.UID != "uid-of-cart" || created.Namespace != "shop" || *created.Spec.KHWorkload != health.KHCheck {
		t.Fatalf("created %+v, %v", created, err)
	}
	got, err := client.Get(metav1.GetOptions{}, resource, "cart", "shop")
	if diff := cmp.Diff(created, got); err != nil || diff != "" {
		t.Errorf("got %v, and not what was created (-want +got):\n%s", err, diff)
	}
	got.Spec.Errors = []string{"cart is empty"}
	updated, err := client.Update(got, resource, "cart", "shop")
	if err != nil || len(updated.Spec.Errors) != 1 || updated.ResourceVersion == created.ResourceVersion {
		t.Errorf("updated %+v, %v", updated, err)
	}
	if deleted, err := client.Delete(nil, resource, "cart", "shop"); err != nil || cmp.Diff(&khstatecrd.KuberhealthyState{}, deleted) != "" {
		t.Errorf("deleted %+v, %v; want an empty state", deleted, err)
	}
	want := []string{
		"POST namespaces/shop/khstates", "GET namespaces/shop/khstates/cart",
		"PUT namespaces/shop/khstates/cart", "DELETE namespaces/shop/khstates/cart",
	}
	if diff := cmp.Diff(want, api.Requests().Paths()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
}

func TestList(t *testing.T) {
	till := stored("bank", "till")
	till.Labels = map[string]string{"team": "till"}
	client, _ := connect(t, stored("shop", "cart"), till)
	tests := []struct {
		name, namespace, selector string
		want                      []string
	}{
		{"one namespace", "shop", "", []string{"shop/cart"}},
		{"all namespaces", "", "", []string{"bank/till", "shop/cart"}},
		{"selected", "", "team=till", []string{"bank/till"}},
		{"none", "post", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := client.List(metav1.ListOptions{LabelSelector: tt.selector}, resource, tt.namespace)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, state := range list.Items {
				got = append(got, state.Namespace+"/"+state.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("states differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWatch(t *testing.T) {
	client, api := connect(t)
	seconds := int64(300)
	watched, err := client.Watch(metav1.ListOptions{TimeoutSeconds: &seconds}, resource, "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	if got := api.Requests().Paths(); len(got) != 1 || !strings.Contains(got[0], "watch=true") || !strings.Contains(got[0], "timeoutSeconds=300") {
		t.Errorf("requests %v, want a watch of 300 s", got)
	}
	expect := func(want watch.EventType, uuid string) {
		t.Helper()
		e := <-watched.ResultChan()
		if state, ok := e.Object.(*khv1.KuberhealthyState); !ok || e.Type != want || state.Name != "cart" || state.Spec.CurrentUUID != uuid {
			t.Errorf("saw %s of %+v, want %s with UUID %q", e.Type, e.Object, want, uuid)
		}
	}
	created, err := client.Create(cart(), resource, "shop")
	if err != nil {
		t.Fatal(err)
	}
	expect(watch.Added, "")
	created.Spec.CurrentUUID = "run-2"
	if _, err := client.Update(created, resource, "cart", "shop"); err != nil {
		t.Fatal(err)
	}
	expect(watch.Modified, "run-2")
	if _, err := client.Delete(nil, resource, "cart", "shop"); err != nil {
		t.Fatal(err)
	}
	expect(watch.Deleted, "run-2")
	watched.Stop()
	for e := range watched.ResultChan() { // until it is closed
		if e.Type != watch.Error { // client-go may say that it closed the connection
			t.Errorf("saw %v after the watch was stopped", e)
		}
	}
}

// calls is every call with the resource and the namespace shop, and the state cart.
var calls = map[string]func(c *khstatecrd.KuberhealthyStateClient, resource string) (object any, err error){
	"Create": func(c *khstatecrd.KuberhealthyStateClient, resource string) (any, error) {
		return c.Create(cart(), resource, "shop")
	},
	"Delete": func(c *khstatecrd.KuberhealthyStateClient, resource string) (any, error) {
		return c.Delete(nil, resource, "cart", "shop")
	},
	"Update": func(c *khstatecrd.KuberhealthyStateClient, resource string) (any, error) {
		return c.Update(cart(), resource, "cart", "shop")
	},
	"Get": func(c *khstatecrd.KuberhealthyStateClient, resource string) (any, error) {
		return c.Get(metav1.GetOptions{}, resource, "cart", "shop")
	},
	"List": func(c *khstatecrd.KuberhealthyStateClient, resource string) (any, error) {
		return c.List(metav1.ListOptions{}, resource, "shop")
	},
	"Watch": func(c *khstatecrd.KuberhealthyStateClient, resource string) (any, error) {
		return c.Watch(metav1.ListOptions{}, resource, "shop")
	},
}

// emptyObjects are what comes with an error: programs look into it before they look at the error.
var emptyObjects = map[string]any{
	"List": &khstatecrd.KuberhealthyStateList{}, "Watch": nil,
	"Create": &khstatecrd.KuberhealthyState{}, "Delete": &khstatecrd.KuberhealthyState{},
	"Update": &khstatecrd.KuberhealthyState{}, "Get": &khstatecrd.KuberhealthyState{},
}

func TestErrorsAreThoseOfTheAPIServer(t *testing.T) {
	client, api := connect(t)
	api.Refuse(apierrors.NewForbidden(schema.GroupResource{Group: group, Resource: resource}, "cart", nil))
	for name, call := range calls {
		object, err := call(client, resource)
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want that it is forbidden", name, err)
		}
		if diff := cmp.Diff(emptyObjects[name], object); diff != "" {
			t.Errorf("%s returned (-want +got):\n%s", name, diff)
		}
	}
	api.Refuse(nil)
	if _, err := client.Get(metav1.GetOptions{}, resource, "cart", "shop"); !apierrors.IsNotFound(err) || err.Error() != `khstates.comcast.github.io "cart" not found` {
		t.Errorf("error %v", err)
	}
}

func TestAnotherResourceIsRefusedWithoutARequest(t *testing.T) {
	client, api := connect(t, stored("shop", "cart"))
	for name, call := range calls {
		object, err := call(client, "khchecks")
		if err == nil || err.Error() != `resource "khchecks": want "khstates"` {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(emptyObjects[name], object); diff != "" {
			t.Errorf("%s returned (-want +got):\n%s", name, diff)
		}
	}
	if sent := api.Requests().Paths(); len(sent) != 0 {
		t.Errorf("sent %v", sent)
	}
}

func TestUpdate(t *testing.T) {
	client, api := connect(t, stored("shop", "cart"))
	stale := cart()
	stale.ResourceVersion = "0"
	if _, err := client.Update(stale, resource, "cart", "shop"); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	if _, err := client.Update(cart(), resource, "cart", "shop"); !apierrors.IsInvalid(err) {
		t.Errorf("error %v, want that the state was never read", err)
	}
	api.Requests()
	if _, err := client.Update(cart(), resource, "till", "shop"); err == nil || err.Error() != `update khstate shop/till: the object is named "cart"` {
		t.Errorf("error %v", err)
	}
	if sent := api.Requests().Paths(); len(sent) != 0 {
		t.Errorf("sent %v", sent)
	}
}

func TestClientFailsWithoutAnAPIServer(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	tests := []struct{ name, group, version, kubeconfig, want string }{
		{"another group", "example.org", "v1", "", `API group and version "example.org/v1": only comcast.github.io/v1 is served`},
		{"not in a cluster", group, version, "", "load the configuration of a pod: " + rest.ErrNotInCluster.Error()},
		{"no such file", group, version, "/missing/config", "load kubeconfig /missing/config: stat /missing/config: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, err := khstatecrd.Client(tt.group, tt.version, tt.kubeconfig, "shop")
			if client != nil || err == nil || err.Error() != tt.want {
				t.Errorf("client %v, error %v; want %s", client, err, tt.want)
			}
		})
	}
}

// Kuberhealthy v2 changed client-go's scheme at each new client, while others read it.
func TestClientsAreMadeWhileOthersWork(t *testing.T) {
	api := apitest.New(stored("shop", "cart"))
	kubeconfig := api.Kubeconfig(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			client, err := khstatecrd.Client(group, version, kubeconfig, "")
			if err == nil {
				_, err = client.Get(metav1.GetOptions{}, resource, "cart", "shop")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCreateClientWithClientGosScheme(t *testing.T) {
	if err := khstatecrd.ConfigureScheme("example.org", version); err == nil {
		t.Error("configured the scheme for a group that is not served")
	}
	if err := khstatecrd.ConfigureScheme(group, version); err != nil {
		t.Fatal(err)
	}
	config := apitest.New(stored("shop", "cart")).Config()
	config.APIPath, config.GroupVersion = "/apis", &khstatecrd.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.WithoutConversionCodecFactory{CodecFactory: scheme.Codecs}
	own, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	if state, err := khstatecrd.CreateClient(own).Get(metav1.GetOptions{}, resource, "cart", "shop"); err != nil || state.Name != "cart" {
		t.Errorf("state %v, %v", state, err)
	}
}

// As Kuberhealthy's own reflector of states reads.
func TestRestClientFeedsAnInformer(t *testing.T) {
	client, _ := connect(t, stored("shop", "cart"))
	informer := cache.NewSharedInformer(
		cache.NewListWatchFromClient(client.RestClient(), resource, "", fields.Everything()), &khstatecrd.KuberhealthyState{}, 0)
	go informer.RunWithContext(t.Context())
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the informer has not synced")
	}
	if _, ok, err := informer.GetStore().GetByKey("shop/cart"); err != nil || !ok {
		t.Errorf("the informer has the state: %t, %v", ok, err)
	}
}
