package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/khronicle/khronicle/check"
)

// Bounds of what is read of a failed pod.
const (
	// shortTail is how many lines of a log are read first. If they are shorter than the evidence may be, a second request
	// asks for as many lines as the evidence has bytes.
	shortTail = 1000
	longTail  = check.MaxEvidence
	// keptTail is a little more than the evidence of a log, so that a secret at its beginning is hidden as a whole.
	keptTail = check.MaxEvidence + 64
	// followedTail is how many of the last lines are read of a log that is followed.
	followedTail = 4000
	// maxLogRead is how much of a log is read, in bytes. followedTail lines are never longer.
	maxLogRead = 128 << 20
	// maxEvents is how many events of a pod are read.
	maxEvents = 200
	// maxDeparted is how many deleted pods are remembered.
	maxDeparted = 256
)

// Pod returns a cached checker pod. If the pod was deleted a moment ago without success, Pod returns its last state. The
// pod must not be changed.
func (c *Cluster) Pod(namespace, name string) (*corev1.Pod, bool) {
	if pod, ok := c.pods.get(namespace, name); ok {
		return pod, true
	}
	return c.departed.get(namespace + "/" + name)
}

// PodEvents returns the events of a pod, by one request. The name is enough: no two checker pods have the same name.
func (c *Cluster) PodEvents(ctx context.Context, namespace, name string) ([]corev1.Event, error) {
	list, err := c.core.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.kind=Pod,involvedObject.name=" + name, Limit: maxEvents,
	})
	if err != nil {
		return nil, fmt.Errorf("list events of pod %s/%s: %w", namespace, name, err)
	}
	return list.Items, nil
}

// PodLog returns the end of a container's log, by one or two requests. The API cannot be asked for a number of last bytes.
func (c *Cluster) PodLog(ctx context.Context, namespace, name, container string) (check.LogTail, error) {
	short, lines, err := c.readLog(ctx, namespace, name, &corev1.PodLogOptions{Container: container, TailLines: new(int64(shortTail))})
	// The kubelet counts a line of more than 16 KiB as several lines. Four such lines are enough.
	if err != nil || lines < shortTail-4 || short.Size >= check.MaxEvidence {
		return short, err
	}
	long, _, err := c.readLog(ctx, namespace, name, &corev1.PodLogOptions{Container: container, TailLines: new(int64(longTail))})
	if err != nil {
		return short, nil //nolint:nilerr // the end of the log is enough
	}
	return long, nil
}

// FollowPodLog reads the log of a container by one request, until the log or ctx ends, and returns its end. The result is
// Cut if the log may continue. It has at most 4000 lines from before the call, which may be shorter than the evidence.
func (c *Cluster) FollowPodLog(ctx context.Context, namespace, name, container string) (check.LogTail, error) {
	tail, _, err := c.readLog(ctx, namespace, name, &corev1.PodLogOptions{Container: container, TailLines: new(int64(followedTail)), Follow: true})
	if tail.Cut = err != nil; tail.Cut && tail.Size > 0 {
		return tail, nil //nolint:nilerr // what was read until then is evidence too
	}
	return tail, err
}

// NodeRuntime returns the container runtime of a node, such as containerd://1.7.24. It asks the API server once in ten
// minutes.
func (c *Cluster) NodeRuntime(ctx context.Context, node string) (string, error) {
	if known, ok := c.runtimes.get(node); ok {
		return known, nil
	}
	found, err := c.core.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("get node %s: %w", node, err)
	}
	c.runtimes.put(node, found.Status.NodeInfo.ContainerRuntimeVersion)
	return found.Status.NodeInfo.ContainerRuntimeVersion, nil
}

// Node reads a node from the API server. It returns nil if there is none.
func (c *Cluster) Node(ctx context.Context, name string) (*corev1.Node, error) {
	node, err := c.core.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get node %s: %w", name, err)
	}
	return node, nil
}

// runtimeKnownFor is how long the container runtime of a node is remembered. An upgrade of the runtime takes the node out
// of service.
const runtimeKnownFor = 10 * time.Minute

// runtimes remembers the container runtimes of nodes.
type runtimes struct {
	mu    sync.Mutex
	known map[string]knownRuntime
}

type knownRuntime struct {
	version string
	until   time.Time
}

func (r *runtimes) get(node string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[node]
	return known.version, time.Now().Before(known.until)
}

// put remembers one more runtime, and forgets those that are too old.
func (r *runtimes) put(node, version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]knownRuntime{}
	}
	now := time.Now()
	maps.DeleteFunc(r.known, func(_ string, known knownRuntime) bool { return now.After(known.until) })
	r.known[node] = knownRuntime{version, now.Add(runtimeKnownFor)}
}

var (
	errLogTooLong = fmt.Errorf("its last lines are longer than %d MiB", maxLogRead>>20)
	errNoLog      = errors.New("the node has no log of it any more")
)

// noLog is what a kubelet writes in place of a log that it does not have.
var noLog = []byte("unable to retrieve container logs for ")

// readLog returns the end of a log and the number of lines that were read.
func (c *Cluster) readLog(ctx context.Context, namespace, name string, o *corev1.PodLogOptions) (tail check.LogTail, lines int, err error) {
	what := fmt.Sprintf("read log of container %s of pod %s/%s", o.Container, namespace, name)
	stream, err := c.core.CoreV1().Pods(namespace).GetLogs(name, o).Stream(ctx)
	if err != nil {
		return tail, 0, fmt.Errorf("%s: %w", what, err)
	}
	defer stream.Close()
	chunk := make([]byte, 16<<10)
	for {
		n, err := stream.Read(chunk)
		tail.Size += n
		lines += bytes.Count(chunk[:n], []byte("\n"))
		tail.Content = append(tail.Content, chunk[:n]...)
		if len(tail.Content) > 4*keptTail {
			tail.Content = append(tail.Content[:0], tail.Content[len(tail.Content)-keptTail:]...)
		}
		if err == nil && tail.Size > maxLogRead {
			err = errLogTooLong
		}
		if err == nil {
			continue
		}
		tail.Content = tail.Content[max(0, len(tail.Content)-keptTail):]
		switch {
		case bytes.HasPrefix(tail.Content, noLog) && tail.Size < 1<<10:
			return check.LogTail{}, 0, fmt.Errorf("%s: %w", what, errNoLog)
		case errors.Is(err, io.EOF):
			return tail, lines, nil
		}
		return tail, lines, fmt.Errorf("%s: %w", what, err)
	}
}

// departed remembers the pods that were deleted last, apart from those that succeeded.
type departed struct {
	mu   sync.Mutex
	pods map[string]*corev1.Pod
	keys []string // the oldest first
}

func newDeparted() *departed { return &departed{pods: map[string]*corev1.Pod{}} }

func (d *departed) get(key string) (*corev1.Pod, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	pod, ok := d.pods[key]
	return pod, ok
}

// handler returns the event handler of an informer that adds deleted pods.
func (d *departed) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if missed, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = missed.Obj
		}
		if pod, ok := obj.(*corev1.Pod); ok && pod.Status.Phase != corev1.PodSucceeded {
			d.add(pod)
		}
	}}
}

func (d *departed) add(pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := pod.Namespace + "/" + pod.Name
	if _, known := d.pods[key]; !known {
		d.keys = append(d.keys, key)
	}
	d.pods[key] = pod
	if len(d.keys) > maxDeparted {
		delete(d.pods, d.keys[0])
		d.keys = d.keys[1:]
	}
}
