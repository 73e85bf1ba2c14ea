package kube_test

import (
	"io"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/kube"
)

// ownedPod is a pod of a check or job of that kind. Nobody owns it if the kind is empty.
func ownedPod(name, checkName, kind string, age time.Duration) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, Labels: map[string]string{protocol.LabelCheckName: checkName},
		CreationTimestamp: metav1.NewTime(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(-age)),
	}}
	if kind != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: khv1.GroupVersion.String(), Kind: kind, Name: checkName}}
	}
	return pod
}

func TestPodsOfACheckAreTheOldestFirst(t *testing.T) {
	elsewhere := ownedPod("elsewhere", "pay", khv1.CheckKind, 0)
	elsewhere.Namespace = "net"
	objects := []runtime.Object{
		ownedPod("new", "pay", khv1.CheckKind, time.Minute), ownedPod("old", "pay", khv1.CheckKind, time.Hour),
		ownedPod("nobodys", "pay", "", 2*time.Minute), ownedPod("of-job", "pay", khv1.JobKind, 0),
		ownedPod("once", "once", khv1.JobKind, 0), ownedPod("cart", "cart", khv1.CheckKind, 0), elsewhere,
	}
	server := apitest.New(objects...)
	reader, err := kube.NewPodReader(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pay": "old nobodys new", "once": "once", "none": ""} {
		pods, err := reader.PodsOf(t.Context(), "shop", name)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, pod := range pods {
			names = append(names, pod.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("pods of %s are %q, want %q", name, got, want)
		}
	}
	for _, r := range server.Requests() {
		if r.Verb != "list" || r.Resource != "pods" {
			t.Errorf("asked to %s %s: the right to do so is not needed", r.Verb, r.Resource)
		}
	}
}

func TestALogThatIsNotThereNamesPodAndContainer(t *testing.T) {
	reader, err := kube.NewPodReader(apitest.New().Config())
	if err != nil {
		t.Fatal(err)
	}
	log, err := reader.Log(t.Context(), "shop", "pay-1", &corev1.PodLogOptions{Container: "main"})
	if err == nil {
		_, _ = io.Copy(io.Discard, log)
		t.Fatal("there is a log")
	}
	if !strings.HasPrefix(err.Error(), "read log of container main of pod shop/pay-1: ") {
		t.Errorf("error %v", err)
	}
}
