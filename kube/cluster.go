package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
)

// fieldManager names Khronicle in the managed fields of what it writes.
const fieldManager = "khronicle"

// Client-side limits of requests to the API server. A run costs three requests; the API server has limits of its own.
const (
	requestsPerSecond = 200
	requestsBurst     = 400
)

// Options say which cluster to use and what of it to watch.
type Options struct {
	// Config is the address and credentials of the API server.
	Config *rest.Config
	// UserAgent is shown in the API server's audit log.
	UserAgent string
	// Namespaces limits what is watched. Empty means all.
	Namespaces []string
	// Checks, Jobs, States and Pods say which resources are watched.
	Checks, Jobs, States, Pods bool
	// Events says whether Announce records events.
	Events bool
}

// Cluster reads and writes what a run needs of one Kubernetes cluster. Its methods are safe for concurrent use.
type Cluster struct {
	core  kubernetes.Interface
	typed *Client

	checks store[*khv1.KuberhealthyCheck]
	jobs   store[*khv1.KuberhealthyJob]
	states store[*khv1.KuberhealthyState]
	pods   store[*corev1.Pod]

	podWaiters *waiters
	departed   *departed
	unfinished unfinished
	removed    removedStates
	runtimes   runtimes
	namespaces []string
	announcer  *announcer // nil without events
}

// New returns a cluster that is not yet watching; see Start.
func New(o Options) (*Cluster, error) {
	config := rest.CopyConfig(o.Config)
	config.UserAgent, config.QPS, config.Burst = o.UserAgent, requestsPerSecond, requestsBurst
	config.DisableCompression = true // reading it takes more processor time than it saves
	core, err := kubernetes.NewForConfig(protobuf(config))
	if err != nil {
		return nil, fmt.Errorf("make Kubernetes client: %w", err)
	}
	typed, err := NewClient(config)
	if err != nil {
		return nil, err
	}
	c := &Cluster{core: core, typed: typed, podWaiters: newWaiters(), departed: newDeparted(), namespaces: o.Namespaces}
	if o.Events {
		if c.announcer, err = newAnnouncer(core.EventsV1()); err != nil {
			return nil, err
		}
	}
	return c, c.watch(o)
}

// protobuf returns the configuration of a client of Kubernetes' own resources. Reading protobuf costs a third of reading
// JSON. A server without protobuf answers in JSON.
func protobuf(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config
}

func (c *Cluster) watch(o Options) error {
	namespaces := o.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		if o.Checks {
			c.checks.add(listWatch(c.typed.Checks(namespace)), &khv1.KuberhealthyCheck{})
		}
		if o.Jobs {
			c.jobs.add(listWatch(c.typed.Jobs(namespace)), &khv1.KuberhealthyJob{})
		}
		if o.States {
			c.states.add(listWatch(c.typed.States(namespace)), &khv1.KuberhealthyState{})
		}
		if o.Pods {
			c.pods.add(c.checkerPods(namespace), &corev1.Pod{}, cache.Indexers{podIPIndex: reportingAddresses, checkIndex: checkOf})
		}
	}
	return errors.Join(c.pods.onChange(c.podWaiters), c.pods.onChange(c.departed.handler()), c.pods.onChange(&c.unfinished),
		c.states.onChange(&c.removed))
}

// Start watches until ctx ends. It returns at once; see WaitForSync.
func (c *Cluster) Start(ctx context.Context) {
	for _, informer := range c.informers() {
		go informer.RunWithContext(ctx)
	}
	c.announcer.start(ctx)
}

// WaitForSync returns when everything that is watched has been read once, or with the error of ctx.
func (c *Cluster) WaitForSync(ctx context.Context) error {
	for _, informer := range c.informers() {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return fmt.Errorf("wait for the first list of the watched resources: %w", context.Cause(ctx))
		}
	}
	return nil
}

// Watches is true when the resources of a namespace are among those that are watched.
func (c *Cluster) Watches(namespace string) bool {
	return len(c.namespaces) == 0 || slices.Contains(c.namespaces, namespace)
}

// Synced returns nil when everything that is watched has been read.
func (c *Cluster) Synced(context.Context) error {
	for _, informer := range c.informers() {
		if !informer.HasSynced() {
			return errNotSynced
		}
	}
	return nil
}

var errNotSynced = errors.New("the watched resources have not been read yet")

// Reachable returns nil when the API server answers.
func (c *Cluster) Reachable(ctx context.Context) error {
	if err := c.core.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return fmt.Errorf("ask the API server whether it is ready: %w", err)
	}
	return nil
}

func (c *Cluster) informers() []cache.SharedIndexInformer {
	var all []cache.SharedIndexInformer
	all = append(all, c.checks.informers...)
	all = append(all, c.jobs.informers...)
	all = append(all, c.states.informers...)
	return append(all, c.pods.informers...)
}

func (c *Cluster) checkerPods(namespace string) cache.ListerWatcher {
	return cache.NewFilteredListWatchFromClient(c.core.CoreV1().RESTClient(), "pods", namespace,
		func(o *metav1.ListOptions) { o.LabelSelector = protocol.LabelCheckName })
}
