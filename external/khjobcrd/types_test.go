package khjobcrd_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/khjobcrd"
)

// What Kuberhealthy v2.4 exports, with its types: programs compile with a changed import path alone.
var (
	_ func(kubeConfigFile string) (*khjobcrd.KHJobV1Client, error) = khjobcrd.Client
	_ func(*rest.Config) (*khjobcrd.KHJobV1Client, error)          = khjobcrd.NewForConfig
	_ func(*rest.Config) *khjobcrd.KHJobV1Client                   = khjobcrd.NewForConfigOrDie
	_ func(rest.Interface) *khjobcrd.KHJobV1Client                 = khjobcrd.New
	_ func(groupName, groupVersion string) error                   = khjobcrd.ConfigureScheme

	_ func(name, namespace string, spec khjobcrd.JobConfig) khjobcrd.KuberhealthyJob = khjobcrd.NewKuberhealthyJob

	_ khjobcrd.KHJobV1Interface       = (*khjobcrd.KHJobV1Client)(nil)
	_ khjobcrd.KuberhealthyJobsGetter = khjobcrd.KHJobV1Interface(nil)

	_ interface {
		Create(*khjobcrd.KuberhealthyJob) (khjobcrd.KuberhealthyJob, error)
		Update(*khjobcrd.KuberhealthyJob) (khjobcrd.KuberhealthyJob, error)
		Delete(name string, options *metav1.DeleteOptions) error
		DeleteCollection(options *metav1.DeleteOptions, listOptions metav1.ListOptions) error
		Get(name string, options metav1.GetOptions) (khjobcrd.KuberhealthyJob, error)
		List(opts metav1.ListOptions) (khjobcrd.KuberhealthyJobList, error)
		Watch(opts metav1.ListOptions) (watch.Interface, error)
		Patch(name string, pt types.PatchType, data []byte, subresources ...string) (khjobcrd.KuberhealthyJob, error)
	} = khjobcrd.KuberhealthyJobInterface(nil)

	_ runtime.Object      = (*khjobcrd.KuberhealthyJob)(nil)
	_ runtime.Object      = (*khjobcrd.KuberhealthyJobList)(nil)
	_ schema.GroupVersion = khjobcrd.SchemeGroupVersion
)

// One object fits Khronicle's own types, too.
func TestNewKuberhealthyJob(t *testing.T) {
	spec := khjobcrd.JobConfig{Phase: khjobcrd.JobRunning, Timeout: "5m"}
	want := khv1.KuberhealthyJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: "comcast.github.io/v1", Kind: "KuberhealthyJob"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "smoke"},
		Spec:       spec,
	}
	if diff := cmp.Diff(want, khjobcrd.NewKuberhealthyJob("smoke", "shop", spec)); diff != "" {
		t.Errorf("job differs (-want +got):\n%s", diff)
	}
}
