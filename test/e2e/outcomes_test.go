//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// outcomes are the situations of a run, each with the exact texts that people see. A text that ends in … is a prefix.
var outcomes = []struct {
	name   string
	env    env
	change func(*khv1.CheckConfig)
	ok     bool
	errors []string
	// within bounds the time from the creation of the check to the state.
	within time.Duration
}{
	{
		name: "success", ok: true, within: 15 * time.Second,
	},
	{
		name: "reported-failure-with-two-errors", env: env{"REPORT_ERRORS": "first thing|second thing"},
		errors: []string{"first thing", "second thing"}, within: 15 * time.Second,
	},
	{
		name: "report-wins-over-exit-code", env: env{"EXIT_CODE": "3"}, ok: true, within: 15 * time.Second,
	},
	{
		name: "deadline", env: env{"REPORT_DELAY": "5m"}, change: timeout("6s"), within: 20 * time.Second,
		errors: []string{"Check execution error: NS/NAME: timed out waiting for checker pod to report in"},
	},
	{
		name: "missing-image", within: 10 * time.Second,
		change: func(c *khv1.CheckConfig) { c.PodSpec.Containers[0].Image = "nowhere.invalid/missing:1" },
		errors: []string{
			"Check execution error: NS/NAME: error when waiting for pod to start: ErrImagePull",
			"container check: ErrImagePull: …",
		},
	},
	{
		name: "unschedulable", within: 20 * time.Second,
		change: func(c *khv1.CheckConfig) {
			c.Timeout = "6s"
			c.PodSpec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500")}
		},
		errors: []string{
			"Check execution error: NS/NAME: failed to see pod running within timeout",
			"pod is unschedulable: 0/1 nodes are available: …",
		},
	},
	{
		name: "does-not-exit", env: env{"EXIT_DELAY": "5m"}, change: timeout("8s"), within: 25 * time.Second,
		errors: []string{"Check execution error: NS/NAME: timed out waiting for pod to exit"},
	},
	{
		name: "missing-config-map", within: 15 * time.Second,
		change: func(c *khv1.CheckConfig) {
			c.PodSpec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "absent"},
			}}}
		},
		errors: []string{
			"Check execution error: NS/NAME: error when waiting for pod to start: CreateContainerConfigError",
			`container check: CreateContainerConfigError: configmap "absent" not found`,
		},
	},
	{
		name: "bad-timeout", change: timeout("abc"), within: 10 * time.Second,
		errors: []string{`Check execution error: spec.timeout: "abc" is not a duration above 0, such as "5m"`},
	},
	{
		name: "bad-interval", change: func(c *khv1.CheckConfig) { c.RunInterval = "0s" }, within: 10 * time.Second,
		errors: []string{`Check execution error: spec.runInterval: "0s" is not a duration of at least 1s, such as "10m"`},
	},
	{
		name: "no-image", change: func(c *khv1.CheckConfig) { c.PodSpec.Containers[0].Image = "" }, within: 10 * time.Second,
		errors: []string{"Check execution error: no image found in check's PodSpec for container check."},
	},
	{
		name: "refused-by-the-api-server", within: 10 * time.Second,
		change: func(c *khv1.CheckConfig) { c.PodSpec.Containers[0].Name = "Not_A_Name" },
		errors: []string{"Check execution error: NS/NAME: failed to create pod for checker: Pod …"},
	},
}

func timeout(value string) func(*khv1.CheckConfig) {
	return func(c *khv1.CheckConfig) { c.Timeout = value }
}

func TestOutcomes(t *testing.T) {
	for _, tt := range outcomes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			c := demoCheck(namespace, tt.name, tt.env)
			if tt.change != nil {
				tt.change(&c.Spec)
			}
			apply(t, c)
			state := awaitState(t, namespace, tt.name, tt.within, "the wanted texts", func(got khv1.WorkloadDetails) bool {
				return got.OK == tt.ok && sameTexts(tt.errors, got.Errors, namespace, tt.name)
			})
			if tt.ok && state.Node != "kubebox" {
				t.Errorf("node is %q, want that of the pod", state.Node)
			}
		})
	}
}

// sameTexts compares the texts that people see with the wanted ones.
func sameTexts(want, got []string, namespace, name string) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if !sameText(named(want[i], namespace, name), got[i]) {
			return false
		}
	}
	return true
}

func sameText(want, got string) bool {
	const more = "…"
	if n := len(want) - len(more); n >= 0 && want[n:] == more {
		return len(got) > n && got[:n] == want[:n]
	}
	return got == want
}

func TestExitWithoutReportIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "silent", env{"SKIP_REPORT": "true", "EXIT_CODE": "1"}))
	state := awaitState(t, namespace, "silent", 20*time.Second, "any outcome", anyState)
	noticed := time.Now()

	want := []string{named("Check execution error: NS/NAME: checker pod ended without reporting in: container check exited with code 1 (Error)", namespace, "silent")}
	if diff := cmp.Diff(want, state.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	pods := podsOf(t, namespace, "silent")
	if len(pods) != 1 {
		t.Fatalf("%d pods, want the failed one kept", len(pods))
	}
	ended := pods[0].Status.ContainerStatuses[0].State.Terminated.FinishedAt
	// The pod's time has whole seconds, cut off: up to one second of the difference is the clock's.
	if late := noticed.Sub(ended.Time); late > 4*time.Second {
		t.Errorf("noticed %s after the pod's end, want 3s or less", late)
	}
}

func TestPodDeletedByHand(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "deleted", env{"REPORT_DELAY": "5m"}))
	pod := awaitPod(t, namespace, "deleted", corev1.PodRunning)
	if err := under.kube.core.CoreV1().Pods(namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	state := awaitState(t, namespace, "deleted", 15*time.Second, "any outcome", anyState)
	if diff := cmp.Diff([]string{"Check execution error: pod deleted unexpectedly"}, state.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestEvictedPodIsReplacedInTheSameRun(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "evicted", env{"REPORT_DELAY": "6s"}))
	first := awaitPod(t, namespace, "evicted", corev1.PodRunning)
	evict(t, first)
	state := awaitState(t, namespace, "evicted", 30*time.Second, "any outcome", anyState)
	if !state.OK {
		t.Errorf("state is %+v, want OK from the second pod", state)
	}
}

func TestJobs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		env    env
		ok     bool
		errors []string
	}{
		{name: "passes", ok: true, errors: []string{}},
		{name: "fails", env: env{"REPORT_ERRORS": "broken"}, errors: []string{"broken"}},
		{
			name: "says-nothing", env: env{"SKIP_REPORT": "true"},
			errors: []string{"Job execution error: NS/NAME: checker pod ended without reporting in: all containers exited with code 0"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			applyJob(t, demoJob(namespace, tt.name, tt.env))
			eventually(t, 20*time.Second, "the job is Completed", func() (bool, string) {
				job, err := under.kube.jobs(namespace).Get(t.Context(), tt.name, metav1.GetOptions{})
				return err == nil && job.Spec.Phase == khv1.JobCompleted, string(job.Spec.Phase)
			})
			state := awaitState(t, namespace, tt.name, time.Second, "the outcome of a completed job", anyState)
			for i := range tt.errors {
				tt.errors[i] = named(tt.errors[i], namespace, tt.name)
			}
			if diff := cmp.Diff(tt.errors, state.Errors); diff != "" || state.OK != tt.ok {
				t.Errorf("OK=%t, errors (-want +got):\n%s", state.OK, diff)
			}
			if n := len(podsOf(t, namespace, tt.name)); n != 1 {
				t.Errorf("%d pods, want 1", n)
			}
		})
	}
}
