package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/check"
)

// warning is an event of the pod, some seconds after noon.
func warning(second int, reason, message string) corev1.Event {
	return event(second, corev1.EventTypeWarning, reason, message, "")
}

func event(second int, kind, reason, message, container string) corev1.Event {
	return corev1.Event{
		Type: kind, Reason: reason, Message: message, LastTimestamp: metav1.NewTime(now.Add(time.Duration(second) * time.Second)),
		InvolvedObject: corev1.ObjectReference{FieldPath: container},
	}
}

// placed is a pod on a node, whose containers wait.
func placed(change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		Spec:   corev1.PodSpec{NodeName: "node-1", SchedulerName: "default-scheduler"},
		Status: containers(waiting("main", "ContainerCreating", "")),
	}
	pod.Status.StartTime = ptr(metav1.NewTime(now))
	if change != nil {
		change(pod)
	}
	return pod
}

func unplaced(change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{SchedulerName: "default-scheduler"}}
	change(pod)
	return pod
}

func runsSince(name string, second int) corev1.ContainerStatus {
	status := runs(name)
	status.State.Running.StartedAt = metav1.NewTime(now.Add(time.Duration(second) * time.Second))
	return status
}

const noSecret = `MountVolume.SetUp failed for volume "tls" : secret "no-such-secret" not found`

// explained are pods that do not start, and what is said about them.
var explained = []struct {
	name    string
	pod     *corev1.Pod
	events  []corev1.Event
	detail  string
	blame   check.Blame
	missing string
}{
	{
		"volume without its secret", placed(nil),
		[]corev1.Event{warning(1, "FailedMount", noSecret)},
		"FailedMount: " + noSecret, check.BlameCheck, "FailedMount",
	},
	{
		"volume without a key of its ConfigMap", placed(nil),
		[]corev1.Event{warning(1, "FailedMount", `MountVolume.SetUp failed for volume "c" : configmap references non-existent config key: k`)},
		`FailedMount: MountVolume.SetUp failed for volume "c" : configmap references non-existent config key: k`, check.BlameCheck, "FailedMount",
	},
	{
		"volume without its secret, and a newer event that says less", placed(nil),
		[]corev1.Event{warning(1, "FailedMount", noSecret), warning(130, "FailedMount", "Unable to attach or mount volumes: timed out")},
		"FailedMount: Unable to attach or mount volumes: timed out; FailedMount: " + noSecret, check.BlameCheck, "FailedMount",
	},
	{
		"volume whose driver is not there", placed(nil),
		[]corev1.Event{warning(1, "FailedMount", "driver name csi.example.com not found in the list of registered CSI drivers")},
		"FailedMount: driver name csi.example.com not found in the list of registered CSI drivers", check.BlamePlatform, "",
	},
	{
		"sandbox that cannot be made", placed(nil),
		[]corev1.Event{warning(9, "FailedCreatePodSandBox", "Failed to create pod sandbox: plugin type=\"cni\"\nfailed")},
		`FailedCreatePodSandBox: Failed to create pod sandbox: plugin type="cni" failed`, check.BlamePlatform, "",
	},
	{
		"the same warning again and again, and idle ones", placed(nil),
		[]corev1.Event{warning(1, "NetworkNotReady", "no network"), warning(2, "NetworkNotReady", "no network"), warning(3, "DNSConfigForming", "too many"), warning(4, "BackOff", "x")},
		"NetworkNotReady: no network", check.BlamePlatform, "",
	},
	{
		"image that is pulled for long", placed(nil),
		[]corev1.Event{
			event(1, corev1.EventTypeNormal, "Pulling", `Pulling image "a:1"`, "spec.containers{side}"),
			event(2, corev1.EventTypeNormal, "Pulling", `Pulling image "b:1"`, "spec.containers{main}"),
			event(3, corev1.EventTypeNormal, "Pulled", `Successfully pulled image "a:1"`, "spec.containers{side}"),
		},
		`container main: Pulling image "b:1", since 2026-11-22T12:00:02Z`, check.BlamePlatform, "",
	},
	{
		"image that is pulled after a slow volume", placed(nil),
		[]corev1.Event{warning(1, "FailedAttachVolume", "Multi-Attach error"), event(2, corev1.EventTypeNormal, "Pulling", `Pulling image "b:1"`, "")},
		`Pulling image "b:1", since 2026-11-22T12:00:02Z`, check.BlamePlatform, "",
	},
	{"nothing is known", placed(nil), nil, "container main: ContainerCreating", "", ""},
	{
		"no kubelet looks at the pod", placed(func(p *corev1.Pod) { p.Status = corev1.PodStatus{} }), nil,
		"the kubelet of node node-1 has not looked at the pod", check.BlamePlatform, "",
	},
	{
		"nothing is known of its init containers", placed(func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{waiting("prepare", "PodInitializing", "")}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{waiting("main", "PodInitializing", "")}
		}), nil,
		"the kubelet of node node-1 has not started a container of the pod", "", "",
	},
	{
		"init container that does not end", placed(func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{exited("first", 0, "Completed", ""), runsSince("wait-for-database", 3)}
		}),
		[]corev1.Event{warning(1, "FailedMount", "slow")},
		"init container wait-for-database has not ended: it runs since 2026-11-22T12:00:03Z", "", "",
	},
	{
		"sidecar that does not get ready", placed(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: ptr(corev1.ContainerRestartPolicyAlways)}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{runsSince("proxy", 3)}
			p.Status.InitContainerStatuses[0].Started = ptr(false)
		}),
		[]corev1.Event{warning(1, "FailedMount", "slow"), warning(5, "Unhealthy", "Startup probe failed: connection refused")},
		"sidecar proxy runs since 2026-11-22T12:00:03Z, but its startup probe has not succeeded; Unhealthy: Startup probe failed: connection refused", "", "",
	},
	{
		"image cannot be pulled for want of a secret",
		placed(func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{waiting("main", "ErrImagePull", "unauthorized")}
		}),
		[]corev1.Event{
			warning(1, "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (registry); attempting to pull the image may not succeed."),
			warning(2, "Failed", "Failed to pull image: unauthorized"),
		},
		"container main: ErrImagePull: unauthorized; FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (registry); attempting to pull the image may not succeed.",
		check.BlameCheck, "",
	},
	{
		"image cannot be pulled", placed(func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{waiting("main", "ErrImagePull", "no such host")}
		}),
		[]corev1.Event{warning(2, "Failed", "Failed to pull image: no such host")},
		"container main: ErrImagePull: no such host", "", "",
	},
	{
		"a scheduler that nobody runs", unplaced(func(p *corev1.Pod) { p.Spec.SchedulerName = "night-shift" }), nil,
		`no scheduler has looked at the pod: its schedulerName is "night-shift"`, check.BlamePlatform, "",
	},
	{
		"a scheduler that writes events alone", unplaced(func(p *corev1.Pod) { p.Spec.SchedulerName = "night-shift" }),
		[]corev1.Event{warning(1, "FailedScheduling", "no room")},
		"FailedScheduling: no room", check.BlamePlatform, "",
	},
	{
		"no node matches", unplaced(func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{unschedulable("Unschedulable", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.")}
		}),
		[]corev1.Event{warning(1, "FailedScheduling", "0/1 nodes are available")},
		"pod is unschedulable: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", check.BlamePlatform, "",
	},
	{
		"claim that does not exist", unplaced(func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{unschedulable("Unschedulable", `0/1 nodes are available: persistentvolumeclaim "data" not found.`)}
		}), nil,
		`pod is unschedulable: 0/1 nodes are available: persistentvolumeclaim "data" not found.`, check.BlameCheck, "Unschedulable",
	},
	{
		"claim that is not bound", unplaced(func(p *corev1.Pod) {
			p.Name = "dns-1"
			p.Spec.Volumes = []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "cart-data"}}},
				{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
			}
			p.Status.Conditions = []corev1.PodCondition{unschedulable("Unschedulable", "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")}
		}), nil,
		"pod is unschedulable: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. The claims of the pod: cart-data, dns-1-scratch", check.BlamePlatform, "",
	},
	{
		"gates that nobody opens", unplaced(func(p *corev1.Pod) {
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
			p.Status.Conditions = []corev1.PodCondition{unschedulable("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")}
		}), nil,
		"pod waits for its scheduling gates: example.com/quota", "", "",
	},
}

func TestExplainAPodThatDoesNotStart(t *testing.T) {
	for _, tt := range explained {
		t.Run(tt.name, func(t *testing.T) {
			o := check.Explain(check.Observe(tt.pod), tt.pod, tt.events)
			if diff := cmp.Diff(tt.detail, o.Detail); diff != "" {
				t.Errorf("detail (-want +got):\n%s", diff)
			}
			if o.Blame != tt.blame || o.Missing != tt.missing {
				t.Errorf("blame %q, missing %q, want %q and %q", o.Blame, o.Missing, tt.blame, tt.missing)
			}
		})
	}
}

// Warnings from before the start explain nothing about a pod that runs.
func TestExplainAPodThatDoesNotEnd(t *testing.T) {
	pod := placed(func(p *corev1.Pod) {
		p.Status = containers(runsSince("main", 10))
		p.Status.Phase = corev1.PodRunning
	})
	before := warning(9, "FailedMount", noSecret)
	tests := []struct {
		name   string
		events []corev1.Event
		detail string
		blame  check.Blame
	}{
		{"nothing happened", []corev1.Event{before}, "", ""},
		{"its probe fails", []corev1.Event{before, warning(12, "Unhealthy", "Readiness probe failed")}, "Unhealthy: Readiness probe failed", ""},
		{"its node is not ready", []corev1.Event{warning(70, "NodeNotReady", "Node is not ready")}, "NodeNotReady: Node is not ready", check.BlamePlatform},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := check.Explain(check.Observe(pod), pod, tt.events)
			if o.Detail != tt.detail || o.Blame != tt.blame {
				t.Errorf("detail %q, blame %q, want %q and %q", o.Detail, o.Blame, tt.detail, tt.blame)
			}
		})
	}
}

func TestExplainIsBounded(t *testing.T) {
	var events []corev1.Event
	for i := range 100 {
		events = append(events, warning(i, "FailedMount", strings.Repeat("x", 10_000)+time.Duration(i).String()))
	}
	pod := placed(nil)
	if detail := check.Explain(check.Observe(pod), pod, events).Detail; len(detail) > 2000 || !strings.HasPrefix(detail, "FailedMount: xxx") {
		t.Errorf("a detail of %d bytes", len(detail))
	}
}

// An end explains itself.
// Events quote commands, such as that of a probe, and labels.
func TestExplainHidesTheRunUUID(t *testing.T) {
	pod := placed(func(p *corev1.Pod) { p.Labels = map[string]string{"kuberhealthy-run-id": runUUID} })
	events := []corev1.Event{warning(1, "FailedMount", "mount /run/"+runUUID)}
	if o := check.Explain(check.Observe(pod), pod, events); strings.Contains(o.Detail, runUUID) || !strings.Contains(o.Detail, "/run/****") {
		t.Errorf("%q, want the event with a hidden run UUID", o.Detail)
	}
}

func TestExplainLeavesAnEndAlone(t *testing.T) {
	pod := placed(func(p *corev1.Pod) {
		p.Status = containers(exited("main", 1, "Error", ""))
		p.Status.Phase = corev1.PodFailed
	})
	want := check.Observe(pod)
	if diff := cmp.Diff(want, check.Explain(want, pod, []corev1.Event{warning(1, "NodeNotReady", "x")})); diff != "" {
		t.Errorf("observation (-want +got):\n%s", diff)
	}
}
