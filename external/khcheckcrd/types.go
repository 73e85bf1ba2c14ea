// Package khcheckcrd reads and writes KuberhealthyChecks, with the names of Kuberhealthy v2.4's package khcheckcrd. It
// is for programs that were written against that; new ones can use the types of api/v1 with any Kubernetes client.
//
// Its types are those of api/v1, so that one object fits both. They therefore have no method String, DeepCopyInto needs
// a pointer, and copies share nothing with their original; CheckConfig has the further fields of Khronicle.
package khcheckcrd

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/kube"
)

// KuberhealthyCheck is a check that runs again and again.
type KuberhealthyCheck = khv1.KuberhealthyCheck

// KuberhealthyCheckList is a list of checks.
type KuberhealthyCheckList = khv1.KuberhealthyCheckList

// CheckConfig is the spec of a KuberhealthyCheck.
type CheckConfig = khv1.CheckConfig

// DefaultTimeout is the time that one run of a check may take in all when its spec does not say.
var DefaultTimeout = check.DefaultTimeout

// SchemeGroupVersion is the API group and version of the checks. In v2.4 it was empty before ConfigureScheme.
var SchemeGroupVersion = khv1.GroupVersion

// NewCheckConfig returns the spec of a check that starts podSpec at every interval and has DefaultTimeout.
func NewCheckConfig(runInterval time.Duration, podSpec corev1.PodSpec) CheckConfig {
	return CheckConfig{
		RunInterval: runInterval.String(), Timeout: DefaultTimeout.String(), PodSpec: podSpec,
		ExtraAnnotations: map[string]string{}, ExtraLabels: map[string]string{},
	}
}

// NewKuberhealthyCheck returns a check, which is not yet in the cluster.
func NewKuberhealthyCheck(name, namespace string, spec CheckConfig) KuberhealthyCheck {
	return KuberhealthyCheck{
		TypeMeta:   metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: khv1.CheckKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       spec,
	}
}

// ConfigureScheme adds the resources of Khronicle to the scheme that client-go shares, once in a process. Clients made
// here have a scheme of their own and do not need it; a REST client for CreateClient may. Call it before anything else
// uses the shared scheme, which has no lock. Group and version must be comcast.github.io and v1.
func ConfigureScheme(groupName, groupVersion string) error {
	return kube.RegisterTypes(groupName, groupVersion)
}
