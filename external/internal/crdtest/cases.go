package crdtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/khronicle/khronicle/internal/apitest"
)

// specDiff compares the spec of an object. JSON does not tell an empty map from none.
func (k Kind[T, L, P, PL]) specDiff(want, got P) string {
	return cmp.Diff(k.Spec(want), k.Spec(got), cmpopts.EquateEmpty())
}

func (k Kind[T, L, P, PL]) lifecycle(t *testing.T) {
	client, api := k.connect(t)
	created, err := client.Create(k.New(), k.Resource, "shop")
	if err != nil || created.GetUID() != "uid-of-cart" || created.GetNamespace() != "shop" {
		t.Fatalf("created %+v, %v", created, err)
	}
	if diff := k.specDiff(k.New(), created); diff != "" {
		t.Errorf("created spec (-want +got):\n%s", diff)
	}
	got, err := client.Get(metav1.GetOptions{}, k.Resource, "shop", "cart")
	if diff := cmp.Diff(created, got); err != nil || diff != "" {
		t.Errorf("got %v, and not what was created (-want +got):\n%s", err, diff)
	}
	k.Change(got)
	updated, err := client.Update(got, k.Resource, "shop", "cart")
	if err != nil || updated.GetResourceVersion() == created.GetResourceVersion() {
		t.Errorf("updated %+v, %v", updated, err)
	}
	if diff := k.specDiff(got, updated); diff != "" {
		t.Errorf("updated spec (-want +got):\n%s", diff)
	}
	if deleted, err := client.Delete(k.Resource, "shop", "cart"); err != nil || cmp.Diff(P(new(T)), deleted) != "" {
		t.Errorf("deleted %+v, %v; want an empty object", deleted, err)
	}
	path := "namespaces/shop/" + k.Resource
	want := []string{"POST " + path, "GET " + path + "/cart", "PUT " + path + "/cart", "DELETE " + path + "/cart"}
	if diff := cmp.Diff(want, api.Requests().Paths()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func (k Kind[T, L, P, PL]) list(t *testing.T) {
	till := k.stored("bank", "till")
	till.SetLabels(map[string]string{"team": "till"})
	client, _ := k.connect(t, k.stored("shop", "cart"), till)
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
			list, err := client.List(metav1.ListOptions{LabelSelector: tt.selector}, k.Resource, tt.namespace)
			if err != nil {
				t.Fatal(err)
			}
			items, err := meta.ExtractList(list)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, item := range items {
				object := item.(P)
				got = append(got, object.GetNamespace()+"/"+object.GetName())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

func (k Kind[T, L, P, PL]) watch(t *testing.T) {
	client, api := k.connect(t)
	seconds := int64(300)
	watched, err := client.Watch(metav1.ListOptions{TimeoutSeconds: &seconds}, k.Resource, "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	if got := api.Requests().Paths(); len(got) != 1 || !strings.Contains(got[0], "watch=true") || !strings.Contains(got[0], "timeoutSeconds=300") {
		t.Errorf("requests %v, want a watch of 300 s", got)
	}
	expect := func(want watch.EventType, object P) {
		t.Helper()
		e := <-watched.ResultChan()
		got, ok := e.Object.(P)
		if !ok || e.Type != want || got.GetName() != "cart" {
			t.Fatalf("saw %s of %+v, want %s of cart", e.Type, e.Object, want)
		}
		if diff := k.specDiff(object, got); diff != "" {
			t.Errorf("%s: spec (-want +got):\n%s", want, diff)
		}
	}
	object, err := client.Create(k.New(), k.Resource, "shop")
	if err != nil {
		t.Fatal(err)
	}
	expect(watch.Added, object)
	k.Change(object)
	if _, err := client.Update(object, k.Resource, "shop", "cart"); err != nil {
		t.Fatal(err)
	}
	expect(watch.Modified, object)
	if _, err := client.Delete(k.Resource, "shop", "cart"); err != nil {
		t.Fatal(err)
	}
	expect(watch.Deleted, object)
	watched.Stop()
	for e := range watched.ResultChan() { // until it is closed
		if e.Type != watch.Error { // client-go may say that it closed the connection
			t.Errorf("saw %v after the watch was stopped", e)
		}
	}
}

func (k Kind[T, L, P, PL]) refused(t *testing.T) {
	client, api := k.connect(t)
	api.Refuse(apierrors.NewForbidden(schema.GroupResource{Group: Group, Resource: k.Resource}, "cart", nil))
	calls, empty := k.calls()
	for name, call := range calls {
		object, err := call(client, k.Resource)
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want that it is forbidden", name, err)
		}
		if diff := cmp.Diff(empty[name], object); diff != "" {
			t.Errorf("%s returned (-want +got):\n%s", name, diff)
		}
	}
	api.Refuse(nil)
	want := k.Resource + `.comcast.github.io "cart" not found`
	if _, err := client.Get(metav1.GetOptions{}, k.Resource, "shop", "cart"); !apierrors.IsNotFound(err) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func (k Kind[T, L, P, PL]) otherResource(t *testing.T) {
	client, api := k.connect(t, k.stored("shop", "cart"))
	want := fmt.Sprintf("resource %q: want %q", k.Other, k.Resource)
	calls, empty := k.calls()
	for name, call := range calls {
		object, err := call(client, k.Other)
		if err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
		if diff := cmp.Diff(empty[name], object); diff != "" {
			t.Errorf("%s returned (-want +got):\n%s", name, diff)
		}
	}
	if sent := api.Requests().Paths(); len(sent) != 0 {
		t.Errorf("sent %v", sent)
	}
}

func (k Kind[T, L, P, PL]) update(t *testing.T) {
	client, api := k.connect(t, k.stored("shop", "cart"))
	stale := k.New()
	stale.SetResourceVersion("0")
	if _, err := client.Update(stale, k.Resource, "shop", "cart"); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	if _, err := client.Update(k.New(), k.Resource, "shop", "cart"); !apierrors.IsInvalid(err) {
		t.Errorf("error %v, want that the object was never read", err)
	}
	api.Requests()
	want := "update " + k.Name + ` shop/till: the object is named "cart"`
	if _, err := client.Update(k.New(), k.Resource, "shop", "till"); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if sent := api.Requests().Paths(); len(sent) != 0 {
		t.Errorf("sent %v", sent)
	}
}

func (k Kind[T, L, P, PL]) noServer(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	tests := []struct{ name, group, version, kubeconfig, want string }{
		{"another group", "example.org", Version, "", `API group and version "example.org/v1": only comcast.github.io/v1 is served`},
		{"not in a cluster", Group, Version, "", "load the configuration of a pod: " + rest.ErrNotInCluster.Error()},
		{"no such file", Group, Version, "/missing/config", "load kubeconfig /missing/config: stat /missing/config: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, err := k.Client(tt.group, tt.version, tt.kubeconfig, "shop")
			if client != nil || err == nil || err.Error() != tt.want {
				t.Errorf("client %v, error %v; want %s", client, err, tt.want)
			}
		})
	}
}

// Kuberhealthy v2 changed client-go's scheme at each new client, while others read it.
func (k Kind[T, L, P, PL]) concurrent(t *testing.T) {
	api := apitest.New(k.stored("shop", "cart"))
	kubeconfig := api.Kubeconfig(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			client, err := k.Client(Group, Version, kubeconfig, "")
			if err == nil {
				_, err = client.Get(metav1.GetOptions{}, k.Resource, "shop", "cart")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func (k Kind[T, L, P, PL]) clientGosScheme(t *testing.T) {
	if err := k.ConfigureScheme("example.org", Version); err == nil {
		t.Error("configured the scheme for a group that is not served")
	}
	if err := k.ConfigureScheme(Group, Version); err != nil {
		t.Fatal(err)
	}
	config := apitest.New(k.stored("shop", "cart")).Config()
	config.APIPath, config.GroupVersion = "/apis", &k.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.WithoutConversionCodecFactory{CodecFactory: scheme.Codecs}
	own, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	if object, err := k.CreateClient(own).Get(metav1.GetOptions{}, k.Resource, "shop", "cart"); err != nil || object.GetName() != "cart" {
		t.Errorf("object %v, %v", object, err)
	}
}
