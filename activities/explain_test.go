package activities_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/check"
)

// heldPod waits for a volume on its node.
func heldPod() *corev1.Pod {
	pod := runningPod()
	pod.Spec.NodeName, pod.Status.Phase = "node-1", corev1.PodPending
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"},
	}}}
	return pod
}

// held is the observation of heldPod.
var held = check.Observe(heldPod())

// mounting are events about a volume that cannot be set up.
func mounting(message string) func(context.Context) ([]corev1.Event, error) {
	return func(context.Context) ([]corev1.Event, error) {
		return []corev1.Event{{Type: corev1.EventTypeWarning, Reason: "FailedMount", Message: message}}, nil
	}
}

// The deadline depends on the present state of the pod. So the pod is read from the API server, and not from a cache that
// may be late.
func TestLookAtPodAsksTheAPIServer(t *testing.T) {
	down := errors.New("connection refused")
	exited := runningPod()
	exited.Status.Phase = corev1.PodSucceeded
	slow := check.Explain(held, heldPod(), []corev1.Event{{Type: corev1.EventTypeWarning, Reason: "FailedMount", Message: "slow"}})
	tests := []struct {
		name   string
		live   *corev1.Pod
		err    error
		events func(context.Context) ([]corev1.Event, error) // a request that is not expected panics
		want   check.Observation
	}{
		{name: "there is no pod", want: check.Observation{Gone: true}},
		{name: "the pod has ended", live: exited, want: check.Observe(exited)},
		{name: "the pod has not started", live: heldPod(), events: mounting("slow"), want: slow},
		{
			name: "the events cannot be read", live: heldPod(), want: check.Explain(held, heldPod(), nil),
			events: func(context.Context) ([]corev1.Event, error) { return nil, down },
		},
		{name: "the API server is down", err: down},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, env := worker(&fakeCluster{
				podEvents: tt.events,
				livePod: func(namespace, name string) (*corev1.Pod, error) {
					if namespace != "shop" || name != "cart-1" {
						t.Errorf("looked at pod %s/%s, want shop/cart-1", namespace, name)
					}
					return tt.live, tt.err
				},
			})
			encoded, err := env.ExecuteActivity(a.LookAtPod, onPod())
			if tt.err != nil {
				if err == nil {
					t.Error("no error, want one to be tried again")
				}
				return
			}
			if diff := cmp.Diff(tt.want, value[check.Observation](t, encoded, err)); diff != "" {
				t.Errorf("observation differs (-want +got):\n%s", diff)
			}
		})
	}
}

// A pod that waits for an object that does not exist is given up when the kubelet has looked for it some times. A pod that
// waits for anything else is watched until the deadline.
func TestWatchPodExplainsWhyAPodIsHeld(t *testing.T) {
	const s = time.Second
	const noSecret = `MountVolume.SetUp failed for volume "tls" : secret "absent" not found`
	missing := check.Explain(held, heldPod(), must(mounting(noSecret)))
	missing.Hopeless = "FailedMount"
	tests := []struct {
		name    string
		shows   []event
		timeout time.Duration
		events  func(context.Context) ([]corev1.Event, error) // a request that is not expected panics
		want    check.Observation
		took    time.Duration
	}{
		{"its secret does not exist", []event{{s, held}}, time.Minute, mounting(noSecret), missing, 11 * s},
		{"its network is not there yet", []event{{s, held}, {20 * s, running}, {s, ended}}, time.Minute, mounting("slow"), ended, 22 * s},
		{"its network never comes", []event{{s, held}}, time.Minute, mounting("slow"), held, time.Minute},
		{"it starts in time", []event{{s, held}, {9 * s, running}, {s, ended}}, time.Minute, nil, ended, 11 * s},
		{"somebody deletes it", []event{{s, held}, {s, gone}}, time.Minute, nil, gone, 2 * s},
		{"the deadline comes first", []event{{s, held}}, 6 * s, nil, held, 6 * s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster, asked := podThat(tt.shows...), 0
				cluster.pod = heldPod()
				cluster.podEvents = func(ctx context.Context) ([]corev1.Event, error) {
					asked++
					return tt.events(ctx)
				}
				a, env := worker(cluster)
				in := watched()
				in.Deadline = time.Now().Add(tt.timeout)
				began := time.Now()
				encoded, err := env.ExecuteActivity(a.WatchPod, in)
				if diff := cmp.Diff(tt.want, value[check.Observation](t, encoded, err)); diff != "" {
					t.Errorf("observation differs (-want +got):\n%s", diff)
				}
				if took := time.Since(began); took != tt.took || asked > 1 {
					t.Errorf("took %s and asked %d times, want %s and one time at most", took, asked, tt.took)
				}
			})
		})
	}
}

// must returns the events of a source that has no error.
func must(source func(context.Context) ([]corev1.Event, error)) []corev1.Event {
	events, err := source(context.Background())
	if err != nil {
		panic(err)
	}
	return events
}

// The events of a pod that cannot start are read once, for what its status does not say.
func TestWatchPodExplainsWhyAPodCannotStart(t *testing.T) {
	pod := heldPod()
	pod.Status.ContainerStatuses[0].State.Waiting.Reason = "ErrImagePull"
	cluster := podThat(event{time.Second, check.Observe(pod)})
	cluster.pod = pod
	cluster.podEvents = func(context.Context) ([]corev1.Event, error) {
		return []corev1.Event{{Type: corev1.EventTypeWarning, Reason: "FailedToRetrieveImagePullSecret", Message: "no secret"}}, nil
	}
	a, env := worker(cluster)
	encoded, err := env.ExecuteActivity(a.WatchPod, watched())
	want := check.Observation{
		Hopeless: "ErrImagePull", Node: "node-1", Blame: check.BlameCheck,
		Detail: "container main: ErrImagePull; FailedToRetrieveImagePullSecret: no secret",
	}
	if diff := cmp.Diff(want, value[check.Observation](t, encoded, err)); diff != "" {
		t.Errorf("observation differs (-want +got):\n%s", diff)
	}
}
