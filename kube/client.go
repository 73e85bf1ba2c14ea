package kube

import (
	"errors"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// The clients of the three resources in one namespace. Each call is one request to the API server, whose errors are the
// errors of the call.
type (
	// CheckClient reads and writes checks.
	CheckClient = gentype.ClientWithList[*khv1.KuberhealthyCheck, *khv1.KuberhealthyCheckList]
	// JobClient reads and writes jobs.
	JobClient = gentype.ClientWithList[*khv1.KuberhealthyJob, *khv1.KuberhealthyJobList]
	// StateClient reads and writes states.
	StateClient = gentype.ClientWithList[*khv1.KuberhealthyState, *khv1.KuberhealthyStateList]
)

// Client reads and writes checks, jobs and states by requests, while a Cluster reads from its cache. It is safe for
// concurrent use.
type Client struct{ rest rest.Interface }

// NewClient returns a client for the API server of config, which it does not change. It uses a scheme of its own, because
// writing to the scheme that client-go shares is not safe while others read it.
func NewClient(config *rest.Config) (*Client, error) {
	types := runtime.NewScheme()
	if err := khv1.AddToScheme(types); err != nil {
		return nil, fmt.Errorf("register %s: %w", khv1.GroupVersion, err)
	}
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &khv1.GroupVersion, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(types).WithoutConversion()
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, "" // custom resources have no protobuf
	if config.UserAgent == "" {
		config.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make client of %s: %w", khv1.GroupVersion, err)
	}
	return ClientOf(client), nil
}

// ClientOf returns a client that sends its requests through another client. That client must be for comcast.github.io/v1
// and know its types; see RegisterTypes.
func ClientOf(client rest.Interface) *Client { return &Client{rest: client} }

// Connect returns a client for the API server that LoadConfig finds.
func Connect(kubeconfig string) (*Client, error) {
	config, err := LoadConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	return NewClient(config)
}

// REST returns the client that sends the requests, for informers.
func (c *Client) REST() rest.Interface { return c.rest }

// Checks returns the client of the checks of a namespace. Empty means all namespaces, which can only be listed and watched.
func (c *Client) Checks(namespace string) *CheckClient {
	return gentype.NewClientWithList(khv1.CheckResource, c.rest, metav1.ParameterCodec, namespace,
		func() *khv1.KuberhealthyCheck { return &khv1.KuberhealthyCheck{} },
		func() *khv1.KuberhealthyCheckList { return &khv1.KuberhealthyCheckList{} })
}

// Jobs returns the client of the jobs of a namespace. Empty means all namespaces, which can only be listed and watched.
func (c *Client) Jobs(namespace string) *JobClient {
	return gentype.NewClientWithList(khv1.JobResource, c.rest, metav1.ParameterCodec, namespace,
		func() *khv1.KuberhealthyJob { return &khv1.KuberhealthyJob{} },
		func() *khv1.KuberhealthyJobList { return &khv1.KuberhealthyJobList{} })
}

// States returns the client of the states of a namespace. Empty means all namespaces, which can only be listed and watched.
func (c *Client) States(namespace string) *StateClient {
	return gentype.NewClientWithList(khv1.StateResource, c.rest, metav1.ParameterCodec, namespace,
		func() *khv1.KuberhealthyState { return &khv1.KuberhealthyState{} },
		func() *khv1.KuberhealthyStateList { return &khv1.KuberhealthyStateList{} })
}

// LoadConfig returns the address and credentials of the API server. In a pod they are those that Kubernetes gives the pod,
// elsewhere those of the kubeconfig file. An empty path means no file.
func LoadConfig(kubeconfig string) (*rest.Config, error) {
	return loadConfig(kubeconfig, rest.InClusterConfig)
}

func loadConfig(kubeconfig string, inCluster func() (*rest.Config, error)) (*rest.Config, error) {
	config, podErr := inCluster()
	if podErr == nil {
		return config, nil
	}
	podErr = fmt.Errorf("load the configuration of a pod: %w", podErr)
	if kubeconfig == "" {
		return nil, podErr
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err == nil {
		return config, nil
	}
	err = fmt.Errorf("load kubeconfig %s: %w", kubeconfig, err)
	if errors.Is(podErr, rest.ErrNotInCluster) {
		return nil, err
	}
	return nil, errors.Join(err, podErr)
}

// Served returns an error unless the three resources are of that API group and version.
func Served(group, version string) error {
	if asked := (schema.GroupVersion{Group: group, Version: version}); asked != khv1.GroupVersion {
		return fmt.Errorf("API group and version %q: only %s is served", asked, khv1.GroupVersion)
	}
	return nil
}

// RegisterTypes adds the three resources, if they are of that group and version, to the scheme that client-go shares, once
// in a process. Nothing in Khronicle needs it. A program that needs it must call it before anything else uses that scheme,
// which has no lock.
func RegisterTypes(group, version string) error {
	if err := Served(group, version); err != nil {
		return err
	}
	return registerTypes()
}

var registerTypes = sync.OnceValue(func() error { return khv1.AddToScheme(scheme.Scheme) })
