//go:build linux

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/internal/protocol"
)

// runningPod is a checker pod that runs.
func runningPod() *corev1.Pod {
	started := metav1.Now()
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "scale-0", Name: "check-0001-x"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "check", Env: []corev1.EnvVar{
			{Name: protocol.EnvReportingURL, Value: "http://reportapi/externalCheckStatus"}, {Name: protocol.EnvRunUUID, Value: "the-uuid"},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started},
	}
}

// handler answers in the place of the network.
type handler func(http.ResponseWriter, *http.Request)

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	h(recorder, r)
	return recorder.Result(), nil
}

func TestPlay(t *testing.T) {
	tests := []struct {
		name    string
		answers []int
		want    played
	}{
		{"accepted", []int{200}, played{Pods: 1, Accepted: 1, Ended: 1}},
		{"busy at first", []int{503, 503, 200}, played{Pods: 1, Accepted: 1, Ended: 1}},
		{"refused", []int{400}, played{Pods: 1, Refused: 1, Ended: 1}},
		{"busy for good", []int{503, 503, 503, 503, 503, 503}, played{Pods: 1, Refused: 1, Ended: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pod := runningPod()
				p := newPlayer(fake.NewClientset(pod), 500*time.Millisecond)
				posts := 0
				p.http.Transport = handler(func(w http.ResponseWriter, r *http.Request) {
					var report status.Report
					body, _ := io.ReadAll(r.Body)
					if err := json.Unmarshal(body, &report); err != nil || !report.OK || r.Header.Get(protocol.HeaderRunUUID) != "the-uuid" {
						t.Errorf("report %s of run %q", body, r.Header.Get(protocol.HeaderRunUUID))
					}
					w.WriteHeader(tt.answers[posts])
					posts++
				})
				p.play(t.Context(), pod)
				if diff := cmp.Diff(tt.want, p.counts); diff != "" {
					t.Errorf("counts -want +got:\n%s", diff)
				}
				if posts != len(tt.answers) {
					t.Errorf("%d requests, want %d", posts, len(tt.answers))
				}
				ended, err := p.core.CoreV1().Pods(pod.Namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if ended.Status.Phase != corev1.PodSucceeded || ended.Status.ContainerStatuses[0].State.Terminated == nil {
					t.Errorf("status %+v, want that of a pod that succeeded", ended.Status)
				}
			})
		})
	}
}

func TestPlayLeavesOtherPodsAlone(t *testing.T) {
	pod := runningPod()
	pod.Spec.Containers[0].Env = nil
	p := newPlayer(fake.NewClientset(pod), 0)
	p.play(t.Context(), pod)
	if p.counts != (played{}) {
		t.Errorf("counts %+v, want none", p.counts)
	}
}
