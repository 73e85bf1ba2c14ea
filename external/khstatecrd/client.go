package khstatecrd

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/internal/crd"
	"github.com/khronicle/khronicle/kube"
)

// KuberhealthyStateClient reads and writes states. Each call is one request. Its error is the API server's own. The state is never nil,
// and empty with an error. The resource is always "khstates". A client is safe for concurrent use.
type KuberhealthyStateClient struct {
	rest   *kube.Client
	states crd.Client[KuberhealthyState, KuberhealthyStateList, *KuberhealthyState]
}

// Client returns a client for the API server of the pod in which it is called. Outside a cluster it is the API server of the
// kubeconfig file; an empty path means no file. Group and version must be comcast.github.io and v1. The namespace is ignored, as
// in v2.4: each call has its own.
func Client(groupName, groupVersion, kubeConfig, _ string) (*KuberhealthyStateClient, error) {
	client, err := crd.Connect(groupName, groupVersion, kubeConfig)
	if err != nil {
		return nil, err
	}
	return clientOf(client), nil
}

// CreateClient returns a client that sends its requests by another. The other must be one of comcast.github.io/v1 and know its
// types; see ConfigureScheme.
func CreateClient(client rest.Interface) *KuberhealthyStateClient {
	return clientOf(kube.ClientOf(client))
}

func clientOf(client *kube.Client) *KuberhealthyStateClient {
	return &KuberhealthyStateClient{rest: client, states: crd.Client[KuberhealthyState, KuberhealthyStateList, *KuberhealthyState]{
		Kind: "khstate", Resource: khv1.StateResource,
		In: func(namespace string) crd.Requests[*KuberhealthyState, *KuberhealthyStateList] {
			return client.States(namespace)
		},
	}}
}

// RestClient returns the client that sends the requests, for informers and reflectors.
func (c *KuberhealthyStateClient) RestClient() rest.Interface { return c.rest.REST() }

// Create adds a state and returns it as the API server has it.
func (c *KuberhealthyStateClient) Create(state *KuberhealthyState, resource, namespace string) (*KuberhealthyState, error) {
	return c.states.Create(state, resource, namespace)
}

// Delete deletes the state of that name. The object is ignored, as in v2.4. The returned state is empty, because the API server
// answers with a status.
func (c *KuberhealthyStateClient) Delete(_ *KuberhealthyState, resource, name, namespace string) (*KuberhealthyState, error) {
	return c.states.Delete(resource, namespace, name)
}

// Update replaces the state of that name and returns it as the API server has it. The error is a conflict if the state was read
// before the last change.
func (c *KuberhealthyStateClient) Update(state *KuberhealthyState, resource, name, namespace string) (*KuberhealthyState, error) {
	return c.states.Update(state, resource, namespace, name)
}

// Get returns a state.
func (c *KuberhealthyStateClient) Get(opts metav1.GetOptions, resource, name, namespace string) (*KuberhealthyState, error) {
	return c.states.Get(opts, resource, namespace, name)
}

// List returns the states of a namespace. An empty namespace means all.
func (c *KuberhealthyStateClient) List(opts metav1.ListOptions, resource, namespace string) (*KuberhealthyStateList, error) {
	return c.states.List(opts, resource, namespace)
}

// Watch returns the changes of the states of a namespace, until it is stopped or the API server ends it. An empty namespace
// means all.
func (c *KuberhealthyStateClient) Watch(opts metav1.ListOptions, resource, namespace string) (watch.Interface, error) {
	return c.states.Watch(opts, resource, namespace)
}
