package khcheckcrd_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/khcheckcrd"
	"github.com/khronicle/khronicle/internal/apitest"
)

const (
	group, version = "comcast.github.io", "v1"
	resource       = "khchecks"
)

func cart() *khcheckcrd.KuberhealthyCheck {
	check := khcheckcrd.NewKuberhealthyCheck("cart", "shop", khcheckcrd.NewCheckConfig(time.Minute, corev1.PodSpec{}))
	return &check
}

func connect(t *testing.T, objects ...runtime.Object) (*khcheckcrd.KuberhealthyCheckClient, *apitest.Server) {
	t.Helper()
	api := apitest.New(objects...)
	client, err := khcheckcrd.Client(group, version, api.Kubeconfig(t), "shop")
	if err != nil {
		t.Fatal(err)
	}
	return client, api
}

func TestCheckIsCreatedReadUpdatedAndDeleted(t *testing.T) {
	client, api := connect(t)
	created, err := client.Create(cart(), resource, "shop")
	if err != nil || created.UID != "uid-of-cart" || created.Spec.RunInterval != "1m0s" || created.Spec.Timeout != "5m0s" {
		t.Fatalf("created %+v, %v", created, err)
	}
	got, err := client.Get(metav1.GetOptions{}, resource, "shop", "cart")
	if diff := cmp.Diff(created, got); err != nil || diff != "" {
		t.Errorf("got %v, and not what was created (-want +got):\n%s", err, diff)
	}
	got.Spec.Timeout = "2m"
	updated, err := client.Update(got, resource, "shop", "cart")
	if err != nil || updated.Spec.Timeout != "2m" || updated.ResourceVersion == created.ResourceVersion {
		t.Errorf("updated %+v, %v", updated, err)
	}
	if deleted, err := client.Delete(resource, "cart", "shop"); err != nil || cmp.Diff(&khcheckcrd.KuberhealthyCheck{}, deleted) != "" {
		t.Errorf("deleted %+v, %v; want an empty check", deleted, err)
	}
	want := []string{
		"POST namespaces/shop/khchecks", "GET namespaces/shop/khchecks/cart",
		"PUT namespaces/shop/khchecks/cart", "DELETE namespaces/shop/khchecks/cart",
	}
	if diff := cmp.Diff(want, api.Requests().Paths()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
}

func TestList(t *testing.T) {
	till := khcheckcrd.NewKuberhealthyCheck("till", "bank", khcheckcrd.CheckConfig{})
	till.Labels = map[string]string{"team": "till"}
	client, _ := connect(t, cart(), &till)
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
			for _, check := range list.Items {
				got = append(got, check.Namespace+"/"+check.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("checks differ (-want +got):\n%s", diff)
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
	expect := func(want watch.EventType, timeout string) {
		t.Helper()
		e := <-watched.ResultChan()
		if check, ok := e.Object.(*khv1.KuberhealthyCheck); !ok || e.Type != want || check.Name != "cart" || check.Spec.Timeout != timeout {
			t.Errorf("saw %s of %+v, want %s with timeout %s", e.Type, e.Object, want, timeout)
		}
	}
	created, err := client.Create(cart(), resource, "shop")
	if err != nil {
		t.Fatal(err)
	}
	expect(watch.Added, "5m0s")
	created.Spec.Timeout = "2m"
	if _, err := client.Update(created, resource, "shop", "cart"); err != nil {
		t.Fatal(err)
	}
	expect(watch.Modified, "2m")
	if _, err := client.Delete(resource, "cart", "shop"); err != nil {
		t.Fatal(err)
	}
	expect(watch.Deleted, "2m")
	watched.Stop()
	for e := range watched.ResultChan() { // until it is closed
		if e.Type != watch.Error { // client-go may say that it closed the connection
			t.Errorf("saw %v after the watch was stopped", e)
		}
	}
}

// calls is every call with the resource and the namespace shop, and the check cart.
var calls = map[string]func(c *khcheckcrd.KuberhealthyCheckClient, resource string) (object any, err error){
	"Create": func(c *khcheckcrd.KuberhealthyCheckClient, resource string) (any, error) {
		return c.Create(cart(), resource, "shop")
	},
	"Delete": func(c *khcheckcrd.KuberhealthyCheckClient, resource string) (any, error) {
		return c.Delete(resource, "cart", "shop")
	},
	"Update": func(c *khcheckcrd.KuberhealthyCheckClient, resource string) (any, error) {
		return c.Update(cart(), resource, "shop", "cart")
	},
	"Get": func(c *khcheckcrd.KuberhealthyCheckClient, resource string) (any, error) {
		return c.Get(metav1.GetOptions{}, resource, "shop", "cart")
	},
	"List": func(c *khcheckcrd.KuberhealthyCheckClient, resource string) (any, error) {
		return c.List(metav1.ListOptions{}, resource, "shop")
	},
	"Watch": func(c *khcheckcrd.KuberhealthyCheckClient, resource string) (any, error) {
		return c.Watch(metav1.ListOptions{}, resource, "shop")
	},
}

// emptyObjects are what comes with an error: programs look into it before they look at the error.
var emptyObjects = map[string]any{
	"List": &khcheckcrd.KuberhealthyCheckList{}, "Watch": nil,
	"Create": &khcheckcrd.KuberhealthyCheck{}, "Delete": &khcheckcrd.KuberhealthyCheck{},
	"Update": &khcheckcrd.KuberhealthyCheck{}, "Get": &khcheckcrd.KuberhealthyCheck{},
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
	if _, err := client.Get(metav1.GetOptions{}, resource, "shop", "cart"); !apierrors.IsNotFound(err) || err.Error() != `khchecks.comcast.github.io "cart" not found` {
		t.Errorf("error %v", err)
	}
}

func TestAnotherResourceIsRefusedWithoutARequest(t *testing.T) {
	client, api := connect(t, cart())
	for name, call := range calls {
		object, err := call(client, "khstates")
		if err == nil || err.Error() != `resource "khstates": want "khchecks"` {
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
	client, api := connect(t, cart())
	stale := cart()
	stale.ResourceVersion = "0"
	if _, err := client.Update(stale, resource, "shop", "cart"); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	if _, err := client.Update(cart(), resource, "shop", "cart"); !apierrors.IsInvalid(err) {
		t.Errorf("error %v, want that the check was never read", err)
	}
	api.Requests()
	if _, err := client.Update(cart(), resource, "shop", "till"); err == nil || err.Error() != `update khcheck shop/till: the object is named "cart"` {
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
			client, err := khcheckcrd.Client(tt.group, tt.version, tt.kubeconfig, "shop")
			if client != nil || err == nil || err.Error() != tt.want {
				t.Errorf("client %v, error %v; want %s", client, err, tt.want)
			}
		})
	}
}

// Kuberhealthy v2 changed client-go's scheme at each new client, while others read it.
func TestClientsAreMadeWhileOthersWork(t *testing.T) {
	api := apitest.New(cart())
	kubeconfig := api.Kubeconfig(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			client, err := khcheckcrd.Client(group, version, kubeconfig, "")
			if err == nil {
				_, err = client.Get(metav1.GetOptions{}, resource, "shop", "cart")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCreateClientWithClientGosScheme(t *testing.T) {
	if err := khcheckcrd.ConfigureScheme("example.org", version); err == nil {
		t.Error("configured the scheme for a group that is not served")
	}
	if err := khcheckcrd.ConfigureScheme(group, version); err != nil {
		t.Fatal(err)
	}
	config := apitest.New(cart()).Config()
	config.APIPath, config.GroupVersion = "/apis", &khcheckcrd.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.WithoutConversionCodecFactory{CodecFactory: scheme.Codecs}
	own, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	if check, err := khcheckcrd.CreateClient(own).Get(metav1.GetOptions{}, resource, "shop", "cart"); err != nil || check.Name != "cart" {
		t.Errorf("check %v, %v", check, err)
	}
}
