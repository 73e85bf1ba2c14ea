//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// richSpec uses what users write into a pod spec: init containers, several containers, volumes, security contexts, a
// service account and resources. It also sets a variable of the contract, which Khronicle replaces.
func richSpec() corev1.PodSpec {
	spec := demoPod(nil)
	spec.ServiceAccountName = "checker"
	spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(999)), RunAsNonRoot: new(true), FSGroup: new(int64(999))}
	spec.TerminationGracePeriodSeconds = new(int64(1))
	spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	mounts := []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}}
	spec.InitContainers = []corev1.Container{{
		// It is no check, and has no run to report for.
		Name: "prepare", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"demo"},
		Env: []corev1.EnvVar{{Name: "SKIP_REPORT", Value: "true"}}, WorkingDir: "/scratch", VolumeMounts: mounts,
	}}
	main := &spec.Containers[0]
	main.VolumeMounts = mounts
	main.SecurityContext = &corev1.SecurityContext{
		ReadOnlyRootFilesystem: new(true), AllowPrivilegeEscalation: new(false),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	main.Env = append(main.Env, corev1.EnvVar{Name: "KH_RUN_UUID", Value: "mine"}, corev1.EnvVar{Name: "MINE", Value: "kept"})
	spec.Containers = append(spec.Containers, corev1.Container{
		Name: "sidecar", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"serve"},
	})
	return spec
}

// TestPodSpecIsKept: what the user wrote is what runs, of a check as of a job.
func TestPodSpecIsKept(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Check", "Job"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "checker"}}
			if _, err := under.kube.core.CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			labels, annotations := map[string]string{"team": "payments", "app": "mine"}, map[string]string{"note": "kept"}
			if kind == "Job" {
				j := demoJob(namespace, "rich", nil)
				j.Spec.PodSpec, j.Spec.ExtraLabels, j.Spec.ExtraAnnotations = richSpec(), labels, annotations
				applyJob(t, j)
			} else {
				c := demoCheck(namespace, "rich", nil)
				c.Spec.PodSpec, c.Spec.ExtraLabels, c.Spec.ExtraAnnotations = richSpec(), labels, annotations
				apply(t, c)
			}
			pod := awaitAnyPod(t, namespace, "rich")
			comparePod(t, pod)
			state := awaitState(t, namespace, "rich", 20*time.Second, "OK, though the sidecar never exits", func(s khv1.WorkloadDetails) bool { return s.OK })
			if state.KHWorkload == nil || string(*state.KHWorkload) != "KH"+kind {
				t.Errorf("state is of %v, want KH%s", state.KHWorkload, kind)
			}
			eventually(t, 20*time.Second, "the pod with its sidecar is removed", func() (bool, string) {
				_, err := under.kube.core.CoreV1().Pods(namespace).Get(t.Context(), pod.Name, getOptions)
				return gone(err), "still there"
			})
			after := awaitState(t, namespace, "rich", time.Second, "still OK", anyState)
			if !after.OK {
				t.Errorf("the removal of the sidecar changed the outcome to %q", after.Errors)
			}
		})
	}
}

func comparePod(t *testing.T, pod corev1.Pod) {
	t.Helper()
	for key, want := range map[string]string{"team": "payments", "app": "kuberhealthy-check", "kuberhealthy-check-name": "rich"} {
		if got := pod.Labels[key]; got != want {
			t.Errorf("label %s is %q, want %q", key, got, want)
		}
	}
	if pod.Annotations["note"] != "kept" || pod.Annotations["comcast.github.io/check-name"] != "rich" {
		t.Errorf("annotations are %v", pod.Annotations)
	}
	want := richSpec()
	// What the API server and its admission plugins add is not of interest.
	ours := cmpopts.IgnoreFields(corev1.Container{}, "Env", "VolumeMounts", "TerminationMessagePath", "TerminationMessagePolicy", "Resources")
	if diff := cmp.Diff(want.Containers, pod.Spec.Containers, ours); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.InitContainers, pod.Spec.InitContainers, ours); diff != "" {
		t.Errorf("init containers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.SecurityContext, pod.Spec.SecurityContext); diff != "" {
		t.Errorf("security context (-want +got):\n%s", diff)
	}
	if pod.Spec.ServiceAccountName != "checker" || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("service account %q, restart policy %s", pod.Spec.ServiceAccountName, pod.Spec.RestartPolicy)
	}
	for _, container := range pod.Spec.Containers {
		env := map[string]int{}
		for _, v := range container.Env {
			env[v.Name]++
			if v.Name == "KH_RUN_UUID" && v.Value != pod.Labels["kuberhealthy-run-id"] {
				t.Errorf("container %s has another run's UUID", container.Name)
			}
		}
		for _, name := range []string{"KH_REPORTING_URL", "KH_RUN_UUID", "KH_CHECK_RUN_DEADLINE", "KH_POD_NAMESPACE"} {
			if env[name] != 1 {
				t.Errorf("container %s has %s %d times, want once", container.Name, name, env[name])
			}
		}
	}
	if n := len(pod.Spec.InitContainers[0].Env); n != 1 {
		t.Errorf("init container has %d variables, want its own alone", n)
	}
}

// awaitAnyPod waits for a pod of a check, in whatever phase.
func awaitAnyPod(t testing.TB, namespace, name string) corev1.Pod {
	t.Helper()
	var found corev1.Pod
	eventually(t, 20*time.Second, "a pod of "+namespace+"/"+name, func() (bool, string) {
		pods := podsOf(t, namespace, name)
		if len(pods) > 0 {
			found = pods[0]
		}
		return len(pods) > 0, "none"
	})
	return found
}
