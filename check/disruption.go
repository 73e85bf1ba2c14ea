package check

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// disruptions are the pod reasons that mean an end by the platform, not by the check.
var disruptions = []string{"Evicted", "NodeLost", "NodeShutdown", "Terminated", "Preempting", "Shutdown"}

// rejected is the beginning of the message of a pod that the kubelet does not admit. The reason of such a pod can be
// anything: OutOfcpu, OutOfpods, NodeAffinity, UnexpectedAdmissionError, or a name that a plugin of the node chose.
const rejected = "Pod was rejected: "

// rejectedForSpec are the reasons of pods that no kubelet of this configuration admits, because of what their spec asks for.
var rejectedForSpec = []string{
	"SysctlForbidden", "PodOSNotSupported", "PodOSSelectorNodeLabelDoesNotMatch", "InitContainerRestartPolicyForbidden",
	"SupplementalGroupsPolicyNotSupported",
}

// lostReasons are the reasons of containers whose end nobody saw, such as those of a node that rebooted.
var lostReasons = []string{"Unknown", "ContainerStatusUnknown"}

// disrupted is true when the platform ended or removes the pod.
func disrupted(pod *corev1.Pod) bool {
	if _, ok := disruptionTarget(pod); ok {
		return true
	}
	reason := pod.Status.Reason
	switch {
	case strings.HasPrefix(pod.Status.Message, rejected):
		return !slices.Contains(rejectedForSpec, reason)
	case slices.Contains(disruptions, reason):
		return !exceededOwnLimit(pod)
	}
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(statuses(pod), lost)
}

// exceededOwnLimit is true for an evicted pod that used more storage than its spec allows. The kubelet marks only evictions
// for the sake of the node by the condition DisruptionTarget.
func exceededOwnLimit(pod *corev1.Pod) bool { return ownLimit.MatchString(pod.Status.Message) }

// ownLimit finds the messages of the kubelet about the limits for local storage of a container, a pod and an emptyDir.
var ownLimit = regexp.MustCompile(`exceed(s|ed) (the|its) .*limit`)

// lost is true for a container whose end nobody saw. An exit code of 255 or 137 alone may be that of the program.
func lost(status corev1.ContainerStatus) bool {
	return ended(status) && slices.Contains(lostReasons, status.State.Terminated.Reason)
}

// disruptionTarget returns the condition that names who disrupts the pod: EvictionByEvictionAPI, PreemptionByScheduler,
// DeletionByTaintManager, DeletionByPodGC or TerminationByKubelet.
func disruptionTarget(pod *corev1.Pod) (corev1.PodCondition, bool) {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.DisruptionTarget && condition.Status == corev1.ConditionTrue {
			return condition, true
		}
	}
	return corev1.PodCondition{}, false
}

// endReason says why the pod as a whole ended or is removed. It is empty for a pod that ends with its containers.
func endReason(pod *corev1.Pod) string {
	reason, message := pod.Status.Reason, pod.Status.Message
	target, ok := disruptionTarget(pod)
	switch {
	case ok && reason == "":
		reason, message = target.Reason, target.Message
	case ok:
		reason += " (" + target.Reason + ")"
	case reason == "":
		return ""
	}
	return joined("pod "+reason, message)
}
