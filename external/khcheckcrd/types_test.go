package khcheckcrd_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/khcheckcrd"
)

// What Kuberhealthy v2.4 exports, with its types: programs compile with a changed import path alone.
var (
	_ func(groupName, groupVersion, kubeConfig, namespace string) (*khcheckcrd.KuberhealthyCheckClient, error) = khcheckcrd.Client

	_ func(rest.Interface) *khcheckcrd.KuberhealthyCheckClient                               = khcheckcrd.CreateClient
	_ func(groupName, groupVersion string) error                                             = khcheckcrd.ConfigureScheme
	_ func(time.Duration, corev1.PodSpec) khcheckcrd.CheckConfig                             = khcheckcrd.NewCheckConfig
	_ func(name, namespace string, spec khcheckcrd.CheckConfig) khcheckcrd.KuberhealthyCheck = khcheckcrd.NewKuberhealthyCheck
	_ interface {
		Create(check *khcheckcrd.KuberhealthyCheck, resource, namespace string) (*khcheckcrd.KuberhealthyCheck, error)
		Delete(resource, name, namespace string) (*khcheckcrd.KuberhealthyCheck, error)
		Update(check *khcheckcrd.KuberhealthyCheck, resource, namespace, name string) (*khcheckcrd.KuberhealthyCheck, error)
		Get(opts metav1.GetOptions, resource, namespace, name string) (*khcheckcrd.KuberhealthyCheck, error)
		List(opts metav1.ListOptions, resource, namespace string) (*khcheckcrd.KuberhealthyCheckList, error)
		Watch(opts metav1.ListOptions, resource, namespace string) (watch.Interface, error)
	} = (*khcheckcrd.KuberhealthyCheckClient)(nil)

	_ runtime.Object      = (*khcheckcrd.KuberhealthyCheck)(nil)
	_ runtime.Object      = (*khcheckcrd.KuberhealthyCheckList)(nil)
	_ schema.GroupVersion = khcheckcrd.SchemeGroupVersion
)

func TestNewCheckConfig(t *testing.T) {
	pod := corev1.PodSpec{NodeName: "node-1"}
	want := khv1.CheckConfig{
		RunInterval: "1m30s", Timeout: "5m0s", PodSpec: pod,
		ExtraAnnotations: map[string]string{}, ExtraLabels: map[string]string{},
	}
	if diff := cmp.Diff(want, khcheckcrd.NewCheckConfig(90*time.Second, pod)); diff != "" {
		t.Errorf("spec differs (-want +got):\n%s", diff)
	}
}

func TestNewCheckConfigTakesTheDefaultTimeoutOfNow(t *testing.T) {
	t.Cleanup(func() { khcheckcrd.DefaultTimeout = check.DefaultTimeout })
	khcheckcrd.DefaultTimeout = 7 * time.Minute
	if got := khcheckcrd.NewCheckConfig(time.Minute, corev1.PodSpec{}).Timeout; got != "7m0s" {
		t.Errorf("timeout %s, want 7m0s", got)
	}
}

// One object fits Khronicle's own types, too.
func TestNewKuberhealthyCheck(t *testing.T) {
	spec := khcheckcrd.NewCheckConfig(time.Minute, corev1.PodSpec{})
	want := khv1.KuberhealthyCheck{
		TypeMeta:   metav1.TypeMeta{APIVersion: "comcast.github.io/v1", Kind: "KuberhealthyCheck"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"},
		Spec:       spec,
	}
	got := khcheckcrd.NewKuberhealthyCheck("cart", "shop", spec)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("check differs (-want +got):\n%s", diff)
	}
	copied := got.DeepCopy()
	copied.Spec.ExtraLabels["team"] = "cart"
	if len(got.Spec.ExtraLabels) != 0 {
		t.Error("the copy shares its labels with the original")
	}
}
