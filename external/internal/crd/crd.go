// Package crd is the client of Kuberhealthy v2.4's Go API, for each kind of resource. Packages khcheckcrd and khstatecrd give it
// the names and the order of arguments that v2.4 has. Its calls take no context, as in v2.4.
package crd

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/khronicle/khronicle/kube"
)

// Requests are the requests for the objects of one namespace.
type Requests[P, PL any] interface {
	Create(ctx context.Context, object P, opts metav1.CreateOptions) (P, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
	Update(ctx context.Context, object P, opts metav1.UpdateOptions) (P, error)
	Get(ctx context.Context, name string, opts metav1.GetOptions) (P, error)
	List(ctx context.Context, opts metav1.ListOptions) (PL, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// Object is a pointer to an object with a name.
type Object[T any] interface {
	*T
	GetName() string
}

// Client reads and writes the objects T, with lists L. Each call is one request. Its error is the API server's own. The object is
// never nil, and empty with an error. A client is safe for concurrent use.
type Client[T, L any, P Object[T]] struct {
	// Kind names the objects in errors, such as "khcheck".
	Kind string
	// Resource is the only resource that callers may name, such as "khchecks".
	Resource string
	// In returns the requests for a namespace.
	In func(namespace string) Requests[P, *L]
}

// Connect returns a client for the API server of the pod in which it is called. Outside a cluster it is the API server of the
// kubeconfig file; an empty path means no file. Group and version must be comcast.github.io and v1.
func Connect(group, version, kubeconfig string) (*kube.Client, error) {
	if err := kube.Served(group, version); err != nil {
		return nil, err
	}
	return kube.Connect(kubeconfig)
}

// Create adds an object and returns it as the API server has it.
func (c Client[T, L, P]) Create(object P, resource, namespace string) (P, error) {
	if err := c.check(resource); err != nil {
		return new(T), err
	}
	return c.In(namespace).Create(context.Background(), object, metav1.CreateOptions{})
}

// Delete deletes an object. The returned object is empty, because the API server answers with a status.
func (c Client[T, L, P]) Delete(resource, namespace, name string) (P, error) {
	if err := c.check(resource); err != nil {
		return new(T), err
	}
	return new(T), c.In(namespace).Delete(context.Background(), name, metav1.DeleteOptions{})
}

// Update replaces the object of that name and returns it as the API server has it. The error is a conflict if object was read
// before the last change.
func (c Client[T, L, P]) Update(object P, resource, namespace, name string) (P, error) {
	if err := c.check(resource); err != nil {
		return new(T), err
	}
	if object.GetName() != name {
		return new(T), fmt.Errorf("update %s %s/%s: the object is named %q", c.Kind, namespace, name, object.GetName())
	}
	return c.In(namespace).Update(context.Background(), object, metav1.UpdateOptions{})
}

// Get returns an object.
func (c Client[T, L, P]) Get(opts metav1.GetOptions, resource, namespace, name string) (P, error) {
	if err := c.check(resource); err != nil {
		return new(T), err
	}
	return c.In(namespace).Get(context.Background(), name, opts)
}

// List returns the objects of a namespace. An empty namespace means all.
func (c Client[T, L, P]) List(opts metav1.ListOptions, resource, namespace string) (*L, error) {
	if err := c.check(resource); err != nil {
		return new(L), err
	}
	return c.In(namespace).List(context.Background(), opts)
}

// Watch returns the changes in a namespace, until it is stopped or the API server ends it. An empty namespace means all.
func (c Client[T, L, P]) Watch(opts metav1.ListOptions, resource, namespace string) (watch.Interface, error) {
	if err := c.check(resource); err != nil {
		return nil, err
	}
	return c.In(namespace).Watch(context.Background(), opts)
}

// check returns an error for another resource than that of the client.
func (c Client[T, L, P]) check(resource string) error {
	if resource != c.Resource {
		return fmt.Errorf("resource %q: want %q", resource, c.Resource)
	}
	return nil
}
