//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// notStarted are pods that do not start or do not end well, each with what people read and whose fault it is.
var notStarted = []struct {
	name    string
	timeout string
	env     env
	change  func(*corev1.PodSpec)
	errors  []string
	outcome check.Outcome
	// attempts is how many pods the run has, 0 for any number: then the first one counts.
	attempts int
}{
	{
		name: "init-container-hangs", timeout: "12s", outcome: check.TimedOut, attempts: 1,
		change: func(p *corev1.PodSpec) {
			wait := demoPod(env{"REPORT_DELAY": "1h"}).Containers[0]
			wait.Name = "wait-for-database"
			p.InitContainers = []corev1.Container{wait}
		},
		errors: []string{
			"Check execution error: NS/NAME: failed to see pod running within timeout",
			"init container wait-for-database has not ended: it runs since …",
		},
	},
	{
		name: "secret-of-a-volume-is-missing", timeout: "16s", outcome: check.Failed, attempts: 1, change: withVolume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "absent"}}),
		errors: []string{
			"Check execution error: NS/NAME: error when waiting for pod to start: FailedMount",
			`…FailedMount: MountVolume.SetUp failed for volume "v" : secret "absent" not found…`,
		},
	},
	{
		name: "config-map-of-a-volume-is-missing", timeout: "9s", outcome: check.Failed, attempts: 1,
		change: withVolume(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "absent"}}}),
		errors: []string{
			"Check execution error: NS/NAME: failed to see pod running within timeout",
			`…FailedMount: MountVolume.SetUp failed for volume "v" : configmap "absent" not found…`,
		},
	},
	{
		name: "claim-is-missing", timeout: "8s", outcome: check.Failed, attempts: 1,
		change: withVolume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "absent"}}),
		errors: []string{
			"Check execution error: NS/NAME: failed to see pod running within timeout",
			`pod is unschedulable: 0/1 nodes are available: persistentvolumeclaim "absent" not found…`,
		},
	},
	{
		name: "pull-secret-is-missing", timeout: "12s", outcome: check.Failed, // the first attempt counts
		change: func(p *corev1.PodSpec) {
			p.Containers[0].Image, p.ImagePullSecrets = "nowhere.invalid/missing:1", []corev1.LocalObjectReference{{Name: "absent"}}
		},
		errors: []string{
			"Check execution error: NS/NAME: error when waiting for pod to start: ErrImagePull",
			"container check: ErrImagePull: …FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (absent)…",
		},
	},
	{
		name: "no-scheduler", timeout: "4s", outcome: check.InfraFailed, attempts: 1, change: func(p *corev1.PodSpec) { p.SchedulerName = "night-shift" },
		errors: []string{
			"Check execution error: NS/NAME: failed to see pod running within timeout",
			`no scheduler has looked at the pod: its schedulerName is "night-shift"`,
		},
	},
	{
		name: "scheduling-gate", timeout: "4s", outcome: check.TimedOut, attempts: 1,
		change: func(p *corev1.PodSpec) { p.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}} },
		errors: []string{
			"Check execution error: NS/NAME: failed to see pod running within timeout",
			"pod waits for its scheduling gates: example.com/quota",
		},
	},
	{
		name: "no-kubelet", timeout: "4s", outcome: check.InfraFailed, attempts: 1, change: withoutKubelet,
		errors: []string{
			"Check execution error: NS/NAME: failed to see pod running within timeout",
			"the kubelet of node no-such-node has not looked at the pod",
		},
	},
	{
		name: "sysctl-is-forbidden", timeout: "60s", outcome: check.Failed, attempts: 1,
		change: func(p *corev1.PodSpec) {
			p.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "kernel.msgmax", Value: "65536"}}}
		},
		errors: []string{"Check execution error: NS/NAME: checker pod ended without reporting in: pod SysctlForbidden: …"},
	},
	{
		name: "invalid-spec", timeout: "60s", outcome: check.Failed, attempts: 1, change: func(p *corev1.PodSpec) { p.Containers[0].Name = "Not_A_Name" },
		errors: []string{"Check execution error: NS/NAME: failed to create pod for checker: Pod …"},
	},
	{
		name: "own-storage-limit", timeout: "3m", outcome: check.Failed, attempts: 1, env: env{"LOG_LINES": "600000", "REPORT_DELAY": "150s"},
		change: func(p *corev1.PodSpec) {
			p.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("5Mi")}
		},
		errors: []string{"Check execution error: NS/NAME: checker pod ended without reporting in: pod Evicted: Pod ephemeral local storage usage exceeds the total limit of containers 5Mi…"},
	},
}

// withoutKubelet places a pod on a node that does not exist. Without a grace period, the API server deletes it at once.
func withoutKubelet(p *corev1.PodSpec) {
	p.NodeName, p.TerminationGracePeriodSeconds = "no-such-node", new(int64(0))
}

func withVolume(source corev1.VolumeSource) func(*corev1.PodSpec) {
	return func(p *corev1.PodSpec) {
		p.Volumes = []corev1.Volume{{Name: "v", VolumeSource: source}}
		p.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
	}
}

// TestWhyAPodDidNotStart: people read why, and the outcome says whose fault it is, from everything that the cluster knows.
func TestWhyAPodDidNotStart(t *testing.T) {
	t.Parallel()
	kept := openLedger(t)
	for _, tt := range notStarted {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			c := demoCheck(namespace, tt.name, tt.env)
			c.Spec.Timeout = tt.timeout
			tt.change(&c.Spec.PodSpec)
			apply(t, c)
			if tt.attempts == 0 {
				firstAttempt(t, kept, namespace, tt.name, tt.outcome, tt.errors)
				return
			}
			a := firstRecord(t, kept, khv1.KHCheck, namespace, tt.name)
			if a.Outcome != tt.outcome || a.Attempts != tt.attempts {
				t.Errorf("record with %d attempts is %s, want %s after %d", a.Attempts, describe(a), tt.outcome, tt.attempts)
			}
			state := awaitState(t, namespace, tt.name, 5*time.Second, "an outcome", anyState)
			if !sameTexts(tt.errors, state.Errors, namespace, tt.name) {
				t.Errorf("errors are %q, want %q", state.Errors, tt.errors)
			}
		})
	}
}

// firstAttempt checks the outcome of the first attempt of a run. Its texts are shown while the next ones are made.
func firstAttempt(t *testing.T, kept *ledger.Ledger, namespace, name string, outcome check.Outcome, errors []string) {
	t.Helper()
	awaitState(t, namespace, name, 20*time.Second, "the wanted texts", func(s khv1.WorkloadDetails) bool {
		return sameTexts(errors, s.Errors, namespace, name)
	})
	a := firstRecord(t, kept, khv1.KHCheck, namespace, name)
	if repeated := "attempt 1 was repeated: " + string(outcome) + ": "; a.Outcome != outcome && !strings.Contains(strings.Join(a.Notes, "\n"), repeated) {
		t.Errorf("record is %s, notes %q, want %s of the first attempt", describe(a), a.Notes, outcome)
	}
}

// firstRecord waits for the record of the first run of a check or job.
func firstRecord(t *testing.T, kept *ledger.Ledger, kind khv1.KHWorkload, namespace, name string) ledger.Record {
	t.Helper()
	records := awaitRecords(t, kept, kind, namespace, name, time.Minute, "the first run", closedFirst)
	return records[len(records)-1]
}

// TestImageThatIsPulledForLong: a registry that takes connections and never answers.
func TestImageThatIsPulledForLong(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	registry, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	_, port, _ := net.SplitHostPort(registry.Addr().String())
	if _, err := under.kubebox("expose", port); err != nil {
		t.Fatal(err)
	}
	c := demoCheck(namespace, "slow", nil)
	c.Spec.Timeout = "9s"
	c.Spec.PodSpec.Containers[0].Image = "host.kubebox:" + port + "/slow:1"
	apply(t, c)
	if a := firstRecord(t, kept, khv1.KHCheck, namespace, "slow"); a.Outcome != check.InfraFailed {
		t.Errorf("record is %s, want %s", describe(a), check.InfraFailed)
	}
	state := awaitState(t, namespace, "slow", 5*time.Second, "an outcome", anyState)
	want := []string{
		"Check execution error: NS/NAME: failed to see pod running within timeout",
		`container check: Pulling image "host.kubebox:` + port + `/slow:1", since …`,
	}
	if !sameTexts(want, state.Errors, namespace, "slow") {
		t.Errorf("errors are %q, want %q", state.Errors, want)
	}
}

// TestImageArrivesLate: a job has no next tick, so it asks for its image until the deadline, more often than three times.
func TestImageArrivesLate(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	late := "khronicle/khcheck:" + namespace
	j := demoJob(namespace, "late", nil)
	j.Spec.Timeout = "2m"
	j.Spec.PodSpec.Containers[0].Image = late
	applyJob(t, j)
	awaitState(t, namespace, "late", 15*time.Second, "the refusal is shown at once", func(s khv1.WorkloadDetails) bool {
		return len(s.Errors) > 0 && strings.HasSuffix(s.Errors[0], "error when waiting for pod to start: ErrImagePull")
	})
	eventually(t, time.Minute, "the fourth attempt", func() (bool, string) {
		for _, p := range podsOf(t, namespace, "late") {
			if strings.HasSuffix(p.Name, "-4") {
				return true, ""
			}
		}
		return false, "no pod of it"
	})
	if _, err := under.kubebox("load-image", late, filepath.Join(under.bin, "khcheck")); err != nil {
		t.Fatal(err)
	}
	a := firstRecord(t, kept, khv1.KHJob, namespace, "late")
	if a.Outcome != check.Succeeded || a.Flaky || a.Attempts < 4 {
		t.Errorf("record with %d attempts is %s, want a success after more than three", a.Attempts, describe(a))
	}
	awaitState(t, namespace, "late", 5*time.Second, "OK", func(s khv1.WorkloadDetails) bool { return s.OK })
}

// TestPolicyThatChanges: what a policy refuses is asked for again, though the policy answers 422 as for a spec that is not valid.
func TestPolicyThatChanges(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	refuse := refusingPolicy(t, namespace)
	apply(t, demoCheck(namespace, "refused", nil))
	awaitState(t, namespace, "refused", 15*time.Second, "the refusal", func(s khv1.WorkloadDetails) bool {
		return len(s.Errors) == 1 && strings.Contains(s.Errors[0], "denied request: no pods today")
	})
	refuse()
	a := firstRecord(t, kept, khv1.KHCheck, namespace, "refused")
	if a.Outcome != check.Succeeded || a.Attempts < 2 || !strings.Contains(strings.Join(a.Notes, "\n"), "denied request: no pods today") {
		t.Errorf("record with %d attempts is %s, notes %q, want a success after a refusal", a.Attempts, describe(a), a.Notes)
	}
}

// refusingPolicy makes a policy that refuses all pods of a namespace, waits until it is in force, and returns how to remove
// it.
func refusingPolicy(t *testing.T, namespace string) (remove func()) {
	t.Helper()
	policies := under.kube.core.AdmissionregistrationV1()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: new(admissionv1.Fail),
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}}}},
			Validations: []admissionv1.Validation{{Expression: "false", Message: "no pods today"}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: namespace, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: namespace},
			}},
		},
	}
	if _, err := policies.ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := policies.ValidatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	remove = func() {
		_ = policies.ValidatingAdmissionPolicyBindings().Delete(context.Background(), namespace, metav1.DeleteOptions{})
		_ = policies.ValidatingAdmissionPolicies().Delete(context.Background(), namespace, metav1.DeleteOptions{})
	}
	t.Cleanup(remove)
	probe := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: demoPod(nil)}
	eventually(t, 30*time.Second, "the policy is in force", func() (bool, string) {
		_, err := under.kube.core.CoreV1().Pods(namespace).Create(t.Context(), probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return apierrors.IsInvalid(err), fmt.Sprint(err)
	})
	return remove
}

// TestPreemption: the pod makes room for a more important one. The text and the notes say so, and the run is repeated.
func TestPreemption(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	slot := corev1.ResourceName("example.com/" + namespace) // one on the node, so that no other pod is in the way
	patch := fmt.Sprintf(`[{"op":"add","path":"/status/capacity/example.com~1%s","value":"1"}]`, namespace)
	if _, err := under.kube.core.CoreV1().Nodes().Patch(t.Context(), "kubebox", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Value: 1000}
	if _, err := under.kube.core.SchedulingV1().PriorityClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = under.kube.core.SchedulingV1().PriorityClasses().Delete(context.Background(), namespace, metav1.DeleteOptions{})
	})
	takesSlot := func(p *corev1.PodSpec) {
		p.Containers[0].Resources.Limits = corev1.ResourceList{slot: resource.MustParse("1")}
		p.TerminationGracePeriodSeconds = new(int64(1))
	}
	c := demoCheck(namespace, "humble", env{"REPORT_DELAY": "12s"})
	takesSlot(&c.Spec.PodSpec)
	apply(t, c)
	awaitPod(t, namespace, "humble", corev1.PodRunning)

	important := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "important"}, Spec: demoPod(env{"REPORT_DELAY": "1h"})}
	takesSlot(&important.Spec)
	important.Spec.PriorityClassName = namespace
	pods := under.kube.core.CoreV1().Pods(namespace)
	if _, err := pods.Create(t.Context(), important, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the important pod has the slot", func() (bool, string) {
		p, err := pods.Get(t.Context(), "important", getOptions)
		return err == nil && p.Status.Phase == corev1.PodRunning, fmt.Sprint(err)
	})
	if err := pods.Delete(t.Context(), "important", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	a := firstRecord(t, kept, khv1.KHCheck, namespace, "humble")
	if a.Outcome != check.Succeeded || a.Attempts != 2 || !strings.Contains(strings.Join(a.Notes, "\n"), "pod deleted expectedly; pod PreemptionByScheduler: ") {
		t.Errorf("record with %d attempts is %s, notes %q, want a success after a preemption", a.Attempts, describe(a), a.Notes)
	}
}

// TestContainerThatIsLost: after a reboot of its node, nobody knows how a container ended. That is not the check's fault. No
// kubelet runs on the node of these pods, so the test writes the status that a kubelet would write.
func TestContainerThatIsLost(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	c := demoCheck(namespace, "lost", nil)
	c.Spec.Timeout = "12s"
	withoutKubelet(&c.Spec.PodSpec)
	apply(t, c)
	p := awaitPod(t, namespace, "lost", corev1.PodPending)
	now := metav1.Now()
	p.Status.Phase, p.Status.StartTime = corev1.PodFailed, &now
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "check", State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: 255, Reason: "Unknown", StartedAt: now, FinishedAt: now},
	}}}
	if _, err := under.kube.core.CoreV1().Pods(namespace).UpdateStatus(t.Context(), &p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	a := firstRecord(t, kept, khv1.KHCheck, namespace, "lost")
	if a.Outcome != check.InfraFailed || a.Attempts != 2 || !strings.Contains(strings.Join(a.Notes, "\n"), "container check exited with code 255 (Unknown)") {
		t.Errorf("record with %d attempts is %s, notes %q, want two attempts that the platform made fail", a.Attempts, describe(a), a.Notes)
	}
}
