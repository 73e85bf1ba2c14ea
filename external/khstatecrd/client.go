package khstatecrd

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/kube"
)

// KuberhealthyStateClient reads and writes states. Each call is one request, whose error is the API server's own; the
// object is never nil and, with an error, empty. The resource is always "khstates". It is safe for concurrent use.
type KuberhealthyStateClient struct{ client *kube.Client }

// Client returns a client for an API server: in a pod that of its cluster, elsewhere that of the kubeconfig file. An empty
// path means no file.
func Client(groupName, groupVersion, kubeConfig, _ string) (*KuberhealthyStateClient, error) {
	if err := kube.Served(groupName, groupVersion); err != nil {
		return nil, err
	}
	client, err := kube.Connect(kubeConfig)
	if err != nil {
		return nil, err
	}
	return &KuberhealthyStateClient{client: client}, nil
}

// CreateClient returns a client that sends its requests by another, which must be one of comcast.github.io/v1 and know
// its types; see ConfigureScheme.
func CreateClient(client rest.Interface) *KuberhealthyStateClient {
	return &KuberhealthyStateClient{client: kube.ClientOf(client)}
}

// RestClient returns what the client sends its requests by, for informers and reflectors.
func (c *KuberhealthyStateClient) RestClient() rest.Interface { return c.client.REST() }

// Create adds a state and returns it as the API server has it.
func (c *KuberhealthyStateClient) Create(state *KuberhealthyState, resource, namespace string) (*KuberhealthyState, error) {
	states, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyState{}, err
	}
	return states.Create(context.Background(), state, metav1.CreateOptions{})
}

// Delete deletes the state of that name; the object is ignored, as in v2.4. The returned state is empty: the API server
// answers with a status.
func (c *KuberhealthyStateClient) Delete(_ *KuberhealthyState, resource, name, namespace string) (*KuberhealthyState, error) {
	states, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyState{}, err
	}
	return &KuberhealthyState{}, states.Delete(context.Background(), name, metav1.DeleteOptions{})
}

// Update replaces the state of that name and returns it as the API server has it. The error is a conflict when state
// was read before the last change.
func (c *KuberhealthyStateClient) Update(state *KuberhealthyState, resource, name, namespace string) (*KuberhealthyState, error) {
	states, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyState{}, err
	}
	if state.Name != name {
		return &KuberhealthyState{}, fmt.Errorf("update khstate %s/%s: the object is named %q", namespace, name, state.Name)
	}
	return states.Update(context.Background(), state, metav1.UpdateOptions{})
}

// Get returns a state.
func (c *KuberhealthyStateClient) Get(opts metav1.GetOptions, resource, name, namespace string) (*KuberhealthyState, error) {
	states, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyState{}, err
	}
	return states.Get(context.Background(), name, opts)
}

// List returns the states of a namespace, or of all if that is empty.
func (c *KuberhealthyStateClient) List(opts metav1.ListOptions, resource, namespace string) (*KuberhealthyStateList, error) {
	states, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyStateList{}, err
	}
	return states.List(context.Background(), opts)
}

// Watch returns the changes of the states of a namespace, until it is stopped or the API server ends it. An empty namespace
// means all.
func (c *KuberhealthyStateClient) Watch(opts metav1.ListOptions, resource, namespace string) (watch.Interface, error) {
	states, err := c.in(resource, namespace)
	if err != nil {
		return nil, err
	}
	return states.Watch(context.Background(), opts)
}

func (c *KuberhealthyStateClient) in(resource, namespace string) (*kube.StateClient, error) {
	if resource != khv1.StateResource {
		return nil, fmt.Errorf("resource %q: want %q", resource, khv1.StateResource)
	}
	return c.client.States(namespace), nil
}
