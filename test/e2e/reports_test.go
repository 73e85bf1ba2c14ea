//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/encoding/protojson"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// Clients that send their report once, as those of Kuberhealthy for bash and Python do.
const (
	curlOnce   = `curl -sS -X POST -H "kh-run-uuid: $KH_RUN_UUID" -d '{"ok":true,"errors":[]}' "$KH_REPORTING_URL"`
	urllibOnce = `import os, time, urllib.request
time.sleep(5)
urllib.request.urlopen(urllib.request.Request(os.environ["KH_REPORTING_URL"], data=b'{"OK": true, "Errors": []}',
    headers={"kh-run-uuid": os.environ["KH_RUN_UUID"]}), timeout=4).read()`
)

// scripted is a check whose container runs a command of an image that loadLanguages makes.
func scripted(namespace, name, language string, command ...string) *khv1.KuberhealthyCheck {
	c := demoCheck(namespace, name, nil)
	container := &c.Spec.PodSpec.Containers[0]
	container.Image, container.Args, container.Command = "khronicle/check-"+language+":dev", nil, command
	return c
}

// TestReportsOfClientsThatSendOnce: the report API holds a report while Temporal is down or hangs. Python's client hangs up
// after 4 s.
func TestReportsOfClientsThatSendOnce(t *testing.T) {
	if err := loadLanguages(); err != nil {
		t.Fatal(err)
	}
	outages := map[string]struct{ begin, end func(t *testing.T) }{
		"down": {
			func(*testing.T) { under.kill("temporal") },
			func(t *testing.T) {
				if err := under.start("temporal"); err != nil {
					t.Fatal(err)
				}
			},
		},
		"hung": {
			func(*testing.T) { _ = under.processes["temporal"].Process.Signal(syscall.SIGSTOP) },
			func(*testing.T) { _ = under.processes["temporal"].Process.Signal(syscall.SIGCONT) },
		},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			restart(t, "temporal")
			namespace := newNamespace(t)
			apply(t, scripted(namespace, "bash", "shell", "sh", "-c", "sleep 5; "+curlOnce))
			apply(t, scripted(namespace, "python", "python", "python3", "-c", urllibOnce))
			for _, name := range []string{"bash", "python"} {
				awaitPod(t, namespace, name, corev1.PodRunning)
			}
			outage.begin(t)
			time.Sleep(11 * time.Second)
			over := time.Now()
			outage.end(t)
			for _, name := range []string{"bash", "python"} {
				state := awaitState(t, namespace, name, 30*time.Second, "an outcome", anyState)
				if !state.OK || !state.LastRun.Time.Before(over.Add(-time.Second)) { // it has whole seconds
					t.Errorf("%s: %+v, want the success that was reported before the outage ended at %s", name, state, over)
				}
			}
		})
	}
}

// TestReportAfterTheDeadline: a shell at PID 1 ignores SIGTERM and reports success while its pod is removed.
func TestReportAfterTheDeadline(t *testing.T) {
	t.Parallel()
	if err := loadLanguages(); err != nil {
		t.Fatal(err)
	}
	kept, namespace := openLedger(t), newNamespace(t)
	c := scripted(namespace, "late", "shell", "sh", "-c", "sleep 18; "+curlOnce)
	c.Spec.Timeout = "12s"
	apply(t, c)
	runUUID := awaitPod(t, namespace, "late", corev1.PodRunning).Labels[protocol.LabelRunID]
	settled(t, runUUID)
	state := awaitState(t, namespace, "late", time.Second, "an outcome", anyState)
	want := named("Check execution error: NS/NAME: timed out waiting for checker pod to report in", namespace, "late")
	if state.OK || len(state.Errors) != 1 || state.Errors[0] != want || state.CurrentUUID != "" {
		t.Errorf("state is %+v, want %q", state, want)
	}
	record := closedRecord(t, kept, namespace, "late", check.TimedOut)
	if !strings.Contains(strings.Join(record.Notes, "\n"), "it came after the deadline: OK=true") {
		t.Errorf("notes are %q, want the late report among them", record.Notes)
	}
	has(t, evidenceOf(t, kept, record), "late-report ", `Z {"Errors":[],"OK":true}`)
}

// TestReportOfARefusedPod: a policy quotes the label with the run UUID. Nobody can read it, and nobody can report with it.
func TestReportOfARefusedPod(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	denyPods(t, namespace)
	apply(t, demoCheck(namespace, "refused", nil))
	runUUID := openRunOf(t, namespace, "refused")
	if status := post(t, runUUID, `{"OK":true,"Errors":[]}`); status != http.StatusOK {
		t.Errorf("report is answered %d, want 200", status)
	}
	settled(t, runUUID)
	state := awaitState(t, namespace, "refused", time.Second, "an outcome", anyState)
	if state.OK || !strings.Contains(strings.Join(state.Errors, ""), "kuberhealthy-run-id is ****") {
		t.Errorf("state is %+v, want the refusal of the policy", state)
	}
	saysNoRunUUID(t, runUUID, fmt.Sprintf("%+v", state))
}

// TestReportWithoutAPod: after an eviction no pod takes the place of the first. A report of that time is not from the check.
func TestReportWithoutAPod(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "evicted", env{"REPORT_DELAY": "5m"}))
	pod := awaitPod(t, namespace, "evicted", corev1.PodRunning)
	runUUID := pod.Labels[protocol.LabelRunID]
	noPods(t, namespace)
	evict(t, pod)
	awaitState(t, namespace, "evicted", 30*time.Second, "the replacement is refused", func(state khv1.WorkloadDetails) bool {
		return strings.Contains(strings.Join(state.Errors, ""), "exceeded quota")
	})
	time.Sleep(3 * time.Second) // a report of the pod itself may come for 2 s
	if status := post(t, runUUID, `{"OK":true,"Errors":[]}`); status != http.StatusOK {
		t.Errorf("report is answered %d, want 200", status)
	}
	settled(t, runUUID)
	if state := awaitState(t, namespace, "evicted", time.Second, "an outcome", anyState); state.OK {
		t.Errorf("state is %+v, want the refusal", state)
	}
	if log := roleLog(t, "worker"); strings.Contains(log, "resource name may not be empty") {
		t.Error("the worker asks for a pod without a name")
	}
}

// TestTextsOfTheRuntime: a container runtime quotes the command that it cannot start, and the command has the run UUID.
func TestTextsOfTheRuntime(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "quoted", nil)
	c.Spec.Timeout = "15s"
	c.Spec.PodSpec.Containers[0].Command = []string{"/no/such/$(KH_RUN_UUID)"}
	apply(t, c)
	runUUID := awaitAnyPod(t, namespace, "quoted").Labels[protocol.LabelRunID]
	settled(t, runUUID)
	state := awaitState(t, namespace, "quoted", time.Second, "an outcome", anyState)
	if !strings.Contains(strings.Join(state.Errors, ""), "/no/such/****") {
		t.Errorf("state is %+v, want the text of the runtime", state)
	}
	saysNoRunUUID(t, runUUID, fmt.Sprintf("%+v", state))
}

// openRunOf waits for the open run of a check and returns its run UUID.
func openRunOf(t *testing.T, namespace, name string) (runUUID string) {
	t.Helper()
	query := fmt.Sprintf("KhNamespace = '%s' AND KhCheck = '%s' AND WorkflowType = 'CheckRun' AND ExecutionStatus = 'Running'", namespace, name)
	eventually(t, 20*time.Second, "an open run of "+name, func() (bool, string) {
		open := workflowIDs(t, query)
		if len(open) == 1 {
			runUUID = open[0]
		}
		return len(open) == 1, fmt.Sprintf("%d", len(open))
	})
	return runUUID
}

// saysNoRunUUID fails if a text has a run UUID, or if a text in the history of the run quotes it.
func saysNoRunUUID(t *testing.T, runUUID, shown string) {
	t.Helper()
	if strings.Contains(shown, runUUID) {
		t.Errorf("the run UUID is shown: %s", shown)
	}
	events := temporal(t).GetWorkflowHistory(t.Context(), runUUID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		text := protojson.Format(event)
		for _, result := range event.GetMarkerRecordedEventAttributes().GetDetails() { // of a local activity
			for _, payload := range result.GetPayloads() {
				text += string(payload.GetData())
			}
		}
		for _, quoted := range []string{"kuberhealthy-run-id is " + runUUID, "/no/such/" + runUUID} {
			if strings.Contains(text, quoted) {
				t.Errorf("the history has %q in %s", quoted, event.GetEventType())
			}
		}
	}
}

// denyPods makes a policy that refuses the checker pods of a namespace and quotes their run UUID, as policies do.
func denyPods(t *testing.T, namespace string) {
	t.Helper()
	policies := under.kube.core.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	bindings := under.kube.core.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	fail, forbidden := admissionv1.Fail, metav1.StatusReasonForbidden
	_, err := policies.Create(t.Context(), &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				},
			}}},
			Validations: []admissionv1.Validation{{
				Expression: "'team' in object.metadata.labels", Reason: &forbidden,
				MessageExpression: "'label team is missing; kuberhealthy-run-id is ' + object.metadata.labels['kuberhealthy-run-id']",
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = policies.Delete(context.Background(), namespace, metav1.DeleteOptions{}) })
	_, err = bindings.Create(t.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: namespace, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bindings.Delete(context.Background(), namespace, metav1.DeleteOptions{}) })
	probe := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{protocol.LabelRunID: "none"}}, Spec: demoPod(nil),
	}
	eventually(t, 10*time.Second, "the policy is in force", func() (bool, string) {
		_, err := under.kube.core.CoreV1().Pods(namespace).Create(t.Context(), probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "label team is missing"), fmt.Sprint(err)
	})
}
