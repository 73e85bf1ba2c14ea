package view_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

func TestSpecHidesValuesOfVariables(t *testing.T) {
	secret := newCheck("pay", func(c *khv1.KuberhealthyCheck) {
		c.Spec.PodSpec.Containers[0].Env = []corev1.EnvVar{{Name: "PASSWORD", Value: "hunter2"}}
	})
	job := newJob("once", khv1.JobRunning)
	job.Spec.PodSpec.Containers[0].Image = "example/job:1"
	v := view.New(view.Options{Cluster: &cluster{checks: []*khv1.KuberhealthyCheck{secret}, jobs: []*khv1.KuberhealthyJob{job}}, Now: at(noon)})

	got, ok := v.Spec(check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "pay"})
	if !ok || strings.Contains(got.Pod, "hunter2") || !strings.Contains(got.Pod, `"value": "(7 bytes)"`) || !strings.Contains(got.Pod, "example/check:1") {
		t.Errorf("the spec is %t %s", ok, got.Pod)
	}
	if secret.Spec.PodSpec.Containers[0].Env[0].Value != "hunter2" {
		t.Error("the object of the cache was changed")
	}
	if got, ok := v.Spec(check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "once"}); !ok || !strings.Contains(got.Pod, "example/job:1") {
		t.Errorf("the spec of the job is %t %s", ok, got.Pod)
	}
	if _, ok := v.Spec(check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "pay"}); ok {
		t.Error("a check was found as a job")
	}
}
