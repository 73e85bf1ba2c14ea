//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// inFlight is how many runs are under way when a part of the stack is killed.
const inFlight = 10

// TestKill kills one part after another while ten runs are in flight. These tests run before the parallel ones.
func TestKill(t *testing.T) {
	for _, part := range []string{"worker", "starter", "reportapi", "temporal"} {
		t.Run(part, func(t *testing.T) {
			restart(t, part)
			namespace, uuids := startRuns(t, "10s")
			under.kill(part)
			time.Sleep(2 * time.Second) // a part is not back at once
			if err := under.start(part); err != nil {
				t.Fatal(err)
			}
			everyRunHasItsOutcome(t, namespace, uuids, time.Minute)
		})
	}
}

// TestReportApiDownWhenReportsCome is about the client: it tries again until the report API is back.
func TestReportApiDownWhenReportsCome(t *testing.T) {
	restart(t, "reportapi")
	namespace, uuids := startRuns(t, "6s")
	under.kill("reportapi")
	time.Sleep(12 * time.Second) // every first try fails
	if err := under.start("reportapi"); err != nil {
		t.Fatal(err)
	}
	everyRunHasItsOutcome(t, namespace, uuids, time.Minute)
}

// TestTemporalDownWhenReportsCome is about the 503: nothing is accepted that is not stored.
func TestTemporalDownWhenReportsCome(t *testing.T) {
	restart(t, "temporal")
	namespace, uuids := startRuns(t, "6s")
	under.kill("temporal")
	began := time.Now()
	if status := post(t, uuids["run-0"], `{"OK":true,"Errors":[]}`); status != http.StatusServiceUnavailable {
		t.Errorf("report while Temporal is down is answered %d, want 503", status)
	}
	if took := time.Since(began); took < 15*time.Second {
		t.Errorf("503 after %s, want that the report is held for 20 s", took)
	}
	if err := under.start("temporal"); err != nil {
		t.Fatal(err)
	}
	everyRunHasItsOutcome(t, namespace, uuids, time.Minute)
}

// TestReportWhileNoWorkerRuns: the report is stored by Temporal and waits for a worker.
func TestReportWhileNoWorkerRuns(t *testing.T) {
	restart(t, "worker")
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "stored", env{"REPORT_DELAY": "5m"}))
	pod := awaitPod(t, namespace, "stored", corev1.PodRunning)
	under.kill("worker")
	if status := post(t, pod.Labels["kuberhealthy-run-id"], `{"OK":false,"Errors":["seen while nobody worked"]}`); status != http.StatusOK {
		t.Fatalf("report is answered %d, want 200", status)
	}
	if err := under.start("worker"); err != nil {
		t.Fatal(err)
	}
	state := awaitState(t, namespace, "stored", 40*time.Second, "an outcome", anyState)
	if len(state.Errors) != 1 || state.Errors[0] != "seen while nobody worked" {
		t.Errorf("outcome is %q, want the report that was accepted", state.Errors)
	}
}

// TestWorkerBackAfterTheDeadline: nobody was there to see what happened. A check that reported and exited in time has
// succeeded, and its times are those of its report. A report after the deadline comes too late, although it is read with it.
func TestWorkerBackAfterTheDeadline(t *testing.T) {
	restart(t, "worker")
	namespace := newNamespace(t)
	pods := map[string]corev1.Pod{}
	for name, delay := range map[string]string{"unseen": "3s", "late": "5m"} {
		c := demoCheck(namespace, name, env{"REPORT_DELAY": delay})
		c.Spec.Timeout = "15s"
		apply(t, c)
	}
	awaitAnyPod(t, namespace, "unseen")
	pods["late"] = awaitPod(t, namespace, "late", corev1.PodRunning)
	under.kill("worker")
	pods["unseen"] = awaitPod(t, namespace, "unseen", corev1.PodSucceeded)
	time.Sleep(time.Until(pods["late"].CreationTimestamp.Add(17 * time.Second)))
	if status := post(t, pods["late"].Labels["kuberhealthy-run-id"], `{"OK":true,"Errors":[]}`); status != http.StatusOK {
		t.Errorf("report is answered %d, want 200", status)
	}
	if err := under.start("worker"); err != nil {
		t.Fatal(err)
	}
	runUUID := pods["unseen"].Labels["kuberhealthy-run-id"]
	settled(t, runUUID)
	state := awaitState(t, namespace, "unseen", time.Second, "an outcome", anyState)
	took, err := time.ParseDuration(state.RunDuration)
	if !state.OK || state.CurrentUUID != runUUID || err != nil || took > 14*time.Second {
		t.Errorf("state is %+v, want the success that was reported within 15 s", state)
	}
	if after := state.LastRun.Sub(pods["unseen"].CreationTimestamp.Time); after > 14*time.Second {
		t.Errorf("LastRun is %s after the pod was made, want the time of the report", after)
	}
	settled(t, pods["late"].Labels["kuberhealthy-run-id"])
	if state := awaitState(t, namespace, "late", time.Second, "an outcome", anyState); state.OK {
		t.Errorf("state is %+v, want the outcome of the deadline", state)
	}
}

// TestStarterRestartTriggersNothing: what runs is in Temporal, so a new starter finds everything in step.
func TestStarterRestartTriggersNothing(t *testing.T) {
	restart(t, "starter")
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "calm", nil))
	first := awaitState(t, namespace, "calm", 20*time.Second, "an outcome", anyState)
	under.stop("starter")
	if err := under.start("starter"); err != nil {
		t.Fatal(err)
	}
	if err := under.ready(time.Minute, "starter"); err != nil {
		t.Fatal(err)
	}
	// A check that is new to the restarted starter shows that it has looked at all of them.
	apply(t, demoCheck(namespace, "new", nil))
	awaitState(t, namespace, "new", 20*time.Second, "an outcome", anyState)
	state := awaitState(t, namespace, "calm", time.Second, "the first outcome", anyState)
	if state.CurrentUUID != first.CurrentUUID || len(podsOf(t, namespace, "calm")) != 1 {
		t.Errorf("the restart of the starter started a run: %+v, then %+v", first, state)
	}
}

// startRuns begins ten runs and waits until their pods run. It returns their run UUIDs by check.
func startRuns(t *testing.T, reportDelay string) (namespace string, uuids map[string]string) {
	t.Helper()
	namespace = newNamespace(t)
	for i := range inFlight {
		c := demoCheck(namespace, fmt.Sprintf("run-%d", i), env{"REPORT_DELAY": reportDelay, "REPORT_ERRORS": fmt.Sprintf("outcome of run-%d", i)})
		c.Spec.Timeout = "2m"
		apply(t, c)
	}
	uuids = map[string]string{}
	eventually(t, time.Minute, "all pods have started", func() (bool, string) { // the first may have ended when the last starts
		pods, err := under.kube.core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return false, err.Error()
		}
		for _, p := range pods.Items {
			if p.Status.Phase != corev1.PodPending {
				uuids[p.Labels["kuberhealthy-check-name"]] = p.Labels["kuberhealthy-run-id"]
			}
		}
		return len(uuids) == inFlight, fmt.Sprint(len(uuids))
	})
	return namespace, uuids
}

// everyRunHasItsOutcome asserts ten pods in all and ten outcomes, each its own run's.
func everyRunHasItsOutcome(t *testing.T, namespace string, uuids map[string]string, within time.Duration) {
	t.Helper()
	for name, uuid := range uuids {
		state := awaitState(t, namespace, name, within, "an outcome", anyState)
		if want := "outcome of " + name; state.CurrentUUID != uuid || strings.Join(state.Errors, "|") != want {
			t.Errorf("%s shows %q of run %s, want %q of run %s", name, state.Errors, state.CurrentUUID, want, uuid)
		}
	}
	eventually(t, within, "all runs are closed", func() (bool, string) {
		open := workflowIDs(t, fmt.Sprintf("KhNamespace = '%s' AND WorkflowType = 'CheckRun' AND ExecutionStatus = 'Running'", namespace))
		return len(open) == 0, fmt.Sprintf("%d open", len(open))
	})
	if runs := workflowIDs(t, fmt.Sprintf("KhNamespace = '%s' AND WorkflowType = 'CheckRun'", namespace)); len(runs) != inFlight {
		t.Errorf("%d runs in Temporal, want %d", len(runs), inFlight)
	}
	pods := 0
	for name := range uuids {
		pods += len(podsOf(t, namespace, name))
	}
	if pods != inFlight {
		t.Errorf("%d pods in all, want %d", pods, inFlight)
	}
	for name := range uuids {
		state := awaitState(t, namespace, name, time.Second, "an outcome", anyState)
		if state.CurrentUUID != uuids[name] {
			t.Errorf("%s changed its outcome after the end of its run: %+v", name, khv1.WorkloadDetails(state))
		}
	}
}

// post sends a report as a check would.
func post(t testing.TB, uuid, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, reportBase+"/externalCheckStatus", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("kh-run-uuid", uuid)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// TestWorkerStoppedInOrder: what a stopping worker was waiting for moves at once, not after the heartbeat timeout.
func TestWorkerStoppedInOrder(t *testing.T) {
	restart(t, "worker")
	namespace, uuids := startRuns(t, "10s")
	began := time.Now()
	under.stop("worker")
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("the worker stopped after %s, want a bounded stop", took)
	}
	if err := under.start("worker"); err != nil {
		t.Fatal(err)
	}
	everyRunHasItsOutcome(t, namespace, uuids, time.Minute)
}

// TestReadinessTellsWhatIsMissing asks each role while Temporal is down.
func TestReadinessTellsWhatIsMissing(t *testing.T) {
	restart(t, "temporal")
	under.kill("temporal")
	for name, port := range map[string]string{"worker": workerPort, "starter": starterPort, "reportapi": reportPort} {
		if status, body := get(t, "http://127.0.0.1:"+port+"/readyz"); status != http.StatusServiceUnavailable ||
			!strings.Contains(body, `"kubernetes":"ok"`) || strings.Contains(body, `"temporal":"ok"`) {
			t.Errorf("/readyz of %s is %d %s, want 503 because of Temporal alone", name, status, body)
		}
		if status, _ := get(t, "http://127.0.0.1:"+port+"/healthz"); status != http.StatusOK {
			t.Errorf("/healthz of %s is %d, want 200", name, status)
		}
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(read)
}
