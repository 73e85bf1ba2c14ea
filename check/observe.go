package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// hopeless are the reasons of waiting containers that will not start without a change. ErrImagePull comes before
// ImagePullBackOff; Kuberhealthy ends the run at the first of them.
var hopeless = []string{
	"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff",
}

// neverStarts are the hopeless reasons that another pod has too, because the spec causes them.
var neverStarts = []string{"InvalidImageName", "ErrImageNeverPull"}

// disruptions are the pod reasons that mean an end by the platform, not by the check.
var disruptions = []string{"Evicted", "NodeLost", "NodeShutdown", "Terminated", "Preempting", "Shutdown"}

// rejected is the beginning of the message of a pod that the kubelet does not admit. The reason of such a pod can be
// anything: OutOfcpu, OutOfpods, NodeAffinity, UnexpectedAdmissionError, or a name that a plugin of the node chose.
const rejected = "Pod was rejected: "

// Observation is what the status of a checker pod says about its run.
type Observation struct {
	// Started is true once the pod runs or has ended.
	Started bool
	// Ended is true once the pod has Succeeded or Failed.
	Ended bool
	// PartlyEnded is true when some containers have ended and others still run, such as sidecars that never exit.
	PartlyEnded bool
	// AllEnded is true when no container runs any more. The kubelet reports the end of the pod only in its next round.
	AllEnded bool `json:",omitempty"`
	// Deleting is true when the pod is being deleted. It may still run, report and end.
	Deleting bool
	// True when the pod object no longer exists.
	Gone bool
	// Disrupted is true when the platform ended or removed the pod. That is an eviction, a drain, a preemption, a lost
	// node, or a node that did not admit the pod.
	Disrupted bool
	// Hopeless is the reason for which a container cannot start without a change. It is empty if there is none.
	Hopeless string
	// Detail says in words what the pod waits for, or how it ended.
	Detail string
	// Node is where the pod was placed.
	Node string
	// RunningSince is when the first container began to run, and ExitedAt when the last one ended. Kubernetes gives whole
	// seconds by the node's clock.
	RunningSince time.Time `json:",omitzero"`
	ExitedAt     time.Time `json:",omitzero"`
	// Image is the digest of the first container's image.
	Image string `json:",omitempty"`
	// Logs are the ends of the containers' logs, read while the pod was being deleted: soon after its end they cannot be
	// read. They do not come from the status; the activity that watches the pod adds them. A piece of kind EvidenceMissing
	// says what they lack.
	Logs []Piece `json:",omitempty"`
}

// Observe reads the status of a checker pod.
func Observe(pod *corev1.Pod) Observation {
	o := Observation{Node: pod.Spec.NodeName, Disrupted: disrupted(pod), Deleting: pod.DeletionTimestamp != nil}
	o.observeContainers(pod)
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed:
		o.Started, o.Ended, o.Detail = true, true, endDetail(pod)
	case corev1.PodRunning:
		o.Started = true
		o.observeEnds(pod)
		o.Detail = strings.Join(exits(pod), "; ")
	default:
		o.Hopeless, o.Detail = waitDetail(pod)
		// The kubelet does not report a pod as ended until it has cleaned up. A quick pod stays Pending until then.
		o.observeEnds(pod)
		if o.Started = o.PartlyEnded; o.Started && o.Hopeless == "" {
			o.Detail = strings.Join(exits(pod), "; ")
		}
	}
	return o
}

// observeEnds notes which containers have ended in a pod that has not ended.
func (o *Observation) observeEnds(pod *corev1.Pod) {
	o.PartlyEnded = slices.ContainsFunc(pod.Status.ContainerStatuses, ended)
	o.AllEnded = o.PartlyEnded && !slices.ContainsFunc(pod.Status.ContainerStatuses, goesOn)
}

func disrupted(pod *corev1.Pod) bool {
	return slices.Contains(disruptions, pod.Status.Reason) || strings.HasPrefix(pod.Status.Message, rejected) ||
		slices.ContainsFunc(pod.Status.Conditions, isDisruption)
}

func isDisruption(c corev1.PodCondition) bool {
	return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
}

func statuses(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

func waitDetail(pod *corev1.Pod) (reason, detail string) {
	for _, status := range statuses(pod) {
		waiting := status.State.Waiting
		if waiting == nil || waiting.Reason == "" || waiting.Reason == "PodInitializing" {
			continue
		}
		detail = joined(fmt.Sprintf("container %s: %s", status.Name, waiting.Reason), waiting.Message)
		if slices.Contains(hopeless, waiting.Reason) {
			return waiting.Reason, detail
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return "", joined("pod is "+strings.ToLower(condition.Reason), condition.Message)
		}
	}
	return "", detail
}

// Removed is true when the pod ended because it was deleted, or is no longer there.
func (o Observation) Removed() bool { return o.Gone || o.Ended && o.Deleting }

// Unschedulable is true when no node can take a pending pod, as its detail says.
func (o Observation) Unschedulable() bool {
	return strings.HasPrefix(o.Detail, "pod is "+strings.ToLower(corev1.PodReasonUnschedulable))
}

func endDetail(pod *corev1.Pod) string {
	var parts []string
	if pod.Status.Reason != "" {
		parts = append(parts, joined("pod "+pod.Status.Reason, pod.Status.Message))
	}
	parts = append(parts, exits(pod)...)
	switch {
	case len(parts) > 0:
		return strings.Join(parts, "; ")
	case pod.Status.Phase == corev1.PodFailed:
		return unexplained(pod)
	}
	return "all containers exited with code 0"
}

// exits says which containers ended with an error.
func exits(pod *corev1.Pod) []string {
	var texts []string
	for _, status := range statuses(pod) {
		if end := status.State.Terminated; end != nil && end.ExitCode != 0 {
			text := fmt.Sprintf("container %s exited with code %d (%s)", status.Name, end.ExitCode, end.Reason)
			texts = append(texts, joined(text, end.Message))
		}
	}
	return texts
}

// observeContainers notes the times and the image of the containers.
func (o *Observation) observeContainers(pod *corev1.Pod) {
	for i, status := range pod.Status.ContainerStatuses {
		if i == 0 {
			o.Image = status.ImageID
		}
		began := time.Time{}
		if status.State.Running != nil {
			began = status.State.Running.StartedAt.UTC()
		}
		if end := status.State.Terminated; end != nil {
			began = end.StartedAt.UTC()
			if at := end.FinishedAt.UTC(); at.After(o.ExitedAt) {
				o.ExitedAt = at
			}
		}
		if !began.IsZero() && (o.RunningSince.IsZero() || began.Before(o.RunningSince)) {
			o.RunningSince = began
		}
	}
}

func ended(status corev1.ContainerStatus) bool { return status.State.Terminated != nil }

func goesOn(status corev1.ContainerStatus) bool { return !ended(status) }

// unexplained returns what is known of a failed pod without a failed container, such as a pod whose node was lost.
func unexplained(pod *corev1.Pod) string {
	if i := slices.IndexFunc(pod.Status.Conditions, isDisruption); i >= 0 {
		return joined("pod "+pod.Status.Conditions[i].Reason, pod.Status.Conditions[i].Message)
	}
	return "pod Failed"
}

func joined(text, message string) string {
	if message = strings.TrimSpace(message); message == "" {
		return text
	}
	return text + ": " + message
}
