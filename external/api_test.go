package external_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/khronicle/khronicle/external"
	"github.com/khronicle/khronicle/external/health"
	"github.com/khronicle/khronicle/external/khcheckcrd"
	"github.com/khronicle/khronicle/external/khjobcrd"
	"github.com/khronicle/khronicle/external/khstatecrd"
)

// The signatures of the documented API. A change of one of them does not compile.
var (
	_ func(*kubernetes.Clientset, *khcheckcrd.KuberhealthyCheck, *khcheckcrd.KuberhealthyCheckClient, *khstatecrd.KuberhealthyStateClient, string) *external.Checker = external.New
	_ func(*kubernetes.Clientset, *khcheckcrd.KuberhealthyCheck, *khcheckcrd.KuberhealthyCheckClient, *khstatecrd.KuberhealthyStateClient, string) *external.Checker = external.NewCheck
	_ func(*kubernetes.Clientset, *khjobcrd.KuberhealthyJob, *khjobcrd.KHJobV1Client, *khstatecrd.KuberhealthyStateClient, string) *external.Checker                 = external.NewJob

	_ interface {
		CheckNamespace() string
		CurrentStatus() (bool, []string)
		Interval() time.Duration
		Name() string
		Run(ctx context.Context, client *kubernetes.Clientset) error
		RunOnce(ctx context.Context) error
		Shutdown() error
		Timeout() time.Duration
	} = (*external.Checker)(nil)

	// The constants are untyped, so that they fit wherever a string does.
	_ [len(external.CRDGroup + external.CRDVersion + external.DefaultKuberhealthyReportingURL + external.KHCheckNameAnnotationKey +
		external.KHDeadline + external.KHPodNamespace + external.KHReportingURL + external.KHRunUUID)]struct{}

	_ string = external.DefaultName
	_        = []error{external.ErrPodDeletedBeforeRunning, external.ErrPodRemovedExpectedly, external.ErrPodRemovedUnexpectedly}

	_ = external.Checker{
		CheckName: "", Namespace: "", RunInterval: time.Duration(0), RunTimeout: time.Duration(0),
		KubeClient: (*kubernetes.Clientset)(nil), KHJobClient: (*khjobcrd.KHJobV1Client)(nil),
		KHCheckClient: (*khcheckcrd.KuberhealthyCheckClient)(nil), KHStateClient: (*khstatecrd.KuberhealthyStateClient)(nil),
		PodSpec: corev1.PodSpec{}, OriginalPodSpec: corev1.PodSpec{}, RunID: "", KuberhealthyReportingURL: "",
		ExtraAnnotations: map[string]string{}, ExtraLabels: map[string]string{}, Debug: false, KHWorkload: health.KHWorkload(""),
	}
)

func TestConstantsAndErrors(t *testing.T) {
	for got, want := range map[string]string{
		external.CRDGroup:                        "comcast.github.io",
		external.CRDVersion:                      "v1",
		external.DefaultKuberhealthyReportingURL: "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus",
		external.KHCheckNameAnnotationKey:        "comcast.github.io/check-name",
		external.KHDeadline:                      "KH_CHECK_RUN_DEADLINE",
		external.KHPodNamespace:                  "KH_POD_NAMESPACE",
		external.KHReportingURL:                  "KH_REPORTING_URL",
		external.KHRunUUID:                       "KH_RUN_UUID",
		external.DefaultName:                     "external-check",

		external.ErrPodDeletedBeforeRunning.Error(): "the khcheck check pod is deleted, waiting for start failed",
		external.ErrPodRemovedExpectedly.Error():    "pod deleted expectedly",
		external.ErrPodRemovedUnexpectedly.Error():  "pod deleted unexpectedly",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What a Checker has beyond the documented API is listed here, so that it does not grow unnoticed.
func TestCheckerHasNothingElse(t *testing.T) {
	documented := []string{
		"CheckName", "Namespace", "RunInterval", "RunTimeout", "KubeClient", "KHJobClient", "KHCheckClient", "KHStateClient", "PodSpec",
		"OriginalPodSpec", "RunID", "KuberhealthyReportingURL", "ExtraAnnotations", "ExtraLabels", "Debug", "KHWorkload",
	}
	var others []string
	checker := reflect.TypeFor[external.Checker]()
	for i := range checker.NumField() {
		if f := checker.Field(i); f.IsExported() && !slices.Contains(documented, f.Name) {
			others = append(others, f.Name)
		}
	}
	if want := []string{"TemporalClient"}; !slices.Equal(others, want) {
		t.Errorf("further fields %v, want %v", others, want)
	}
	if n := reflect.TypeFor[*external.Checker]().NumMethod(); n != 8 {
		t.Errorf("%d methods, want the 8 of the documented API", n)
	}
}

func ExampleNewCheck() {
	config := &khcheckcrd.KuberhealthyCheck{}
	config.Name, config.Namespace = "checkout", "shop"
	config.Spec.PodSpec = corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example/checkout-check:1"}}}
	checker := external.NewCheck(nil, config, nil, nil, external.DefaultKuberhealthyReportingURL)
	fmt.Println(checker.Name(), checker.CheckNamespace(), checker.Timeout())
	// Output: checkout shop 15m0s
}
