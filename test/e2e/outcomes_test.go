//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// outcomes are the situations of a run, each with the exact texts that people see, of a check as of a job. KIND is Check or
// Job, and NS/NAME its name; … stands for any text. All are provoked on the real cluster.
var outcomes = []struct {
	name    string
	env     env
	change  func(*workloadSpec)
	prepare func(t *testing.T, namespace string)
	// meddle is done to the run once its pod is there.
	meddle func(t *testing.T, namespace, name string)
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
		name: "deadline", env: env{"REPORT_DELAY": "5m"}, change: timeout("10s"), within: 20 * time.Second,
		errors: []string{"KIND execution error: NS/NAME: timed out waiting for checker pod to report in"},
	},
	{
		name: "exit-0-without-report", env: env{"SKIP_REPORT": "true"}, within: 15 * time.Second,
		errors: []string{"KIND execution error: NS/NAME: checker pod ended without reporting in: all containers exited with code 0"},
	},
	{
		name: "exit-1-without-report", env: env{"SKIP_REPORT": "true", "EXIT_CODE": "1"}, within: 15 * time.Second,
		errors: []string{"KIND execution error: NS/NAME: checker pod ended without reporting in: container check exited with code 1 (Error)"},
	},
	{
		name: "no-such-command", change: pod(func(p *corev1.PodSpec) { p.Containers[0].Command = []string{"/no/such/file"} }), within: 15 * time.Second,
		errors: []string{"KIND execution error: NS/NAME: checker pod ended without reporting in: container check exited with code 128 (StartError): …"},
	},
	{
		name: "deadline-of-the-pod-spec", env: env{"REPORT_DELAY": "5m"}, within: 20 * time.Second,
		change: pod(func(p *corev1.PodSpec) { p.ActiveDeadlineSeconds = new(int64(2)) }),
		errors: []string{"KIND execution error: NS/NAME: checker pod ended without reporting in: pod DeadlineExceeded: Pod was active on the node longer than the specified deadline…"},
	},
	{
		name: "missing-image", within: 10 * time.Second,
		change: refused(func(p *corev1.PodSpec) { p.Containers[0].Image = "nowhere.invalid/missing:1" }),
		errors: []string{
			"KIND execution error: NS/NAME: error when waiting for pod to start: ErrImagePull",
			"container check: ErrImagePull: …",
		},
	},
	{
		name: "missing-image-of-an-init-container", within: 10 * time.Second,
		change: refused(func(p *corev1.PodSpec) {
			p.InitContainers = []corev1.Container{{Name: "prepare", Image: "nowhere.invalid/missing:1"}}
		}),
		errors: []string{
			"KIND execution error: NS/NAME: error when waiting for pod to start: ErrImagePull",
			"container prepare: ErrImagePull: …",
		},
	},
	{
		name: "image-never-pulled", within: 10 * time.Second,
		change: pod(func(p *corev1.PodSpec) {
			p.Containers[0].Image, p.Containers[0].ImagePullPolicy = "nowhere.invalid/missing:1", corev1.PullNever
		}),
		errors: []string{
			"KIND execution error: NS/NAME: error when waiting for pod to start: ErrImageNeverPull",
			"container check: ErrImageNeverPull: …",
		},
	},
	{
		name: "image-name-not-valid", within: 10 * time.Second,
		change: pod(func(p *corev1.PodSpec) { p.Containers[0].Image = "Not/A:Valid:Image" }),
		errors: []string{
			"KIND execution error: NS/NAME: error when waiting for pod to start: InvalidImageName",
			"container check: InvalidImageName: …",
		},
	},
	{
		name: "missing-config-map", within: 15 * time.Second,
		change: refused(func(p *corev1.PodSpec) {
			p.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "absent"},
			}}}
		}),
		errors: []string{
			"KIND execution error: NS/NAME: error when waiting for pod to start: CreateContainerConfigError",
			`container check: CreateContainerConfigError: configmap "absent" not found`,
		},
	},
	{
		name: "missing-volume", within: 20 * time.Second,
		change: func(w *workloadSpec) {
			*w.timeout = "9s"
			w.pod.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "absent"}}}}
			w.pod.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
		},
		errors: []string{
			"KIND execution error: NS/NAME: failed to see pod running within timeout",
			// A busy kubelet also says that it waits for its cache of secrets, before or after this.
			`…FailedMount: MountVolume.SetUp failed for volume "v" : secret "absent" not found…`,
		},
	},
	{
		name: "unschedulable", within: 20 * time.Second,
		change: func(w *workloadSpec) {
			*w.timeout = "6s"
			w.pod.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500")}
		},
		errors: []string{
			"KIND execution error: NS/NAME: failed to see pod running within timeout",
			"pod is unschedulable: 0/1 nodes are available: …",
		},
	},
	{
		name: "does-not-exit", env: env{"EXIT_DELAY": "5m"}, change: timeout("12s"), within: 25 * time.Second,
		errors: []string{"KIND execution error: NS/NAME: timed out waiting for pod to exit"},
	},
	{
		name: "sidecar-never-exits", ok: true, within: 15 * time.Second, change: withSidecar,
	},
	{
		name: "crashed-beside-a-sidecar", env: env{"SKIP_REPORT": "true", "EXIT_CODE": "7"}, within: 45 * time.Second,
		change: func(w *workloadSpec) { *w.timeout = "20s"; withSidecar(w) },
		errors: []string{
			"KIND execution error: NS/NAME: timed out waiting for checker pod to report in",
			"container check exited with code 7 (Error)",
		},
	},
	{
		name: "deleted-while-it-ran", env: env{"REPORT_DELAY": "5m"}, within: 20 * time.Second,
		meddle: func(t *testing.T, namespace, name string) {
			deletePod(t, awaitPod(t, namespace, name, corev1.PodRunning))
		},
		errors: []string{"KIND execution error: pod deleted unexpectedly"},
	},
	{
		name: "deleted-before-it-ran", within: 20 * time.Second,
		change: pod(func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{"no": "such-node"} }),
		meddle: func(t *testing.T, namespace, name string) {
			deletePod(t, awaitPod(t, namespace, name, corev1.PodPending))
		},
		errors: []string{"KIND execution error: NS/NAME: error when waiting for pod to start: the khcheck check pod is deleted, waiting for start failed"},
	},
	{
		name: "evicted-until-the-deadline", env: env{"REPORT_DELAY": "5m"}, change: timeout("40s"), within: 20 * time.Second,
		meddle: evictUntilAnOutcome,
		errors: []string{"KIND execution error: pod deleted expectedly", "pod EvictionByEvictionAPI: Eviction API: evicting; container check exited with code 1 (Error)"},
	},
	{
		name: "bad-timeout", change: timeout("abc"), within: 10 * time.Second,
		errors: []string{`KIND execution error: spec.timeout: "abc" is not a duration above 0, such as "5m"`},
	},
	{
		name: "no-containers", change: pod(func(p *corev1.PodSpec) { p.Containers = []corev1.Container{} }), within: 10 * time.Second,
		errors: []string{"KIND execution error: no containers found in checks PodSpec"},
	},
	{
		name: "no-image", change: pod(func(p *corev1.PodSpec) { p.Containers[0].Image = "" }), within: 10 * time.Second,
		errors: []string{"KIND execution error: no image found in check's PodSpec for container check."},
	},
	{
		name: "refused-by-the-api-server", within: 10 * time.Second,
		change: pod(func(p *corev1.PodSpec) { p.Containers[0].Name = "Not_A_Name" }),
		errors: []string{"KIND execution error: NS/NAME: failed to create pod for checker: Pod …"},
	},
	{
		name: "refused-by-a-quota", within: 10 * time.Second, prepare: noPods, change: timeout("15s"),
		errors: []string{"KIND execution error: NS/NAME: failed to create pod for checker: pods …"},
	},
	{
		name: "refused-for-its-service-record", within: 10 * time.Second,
		change: refused(func(p *corev1.PodSpec) { p.ServiceAccountName = "absent" }),
		errors: []string{"KIND execution error: NS/NAME: failed to create pod for checker: pods …"},
	},
}

// workloadSpec is what the specs of a check and of a job have in common.
type workloadSpec struct {
	timeout *string
	pod     *corev1.PodSpec
}

func timeout(value string) func(*workloadSpec) {
	return func(w *workloadSpec) { *w.timeout = value }
}

func pod(change func(*corev1.PodSpec)) func(*workloadSpec) {
	return func(w *workloadSpec) { change(w.pod) }
}

// refused is a change by which no container starts. Such a pod is replaced until the deadline, so that comes soon.
func refused(change func(*corev1.PodSpec)) func(*workloadSpec) {
	return func(w *workloadSpec) {
		*w.timeout = "15s"
		change(w.pod)
	}
}

// withSidecar adds a container that never exits by itself.
func withSidecar(w *workloadSpec) {
	w.pod.Containers = append(w.pod.Containers, corev1.Container{
		Name: "sidecar", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"serve"},
	})
	w.pod.TerminationGracePeriodSeconds = new(int64(1))
}

// noPods forbids pods by a quota.
func noPods(t *testing.T, namespace string) {
	t.Helper()
	quotas := under.kube.core.CoreV1().ResourceQuotas(namespace)
	none := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: none}}
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the quota is in force", func() (bool, string) {
		present, err := quotas.Get(t.Context(), "none", getOptions)
		return err == nil && len(present.Status.Hard) > 0, fmt.Sprint(err)
	})
}

func deletePod(t *testing.T, p corev1.Pod) {
	t.Helper()
	if err := under.kube.core.CoreV1().Pods(p.Namespace).Delete(t.Context(), p.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// evictUntilAnOutcome evicts each pod of a check that runs. How many there are depends on the machine.
func evictUntilAnOutcome(t *testing.T, namespace, name string) {
	evicted := map[types.UID]bool{}
	var began time.Time
	eventually(t, time.Minute, "an outcome while pods are evicted", func() (bool, string) {
		for _, p := range podsOf(t, namespace, name) {
			if began.IsZero() {
				began = p.CreationTimestamp.Time
			}
			late := p.CreationTimestamp.Sub(began) >= 22*time.Second // of 40: this one is left to the deadline
			if !late && !evicted[p.UID] && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
				evict(t, p)
				evicted[p.UID] = true
			}
		}
		state, err := under.kube.states(namespace).Get(t.Context(), name, getOptions)
		return err == nil && len(state.Spec.Errors) > 0, fmt.Sprintf("%d pods evicted; state: %v", len(evicted), err)
	})
	if len(evicted) < 2 {
		t.Errorf("%d pods were evicted, want the first and at least one of its repetitions", len(evicted))
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Check", "Job"} {
		for _, tt := range outcomes {
			t.Run(kind+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				namespace := newNamespace(t)
				if tt.prepare != nil {
					tt.prepare(t, namespace)
				}
				applyWorkload(t, kind, namespace, tt.name, tt.env, tt.change)
				if tt.meddle != nil {
					tt.meddle(t, namespace, tt.name)
				}
				var want []string
				for _, text := range tt.errors {
					want = append(want, strings.Replace(text, "KIND", kind, 1))
				}
				state := awaitState(t, namespace, tt.name, tt.within, "the wanted texts", func(got khv1.WorkloadDetails) bool {
					return got.OK == tt.ok && sameTexts(want, got.Errors, namespace, tt.name)
				})
				if tt.ok && state.Node != "kubebox" {
					t.Errorf("node is %q, want that of the pod", state.Node)
				}
				if kind == "Job" {
					awaitCompleted(t, namespace, tt.name)
				}
			})
		}
	}
}

// applyWorkload makes a demo check or job, changed.
func applyWorkload(t *testing.T, kind, namespace, name string, behaviour env, change func(*workloadSpec)) {
	t.Helper()
	if change == nil {
		change = func(*workloadSpec) {}
	}
	if kind == "Job" {
		j := demoJob(namespace, name, behaviour)
		change(&workloadSpec{&j.Spec.Timeout, &j.Spec.PodSpec})
		applyJob(t, j)
		return
	}
	c := demoCheck(namespace, name, behaviour)
	change(&workloadSpec{&c.Spec.Timeout, &c.Spec.PodSpec})
	apply(t, c)
}

// awaitCompleted waits for the last phase of a job.
func awaitCompleted(t *testing.T, namespace, name string) {
	t.Helper()
	eventually(t, 45*time.Second, "the job is Completed", func() (bool, string) {
		job, err := under.kube.jobs(namespace).Get(t.Context(), name, metav1.GetOptions{})
		return err == nil && job.Spec.Phase == khv1.JobCompleted, string(job.Spec.Phase)
	})
}

// TestBadSchedule: a check whose schedule cannot be read says so, and runs nothing.
func TestBadSchedule(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*khv1.CheckConfig)
		want   string
	}{
		"interval":  {func(c *khv1.CheckConfig) { c.RunInterval = "0s" }, `spec.runInterval: "0s" is not a duration of at least 1s, such as "10m"`},
		"cron":      {func(c *khv1.CheckConfig) { c.Schedule = "99 * * * *" }, `spec.schedule: "99 * * * *" is not a cron expression of five fields, such as "*/5 * * * *": minute "99" is not from 0 to 59`},
		"time-zone": {func(c *khv1.CheckConfig) { c.Schedule, c.TimeZone = "* * * * *", "Mars" }, `spec.timeZone: "Mars" is not an IANA time zone, such as "Europe/Berlin"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			c := demoCheck(namespace, name, nil)
			tt.change(&c.Spec)
			apply(t, c)
			state := awaitState(t, namespace, name, 10*time.Second, "an outcome", anyState)
			if diff := cmp.Diff([]string{"Check execution error: " + tt.want}, state.Errors); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if n := len(podsOf(t, namespace, name)); n != 0 {
				t.Errorf("%d pods, want none", n)
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

// sameText compares whole texts; … in the wanted one stands for any text.
func sameText(want, got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", "(?s:.*)")
	return regexp.MustCompile("^" + pattern + "$").MatchString(got)
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
	// The deadline is a minute away. How fast it is on an idle machine is for make bench to say.
	if late := noticed.Sub(ended.Time); late > 30*time.Second {
		t.Errorf("noticed %s after the pod's end", late)
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

// TestJobRunsOnce: one pod, one outcome, phase Completed.
func TestJobRunsOnce(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	applyJob(t, demoJob(namespace, "once", nil))
	awaitCompleted(t, namespace, "once")
	awaitState(t, namespace, "once", time.Second, "the outcome of a completed job", func(s khv1.WorkloadDetails) bool { return s.OK })
	if n := len(podsOf(t, namespace, "once")); n != 1 {
		t.Errorf("%d pods, want 1", n)
	}
}
