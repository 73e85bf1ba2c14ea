package khstatecrd_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/health"
	"github.com/khronicle/khronicle/external/khstatecrd"
)

// What Kuberhealthy v2.4 exports, with its types: programs compile with a changed import path alone.
var (
	_ func(groupName, groupVersion, kubeConfig, namespace string) (*khstatecrd.KuberhealthyStateClient, error) = khstatecrd.Client

	_ func(rest.Interface) *khstatecrd.KuberhealthyStateClient                    = khstatecrd.CreateClient
	_ func(groupName, groupVersion string) error                                  = khstatecrd.ConfigureScheme
	_ func(name string, spec health.WorkloadDetails) khstatecrd.KuberhealthyState = khstatecrd.NewKuberhealthyState
	_ interface {
		RestClient() rest.Interface
		Create(state *khstatecrd.KuberhealthyState, resource, namespace string) (*khstatecrd.KuberhealthyState, error)
		Delete(state *khstatecrd.KuberhealthyState, resource, name, namespace string) (*khstatecrd.KuberhealthyState, error)
		Update(state *khstatecrd.KuberhealthyState, resource, name, namespace string) (*khstatecrd.KuberhealthyState, error)
		Get(opts metav1.GetOptions, resource, name, namespace string) (*khstatecrd.KuberhealthyState, error)
		List(opts metav1.ListOptions, resource, namespace string) (*khstatecrd.KuberhealthyStateList, error)
		Watch(opts metav1.ListOptions, resource, namespace string) (watch.Interface, error)
	} = (*khstatecrd.KuberhealthyStateClient)(nil)

	_ runtime.Object      = (*khstatecrd.KuberhealthyState)(nil)
	_ runtime.Object      = (*khstatecrd.KuberhealthyStateList)(nil)
	_ schema.GroupVersion = khstatecrd.SchemeGroupVersion
)

// One object fits Khronicle's own types, too.
func TestNewKuberhealthyState(t *testing.T) {
	spec := health.NewWorkloadDetails(health.KHJob)
	want := khv1.KuberhealthyState{
		TypeMeta:   metav1.TypeMeta{APIVersion: "comcast.github.io/v1", Kind: "KuberhealthyState"},
		ObjectMeta: metav1.ObjectMeta{Name: "cart"},
		Spec:       spec,
	}
	if diff := cmp.Diff(want, khstatecrd.NewKuberhealthyState("cart", spec)); diff != "" {
		t.Errorf("state differs (-want +got):\n%s", diff)
	}
}
