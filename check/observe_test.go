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

func waiting(name, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
	}}
}

func exited(name string, code int32, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message},
	}}
}

func runs(name string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func containers(statuses ...corev1.ContainerStatus) corev1.PodStatus {
	return corev1.PodStatus{ContainerStatuses: statuses}
}

func unschedulable(reason, message string) corev1.PodCondition {
	return corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: message}
}

var preemption = corev1.PodCondition{
	Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler",
	Message: "default-scheduler: preempting to accommodate a higher priority pod",
}

var disruption = corev1.PodCondition{
	Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting",
}

func TestObserveAPodThatHasNotStarted(t *testing.T) {
	tests := []struct {
		name   string
		status corev1.PodStatus
		want   check.Observation
	}{
		{"new", corev1.PodStatus{}, check.Observation{}},
		{"creating", containers(waiting("main", "ContainerCreating", "")), check.Observation{Detail: "container main: ContainerCreating"}},
		{
			"waits for its init containers",
			corev1.PodStatus{
				InitContainerStatuses: []corev1.ContainerStatus{runs("prepare")},
				ContainerStatuses:     []corev1.ContainerStatus{waiting("main", "PodInitializing", "")},
			},
			check.Observation{},
		},
		{
			"unschedulable",
			corev1.PodStatus{Conditions: []corev1.PodCondition{unschedulable("Unschedulable", "0/3 nodes are available: 3 Insufficient cpu.")}},
			check.Observation{Held: true, Detail: "pod is unschedulable: 0/3 nodes are available: 3 Insufficient cpu."},
		},
		{
			"gated",
			corev1.PodStatus{Conditions: []corev1.PodCondition{unschedulable("SchedulingGated", "")}},
			check.Observation{Detail: "pod is schedulinggated"},
		},
		{
			"image not found",
			containers(waiting("main", "ErrImagePull", "\n manifest unknown \n")),
			check.Observation{Hopeless: "ErrImagePull", Detail: "container main: ErrImagePull: manifest unknown"},
		},
		{
			"image not found, waiting",
			containers(waiting("main", "ImagePullBackOff", "Back-off pulling image")),
			check.Observation{Hopeless: "ImagePullBackOff", Detail: "container main: ImagePullBackOff: Back-off pulling image"},
		},
		{
			"image of an init container not found",
			corev1.PodStatus{
				InitContainerStatuses: []corev1.ContainerStatus{waiting("prepare", "ErrImagePull", "no such host")},
				ContainerStatuses:     []corev1.ContainerStatus{waiting("main", "PodInitializing", "")},
			},
			check.Observation{Hopeless: "ErrImagePull", Detail: "container prepare: ErrImagePull: no such host"},
		},
		{
			"second container is hopeless",
			containers(waiting("main", "ContainerCreating", ""), waiting("side", "InvalidImageName", "couldn't parse image name")),
			check.Observation{Hopeless: "InvalidImageName", Detail: "container side: InvalidImageName: couldn't parse image name"},
		},
		{
			"one runs, one is hopeless",
			containers(runs("main"), waiting("side", "CreateContainerConfigError", `secret "x" not found`)),
			check.Observation{Hopeless: "CreateContainerConfigError", Detail: `container side: CreateContainerConfigError: secret "x" not found`},
		},
		{"image must not be pulled", containers(waiting("main", "ErrImageNeverPull", "")), check.Observation{Hopeless: "ErrImageNeverPull", Detail: "container main: ErrImageNeverPull"}},
		{"image cannot be inspected", containers(waiting("main", "ImageInspectError", "")), check.Observation{Hopeless: "ImageInspectError", Detail: "container main: ImageInspectError"}},
		{"container cannot be created", containers(waiting("main", "CreateContainerError", "")), check.Observation{Hopeless: "CreateContainerError", Detail: "container main: CreateContainerError"}},
		{"container cannot be run", containers(waiting("main", "RunContainerError", "")), check.Observation{Hopeless: "RunContainerError", Detail: "container main: RunContainerError"}},
		{
			"about to be preempted",
			corev1.PodStatus{Conditions: []corev1.PodCondition{disruption}},
			check.Observation{Disrupted: true, Detail: "pod EvictionByEvictionAPI: Eviction API: evicting"},
		},
		{
			"about to be preempted while an image is pulled",
			corev1.PodStatus{
				Conditions:        []corev1.PodCondition{preemption},
				ContainerStatuses: []corev1.ContainerStatus{waiting("main", "ContainerCreating", "")},
			},
			check.Observation{
				Disrupted: true,
				Detail:    "pod PreemptionByScheduler: default-scheduler: preempting to accommodate a higher priority pod; container main: ContainerCreating",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, phase := range []corev1.PodPhase{corev1.PodPending, ""} {
				tt.status.Phase = phase
				if diff := cmp.Diff(tt.want, check.Observe(&corev1.Pod{Status: tt.status})); diff != "" {
					t.Errorf("phase %q: observation differs (-want +got):\n%s", phase, diff)
				}
			}
		})
	}
}

func TestObserveAPodThatHasStarted(t *testing.T) {
	failed := func(s corev1.PodStatus) corev1.PodStatus { s.Phase = corev1.PodFailed; return s }
	ended := func(detail string) check.Observation {
		return check.Observation{Started: true, Ended: true, Detail: detail}
	}
	tests := []struct {
		name   string
		status corev1.PodStatus
		want   check.Observation
	}{
		{"running", corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{runs("main")}}, check.Observation{Started: true}},
		{
			"running with a container that ended",
			corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{runs("main"), exited("side", 1, "Error", "")}},
			check.Observation{Started: true, PartlyEnded: true, Running: []string{"main"}, Detail: "container side exited with code 1 (Error)"},
		},
		{"succeeded", corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{exited("main", 0, "Completed", "")}}, ended("all containers exited with code 0")},
		{"exit code", failed(containers(exited("main", 1, "Error", ""))), ended("container main exited with code 1 (Error)")},
		{"exit code with message", failed(containers(exited("main", 1, "Error", "no route to host\n"))), ended("container main exited with code 1 (Error): no route to host")},
		{"out of memory", failed(containers(exited("main", 137, "OOMKilled", ""))), ended("container main exited with code 137 (OOMKilled)")},
		{
			"two of three containers failed",
			failed(containers(exited("a", 2, "Error", "x"), exited("b", 0, "Completed", "fine"), exited("c", 3, "Error", ""))),
			ended("container a exited with code 2 (Error): x; container c exited with code 3 (Error)"),
		},
		{
			"init container failed",
			failed(corev1.PodStatus{
				InitContainerStatuses: []corev1.ContainerStatus{exited("prepare", 5, "Error", "")},
				ContainerStatuses:     []corev1.ContainerStatus{waiting("main", "PodInitializing", "")},
			}),
			ended("container prepare exited with code 5 (Error)"),
		},
		{
			"over its own deadline",
			failed(corev1.PodStatus{Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline"}),
			ended("pod DeadlineExceeded: Pod was active on the node longer than the specified deadline"),
		},
		{
			"evicted",
			failed(corev1.PodStatus{
				Reason: "Evicted", Message: "The node was low on resource: memory.",
				ContainerStatuses: []corev1.ContainerStatus{exited("main", 137, "Error", "")},
			}),
			check.Observation{
				Started: true, Ended: true, Disrupted: true,
				Detail: "pod Evicted: The node was low on resource: memory.; container main exited with code 137 (Error)",
			},
		},
		{
			"not admitted by the kubelet",
			failed(corev1.PodStatus{
				Reason: "OutOfcpu", Message: "Pod was rejected: Node didn't have enough resource: cpu, requested: 500, used: 1900, capacity: 2000",
			}),
			check.Observation{
				Started: true, Ended: true, Disrupted: true,
				Detail: "pod OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu, requested: 500, used: 1900, capacity: 2000",
			},
		},
		{
			"disruption target without a reason of its own",
			failed(corev1.PodStatus{
				Conditions:        []corev1.PodCondition{disruption},
				ContainerStatuses: []corev1.ContainerStatus{exited("main", 143, "Error", "")},
			}),
			check.Observation{
				Started: true, Ended: true, Disrupted: true,
				Detail: "pod EvictionByEvictionAPI: Eviction API: evicting; container main exited with code 143 (Error)",
			},
		},
		{
			"evicted for the sake of its node",
			failed(corev1.PodStatus{Reason: "Evicted", Message: "The node was low on resource: memory. ", Conditions: []corev1.PodCondition{{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "TerminationByKubelet", Message: "The node was low on resource: memory. ",
			}}}),
			check.Observation{Started: true, Ended: true, Disrupted: true, Detail: "pod Evicted (TerminationByKubelet): The node was low on resource: memory."},
		},
		{
			"preempted while it runs",
			corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{preemption}, ContainerStatuses: []corev1.ContainerStatus{runs("main")}},
			check.Observation{
				Started: true, Disrupted: true,
				Detail: "pod PreemptionByScheduler: default-scheduler: preempting to accommodate a higher priority pod",
			},
		},
		{
			"collected with its node, nothing known of its containers",
			failed(corev1.PodStatus{Conditions: []corev1.PodCondition{{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists",
			}}}),
			check.Observation{Started: true, Ended: true, Disrupted: true, Detail: "pod DeletionByPodGC: PodGC: node no longer exists"},
		},
		{"failed, nothing else known", failed(corev1.PodStatus{}), ended("pod Failed")},
		{
			"disruption that was called off",
			corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionFalse}}},
			check.Observation{Started: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, check.Observe(&corev1.Pod{Status: tt.status})); diff != "" {
				t.Errorf("observation differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestObserveKnowsEveryEndByThePlatform(t *testing.T) {
	for _, reason := range []string{"Evicted", "NodeLost", "NodeShutdown", "Terminated", "Preempting", "Shutdown"} {
		if !check.Observe(&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason}}).Disrupted {
			t.Errorf("%s does not count as a disruption", reason)
		}
	}
	for _, reason := range []string{"OutOfcpu", "OutOfpods", "NodeAffinity", "UnexpectedAdmissionError", "a plugin's own"} {
		status := corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason, Message: "Pod was rejected: Node didn't have enough resource"}
		if !check.Observe(&corev1.Pod{Status: status}).Disrupted {
			t.Errorf("a pod that the kubelet rejected for %s does not count as a disruption", reason)
		}
	}
	for _, reason := range []string{"", "DeadlineExceeded", "Error"} {
		status := corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason, Message: "the cart says: Pod was rejected: no"}
		if check.Observe(&corev1.Pod{Status: status}).Disrupted {
			t.Errorf("%q counts as a disruption", reason)
		}
	}
}

// The limits of the spec, and what the spec asks of a node, are the check's. Another pod of the same spec ends in the same way.
func TestObserveKnowsEndsThatTheSpecCauses(t *testing.T) {
	for _, status := range []corev1.PodStatus{
		{Reason: "Evicted", Message: `Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. `},
		{Reason: "Evicted", Message: `Container main exceeded its local ephemeral storage limit "5Mi". `},
		{Reason: "Evicted", Message: `Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". `},
		{Reason: "SysctlForbidden", Message: `Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted`},
		{Reason: "PodOSNotSupported", Message: `Pod was rejected: Failed to admit pod as the OS field doesn't match node OS`},
	} {
		status.Phase = corev1.PodFailed
		o := check.Observe(&corev1.Pod{Status: status})
		want := "pod " + status.Reason + ": " + strings.TrimSpace(status.Message)
		if o.Disrupted || !o.Ended || o.Detail != want {
			t.Errorf("observation is %+v, want an end that is no disruption, and the detail %q", o, want)
		}
		status.Conditions = []corev1.PodCondition{disruption}
		if !check.Observe(&corev1.Pod{Status: status}).Disrupted {
			t.Errorf("%s: a pod that is drained meanwhile is not disrupted", status.Message)
		}
	}
}

// When a node reboots or its runtime loses a container, nobody saw how the container ended.
func TestObserveKnowsLostContainers(t *testing.T) {
	deleted := metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{Time: now}}
	tests := []struct {
		name   string
		meta   metav1.ObjectMeta
		status corev1.PodStatus
		want   bool
	}{
		{"after a reboot", metav1.ObjectMeta{}, containers(exited("main", 255, "Unknown", "")), true},
		{"an init container after a reboot", metav1.ObjectMeta{}, corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{exited("prepare", 255, "Unknown", "")}}, true},
		{"the runtime has lost it", metav1.ObjectMeta{}, containers(exited("main", 137, "ContainerStatusUnknown", "The container could not be located when the pod was terminated")), true},
		{"lost because somebody deletes the pod", deleted, containers(exited("main", 137, "ContainerStatusUnknown", "The container could not be located when the pod was deleted")), false},
		{"a program that exits with 255", metav1.ObjectMeta{}, containers(exited("main", 255, "Error", "")), false},
		{"out of memory", metav1.ObjectMeta{}, containers(exited("main", 137, "OOMKilled", "")), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.status.Phase = corev1.PodFailed
			if got := check.Observe(&corev1.Pod{ObjectMeta: tt.meta, Status: tt.status}).Disrupted; got != tt.want {
				t.Errorf("disrupted: %t, want %t", got, tt.want)
			}
		})
	}
}

func TestObserveAPodThatIsHeld(t *testing.T) {
	ready := func(status corev1.ConditionStatus) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: status}}
	}
	tests := []struct {
		name   string
		node   string
		status corev1.PodStatus
		want   bool
	}{
		{"no scheduler has looked", "", corev1.PodStatus{}, false},
		{"no node takes it", "", corev1.PodStatus{Conditions: []corev1.PodCondition{unschedulable("Unschedulable", "")}}, true},
		{"a gate holds it", "", corev1.PodStatus{Conditions: []corev1.PodCondition{unschedulable("SchedulingGated", "")}}, false},
		{"placed", "node-1", corev1.PodStatus{}, true},
		{"volumes are set up", "node-1", corev1.PodStatus{Conditions: ready(corev1.ConditionFalse)}, true},
		{"volumes and network are there", "node-1", corev1.PodStatus{Conditions: ready(corev1.ConditionTrue)}, false},
		{"an init container runs, on an old kubelet", "node-1", corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{runs("prepare")}}, false},
		{"it cannot start", "node-1", containers(waiting("main", "ErrImagePull", "")), false},
		{"it runs", "node-1", corev1.PodStatus{Phase: corev1.PodRunning}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: tt.node}, Status: tt.status}
			if got := check.Observe(pod).Held; got != tt.want {
				t.Errorf("held: %t, want %t", got, tt.want)
			}
		})
	}
}

// Kubernetes gives whole seconds. A container that ended in the same second may have ended after the report.
func TestEndedSince(t *testing.T) {
	report := now.Truncate(time.Second).Add(300 * time.Millisecond)
	tests := []struct {
		name  string
		exits time.Time
		want  bool
	}{
		{"no container has ended", time.Time{}, false},
		{"in the second before the report", report.Truncate(time.Second).Add(-time.Second), false},
		{"in the second of the report", report.Truncate(time.Second), true},
		{"in the second after the report", report.Truncate(time.Second).Add(time.Second), true},
	}
	for _, tt := range tests {
		if got := (check.Observation{ExitedAt: tt.exits}).EndedSince(report); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestObserveADeletion(t *testing.T) {
	deleting := metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{Time: now}}
	running := check.Observe(&corev1.Pod{ObjectMeta: deleting, Status: corev1.PodStatus{Phase: corev1.PodRunning}})
	if !running.Deleting || running.Ended || running.Removed() {
		t.Errorf("a running pod that is being deleted may still report: %+v", running)
	}
	ended := check.Observe(&corev1.Pod{ObjectMeta: deleting, Status: corev1.PodStatus{Phase: corev1.PodFailed}})
	if !ended.Deleting || !ended.Ended || !ended.Removed() {
		t.Errorf("a pod that ended because it was deleted was removed: %+v", ended)
	}
	if o := (check.Observation{Ended: true}); o.Removed() {
		t.Error("a pod that ended by itself was not removed")
	}
	if o := (check.Observation{Deleting: true, AllEnded: true, OnlySidecars: true}); !o.Removed() {
		t.Error("a pod was removed whose check ended because of a deletion, and whose sidecars still stop")
	}
	if o := (check.Observation{Gone: true}); !o.Removed() {
		t.Error("a pod that no longer exists was removed")
	}
}

func TestObserveNamesTheNode(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node-1"}}
	if got := check.Observe(pod).Node; got != "node-1" {
		t.Errorf("node is %q, want node-1", got)
	}
}

func TestUnschedulable(t *testing.T) {
	tests := []struct {
		name   string
		status corev1.PodStatus
		want   bool
	}{
		{"no node takes it", corev1.PodStatus{Conditions: []corev1.PodCondition{unschedulable("Unschedulable", "x")}}, true},
		{"no node takes it, without a message", corev1.PodStatus{Conditions: []corev1.PodCondition{unschedulable("Unschedulable", "")}}, true},
		{"held back by a gate", corev1.PodStatus{Conditions: []corev1.PodCondition{unschedulable("SchedulingGated", "x")}}, false},
		{"placed", corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}}, false},
		{"a container that is called so", containers(waiting("unschedulable", "ContainerCreating", "")), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := check.Observe(&corev1.Pod{Status: tt.status}).Unschedulable(); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

// A runtime quotes the command that it cannot start, and a container may print its environment.
func TestObserveHidesTheRunUUID(t *testing.T) {
	for name, status := range map[string]corev1.PodStatus{
		"that waits":          containers(waiting("main", "RunContainerError", "exec: /no/such/"+runUUID)),
		"that has ended":      {Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{exited("main", 1, "Error", "I am "+runUUID)}},
		"that was not placed": {Conditions: []corev1.PodCondition{unschedulable("Unschedulable", "webhook: "+runUUID)}},
	} {
		pod := &corev1.Pod{Status: status}
		pod.Labels = map[string]string{"kuberhealthy-run-id": runUUID}
		if o := check.Observe(pod); strings.Contains(o.Detail, runUUID) || !strings.Contains(o.Detail, "****") {
			t.Errorf("of a pod %s: %q, want the run UUID hidden", name, o.Detail)
		}
	}
}

func TestObserveLeavesThePodAlone(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{
		Phase:                 corev1.PodFailed,
		InitContainerStatuses: append(make([]corev1.ContainerStatus, 0, 8), exited("prepare", 0, "Completed", "")),
		ContainerStatuses:     []corev1.ContainerStatus{exited("main", 1, "Error", " x ")},
	}}
	before := pod.DeepCopy()
	check.Observe(pod)
	if spare := pod.Status.InitContainerStatuses[:2][1]; spare.Name != "" {
		t.Error("the spare room of a cached slice was written to")
	}
	if diff := cmp.Diff(before, pod); diff != "" {
		t.Errorf("the pod was changed (-want +got):\n%s", diff)
	}
	if strings.TrimSpace(pod.Status.ContainerStatuses[0].State.Terminated.Message) == pod.Status.ContainerStatuses[0].State.Terminated.Message {
		t.Error("the message was trimmed in place")
	}
}

func TestObserveAPodOfSeveralContainers(t *testing.T) {
	type test struct {
		name   string
		status corev1.PodStatus
		want   check.Observation
	}
	tests := []test{
		{"all run", containers(runs("main"), runs("proxy")), check.Observation{Started: true}},
		{
			"the check has ended beside a sidecar", containers(exited("main", 0, "Completed", ""), runs("proxy")),
			check.Observation{Started: true, PartlyEnded: true, Running: []string{"proxy"}},
		},
		{
			"the check has crashed beside a sidecar", containers(exited("main", 2, "Error", ""), runs("proxy")),
			check.Observation{Started: true, PartlyEnded: true, Running: []string{"proxy"}, Detail: "container main exited with code 2 (Error)"},
		},
		{
			"all have ended, and the pod is still said to run", containers(exited("main", 3, "Error", ""), exited("proxy", 0, "Completed", "")),
			check.Observation{Started: true, PartlyEnded: true, AllEnded: true, Detail: "container main exited with code 3 (Error)"},
		},
		{
			"an init container that has ended is no part of it",
			corev1.PodStatus{
				InitContainerStatuses: []corev1.ContainerStatus{exited("prepare", 0, "Completed", "")},
				ContainerStatuses:     []corev1.ContainerStatus{runs("main")},
			},
			check.Observation{Started: true},
		},
	}
	pending := func(statuses ...corev1.ContainerStatus) corev1.PodStatus {
		s := containers(statuses...)
		s.Phase = corev1.PodPending
		return s
	}
	tests = append(tests, []test{
		{
			"it has ended, and the pod was never said to run", pending(exited("main", 0, "Completed", "")),
			check.Observation{Started: true, PartlyEnded: true, AllEnded: true, Detail: "all containers exited with code 0"},
		},
		{
			"it has crashed, and the pod was never said to run", pending(exited("main", 1, "Error", "")),
			check.Observation{Started: true, PartlyEnded: true, AllEnded: true, Detail: "container main exited with code 1 (Error)"},
		},
		{
			"it has ended beside a sidecar that cannot start", pending(exited("main", 0, "Completed", ""), waiting("proxy", "ErrImageNeverPull", "")),
			check.Observation{Started: true, PartlyEnded: true, Hopeless: "ErrImageNeverPull", Detail: "container proxy: ErrImageNeverPull"},
		},
	}...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.status.Phase == "" {
				tt.status.Phase = corev1.PodRunning
			}
			if diff := cmp.Diff(tt.want, check.Observe(&corev1.Pod{Status: tt.status})); diff != "" {
				t.Errorf("observation differs (-want +got):\n%s", diff)
			}
		})
	}
}
