package podstatus_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/cmd/khcheck/podstatus"
)

var now = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

const patience = 10 * time.Minute

// ago returns the time that lies so far back.
func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

// newPod returns a pod of an hour's age.
func newPod(name string, status corev1.PodStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", CreationTimestamp: ago(time.Hour)},
		Status:     status,
	}
}

func waiting(name, reason, message string) corev1.ContainerStatus {
	state := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	return corev1.ContainerStatus{Name: name, State: state}
}

func terminated(name, reason string, code int32) corev1.ContainerStatus {
	state := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}}
	return corev1.ContainerStatus{Name: name, State: state}
}

func unready(since time.Duration) []corev1.PodCondition {
	return []corev1.PodCondition{{
		Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: ago(since),
		Reason: "ContainersNotReady", Message: "containers with unready status: [web]",
	}}
}

func TestJudge(t *testing.T) {
	const is = "pod: web in namespace: shop is in pod status phase "
	tests := []struct {
		name   string
		status corev1.PodStatus
		want   string
	}{
		{"running", corev1.PodStatus{Phase: corev1.PodRunning}, ""},
		{"succeeded", corev1.PodStatus{Phase: corev1.PodSucceeded}, ""},
		{"pending", corev1.PodStatus{Phase: corev1.PodPending}, is + "Pending "},
		{"unknown", corev1.PodStatus{Phase: corev1.PodUnknown}, is + "Unknown "},
		{
			"image cannot be pulled",
			corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
				waiting("web", "ImagePullBackOff", `Back-off pulling image "web:9"`),
			}},
			is + `Pending (container web: ImagePullBackOff: Back-off pulling image "web:9")`,
		},
		{
			"init container crashes",
			corev1.PodStatus{
				Phase:                 corev1.PodPending,
				InitContainerStatuses: []corev1.ContainerStatus{waiting("migrate", "CrashLoopBackOff", "")},
				ContainerStatuses:     []corev1.ContainerStatus{waiting("web", "PodInitializing", "")},
			},
			is + "Pending (container migrate: CrashLoopBackOff)",
		},
		{
			"no node fits",
			corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
				Reason: "Unschedulable", Message: "0/1 nodes are available",
			}}},
			is + "Pending (Unschedulable: 0/1 nodes are available)",
		},
		{
			"evicted",
			corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on memory. "},
			is + "Failed (Evicted: The node was low on memory.)",
		},
		{
			"failed container",
			corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{
				terminated("side", "Completed", 0), terminated("web", "OOMKilled", 137),
			}},
			is + "Failed (container web: OOMKilled: exit code 137)",
		},
		{
			"crash loop",
			corev1.PodStatus{Phase: corev1.PodRunning, Conditions: unready(time.Second), ContainerStatuses: []corev1.ContainerStatus{
				waiting("web", "CrashLoopBackOff", "back-off 5m0s"),
			}},
			is + "Running (container web: CrashLoopBackOff: back-off 5m0s)",
		},
		{
			"not ready for long",
			corev1.PodStatus{Phase: corev1.PodRunning, Conditions: unready(patience)},
			is + "Running (not ready: ContainersNotReady: containers with unready status: [web])",
		},
		{
			"not ready for a moment",
			corev1.PodStatus{Phase: corev1.PodRunning, Conditions: unready(patience - time.Second)},
			"",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := podstatus.Judge(newPod("web", test.status), now, patience); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// Kubernetes stops a native sidecar after the other containers, and ignores how it ends.
func TestJudgeIgnoresHowANativeSidecarEnded(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	pod := newPod("web", corev1.PodStatus{
		Phase:                 corev1.PodFailed,
		InitContainerStatuses: []corev1.ContainerStatus{terminated("proxy", "Error", 143)},
		ContainerStatuses:     []corev1.ContainerStatus{terminated("web", "OOMKilled", 137)},
	})
	pod.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: &always}}
	const want = "pod: web in namespace: shop is in pod status phase Failed (container web: OOMKilled: exit code 137)"
	if got := podstatus.Judge(pod, now, patience); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestJudgeLeavesYoungPodsAlone(t *testing.T) {
	pod := newPod("web", corev1.PodStatus{Phase: corev1.PodPending})
	pod.CreationTimestamp = ago(patience - time.Second)
	if got := podstatus.Judge(pod, now, patience); got != "" {
		t.Errorf("younger than the patience: got %q, want nothing", got)
	}
	pod.CreationTimestamp = ago(patience)
	if got := podstatus.Judge(pod, now, patience); got == "" {
		t.Error("as old as the patience: got nothing, want a fault")
	}
}

func TestJudgeLetsPodsEnd(t *testing.T) {
	pod := newPod("web", corev1.PodStatus{Phase: corev1.PodRunning, Conditions: unready(time.Hour)})
	due := ago(time.Minute)
	pod.DeletionTimestamp = &due
	if got := podstatus.Judge(pod, now, patience); got != "" {
		t.Errorf("being deleted: got %q, want nothing", got)
	}
	due = ago(20 * time.Minute)
	const want = "pod: web in namespace: shop is in pod status phase Terminating (deletion was due at 2026-03-04T11:40:00Z)"
	if got := podstatus.Judge(pod, now, patience); got != want {
		t.Errorf("overdue: got %q, want %q", got, want)
	}
}
