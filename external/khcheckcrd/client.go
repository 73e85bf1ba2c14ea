package khcheckcrd

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/kube"
)

// KuberhealthyCheckClient reads and writes checks. Each call is one request, whose error is the API server's own; the
// object is never nil and, with an error, empty. The resource is always "khchecks". It is safe for concurrent use.
type KuberhealthyCheckClient struct{ client *kube.Client }

// Client returns a client for an API server: in a pod that of its cluster, elsewhere that of the kubeconfig file. An empty
// path means no file.
func Client(groupName, groupVersion, kubeConfig, _ string) (*KuberhealthyCheckClient, error) {
	if err := kube.Served(groupName, groupVersion); err != nil {
		return nil, err
	}
	client, err := kube.Connect(kubeConfig)
	if err != nil {
		return nil, err
	}
	return &KuberhealthyCheckClient{client: client}, nil
}

// CreateClient returns a client that sends its requests by another, which must be one of comcast.github.io/v1 and know
// its types; see ConfigureScheme.
func CreateClient(client rest.Interface) *KuberhealthyCheckClient {
	return &KuberhealthyCheckClient{client: kube.ClientOf(client)}
}

// Create adds a check and returns it as the API server has it.
func (c *KuberhealthyCheckClient) Create(check *KuberhealthyCheck, resource, namespace string) (*KuberhealthyCheck, error) {
	checks, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyCheck{}, err
	}
	return checks.Create(context.Background(), check, metav1.CreateOptions{})
}

// Delete deletes a check. The returned check is empty: the API server answers with a status.
func (c *KuberhealthyCheckClient) Delete(resource, name, namespace string) (*KuberhealthyCheck, error) {
	checks, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyCheck{}, err
	}
	return &KuberhealthyCheck{}, checks.Delete(context.Background(), name, metav1.DeleteOptions{})
}

// Update replaces the check of that name and returns it as the API server has it. The error is a conflict when check
// was read before the last change.
func (c *KuberhealthyCheckClient) Update(check *KuberhealthyCheck, resource, namespace, name string) (*KuberhealthyCheck, error) {
	checks, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyCheck{}, err
	}
	if check.Name != name {
		return &KuberhealthyCheck{}, fmt.Errorf("update khcheck %s/%s: the object is named %q", namespace, name, check.Name)
	}
	return checks.Update(context.Background(), check, metav1.UpdateOptions{})
}

// Get returns a check.
func (c *KuberhealthyCheckClient) Get(opts metav1.GetOptions, resource, namespace, name string) (*KuberhealthyCheck, error) {
	checks, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyCheck{}, err
	}
	return checks.Get(context.Background(), name, opts)
}

// List returns the checks of a namespace, or of all if that is empty.
func (c *KuberhealthyCheckClient) List(opts metav1.ListOptions, resource, namespace string) (*KuberhealthyCheckList, error) {
	checks, err := c.in(resource, namespace)
	if err != nil {
		return &KuberhealthyCheckList{}, err
	}
	return checks.List(context.Background(), opts)
}

// Watch returns the changes of the checks of a namespace, until it is stopped or the API server ends it. An empty namespace
// means all.
func (c *KuberhealthyCheckClient) Watch(opts metav1.ListOptions, resource, namespace string) (watch.Interface, error) {
	checks, err := c.in(resource, namespace)
	if err != nil {
		return nil, err
	}
	return checks.Watch(context.Background(), opts)
}

func (c *KuberhealthyCheckClient) in(resource, namespace string) (*kube.CheckClient, error) {
	if resource != khv1.CheckResource {
		return nil, fmt.Errorf("resource %q: want %q", resource, khv1.CheckResource)
	}
	return c.client.Checks(namespace), nil
}
