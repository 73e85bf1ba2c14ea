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
// ImagePullBackOff; Kuberhealthy ends the run at the first of them. CrashLoopBackOff is not one of them: only containers that
// are restarted have it, and a restart may succeed.
var hopeless = []string{
	"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
	"RegistryUnavailable", "SignatureValidationFailed",
	"CreateContainerConfigError", "CreateContainerError", runContainerError,
	"PreCreateHookError", "PreStartHookError",
}

// runContainerError is the reason of a container that was created and could not run. It is hopeless unless the container is
// restarted.
const runContainerError = "RunContainerError"

// neverStarts are the hopeless reasons that another pod has too, because the spec causes them.
var neverStarts = []string{"InvalidImageName", "ErrImageNeverPull"}

// Observation is what the status of a checker pod says about its run.
type Observation struct {
	// Started is true once the pod runs or has ended.
	Started bool
	// Ended is true once the pod has Succeeded or Failed.
	Ended bool
	// PartlyEnded is true when some main containers of a pod have ended, and the pod has not. An example is a check beside a
	// container that never exits.
	PartlyEnded bool
	// AllEnded is true when all main containers of a pod have ended, and the pod has not. The kubelet reports the end of the
	// pod only in its next round.
	AllEnded bool `json:",omitempty"`
	// OnlySidecars is true when all main containers have ended, and Kubernetes still stops native sidecars.
	OnlySidecars bool `json:",omitempty"`
	// ReporterEnded is true when one of several main containers has ended since the report. It does not come from the status
	// alone; the activity that watches the pod adds it.
	ReporterEnded bool `json:",omitempty"`
	// Running are the names of the main containers that run, in a pod in which others have ended.
	Running []string `json:",omitempty"`
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
	// RunningSince is when the first main container began to run, and ExitedAt when the last one ended. Kubernetes gives whole
	// seconds by the node's clock.
	RunningSince time.Time `json:",omitzero"`
	ExitedAt     time.Time `json:",omitzero"`
	// Image is the digest of the first main container's image.
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
		o.Detail = joinedTexts(presentDetail(pod), joinedTexts(waits(pod)...))
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
	if o.AllEnded {
		o.Hopeless, o.Detail = "", endDetail(pod)
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
	of := statusesOf(pod)
	o.PartlyEnded = slices.ContainsFunc(of.main, ended)
	o.AllEnded = o.PartlyEnded && !slices.ContainsFunc(of.main, goesOn)
	for _, status := range of.main {
		if o.PartlyEnded && runs(status) {
			o.Running = append(o.Running, status.Name)
		}
	}
	o.OnlySidecars = o.AllEnded && slices.ContainsFunc(of.sidecars, runs)
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
		if isHopeless(pod, status.Name, waiting.Reason) {
			return waiting.Reason, detail
		}
	}
	if scheduled, ok := condition(pod, corev1.PodScheduled); ok && scheduled.Status == corev1.ConditionFalse {
		return "", joined("pod is "+strings.ToLower(scheduled.Reason), scheduled.Message)
	}
	return "", detail
}

// isHopeless is true for a reason for which a container waits for ever. A container that is restarted may still run.
func isHopeless(pod *corev1.Pod, container, reason string) bool {
	return slices.Contains(hopeless, reason) && (reason != runContainerError || !restarts(pod, container))
}

// waits says which sidecars of a running pod wait, such as one that crashes again and again.
func waits(pod *corev1.Pod) []string {
	var texts []string
	for _, status := range statusesOf(pod).sidecars {
		if waiting := status.State.Waiting; waiting != nil {
			texts = append(texts, joined(fmt.Sprintf("container %s: %s", status.Name, waiting.Reason), waiting.Message))
		}
	}
	return texts
}

// Removed is true when the pod ended because it was deleted, or is no longer there.
func (o Observation) Removed() bool { return o.Gone || o.Deleting && (o.Ended || o.AllEnded) }

// EndedSince is true when a main container has ended since a time. A container that ended within the same second counts:
// Kubernetes gives whole seconds.
func (o Observation) EndedSince(t time.Time) bool {
	return !o.ExitedAt.IsZero() && o.ExitedAt.Add(time.Second).After(t)
}

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

// exits says which containers ended with an error. The exit code of a sidecar says nothing: Kubernetes stops a sidecar.
func exits(pod *corev1.Pod) []string {
	var texts []string
	of := statusesOf(pod)
	for _, status := range slices.Concat(of.init, of.main) {
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

func hasRun(status corev1.ContainerStatus) bool { return ended(status) || runs(status) }

func runs(status corev1.ContainerStatus) bool { return status.State.Running != nil }

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
