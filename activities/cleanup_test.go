package activities_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sdkworker "go.temporal.io/sdk/worker"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// failedPod is a finished pod of the check, the retention of these tests keeps one.
func failedPod(name string, ageInMinutes int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, Labels: map[string]string{"kuberhealthy-check-name": "cart"},
			CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Duration(ageInMinutes) * time.Minute)),
		},
		Status: corev1.PodStatus{Phase: corev1.PodFailed},
	}
}

func TestCleanUp(t *testing.T) {
	pod := activities.Pod{Namespace: "shop", Name: "cart-1"}
	tests := []struct {
		name string
		in   activities.CleanUpInput
		pods []string // finished pods of the check, the newest first
		want []string // what happens to the pods, in order
	}{
		{"pod has ended and is kept", activities.CleanUpInput{Ref: checkRef, Pod: pod, Ended: true}, []string{"cart-1"}, nil},
		{"pod has not ended", activities.CleanUpInput{Ref: checkRef, Pod: pod}, nil, []string{"delete cart-1", "await cart-1"}},
		{
			"surplus is deleted",
			activities.CleanUpInput{Ref: checkRef, Pod: pod, Ended: true},
			[]string{"cart-1", "cart-0", "cart-9"},
			[]string{"delete cart-0", "delete cart-9"},
		},
		{
			"pod has not ended, and there is a surplus",
			activities.CleanUpInput{Ref: checkRef, Pod: pod},
			[]string{"cart-0", "cart-9"},
			[]string{"delete cart-1", "await cart-1", "delete cart-9"},
		},
		{
			"run without a pod",
			activities.CleanUpInput{Ref: checkRef, Pod: activities.Pod{Namespace: "shop"}},
			[]string{"cart-0", "cart-9"},
			[]string{"delete cart-9"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				cluster := podThat(event{time.Second, deleting}, event{time.Second, ended})
				await := cluster.awaitPod
				cluster.awaitPod = func(ctx context.Context, until func(check.Observation) bool) (check.Observation, error) {
					got = append(got, "await "+tt.in.Pod.Name)
					return await(ctx, until)
				}
				cluster.deletePod = func(name string) error { got = append(got, "delete "+name); return nil }
				for age, name := range tt.pods {
					cluster.pods = append(cluster.pods, failedPod(name, age))
				}
				a, env := worker(cluster)
				if _, err := env.ExecuteActivity(a.CleanUp, tt.in); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("what happened differs (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// The pod of an earlier try is gone: the cluster's DeletePod takes that as a success, and the wait sees it gone.
func TestCleanUpOfAPodThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := podThat(event{0, check.Observation{Gone: true}})
		cluster.deletePod = func(string) error { return nil }
		a, env := worker(cluster)
		in := activities.CleanUpInput{Ref: checkRef, Pod: activities.Pod{Namespace: "shop", Name: "cart-1"}}
		if _, err := env.ExecuteActivity(a.CleanUp, in); err != nil {
			t.Error(err)
		}
	})
}

func TestCleanUpThatCannotDelete(t *testing.T) {
	tests := []struct {
		name string
		in   activities.CleanUpInput
		want []string
	}{
		{"the pod of the run", activities.CleanUpInput{Ref: checkRef, Pod: activities.Pod{Namespace: "shop", Name: "cart-1"}}, []string{"cart-1"}},
		// One pod that cannot be deleted does not keep the others.
		{"the surplus", activities.CleanUpInput{Ref: checkRef, Ended: true}, []string{"cart-8", "cart-9"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var tried []string
			a, env := worker(&fakeCluster{
				pods: []*corev1.Pod{failedPod("cart-7", 0), failedPod("cart-8", 1), failedPod("cart-9", 2)},
				deletePod: func(name string) error {
					tried = append(tried, name)
					return errors.New("delete " + name + ": connection refused")
				},
			})
			_, err := env.ExecuteActivity(a.CleanUp, tt.in)
			if diff := cmp.Diff(tt.want, tried); diff != "" {
				t.Errorf("pods that were to be deleted (-want +got):\n%s", diff)
			}
			for _, name := range tt.want {
				if err == nil || !strings.Contains(err.Error(), "delete "+name+": connection refused") {
					t.Errorf("error %v, want it to name %s", err, name)
				}
			}
		})
	}
}

// A pod on a lost node, or with a finalizer, does not hold up the next run.
func TestCleanUpDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := podThat(event{time.Second, deleting})
		cluster.deletePod = func(string) error { return nil }
		a, env := worker(cluster)
		began := time.Now()
		in := activities.CleanUpInput{Ref: checkRef, Pod: activities.Pod{Namespace: "shop", Name: "cart-1", Deadline: began.Add(time.Second)}}
		if _, err := env.ExecuteActivity(a.CleanUp, in); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("took %s, want a minute, whatever the deadline of the run", took)
		}
	})
}

func TestCleanUpEndsWhenItIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := podThat(event{time.Second, deleting})
		cluster.deletePod = func(string) error { return nil }
		a, env := worker(cluster)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		env.SetWorkerOptions(sdkworker.Options{BackgroundActivityContext: ctx})
		in := activities.CleanUpInput{Ref: checkRef, Pod: activities.Pod{Namespace: "shop", Name: "cart-1"}}
		if _, err := env.ExecuteActivity(a.CleanUp, in); err == nil {
			t.Error("no error, want that of the context: the pod has not ended")
		}
	})
}
