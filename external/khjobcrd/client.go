package khjobcrd

import (
	"k8s.io/client-go/rest"

	"github.com/khronicle/khronicle/kube"
)

// KHJobV1Interface is what KHJobV1Client does.
type KHJobV1Interface interface {
	RESTClient() rest.Interface
	KuberhealthyJobsGetter
}

// KHJobV1Client gives the clients of the jobs of each namespace. It is safe for concurrent use.
type KHJobV1Client struct{ client *kube.Client }

var _ KHJobV1Interface = (*KHJobV1Client)(nil)

// Client returns a client for an API server: in a pod that of its cluster, elsewhere that of the kubeconfig file. An empty
// path means no file.
func Client(kubeConfigFile string) (*KHJobV1Client, error) {
	client, err := kube.Connect(kubeConfigFile)
	if err != nil {
		return nil, err
	}
	return &KHJobV1Client{client: client}, nil
}

// NewForConfig returns a client for the API server of c, which is left as it is.
func NewForConfig(c *rest.Config) (*KHJobV1Client, error) {
	client, err := kube.NewClient(c)
	if err != nil {
		return nil, err
	}
	return &KHJobV1Client{client: client}, nil
}

// NewForConfigOrDie is NewForConfig for a config that is known to be right. It panics if that is wrong.
func NewForConfigOrDie(c *rest.Config) *KHJobV1Client {
	client, err := NewForConfig(c)
	if err != nil {
		panic(err)
	}
	return client
}

// New returns a client that sends its requests by another, which must be one of comcast.github.io/v1 and know its
// types; see ConfigureScheme.
func New(c rest.Interface) *KHJobV1Client { return &KHJobV1Client{client: kube.ClientOf(c)} }

// RESTClient returns what the client sends its requests by, for informers and reflectors. It is nil for a nil client.
func (c *KHJobV1Client) RESTClient() rest.Interface {
	if c == nil {
		return nil
	}
	return c.client.REST()
}

// KuberhealthyJobs returns the client of the jobs of a namespace. Empty means all, which can be listed and watched
// alone.
func (c *KHJobV1Client) KuberhealthyJobs(namespace string) KuberhealthyJobInterface {
	return jobs{c.client.Jobs(namespace)}
}
