//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// demoContainer is one more container like that of demoPod.
func demoContainer(name string, behaviour env) corev1.Container {
	container := demoPod(behaviour).Containers[0]
	container.Name = name
	return container
}

// nativeSidecar makes a container a native sidecar.
func nativeSidecar(container corev1.Container) corev1.Container {
	container.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	return container
}

// addHelper adds a container before the check, so that it starts first.
func addHelper(p *corev1.PodSpec, behaviour env) {
	p.Containers = slices.Insert(p.Containers, 0, demoContainer("helper", behaviour))
}

// TestContainersOfACheck runs pods with several containers. One container of each is the check.
func TestContainersOfACheck(t *testing.T) {
	t.Parallel()
	silent := env{"SKIP_REPORT": "true"}
	const stillRuns = "container helper still ran when its pod was removed"
	anyExit := corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpNotIn, Values: []int32{255}}
	for _, tt := range []struct {
		name    string
		env     env
		change  func(*corev1.PodSpec)
		timeout string
		outcome check.Outcome
		errors  []string
		notes   []string
		// removed is true for a pod that the run removes before all of its containers have ended.
		removed bool
	}{
		{
			name: "restart-policy-of-the-container", outcome: check.Succeeded,
			change: func(p *corev1.PodSpec) { p.Containers[0].RestartPolicy = new(corev1.ContainerRestartPolicyAlways) },
		},
		{
			name: "restart-rules-of-the-container", env: env{"SKIP_REPORT": "true", "EXIT_CODE": "42"}, outcome: check.Failed,
			change: func(p *corev1.PodSpec) {
				p.Containers[0].RestartPolicy = new(corev1.ContainerRestartPolicyNever)
				p.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart, ExitCodes: &anyExit}}
			},
			errors: []string{"Check execution error: NS/NAME: checker pod ended without reporting in: container check exited with code 42 (Error)"},
		},
		{
			name: "restart-of-the-pod-by-an-init-container", outcome: check.Succeeded,
			change: func(p *corev1.PodSpec) {
				prepare := demoContainer("prepare", silent)
				prepare.RestartPolicy = new(corev1.ContainerRestartPolicyNever)
				prepare.RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestartAllContainers, ExitCodes: &anyExit}}
				p.InitContainers = []corev1.Container{prepare}
			},
		},
		{
			name: "resized-by-a-restart", outcome: check.Succeeded,
			change: func(p *corev1.PodSpec) {
				p.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}}
			},
		},
		{
			name: "exit-code-of-a-native-sidecar", env: silent, outcome: check.Failed,
			change: func(p *corev1.PodSpec) {
				p.InitContainers = []corev1.Container{nativeSidecar(demoContainer("proxy", env{"REPORT_DELAY": "1h"}))}
			},
			errors: []string{"Check execution error: NS/NAME: checker pod ended without reporting in: all containers exited with code 0"},
		},
		{
			name: "native-sidecar-that-stops-slowly", outcome: check.Succeeded, removed: true,
			change: func(p *corev1.PodSpec) { p.InitContainers = []corev1.Container{slowToStop()} },
		},
		{
			name: "silent-beside-a-native-sidecar-that-stops-slowly", env: silent, outcome: check.Failed, removed: true,
			change: func(p *corev1.PodSpec) { p.InitContainers = []corev1.Container{slowToStop()} },
			errors: []string{"Check execution error: NS/NAME: checker pod ended without reporting in: all containers exited with code 0"},
		},
		{
			name: "helper-that-ends-first", env: env{"REPORT_DELAY": "8s", "EXIT_DELAY": "8s"}, outcome: check.Succeeded,
			change: func(p *corev1.PodSpec) { addHelper(p, silent) },
		},
		{
			name: "helper-that-ends-first-beside-a-hung-check", env: env{"REPORT_DELAY": "8s", "EXIT_DELAY": "1h"}, timeout: "30s",
			change:  func(p *corev1.PodSpec) { addHelper(p, silent) },
			outcome: check.TimedOut, errors: []string{"Check execution error: NS/NAME: timed out waiting for pod to exit"},
			notes: []string{"before the deadline the check reported: succeeded []", "container check still ran when its pod was removed"},
		},
		{
			name: "helper-that-never-ends", outcome: check.Succeeded, notes: []string{stillRuns},
			change: func(p *corev1.PodSpec) {
				p.Containers = append(p.Containers, demoContainer("helper", env{"REPORT_DELAY": "1h"}))
			},
		},
		{
			name: "second-check-that-fails", env: env{"REPORT_DELAY": "1s", "EXIT_DELAY": "5s"}, outcome: check.Failed,
			change: func(p *corev1.PodSpec) {
				p.Containers = append(p.Containers, demoContainer("second", env{"REPORT_DELAY": "4s", "REPORT_ERRORS": "the second is broken"}))
			},
			errors: []string{"the second is broken"}, notes: []string{"a further report added errors; before it: succeeded"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kept, namespace := openLedger(t), newNamespace(t)
			c := demoCheck(namespace, tt.name, tt.env)
			if tt.change(&c.Spec.PodSpec); tt.timeout != "" {
				c.Spec.Timeout = tt.timeout
			}
			apply(t, c)
			record := awaitRecords(t, kept, khv1.KHCheck, namespace, tt.name, time.Minute, "the first run", closedFirst)[0]
			if record.Outcome != tt.outcome || !sameTexts(tt.errors, record.Errors, namespace, tt.name) || !slices.Equal(record.Notes, tt.notes) {
				t.Errorf("record is %s, notes %q; want %s %q, notes %q", describe(record), record.Notes, tt.outcome, tt.errors, tt.notes)
			}
			state := awaitState(t, namespace, tt.name, time.Second, "the outcome", anyState)
			if state.OK != (tt.outcome == check.Succeeded) || !sameTexts(tt.errors, state.Errors, namespace, tt.name) {
				t.Errorf("state is OK=%t %q, want %q", state.OK, state.Errors, tt.errors)
			}
			pods := podsOf(t, namespace, tt.name)
			if left := slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.DeletionTimestamp == nil }); left && tt.removed {
				t.Error("the pod is still there")
			}
			if slices.ContainsFunc(pods, restarted) {
				t.Error("a main container was started twice")
			}
		})
	}
}

// slowToStop is a native sidecar that takes half a minute to stop.
func slowToStop() corev1.Container {
	proxy := nativeSidecar(demoContainer("proxy", env{"REPORT_DELAY": "1h"}))
	proxy.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 25}}}
	return proxy
}

func restarted(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(status corev1.ContainerStatus) bool { return status.RestartCount > 0 })
}

// TestNativeSidecarThatCrashesAtFirst: Kubernetes restarts it, so the check waits for it.
func TestNativeSidecarThatCrashesAtFirst(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	maps := under.kube.core.CoreV1().ConfigMaps(namespace)
	mode := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mode"}, Data: map[string]string{"mode": "no-such-check"}}
	if _, err := maps.Create(t.Context(), mode, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	proxy := nativeSidecar(demoContainer("proxy", nil))
	proxy.Args = []string{"$(MODE)"}
	proxy.Env = []corev1.EnvVar{{Name: "MODE", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: "mode"}, Key: "mode",
	}}}}
	proxy.StartupProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}},
		PeriodSeconds: 1, FailureThreshold: 60,
	}
	c := demoCheck(namespace, "crashing-proxy", nil)
	c.Spec.PodSpec.InitContainers = []corev1.Container{proxy}
	apply(t, c)
	eventually(t, 20*time.Second, "the sidecar is in CrashLoopBackOff", func() (bool, string) {
		pods := podsOf(t, namespace, c.Name)
		return len(pods) == 1 && slices.ContainsFunc(pods[0].Status.InitContainerStatuses, func(s corev1.ContainerStatus) bool {
			return s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff"
		}), ""
	})
	mode.Data["mode"] = "serve"
	if _, err := maps.Update(t.Context(), mode, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if record := closedRecord(t, kept, namespace, c.Name, check.Succeeded); record.Attempts != 1 || len(record.Notes) > 0 {
		t.Errorf("record is %s, notes %q; want a success of the first pod", describe(record), record.Notes)
	}
}

// TestEvidenceOfAPodThatIsDeletedAfterItsHelperEnded: the log of the check is read, although another container had ended.
func TestEvidenceOfAPodThatIsDeletedAfterItsHelperEnded(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	c := demoCheck(namespace, "deleted", env{"REPORT_DELAY": "1h", "LOG_LINES": "3"})
	c.Spec.PodSpec.Containers = append(c.Spec.PodSpec.Containers, demoContainer("helper", env{"SKIP_REPORT": "true"}))
	apply(t, c)
	var pod corev1.Pod
	eventually(t, 20*time.Second, "the helper has ended beside the check", func() (bool, string) {
		pods := podsOf(t, namespace, c.Name)
		if len(pods) != 1 {
			return false, ""
		}
		pod = pods[0]
		observed := check.Observe(&pod)
		return cmp.Equal(observed.Running, []string{"check"}), observed.Detail
	})
	deletePod(t, pod)
	record := closedRecord(t, kept, namespace, c.Name, check.Failed)
	has(t, evidenceOf(t, kept, record), "log 1/check", strings.TrimSpace(numbered(1, 3)), "interrupted before the report")
}
