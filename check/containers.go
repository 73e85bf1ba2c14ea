package check

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// containerStatuses are the statuses of a pod's containers by kind. A check is what the main containers do: only they
// report, and only their ends decide. Ephemeral containers are no part of a run.
type containerStatuses struct {
	// init containers run one after the other, before the main containers. One that fails ends the pod.
	init []corev1.ContainerStatus
	// sidecars serve the main containers. Kubernetes restarts them, and stops them when the main containers have ended.
	sidecars []corev1.ContainerStatus
	main     []corev1.ContainerStatus
}

func statusesOf(pod *corev1.Pod) containerStatuses {
	of := containerStatuses{main: pod.Status.ContainerStatuses}
	for _, status := range pod.Status.InitContainerStatuses {
		if isSidecarOf(pod, status.Name) {
			of.sidecars = append(of.sidecars, status)
		} else {
			of.init = append(of.init, status)
		}
	}
	return of
}

// IsSidecar is true for an init container that is a native sidecar: it runs beside the main containers.
func IsSidecar(c corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func isSidecarOf(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name && IsSidecar(c) })
}

// restarts is true for a container that the kubelet starts again when it has failed. NewPod lets no main container be
// restarted.
func restarts(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == name && (IsSidecar(c) || len(c.RestartPolicyRules) > 0 ||
			c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyOnFailure)
	})
}

// forbidRestarts removes everything from a pod spec that would start a main container again. Init containers may be
// restarted, as long as the pod is not.
func forbidRestarts(spec *corev1.PodSpec) {
	spec.RestartPolicy = corev1.RestartPolicyNever
	for i := range spec.Containers {
		c := &spec.Containers[i]
		c.RestartPolicy, c.RestartPolicyRules = nil, nil
		c.ResizePolicy = slices.DeleteFunc(c.ResizePolicy, RestartsToResize)
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		c.RestartPolicyRules = slices.DeleteFunc(c.RestartPolicyRules, RestartsPod)
		c.ResizePolicy = slices.DeleteFunc(c.ResizePolicy, RestartsToResize)
	}
}

// RestartsPod is true for a rule of a container that restarts all containers of its pod.
func RestartsPod(rule corev1.ContainerRestartRule) bool {
	return rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers
}

// RestartsToResize is true for a resize policy that restarts the container. The API server refuses it in a pod that is never
// restarted.
func RestartsToResize(policy corev1.ContainerResizePolicy) bool {
	return policy.RestartPolicy == corev1.RestartContainer
}
