package khcheckcrd

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/internal/crd"
	"github.com/khronicle/khronicle/kube"
)

// KuberhealthyCheckClient reads and writes checks. Each call is one request. Its error is the API server's own. The check is never nil,
// and empty with an error. The resource is always "khchecks". A client is safe for concurrent use.
type KuberhealthyCheckClient struct {
	checks crd.Client[KuberhealthyCheck, KuberhealthyCheckList, *KuberhealthyCheck]
}

// Client returns a client for the API server of the pod in which it is called. Outside a cluster it is the API server of the
// kubeconfig file; an empty path means no file. Group and version must be comcast.github.io and v1. The namespace is ignored, as
// in v2.4: each call has its own.
func Client(groupName, groupVersion, kubeConfig, _ string) (*KuberhealthyCheckClient, error) {
	client, err := crd.Connect(groupName, groupVersion, kubeConfig)
	if err != nil {
		return nil, err
	}
	return clientOf(client), nil
}

// CreateClient returns a client that sends its requests by another. The other must be one of comcast.github.io/v1 and know its
// types; see ConfigureScheme.
func CreateClient(client rest.Interface) *KuberhealthyCheckClient {
	return clientOf(kube.ClientOf(client))
}

func clientOf(client *kube.Client) *KuberhealthyCheckClient {
	return &KuberhealthyCheckClient{checks: crd.Client[KuberhealthyCheck, KuberhealthyCheckList, *KuberhealthyCheck]{
		Kind: "khcheck", Resource: khv1.CheckResource,
		In: func(namespace string) crd.Requests[*KuberhealthyCheck, *KuberhealthyCheckList] {
			return client.Checks(namespace)
		},
	}}
}

// Create adds a check and returns it as the API server has it.
func (c *KuberhealthyCheckClient) Create(check *KuberhealthyCheck, resource, namespace string) (*KuberhealthyCheck, error) {
	return c.checks.Create(check, resource, namespace)
}

// Delete deletes a check. The returned check is empty, because the API server answers with a status.
func (c *KuberhealthyCheckClient) Delete(resource, name, namespace string) (*KuberhealthyCheck, error) {
	return c.checks.Delete(resource, namespace, name)
}

// Update replaces the check of that name and returns it as the API server has it. The error is a conflict if the check was read
// before the last change.
func (c *KuberhealthyCheckClient) Update(check *KuberhealthyCheck, resource, namespace, name string) (*KuberhealthyCheck, error) {
	return c.checks.Update(check, resource, namespace, name)
}

// Get returns a check.
func (c *KuberhealthyCheckClient) Get(opts metav1.GetOptions, resource, namespace, name string) (*KuberhealthyCheck, error) {
	return c.checks.Get(opts, resource, namespace, name)
}

// List returns the checks of a namespace. An empty namespace means all.
func (c *KuberhealthyCheckClient) List(opts metav1.ListOptions, resource, namespace string) (*KuberhealthyCheckList, error) {
	return c.checks.List(opts, resource, namespace)
}

// Watch returns the changes of the checks of a namespace, until it is stopped or the API server ends it. An empty namespace
// means all.
func (c *KuberhealthyCheckClient) Watch(opts metav1.ListOptions, resource, namespace string) (watch.Interface, error) {
	return c.checks.Watch(opts, resource, namespace)
}
