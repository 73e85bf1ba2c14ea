package kube

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

var everything = labels.Everything()

// A pod that is missing from the cache is read from the API server. The first read comes after firstLook. The pause doubles
// after each read, up to longestLook. This bounds the requests when the watch is slow.
const (
	firstLook   = 500 * time.Millisecond
	longestLook = 10 * time.Second
)

// CreatePod creates a checker pod. It succeeds if a pod of this name and run exists: the same call was made before.
func (c *Cluster) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	created, err := c.core.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{FieldManager: fieldManager})
	if !apierrors.IsAlreadyExists(err) {
		return created, withoutRun(err, pod.Labels[protocol.LabelRunID])
	}
	present, getErr := c.LivePod(ctx, pod.Namespace, pod.Name)
	switch {
	case getErr != nil:
		return nil, getErr
	case present == nil: // deleted since: a retry may create it
		return nil, fmt.Errorf("create pod %s/%s: pod was deleted while being created", pod.Namespace, pod.Name)
	case present.Labels[protocol.LabelRunID] != pod.Labels[protocol.LabelRunID]:
		return nil, err
	}
	return present, nil
}

// withoutRun returns a refusal of the API server that does not say the run UUID. Policies and webhooks may quote a label, and
// the run is open.
func withoutRun(err error, runUUID string) error {
	var refusal *apierrors.StatusError
	if !errors.As(err, &refusal) {
		return err
	}
	status := refusal.ErrStatus.DeepCopy()
	status.Message = check.HideRunIn(status.Message, runUUID)
	if status.Details != nil {
		for i := range status.Details.Causes {
			cause := &status.Details.Causes[i]
			cause.Message = check.HideRunIn(cause.Message, runUUID)
		}
	}
	return &apierrors.StatusError{ErrStatus: *status}
}

// LivePod reads a pod from the API server. It returns nil if there is none.
func (c *Cluster) LivePod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod, err := c.core.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get pod %s/%s: %w", namespace, name, err)
	}
	return pod, nil
}

// DeletePod deletes a pod with its own grace period. It succeeds if there is no such pod.
func (c *Cluster) DeletePod(ctx context.Context, namespace, name string) error {
	err := c.core.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

// Pods returns the cached checker pods, which must not be changed. Only a part of a succeeded pod is cached; see trimPod.
func (c *Cluster) Pods() []*corev1.Pod { return c.pods.list("") }

// PodsOf returns the cached pods of a check or job by its name, which must not be changed.
func (c *Cluster) PodsOf(namespace, name string) []*corev1.Pod {
	return c.pods.having(checkIndex, namespace+"/"+name)
}

// UnfinishedPods returns how many cached checker pods have neither succeeded nor failed.
func (c *Cluster) UnfinishedPods() int { return c.unfinished.count() }

// HasPod is true for a cached checker pod, ended or not.
func (c *Cluster) HasPod(namespace, name string) bool {
	_, ok := c.pods.get(namespace, name)
	return ok
}

// unfinished counts the pods that have not ended. It is an informer's event handler.
type unfinished struct {
	mu   sync.Mutex
	pods map[string]struct{}
}

func (u *unfinished) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.pods)
}

func (u *unfinished) set(obj any, present bool) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	key := pod.Namespace + "/" + pod.Name
	if !present || finished(pod) {
		delete(u.pods, key)
		return
	}
	if u.pods == nil {
		u.pods = map[string]struct{}{}
	}
	u.pods[key] = struct{}{}
}

func (u *unfinished) OnAdd(obj any, _ bool) { u.set(obj, true) }

func (u *unfinished) OnUpdate(_, obj any) { u.set(obj, true) }

func (u *unfinished) OnDelete(obj any) {
	if missed, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = missed.Obj
	}
	u.set(obj, false)
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// trimPod drops the parts of a cached pod that nobody reads. There may be five succeeded pods for each check. Of these,
// trimPod leaves how and where they ended. Other pods keep their spec, which may become evidence.
func trimPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil // a DeletedFinalStateUnknown
	}
	pod.ManagedFields = nil
	delete(pod.Annotations, corev1.LastAppliedConfigAnnotation)
	if pod.Status.Phase == corev1.PodSucceeded {
		pod.Spec = corev1.PodSpec{
			NodeName: pod.Spec.NodeName, ActiveDeadlineSeconds: pod.Spec.ActiveDeadlineSeconds,
			InitContainers: onlyKinds(pod.Spec.InitContainers), Containers: onlyKinds(pod.Spec.Containers),
		}
	}
	return pod, nil
}

// onlyKinds returns these containers with nothing but their names, and what makes them sidecars.
func onlyKinds(containers []corev1.Container) []corev1.Container {
	var kinds []corev1.Container
	for _, container := range containers {
		kinds = append(kinds, corev1.Container{Name: container.Name, RestartPolicy: container.RestartPolicy})
	}
	return kinds
}

// checkIndex finds checker pods by the namespace and name of their check.
const checkIndex = "check"

func checkOf(obj any) ([]string, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, nil
	}
	return []string{pod.Namespace + "/" + pod.Labels[protocol.LabelCheckName]}, nil
}

// podIPIndex finds checker pods by the addresses from which they can report.
const podIPIndex = "podIP"

// reportingAddresses are the addresses that identify a running pod. A pod in the network of its node has none, because it
// shares the address of the node.
func reportingAddresses(obj any) ([]string, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.Spec.HostNetwork || pod.Status.Phase != corev1.PodRunning || pod.Labels[protocol.LabelRunID] == "" {
		return nil, nil
	}
	known := []string{pod.Status.PodIP}
	for _, further := range pod.Status.PodIPs {
		known = append(known, further.IP)
	}
	var addresses []string
	for _, text := range known {
		if ip, err := netip.ParseAddr(text); err == nil && !slices.Contains(addresses, indexed(ip)) {
			addresses = append(addresses, indexed(ip))
		}
	}
	return addresses, nil
}

// indexed returns the one spelling of an address. A socket for both families shows IPv4 within IPv6.
func indexed(ip netip.Addr) string { return ip.Unmap().WithZone("").String() }

// RunByPodIP returns the run UUID and the check of the running checker pod with this address. ok is false if there is none
// or more than one. Pods in the network of their node are never found.
func (c *Cluster) RunByPodIP(ip netip.Addr) (of check.Ref, runUUID string, ok bool) {
	pods := c.pods.having(podIPIndex, indexed(ip))
	if len(pods) != 1 {
		return check.Ref{}, "", false
	}
	labels := pods[0].Labels
	of = check.Ref{Kind: check.KindOf(pods[0].OwnerReferences), Namespace: pods[0].Namespace, Name: labels[protocol.LabelCheckName]}
	return of, labels[protocol.LabelRunID], true
}

// Observe reads a pod from the API server. If there is no such pod, the observation says so.
func (c *Cluster) Observe(ctx context.Context, namespace, name string) (check.Observation, error) {
	pod, err := c.LivePod(ctx, namespace, name)
	if err != nil || pod == nil {
		return check.Observation{Gone: err == nil}, err
	}
	return check.Observe(pod), nil
}

// AwaitPod watches one pod until the condition holds, and returns that observation, or the error of ctx. When the pod is
// deleted, AwaitPod returns its last observation, marked as deleted.
func (c *Cluster) AwaitPod(ctx context.Context, namespace, name string, until func(check.Observation) bool) (check.Observation, error) {
	wait := c.podWaiters.add(namespace + "/" + name)
	defer c.podWaiters.remove(wait)
	pod, seen := c.pods.get(namespace, name)
	if seen {
		// Not through the channel, where it could replace a newer observation.
		if observed := check.Observe(pod); until(observed) {
			return observed, nil
		}
	}
	pause := firstLook
	look := time.NewTimer(pause)
	defer look.Stop()
	for {
		select {
		case observed := <-wait.observations:
			if until(observed) || observed.Gone {
				return observed, nil
			}
			seen = true
		case <-look.C:
			if seen {
				continue
			}
			if observed, err := c.Observe(ctx, namespace, name); err != nil || observed.Gone || until(observed) {
				return observed, err
			}
			pause = min(2*pause, longestLook)
			look.Reset(pause)
		case <-ctx.Done():
			return check.Observation{}, context.Cause(ctx)
		}
	}
}

// waiters sends each change of a pod to the callers that wait for that pod.
type waiters struct {
	mu   sync.Mutex
	byID map[string]map[*waiter]struct{}
}

// waiter receives the newest observation of one pod. Older observations that were not read are dropped.
type waiter struct {
	key          string
	mu           sync.Mutex
	observations chan check.Observation
}

func newWaiters() *waiters { return &waiters{byID: map[string]map[*waiter]struct{}{}} }

func (w *waiters) add(key string) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	added := &waiter{key: key, observations: make(chan check.Observation, 1)}
	if w.byID[key] == nil {
		w.byID[key] = map[*waiter]struct{}{}
	}
	w.byID[key][added] = struct{}{}
	return added
}

func (w *waiters) remove(gone *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byID[gone.key], gone)
	if len(w.byID[gone.key]) == 0 {
		delete(w.byID, gone.key)
	}
}

func (w *waiters) notify(pod *corev1.Pod, gone bool) {
	observed := check.Observe(pod)
	observed.Gone = gone
	w.mu.Lock()
	defer w.mu.Unlock()
	for waiting := range w.byID[pod.Namespace+"/"+pod.Name] {
		waiting.offer(observed)
	}
}

func (w *waiter) offer(observed check.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.observations:
	default:
	}
	w.observations <- observed
}

// OnAdd, OnUpdate and OnDelete make waiters an informer's event handler.
func (w *waiters) OnAdd(obj any, _ bool) { w.notify(obj.(*corev1.Pod), false) }

// OnUpdate sends the new status of a pod.
func (w *waiters) OnUpdate(_, obj any) { w.notify(obj.(*corev1.Pod), false) }

// OnDelete sends the last status of a deleted pod.
func (w *waiters) OnDelete(obj any) {
	if missed, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = missed.Obj
	}
	if pod, ok := obj.(*corev1.Pod); ok {
		w.notify(pod, true)
	}
}
