// Package crdtest tests the clients of packages khcheckcrd and khstatecrd, which differ in the type of the object and in
// the order of arguments. It is for tests alone.
package crdtest

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/khronicle/khronicle/internal/apitest"
)

// The only group and version that is served.
const (
	Group   = "comcast.github.io"
	Version = "v1"
)

// Client is a client of objects P and lists PL, with the order of arguments of package crd.
type Client[P, PL any] interface {
	Create(object P, resource, namespace string) (P, error)
	Delete(resource, namespace, name string) (P, error)
	Update(object P, resource, namespace, name string) (P, error)
	Get(opts metav1.GetOptions, resource, namespace, name string) (P, error)
	List(opts metav1.ListOptions, resource, namespace string) (PL, error)
	Watch(opts metav1.ListOptions, resource, namespace string) (watch.Interface, error)
}

// Object is a pointer to an object of the API server.
type Object[T any] interface {
	*T
	metav1.Object
	runtime.Object
}

// List is a pointer to a list of objects.
type List[L any] interface {
	*L
	runtime.Object
}

// Kind is a kind of object with its client.
type Kind[T, L any, P Object[T], PL List[L]] struct {
	// Name and Resource are names of the kind, such as "khcheck" and "khchecks". Other is the resource of another kind.
	Name, Resource, Other string
	// New returns the object cart, as a program makes it for the namespace shop.
	New func() P
	// Spec returns the spec of an object, and Change changes that.
	Spec   func(P) any
	Change func(P)
	// Client, CreateClient and ConfigureScheme are the functions of the package. Client returns nil with an error.
	Client          func(group, version, kubeconfig, namespace string) (Client[P, PL], error)
	CreateClient    func(rest.Interface) Client[P, PL]
	ConfigureScheme func(group, version string) error
	// SchemeGroupVersion is the variable of the package.
	SchemeGroupVersion schema.GroupVersion
}

// Run tests all that the clients have in common.
func (k Kind[T, L, P, PL]) Run(t *testing.T) {
	t.Run("an object is created, read, updated and deleted", k.lifecycle)
	t.Run("a list has the objects of its namespace and selector", k.list)
	t.Run("a watch sees each change until it is stopped", k.watch)
	t.Run("errors are those of the API server", k.refused)
	t.Run("another resource is refused without a request", k.otherResource)
	t.Run("an update needs the name and the present version", k.update)
	t.Run("a client fails without an API server", k.noServer)
	t.Run("clients are made while others work", k.concurrent)
	t.Run("a client is made with the scheme of client-go", k.clientGosScheme)
}

// stored returns an object as it is in the cluster.
func (k Kind[T, L, P, PL]) stored(namespace, name string) P {
	object := k.New()
	object.SetNamespace(namespace)
	object.SetName(name)
	return object
}

func (k Kind[T, L, P, PL]) connect(t *testing.T, objects ...runtime.Object) (Client[P, PL], *apitest.Server) {
	t.Helper()
	api := apitest.New(objects...)
	client, err := k.Client(Group, Version, api.Kubeconfig(t), "shop")
	if err != nil {
		t.Fatal(err)
	}
	return client, api
}

// call is a call of a client with a resource, the namespace shop and the object cart.
type call[P, PL any] func(c Client[P, PL], resource string) (object any, err error)

// calls returns all calls, with what each returns together with an error: programs look into it before they look at the error.
func (k Kind[T, L, P, PL]) calls() (calls map[string]call[P, PL], empty map[string]any) {
	calls = map[string]call[P, PL]{
		"Create": func(c Client[P, PL], resource string) (any, error) { return c.Create(k.New(), resource, "shop") },
		"Delete": func(c Client[P, PL], resource string) (any, error) { return c.Delete(resource, "shop", "cart") },
		"Update": func(c Client[P, PL], resource string) (any, error) {
			return c.Update(k.New(), resource, "shop", "cart")
		},
		"Get": func(c Client[P, PL], resource string) (any, error) {
			return c.Get(metav1.GetOptions{}, resource, "shop", "cart")
		},
		"List": func(c Client[P, PL], resource string) (any, error) {
			return c.List(metav1.ListOptions{}, resource, "shop")
		},
		"Watch": func(c Client[P, PL], resource string) (any, error) {
			return c.Watch(metav1.ListOptions{}, resource, "shop")
		},
	}
	empty = map[string]any{
		"Create": P(new(T)), "Delete": P(new(T)), "Update": P(new(T)), "Get": P(new(T)), "List": PL(new(L)), "Watch": nil,
	}
	return calls, empty
}
