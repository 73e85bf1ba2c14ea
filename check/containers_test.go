package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/check"
)

// beside returns a pod whose main container has a native sidecar, and an init container before it.
func beside(phase corev1.PodPhase, prepare, proxy, main corev1.ContainerStatus) *corev1.Pod {
	return &corev1.Pod{
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{
				{Name: "prepare"}, {Name: "proxy", RestartPolicy: ptr(corev1.ContainerRestartPolicyAlways)},
			},
			Containers: []corev1.Container{{Name: "main"}},
		},
		Status: corev1.PodStatus{
			Phase: phase, InitContainerStatuses: []corev1.ContainerStatus{prepare, proxy}, ContainerStatuses: []corev1.ContainerStatus{main},
		},
	}
}

func TestObserveANativeSidecar(t *testing.T) {
	const crashing = "back-off 10s restarting failed container"
	prepared, initializing := exited("prepare", 0, "Completed", ""), waiting("main", "PodInitializing", "")
	tests := []struct {
		name string
		pod  *corev1.Pod
		want check.Observation
	}{
		{
			"it was stopped after the check has succeeded",
			beside(corev1.PodSucceeded, prepared, exited("proxy", 1, "Error", "interrupted"), exited("main", 0, "Completed", "")),
			check.Observation{Started: true, Ended: true, Detail: "all containers exited with code 0"},
		},
		{
			"it was stopped after the check has failed",
			beside(corev1.PodFailed, prepared, exited("proxy", 137, "Error", ""), exited("main", 3, "Error", "")),
			check.Observation{Started: true, Ended: true, Detail: "container main exited with code 3 (Error)"},
		},
		{
			"it was stopped after an init container has failed",
			beside(corev1.PodFailed, exited("prepare", 5, "Error", ""), exited("proxy", 137, "Error", ""), initializing),
			check.Observation{Started: true, Ended: true, Detail: "container prepare exited with code 5 (Error)"},
		},
		{
			"it is being stopped after the check has succeeded",
			beside(corev1.PodRunning, prepared, runs("proxy"), exited("main", 0, "Completed", "")),
			check.Observation{Started: true, PartlyEnded: true, AllEnded: true, OnlySidecars: true, Detail: "all containers exited with code 0"},
		},
		{
			"it is being stopped after the check has failed",
			beside(corev1.PodRunning, prepared, runs("proxy"), exited("main", 3, "Error", "")),
			check.Observation{Started: true, PartlyEnded: true, AllEnded: true, OnlySidecars: true, Detail: "container main exited with code 3 (Error)"},
		},
		{
			"it has stopped, and the pod is still said to run",
			beside(corev1.PodRunning, prepared, exited("proxy", 1, "Error", ""), exited("main", 0, "Completed", "")),
			check.Observation{Started: true, PartlyEnded: true, AllEnded: true, Detail: "all containers exited with code 0"},
		},
		{
			"it cannot start again after the check has ended",
			beside(corev1.PodPending, prepared, waiting("proxy", "ErrImagePull", ""), exited("main", 0, "Completed", "")),
			check.Observation{Started: true, PartlyEnded: true, AllEnded: true, Detail: "all containers exited with code 0"},
		},
		{
			"it crashes before the check starts",
			beside(corev1.PodPending, prepared, waiting("proxy", "CrashLoopBackOff", crashing), initializing),
			check.Observation{Detail: "container proxy: CrashLoopBackOff: " + crashing},
		},
		{
			"it could not run, and will be started again",
			beside(corev1.PodPending, prepared, waiting("proxy", "RunContainerError", "no such file"), initializing),
			check.Observation{Detail: "container proxy: RunContainerError: no such file"},
		},
		{
			"it crashes while the check runs",
			beside(corev1.PodRunning, prepared, waiting("proxy", "CrashLoopBackOff", crashing), runs("main")),
			check.Observation{Started: true, Detail: "container proxy: CrashLoopBackOff: " + crashing},
		},
		{
			"it ended while the check runs",
			beside(corev1.PodRunning, prepared, exited("proxy", 2, "Error", ""), runs("main")),
			check.Observation{Started: true},
		},
		{
			"its image is not there",
			beside(corev1.PodPending, prepared, waiting("proxy", "ErrImagePull", "not found"), initializing),
			check.Observation{Hopeless: "ErrImagePull", Detail: "container proxy: ErrImagePull: not found"},
		},
		{
			"it runs, and an init container cannot run",
			beside(corev1.PodPending, waiting("prepare", "RunContainerError", ""), runs("proxy"), initializing),
			check.Observation{Hopeless: "RunContainerError", Detail: "container prepare: RunContainerError"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, check.Observe(tt.pod)); diff != "" {
				t.Errorf("observation differs (-want +got):\n%s", diff)
			}
		})
	}
}

// An init container whose own policy or rules restart it may succeed later.
func TestObserveWaitsForAnInitContainerThatIsRestarted(t *testing.T) {
	for name, prepare := range map[string]corev1.Container{
		"policy": {Name: "prepare", RestartPolicy: ptr(corev1.ContainerRestartPolicyOnFailure)},
		"rule": {
			Name: "prepare", RestartPolicy: ptr(corev1.ContainerRestartPolicyNever),
			RestartPolicyRules: []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart}},
		},
	} {
		for _, reason := range []string{"CrashLoopBackOff", "RunContainerError"} {
			pod := &corev1.Pod{
				Spec: corev1.PodSpec{InitContainers: []corev1.Container{prepare}, Containers: []corev1.Container{{Name: "main"}}},
				Status: corev1.PodStatus{
					Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{waiting("prepare", reason, "")},
				},
			}
			if diff := cmp.Diff(check.Observation{Detail: "container prepare: " + reason}, check.Observe(pod)); diff != "" {
				t.Errorf("%s, %s: observation differs (-want +got):\n%s", name, reason, diff)
			}
		}
	}
}

func TestNewPodIsNeverRestarted(t *testing.T) {
	restart := corev1.ContainerRestartRule{Action: corev1.ContainerRestartRuleActionRestart}
	restartAll := corev1.ContainerRestartRule{Action: corev1.ContainerRestartRuleActionRestartAllContainers}
	inPlace := corev1.ContainerResizePolicy{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.NotRequired}
	byRestart := corev1.ContainerResizePolicy{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}
	container := func(name string, policy corev1.ContainerRestartPolicy) corev1.Container {
		return corev1.Container{
			Name: name, RestartPolicy: &policy, RestartPolicyRules: []corev1.ContainerRestartRule{restart, restartAll},
			ResizePolicy: []corev1.ContainerResizePolicy{inPlace, byRestart},
		}
	}
	w := check.Workload{Ref: checkRef, PodSpec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyOnFailure,
		InitContainers: []corev1.Container{
			container("prepare", corev1.ContainerRestartPolicyOnFailure), container("proxy", corev1.ContainerRestartPolicyAlways),
		},
		Containers: []corev1.Container{
			container("always", corev1.ContainerRestartPolicyAlways), container("on-failure", corev1.ContainerRestartPolicyOnFailure),
			container("never", corev1.ContainerRestartPolicyNever),
		},
	}}
	got := check.NewPod(w, testRun(), now).Spec

	// The restarts of init containers stay, as long as they do not restart the pod.
	init := func(name string, policy corev1.ContainerRestartPolicy) corev1.Container {
		c := container(name, policy)
		c.RestartPolicyRules, c.ResizePolicy = c.RestartPolicyRules[:1], c.ResizePolicy[:1]
		return c
	}
	want := corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		InitContainers: []corev1.Container{
			init("prepare", corev1.ContainerRestartPolicyOnFailure), init("proxy", corev1.ContainerRestartPolicyAlways),
		},
		ActiveDeadlineSeconds: got.ActiveDeadlineSeconds,
	}
	for i, name := range []string{"always", "on-failure", "never"} {
		want.Containers = append(want.Containers, corev1.Container{
			Name: name, ResizePolicy: []corev1.ContainerResizePolicy{inPlace}, Env: got.Containers[i].Env,
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pod differs (-want +got):\n%s", diff)
	}
}
