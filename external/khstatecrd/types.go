// Package khstatecrd reads and writes KuberhealthyStates, with the names of Kuberhealthy v2.4's package khstatecrd. It
// is for programs that were written against that; new ones can use the types of api/v1 with any Kubernetes client.
// A state that is written here is overwritten at the next outcome of its check or job.
//
// Its types are those of api/v1, so that one object fits both. They therefore have no method String, DeepCopyInto needs
// a pointer, and copies share nothing with their original; package health says how the spec differs.
package khstatecrd

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/health"
	"github.com/khronicle/khronicle/kube"
)

// KuberhealthyState is the last outcome of the check or job of its namespace and name.
type KuberhealthyState = khv1.KuberhealthyState

// KuberhealthyStateList is a list of states.
type KuberhealthyStateList = khv1.KuberhealthyStateList

// SchemeGroupVersion is the API group and version of the states. In v2.4 it was empty before ConfigureScheme.
var SchemeGroupVersion = khv1.GroupVersion

// NewKuberhealthyState returns a state, which is not yet in the cluster. It has no namespace: the API server takes that
// of the request.
func NewKuberhealthyState(name string, spec health.WorkloadDetails) KuberhealthyState {
	return KuberhealthyState{
		TypeMeta:   metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: khv1.StateKind},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       spec,
	}
}

// ConfigureScheme adds the resources of Khronicle to the scheme that client-go shares, once in a process. Clients made
// here have a scheme of their own and do not need it; a REST client for CreateClient may. Call it before anything else
// uses the shared scheme, which has no lock. Group and version must be comcast.github.io and v1.
func ConfigureScheme(groupName, groupVersion string) error {
	return kube.RegisterTypes(groupName, groupVersion)
}
