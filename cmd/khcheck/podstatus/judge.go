package podstatus

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Judge returns what is wrong with a pod, or an empty text if the pod is healthy or younger than patience. A pod is not healthy if
//
//   - it is neither running nor has succeeded,
//   - it runs with a container that waits,
//   - it has not been ready for longer than patience,
//   - or its deletion has been overdue for longer than patience.
//
// The text begins as Kuberhealthy's text does. The reason in brackets is Kubernetes' own.
func Judge(pod *corev1.Pod, now time.Time, patience time.Duration) string {
	if now.Sub(pod.CreationTimestamp.Time) < patience {
		return ""
	}
	if due := pod.DeletionTimestamp; due != nil {
		if now.Sub(due.Time) < patience {
			return ""
		}
		return describe(pod, "Terminating", "deletion was due at "+due.UTC().Format(time.RFC3339))
	}
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return ""
	case corev1.PodRunning:
		return judgeRunning(pod, now, patience)
	default:
		return describe(pod, string(pod.Status.Phase), reason(pod))
	}
}

func judgeRunning(pod *corev1.Pod, now time.Time, patience time.Duration) string {
	if why := waiting(pod); why != "" {
		return describe(pod, string(corev1.PodRunning), why)
	}
	ready := condition(pod, corev1.PodReady)
	if ready == nil || ready.Status == corev1.ConditionTrue || now.Sub(ready.LastTransitionTime.Time) < patience {
		return ""
	}
	return describe(pod, string(corev1.PodRunning), join("not ready", join(ready.Reason, ready.Message)))
}

// describe returns the text of a pod. It keeps the space after the phase, because Kuberhealthy's text ends with it.
func describe(pod *corev1.Pod, phase, reason string) string {
	text := fmt.Sprintf("pod: %s in namespace: %s is in pod status phase %s ", pod.Name, pod.Namespace, phase)
	if reason == "" {
		return text
	}
	return text + "(" + reason + ")"
}

// reason returns why a pod does not run: the reason of a container, else of the pod, else of the scheduler.
func reason(pod *corev1.Pod) string {
	if why := waiting(pod); why != "" {
		return why
	}
	if why := join(pod.Status.Reason, pod.Status.Message); why != "" {
		return why
	}
	if why := terminated(pod); why != "" {
		return why
	}
	if scheduled := condition(pod, corev1.PodScheduled); scheduled != nil && scheduled.Status != corev1.ConditionTrue {
		return join(scheduled.Reason, scheduled.Message)
	}
	return ""
}

// waiting returns the reason of the first container that waits. Containers that wait for the pod's init containers are left out,
// so that the reason is that of an init container.
func waiting(pod *corev1.Pod) string {
	for _, container := range containers(pod) {
		if w := container.State.Waiting; w != nil && w.Reason != "" && w.Reason != "PodInitializing" {
			return join("container "+container.Name, join(w.Reason, w.Message))
		}
	}
	return ""
}

// terminated returns how the first failed container ended. A native sidecar is left out: Kubernetes stops it, and ignores how it
// ends.
func terminated(pod *corev1.Pod) string {
	for _, container := range containers(pod) {
		if t := container.State.Terminated; t != nil && t.ExitCode != 0 && !isSidecar(pod, container.Name) {
			end := fmt.Sprintf("exit code %d", t.ExitCode)
			return join("container "+container.Name, join(join(t.Reason, end), t.Message))
		}
	}
	return ""
}

func containers(pod *corev1.Pod) []corev1.ContainerStatus {
	return append(append([]corev1.ContainerStatus(nil), pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
}

func isSidecar(pod *corev1.Pod, container string) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == container && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// join puts a colon between two texts. Each of them may be empty.
func join(what, why string) string {
	what, why = strings.TrimSpace(what), strings.TrimSpace(why)
	if what == "" || why == "" {
		return what + why
	}
	return what + ": " + why
}
