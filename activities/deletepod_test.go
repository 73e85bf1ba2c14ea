package activities_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sdkworker "go.temporal.io/sdk/worker"
)

// runningPod is a pod whose one container runs.
func runningPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-1"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		}},
	}
}

func TestDeletePodWaitsForItsEnd(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name  string
		shows []event
		took  time.Duration
	}{
		{"ends", []event{{s, deleting}, {s, ended}}, 2 * s},
		{"gone already", []event{{0, gone}}, 0},
		// A pod on a lost node, or with a finalizer, does not delay the next run.
		{"does not end", []event{{s, deleting}}, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := podThat(tt.shows...)
				var deleted []string
				cluster.deletePod = func(name string) error { deleted = append(deleted, name); return nil }
				a, env := worker(cluster)
				began := time.Now()
				in := onPod()
				in.Deadline = began.Add(time.Second) // the deadline of the run does not bound it
				if _, err := env.ExecuteActivity(a.DeletePod, in); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != tt.took || len(deleted) != 1 || deleted[0] != "cart-1" {
					t.Errorf("took %s and deleted %v, want %s and cart-1", took, deleted, tt.took)
				}
			})
		})
	}
}

func TestDeletePodReturnsTheRefusalOfTheCluster(t *testing.T) {
	a, env := worker(&fakeCluster{ // waiting for its end would panic
		deletePod: func(name string) error { return errors.New("delete " + name + ": connection refused") },
	})
	if _, err := env.ExecuteActivity(a.DeletePod, onPod()); err == nil || !strings.Contains(err.Error(), "delete cart-1: connection refused") {
		t.Errorf("error %v, want one to be tried again", err)
	}
}

func TestDeletePodEndsWhenItIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := podThat(event{time.Second, deleting})
		cluster.deletePod = func(string) error { return nil }
		a, env := worker(cluster)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		env.SetWorkerOptions(sdkworker.Options{BackgroundActivityContext: ctx})
		if _, err := env.ExecuteActivity(a.DeletePod, onPod()); err == nil {
			t.Error("no error, want that of the context: the pod has not ended")
		}
	})
}
