package check

import (
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
)

// deadlineSlack is how long after the run's deadline the kubelet ends the pod. It matters when all of Khronicle is down at
// the deadline.
const deadlineSlack = 30 * time.Second

// LongestExit bounds the wait for the end of a deleted pod. A pod with a long grace period or on a lost node takes longer.
// Its run ends nevertheless, and the next run of the check waits for the end of the pod.
const LongestExit = time.Minute

// NewPod returns the pod of a run. It copies the user's pod spec and adds Kuberhealthy's labels, annotation and
// environment. The pod is never restarted, belongs to the workload, and has a deadline of its own after the run's.
func NewPod(w Workload, run Attempt, now time.Time) *corev1.Pod {
	spec := *w.PodSpec.DeepCopy()
	forbidRestarts(&spec)
	run.ReportingURL = WithReportPath(run.ReportingURL, w.ReportPath)
	for i := range spec.Containers {
		spec.Containers[i].Env = injectEnv(spec.Containers[i].Env, run)
	}
	spec.Affinity = avoiding(spec.Affinity, run.Avoid)
	backstop := max(int64((run.Deadline.Sub(now)+deadlineSlack)/time.Second), 1) // the API server accepts no less
	if spec.ActiveDeadlineSeconds == nil || *spec.ActiveDeadlineSeconds > backstop {
		spec.ActiveDeadlineSeconds = &backstop
	}
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       w.Namespace,
			Name:            run.PodName(w.Name),
			Labels:          podLabels(w, run),
			Annotations:     podAnnotations(w),
			OwnerReferences: OwnersOf(w.Ref),
		},
		Spec: spec,
	}
}

// avoiding adds to an affinity, which it may change, that the pod prefers other nodes than these.
func avoiding(affinity *corev1.Affinity, nodes []string) *corev1.Affinity {
	if len(nodes) == 0 {
		return affinity
	}
	if affinity == nil {
		affinity = &corev1.Affinity{}
	}
	if affinity.NodeAffinity == nil {
		affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	elsewhere := corev1.PreferredSchedulingTerm{Weight: 100}
	for _, node := range nodes { // the API server accepts one name in a requirement
		elsewhere.Preference.MatchFields = append(elsewhere.Preference.MatchFields, corev1.NodeSelectorRequirement{
			Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpNotIn, Values: []string{node},
		})
	}
	preferred := &affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	*preferred = append(*preferred, elsewhere)
	return affinity
}

// OwnersOf returns the owner reference of a pod or a state, so that deleting the check or job deletes it too. A workload
// that is not in the cluster owns nothing.
func OwnersOf(ref Ref) []metav1.OwnerReference {
	if ref.UID == "" {
		return nil
	}
	kind := khv1.CheckKind
	if ref.Kind == khv1.KHJob {
		kind = khv1.JobKind
	}
	isController := true
	return []metav1.OwnerReference{{
		APIVersion: khv1.GroupVersion.String(), Kind: kind, Name: ref.Name, UID: ref.UID, Controller: &isController,
	}}
}

// KindOf returns the kind of the workload that owns a pod or a state, as OwnersOf wrote it, or "" where nobody owns it.
func KindOf(owners []metav1.OwnerReference) khv1.KHWorkload {
	for _, owner := range owners {
		switch owner.Kind {
		case khv1.CheckKind:
			return khv1.KHCheck
		case khv1.JobKind:
			return khv1.KHJob
		}
	}
	return ""
}

func podLabels(w Workload, run Attempt) map[string]string {
	labels := maps.Clone(w.ExtraLabels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[protocol.LabelRunID] = run.UUID
	labels[protocol.LabelCheckName] = w.Name
	labels[protocol.LabelApp] = protocol.AppName
	return labels
}

func podAnnotations(w Workload) map[string]string {
	annotations := maps.Clone(w.ExtraAnnotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[protocol.AnnotationCheckName] = w.Name
	return annotations
}

// injectEnv replaces the four variables of the contract. It adds them at the end, so that no other variable can refer to
// them.
func injectEnv(env []corev1.EnvVar, run Attempt) []corev1.EnvVar {
	injected := []corev1.EnvVar{
		{Name: protocol.EnvReportingURL, Value: run.ReportingURL},
		{Name: protocol.EnvRunUUID, Value: run.UUID},
		{Name: protocol.EnvPodNamespace, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
		}},
		{Name: protocol.EnvDeadline, Value: strconv.FormatInt(run.Deadline.Unix(), 10)},
	}
	kept := slices.DeleteFunc(env, func(v corev1.EnvVar) bool {
		return slices.ContainsFunc(injected, func(i corev1.EnvVar) bool { return i.Name == v.Name })
	})
	return append(kept, injected...)
}
