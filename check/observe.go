package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/internal/protocol"
)

// hopeless are the reasons of waiting containers that will not start without a change. ErrImagePull comes before
// ImagePullBackOff; Kuberhealthy ends the run at the first of them.
var hopeless = []string{
	"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
	"RegistryUnavailable", "SignatureValidationFailed",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff",
	"PreCreateHookError", "PreStartHookError",
}

// neverStarts are the hopeless reasons that another pod has too, because the spec causes them.
var neverStarts = []string{"InvalidImageName", "ErrImageNeverPull"}

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
	// Held is true while the pod waits for a node, or for its volumes and its network on the node.
	Held bool `json:",omitempty"`
	// Hopeless is the reason for which a container cannot start without a change. It is empty if there is none.
	Hopeless string
	// Detail says in words what the pod waits for, or how it ended.
	Detail string
	// Blame is whose fault it is that the pod has not started or not ended. Only Explain finds it.
	Blame Blame `json:",omitempty"`
	// Missing is the reason of a pod that waits for an object that does not exist. Only Explain finds it.
	Missing string `json:",omitempty"`
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
		o.Detail = presentDetail(pod)
	default:
		o.Hopeless, o.Detail = waitDetail(pod)
		// The kubelet does not report a pod as ended until it has cleaned up. A quick pod stays Pending until then.
		o.observeEnds(pod)
		switch o.Started = o.PartlyEnded; {
		case !o.Started:
			o.Held = o.Hopeless == "" && held(pod)
			o.Detail = joinedTexts(endReason(pod), o.Detail)
		case o.Hopeless == "":
			o.Detail = presentDetail(pod)
		}
	}
	// A container, or a runtime that quotes its command, may say the run UUID.
	o.Detail = HideRunIn(o.Detail, pod.Labels[protocol.LabelRunID])
	return o
}

// held is true for a pod that the scheduler could not place, and for a pod on a node whose containers cannot be created
// yet. A pod without a status is about to be placed.
func held(pod *corev1.Pod) bool {
	if pod.Spec.NodeName == "" {
		scheduled, ok := condition(pod, corev1.PodScheduled)
		return ok && scheduled.Reason == corev1.PodReasonUnschedulable
	}
	ready, _ := condition(pod, corev1.PodReadyToStartContainers)
	return ready.Status != corev1.ConditionTrue && !slices.ContainsFunc(statuses(pod), hasRun)
}

// observeEnds notes which containers have ended in a pod that has not ended.
func (o *Observation) observeEnds(pod *corev1.Pod) {
	o.PartlyEnded = slices.ContainsFunc(pod.Status.ContainerStatuses, ended)
	o.AllEnded = o.PartlyEnded && !slices.ContainsFunc(pod.Status.ContainerStatuses, goesOn)
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
	if scheduled, ok := condition(pod, corev1.PodScheduled); ok && scheduled.Status == corev1.ConditionFalse {
		return "", joined("pod is "+strings.ToLower(scheduled.Reason), scheduled.Message)
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
	switch detail := presentDetail(pod); {
	case detail != "":
		return detail
	case pod.Status.Phase == corev1.PodFailed:
		return "pod Failed"
	}
	return "all containers exited with code 0"
}

// presentDetail says who disrupts the pod, and which of its containers failed.
func presentDetail(pod *corev1.Pod) string {
	return joinedTexts(slices.Insert(exits(pod), 0, endReason(pod))...)
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

func hasRun(status corev1.ContainerStatus) bool { return ended(status) || status.State.Running != nil }

func goesOn(status corev1.ContainerStatus) bool { return !ended(status) }

func joined(text, message string) string {
	if message = strings.TrimSpace(message); message == "" {
		return text
	}
	return text + ": " + message
}

// joinedTexts joins the texts that are not empty.
func joinedTexts(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(text string) bool { return text == "" }), "; ")
}
