package view

import (
	corev1 "k8s.io/api/core/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Spec is what a check or job runs.
type Spec struct {
	// Pod is spec.podSpec as JSON. Values of variables and of HTTP headers are replaced by their lengths.
	Pod string
}

// Spec returns what a check or job runs. ok is false if the cluster does not have it.
func (v *View) Spec(ref check.Ref) (s Spec, ok bool) {
	is := func(namespace, name string) bool { return namespace == ref.Namespace && name == ref.Name }
	if ref.Kind == khv1.KHJob {
		for _, j := range v.Cluster.Jobs() {
			if is(j.Namespace, j.Name) {
				return specOf(&j.Spec.PodSpec), true
			}
		}
		return Spec{}, false
	}
	for _, c := range v.Cluster.Checks() {
		if is(c.Namespace, c.Name) {
			return specOf(&c.Spec.PodSpec), true
		}
	}
	return Spec{}, false
}

func specOf(pod *corev1.PodSpec) Spec { return Spec{Pod: string(check.SpecText(pod))} }
