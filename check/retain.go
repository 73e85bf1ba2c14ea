package check

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
)

// Retention says which finished checker pods stay, as Kuberhealthy's configuration does.
type Retention struct {
	// MaxCompletedPods and MaxErrorPods are how many Succeeded and Failed pods of a check stay. 0 means none.
	MaxCompletedPods, MaxErrorPods int
	// MaxPodAge is how long a finished pod stays at most. 0 means for ever.
	MaxPodAge time.Duration
	// MaxJobAge is how long a completed job stays after its creation. 0 means for ever.
	MaxJobAge time.Duration
}

// DefaultRetention is that of Kuberhealthy's chart.
func DefaultRetention() Retention {
	return Retention{MaxCompletedPods: 4, MaxErrorPods: 4, MaxPodAge: 72 * time.Hour, MaxJobAge: 15 * time.Minute}
}

// Surplus returns the finished pods to delete. The pods may belong to one check or to many; each check has its own limits.
// Pods that have not finished stay.
func (r Retention) Surplus(pods []*corev1.Pod, now time.Time) []*corev1.Pod {
	limits := map[corev1.PodPhase]int{corev1.PodSucceeded: r.MaxCompletedPods, corev1.PodFailed: r.MaxErrorPods}
	var finished []finishedPod
	for _, pod := range pods {
		if _, ok := limits[pod.Status.Phase]; ok {
			finished = append(finished, finishedPod{pod, FinishedAt(pod)})
		}
	}
	slices.SortFunc(finished, finishedPod.newestFirst)
	seen := map[finishedKind]int{}
	var surplus []*corev1.Pod
	for _, f := range finished {
		kind := finishedKind{f.pod.Namespace, f.pod.Labels[protocol.LabelCheckName], f.pod.Status.Phase}
		seen[kind]++
		tooOld := r.MaxPodAge > 0 && now.Sub(f.at) > r.MaxPodAge
		if f.pod.DeletionTimestamp == nil && (seen[kind] > limits[kind.phase] || tooOld) {
			surplus = append(surplus, f.pod)
		}
	}
	return surplus
}

// overdueGrace is how long a pod may outlive its own deadline before it is deleted.
const overdueGrace = 5 * time.Minute

// Overdue returns the pods that should have ended long ago and are not being deleted. Their run could not delete them, or
// they never started: the kubelet's deadline does not end such pods.
func Overdue(pods []*corev1.Pod, now time.Time) []*corev1.Pod {
	var overdue []*corev1.Pod
	for _, pod := range pods {
		finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		limit := pod.Spec.ActiveDeadlineSeconds
		if finished || limit == nil || pod.DeletionTimestamp != nil {
			continue
		}
		if now.Sub(pod.CreationTimestamp.Time) > time.Duration(*limit)*time.Second+overdueGrace {
			overdue = append(overdue, pod)
		}
	}
	return overdue
}

// finishedPod is a pod and when it finished. The time is computed once for each pod, not at each comparison.
type finishedPod struct {
	pod *corev1.Pod
	at  time.Time
}

// newestFirst orders pods. Times have whole seconds. The name decides between equal times, so that every reaper chooses the
// same pods.
func (f finishedPod) newestFirst(other finishedPod) int {
	return cmp.Or(other.at.Compare(f.at), strings.Compare(f.pod.Name, other.pod.Name))
}

// finishedKind is what a retention limit counts: the pods of one check that ended the same way.
type finishedKind struct {
	namespace, check string
	phase            corev1.PodPhase
}

// JobExpired is true for a completed job that is to be deleted.
func (r Retention) JobExpired(job *khv1.KuberhealthyJob, now time.Time) bool {
	return r.MaxJobAge > 0 && job.Spec.Phase == khv1.JobCompleted && job.DeletionTimestamp == nil &&
		now.Sub(job.CreationTimestamp.Time) > r.MaxJobAge
}

// FinishedAt returns when the last container of a pod ended, or else when the pod was created.
func FinishedAt(pod *corev1.Pod) time.Time {
	end := pod.CreationTimestamp.Time
	for _, status := range statuses(pod) {
		if t := status.State.Terminated; t != nil && t.FinishedAt.After(end) {
			end = t.FinishedAt.Time
		}
	}
	return end
}
