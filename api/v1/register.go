package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group and Version are those of the three resources.
const (
	Group   = "comcast.github.io"
	Version = "v1"
)

// GroupVersion is the API group and version of the three resources.
var GroupVersion = schema.GroupVersion{Group: Group, Version: Version}

// AddToScheme registers the three resources and their lists.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&KuberhealthyCheck{}, &KuberhealthyCheckList{},
		&KuberhealthyJob{}, &KuberhealthyJobList{},
		&KuberhealthyState{}, &KuberhealthyStateList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
