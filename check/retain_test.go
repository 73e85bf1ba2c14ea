package check_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// finished returns a pod of a check that ended this long ago.
func finished(checkName, name string, phase corev1.PodPhase, ago time.Duration) *corev1.Pod {
	status := exited("main", 0, "Completed", "")
	status.State.Terminated.FinishedAt = metav1.NewTime(now.Add(-ago))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, Labels: map[string]string{"kuberhealthy-check-name": checkName},
			CreationTimestamp: metav1.NewTime(now.Add(-ago - time.Minute)),
		},
		Status: corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{status}},
	}
}

func in(namespace string, pod *corev1.Pod) *corev1.Pod {
	pod.Namespace = namespace
	return pod
}

func TestSurplus(t *testing.T) {
	const ok, failed = corev1.PodSucceeded, corev1.PodFailed
	deleting := func(pod *corev1.Pod) *corev1.Pod {
		pod.DeletionTimestamp = &metav1.Time{Time: now}
		return pod
	}
	twoEach := check.Retention{MaxCompletedPods: 2, MaxErrorPods: 2, MaxPodAge: time.Hour}
	tests := []struct {
		name      string
		retention check.Retention
		pods      []*corev1.Pod
		want      []string
	}{
		{"no pods", twoEach, nil, nil},
		{"within the limits", twoEach, []*corev1.Pod{finished("dns", "a", ok, 1*time.Minute), finished("dns", "b", ok, 2*time.Minute)}, nil},
		{"the oldest over the limit goes", twoEach, []*corev1.Pod{
			finished("dns", "b", ok, 2*time.Minute), finished("dns", "c", ok, 3*time.Minute), finished("dns", "a", ok, 1*time.Minute),
		}, []string{"ns/c"}},
		{"Succeeded and Failed are counted apart", twoEach, []*corev1.Pod{
			finished("dns", "a", ok, 1*time.Minute), finished("dns", "b", failed, 2*time.Minute),
			finished("dns", "c", ok, 3*time.Minute), finished("dns", "d", failed, 4*time.Minute), finished("dns", "e", failed, 5*time.Minute),
		}, []string{"ns/e"}},
		{"each check is counted by itself", twoEach, []*corev1.Pod{
			finished("dns", "a", ok, 1*time.Minute), finished("dns", "b", ok, 2*time.Minute),
			finished("web", "c", ok, 3*time.Minute), finished("web", "d", ok, 4*time.Minute),
		}, nil},
		{"each namespace is counted by itself", twoEach, []*corev1.Pod{
			finished("dns", "a", ok, 1*time.Minute), finished("dns", "b", ok, 2*time.Minute),
			in("other", finished("dns", "a", ok, 3*time.Minute)), in("other", finished("dns", "b", ok, 4*time.Minute)), in("other", finished("dns", "c", ok, 5*time.Minute)),
		}, []string{"other/c"}},
		{"too old goes within the limits", twoEach, []*corev1.Pod{
			finished("dns", "young", ok, time.Hour), finished("dns", "old", ok, time.Hour+time.Second),
		}, []string{"ns/old"}},
		{"0 keeps none", check.Retention{MaxErrorPods: 1, MaxPodAge: time.Hour}, []*corev1.Pod{
			finished("dns", "a", ok, time.Second), finished("dns", "b", failed, time.Second),
		}, []string{"ns/a"}},
		{"age 0 is for ever", check.Retention{MaxCompletedPods: 1}, []*corev1.Pod{finished("dns", "a", ok, 10000*time.Hour)}, nil},
		{"what has not finished stays", check.Retention{MaxPodAge: time.Second}, []*corev1.Pod{
			finished("dns", "a", corev1.PodRunning, time.Hour), finished("dns", "b", corev1.PodPending, time.Hour),
			finished("dns", "c", corev1.PodUnknown, time.Hour), finished("dns", "d", "", time.Hour),
		}, nil},
		{"what is being deleted is not deleted again, and counts", twoEach, []*corev1.Pod{
			deleting(finished("dns", "a", ok, 1*time.Minute)), finished("dns", "b", ok, 2*time.Minute), finished("dns", "c", ok, 3*time.Minute),
			deleting(finished("dns", "d", ok, 4*time.Minute)),
		}, []string{"ns/c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.pods)
			got := names(tt.retention.Surplus(tt.pods, now))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("surplus differs (-want +got):\n%s", diff)
			}
			if !slices.Equal(before, tt.pods) {
				t.Error("the given list was put into another order")
			}
		})
	}
}

func names(pods []*corev1.Pod) []string {
	var all []string
	for _, pod := range pods {
		all = append(all, pod.Namespace+"/"+pod.Name)
	}
	slices.Sort(all)
	return all
}

func TestSurplusCountsFromTheLastContainersEnd(t *testing.T) {
	retention := check.Retention{MaxCompletedPods: 1, MaxErrorPods: 1, MaxPodAge: time.Hour}
	late := finished("dns", "late", corev1.PodSucceeded, 2*time.Hour)
	side := exited("side", 0, "Completed", "")
	side.State.Terminated.FinishedAt = metav1.NewTime(now.Add(-time.Minute))
	late.Status.InitContainerStatuses = []corev1.ContainerStatus{side}
	if got := names(retention.Surplus([]*corev1.Pod{late}, now)); got != nil {
		t.Errorf("%s went, one minute after its last container ended", got)
	}

	bare := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "bare", CreationTimestamp: metav1.NewTime(now.Add(-time.Minute))},
		Status:     corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"},
	}
	if got := names(retention.Surplus([]*corev1.Pod{bare}, now)); got != nil {
		t.Errorf("%s went, one minute after its creation", got)
	}
}

// Several reapers see the pods in any order. Each must choose the same ones, or too many would be deleted. The times of
// containers have whole seconds.
func TestSurplusIsTheSameForEveryReaper(t *testing.T) {
	var pods []*corev1.Pod
	for i := range 20 {
		pods = append(pods, finished("dns", fmt.Sprintf("pod-%d", i), corev1.PodSucceeded, time.Minute))
	}
	retention := check.Retention{MaxCompletedPods: 4}
	want := names(retention.Surplus(pods, now))
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		random.Shuffle(len(pods), func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
		if diff := cmp.Diff(want, names(retention.Surplus(pods, now))); diff != "" {
			t.Fatalf("another order chose other pods (-want +got):\n%s", diff)
		}
	}
}

func TestOverdue(t *testing.T) {
	// Five minutes of the pod's own deadline, and five of grace.
	const limit = 10 * time.Minute
	pod := func(name string, phase corev1.PodPhase, age time.Duration) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, CreationTimestamp: metav1.NewTime(now.Add(-age))},
			Spec:       corev1.PodSpec{ActiveDeadlineSeconds: ptr(int64(300))},
			Status:     corev1.PodStatus{Phase: phase},
		}
	}
	unlimited, deleting := pod("unlimited", corev1.PodRunning, 100*time.Hour), pod("deleting", corev1.PodRunning, time.Hour)
	unlimited.Spec.ActiveDeadlineSeconds = nil
	deleting.DeletionTimestamp = &metav1.Time{Time: now}
	tests := []struct {
		name string
		pod  *corev1.Pod
		want bool
	}{
		{"running too long", pod("a", corev1.PodRunning, limit+time.Second), true},
		{"never started", pod("a", corev1.PodPending, limit+time.Second), true},
		{"on a lost node", pod("a", corev1.PodUnknown, limit+time.Second), true},
		{"in its grace", pod("a", corev1.PodRunning, limit), false},
		{"young", pod("a", corev1.PodPending, time.Minute), false},
		{"succeeded", pod("a", corev1.PodSucceeded, time.Hour), false},
		{"failed", pod("a", corev1.PodFailed, time.Hour), false},
		{"without a deadline", unlimited, false},
		{"being deleted", deleting, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := check.Overdue([]*corev1.Pod{tt.pod}, now); (len(got) == 1) != tt.want {
				t.Errorf("got %v, want overdue %t", names(got), tt.want)
			}
		})
	}
}

func TestJobExpired(t *testing.T) {
	deleted := metav1.NewTime(now)
	tests := []struct {
		name    string
		maxAge  time.Duration
		phase   khv1.JobPhase
		age     time.Duration
		deleted *metav1.Time
		want    bool
	}{
		{"completed long ago", 15 * time.Minute, khv1.JobCompleted, 15*time.Minute + time.Second, nil, true},
		{"completed just now", 15 * time.Minute, khv1.JobCompleted, 15 * time.Minute, nil, false},
		{"still running", 15 * time.Minute, khv1.JobRunning, time.Hour, nil, false},
		{"not yet started", 15 * time.Minute, "", time.Hour, nil, false},
		{"kept for ever", 0, khv1.JobCompleted, 10000 * time.Hour, nil, false},
		{"being deleted", 15 * time.Minute, khv1.JobCompleted, time.Hour, &deleted, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			job := &khv1.KuberhealthyJob{
				ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now.Add(-tt.age)), DeletionTimestamp: tt.deleted},
				Spec:       khv1.JobConfig{Phase: tt.phase},
			}
			if got := (check.Retention{MaxJobAge: tt.maxAge}).JobExpired(job, now); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestDefaultRetentionIsThatOfKuberhealthysChart(t *testing.T) {
	want := check.Retention{MaxCompletedPods: 4, MaxErrorPods: 4, MaxPodAge: 72 * time.Hour, MaxJobAge: 15 * time.Minute}
	if got := check.DefaultRetention(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
