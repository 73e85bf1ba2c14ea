//go:build e2e

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	sdk "go.temporal.io/sdk/temporal"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

var record = flag.String("record", "", "folder into which TestRecordHistories writes the histories that the replay test reads")

// TestRecordHistories records one history of each kind of workflow; `make record` runs it.
func TestRecordHistories(t *testing.T) {
	if *record == "" {
		t.Skip("records files for another test; runs only with -record")
	}
	restart(t, "worker")
	namespace := newNamespace(t)
	for _, r := range []struct {
		name string
		env  env
		// change is made to the spec.
		change func(*workloadSpec)
		// during happens while the pod runs.
		during func(t *testing.T, pod corev1.Pod)
	}{
		{name: "success", env: env{"REPORT_DELAY": "2s"}},
		{name: "reported-failure", env: env{"REPORT_DELAY": "2s", "REPORT_ERRORS": "first|second"}},
		{name: "no-report", env: env{"SKIP_REPORT": "true", "REPORT_DELAY": "2s", "EXIT_CODE": "1"}},
		{name: "deadline", env: env{"REPORT_DELAY": "5m"}},
		{name: "pod-deleted", env: env{"REPORT_DELAY": "5m"}, during: func(t *testing.T, pod corev1.Pod) {
			if err := under.kube.core.CoreV1().Pods(namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "pod-evicted", env: env{"REPORT_DELAY": "4s"}, during: func(t *testing.T, pod corev1.Pod) { evict(t, pod) }},
		{name: "worker-killed", env: env{"REPORT_DELAY": "5s"}, during: func(t *testing.T, _ corev1.Pod) {
			under.kill("worker")
			if err := under.start("worker"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "second-report", env: env{"REPORT_DELAY": "2s", "EXIT_DELAY": "2s"}, during: func(t *testing.T, pod corev1.Pod) {
			post(t, pod.Labels["kuberhealthy-run-id"], `{"OK":false,"Errors":["somebody was faster"]}`)
		}},
		{name: "sidecar", env: env{"REPORT_DELAY": "2s"}, change: withSidecar},
		{name: "evidence", env: env{"SKIP_REPORT": "true", "REPORT_DELAY": "2s", "EXIT_CODE": "3"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := demoCheck(namespace, r.name, r.env)
			c.Spec.Timeout = "20s"
			if r.change != nil {
				r.change(&workloadSpec{&c.Spec.Timeout, &c.Spec.PodSpec})
			}
			apply(t, c)
			pod := awaitPod(t, namespace, r.name, corev1.PodRunning)
			if r.during != nil {
				r.during(t, pod)
			}
			awaitState(t, namespace, r.name, time.Minute, "an outcome", anyState)
			settled(t, pod.Labels["kuberhealthy-run-id"])
			save(t, "CheckRun-"+r.name, pod.Labels["kuberhealthy-run-id"])
			if r.name == "success" {
				present, err := under.kube.checks(namespace).Get(t.Context(), r.name, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				save(t, "ScheduledCheck-first", firstRun(present))
			}
		})
	}
	t.Run("repeated", func(t *testing.T) {
		c := demoCheck(namespace, "repeated", env{"REPORT_ERRORS": "broken"})
		c.Spec.Attempts = 2
		apply(t, c)
		awaitState(t, namespace, "repeated", time.Minute, "an outcome", anyState)
		pods, err := under.kube.core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "kuberhealthy-check-name=repeated"})
		if err != nil || len(pods.Items) != 2 {
			t.Fatalf("%d pods, error %v; want those of two attempts", len(pods.Items), err)
		}
		save(t, "CheckRun-repeated", pods.Items[0].Labels["kuberhealthy-run-id"])
	})
	t.Run("schedule", func(t *testing.T) {
		c := demoCheck(namespace, "schedule", nil)
		c.Spec.RunInterval = "3s"
		apply(t, c)
		saveTick(t, "ScheduledCheck-tick", workflows.ScheduledCheckID(namespace, "schedule"), 2)
		busy := demoCheck(namespace, "busy", env{"REPORT_DELAY": "20s"}) // longer than the interval: ticks are skipped
		busy.Spec.RunInterval = "3s"
		apply(t, busy)
		saveTick(t, "ScheduledCheck-skipped", workflows.ScheduledCheckID(namespace, "busy"), 2)
		edit(t, namespace, "schedule", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true })
		time.Sleep(7 * time.Second) // ticks of a suspended check
		edit(t, namespace, "schedule", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = false })
		var gap string
		eventually(t, time.Minute, "the ticks of the suspension are recorded", func() (bool, string) {
			closed := closedRuns(t, fmt.Sprintf("WorkflowType = 'RecordTicks' AND KhNamespace = '%s' AND ExecutionStatus = 'Completed'", namespace))
			if len(closed) > 0 {
				gap = closed[0].GetExecution().GetWorkflowId()
			}
			return gap != "", "none"
		})
		save(t, "RecordTicks-paused", gap)
	})
	t.Run("housekeeping", func(t *testing.T) {
		saveTick(t, "Housekeeping-tick", workflows.HousekeepingID, 1)
	})
	t.Run("external", func(t *testing.T) {
		ext := newGoProgram(t).checker(t, namespace, "external", nil)
		if err := ext.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		save(t, "CheckRun-manual", ext.RunID)
		save(t, "ManualRun-succeeded", workflows.ManualRunID(check.Ref{Kind: khv1.KHCheck, Namespace: namespace, Name: "external"}))
	})
	t.Run("requested", func(t *testing.T) {
		apply(t, demoCheck(namespace, "requested", env{"REPORT_DELAY": "5s"}))
		awaitPod(t, namespace, "requested", corev1.PodRunning)
		ask(t, namespace, "requested", "1")
		c := awaitRequest(t, namespace, "requested", "1", khv1.RequestEnded)
		save(t, "ManualRun-waited", workflows.RequestedRunID(check.FromCheck(c).Ref, "1"))
	})
	t.Run("canceled", func(t *testing.T) {
		ext := newGoProgram(t).checker(t, namespace, "canceled", env{"REPORT_DELAY": "5m"})
		ended := make(chan error, 1)
		go func() { ended <- ext.RunOnce(t.Context()) }()
		pod := awaitPod(t, namespace, "canceled", corev1.PodRunning)
		if err := errors.Join(ext.Shutdown(), <-ended); err != nil {
			t.Fatal(err)
		}
		save(t, "CheckRun-canceled", pod.Labels["kuberhealthy-run-id"])
	})
	t.Run("lost-job", func(t *testing.T) {
		j := demoJob(namespace, "lost-job", nil)
		j.Spec.Phase = khv1.JobRunning
		applyJob(t, j)
		awaitCompleted(t, namespace, "lost-job")
		save(t, "CompleteJob-lost", workflows.CompleteJobID(check.FromJob(present(t, namespace, "lost-job")).Ref))
	})
}

func present(t *testing.T, namespace, name string) *khv1.KuberhealthyJob {
	t.Helper()
	job, err := under.kube.jobs(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func firstRun(c *khv1.KuberhealthyCheck) string {
	return workflows.FirstRunID(check.FromCheck(c).Ref)
}

// settled waits for the end of a run.
func settled(t *testing.T, workflowID string) {
	t.Helper()
	err := temporal(t).GetWorkflow(t.Context(), workflowID, "").Get(t.Context(), nil)
	if err != nil && !sdk.IsCanceledError(err) {
		t.Fatal(err)
	}
}

func save(t *testing.T, name, workflowID string) {
	t.Helper()
	settled(t, workflowID)
	saveRun(t, name, workflowID, "")
}

// closedRuns returns what a query finds, the latest first.
func closedRuns(t *testing.T, query string) []*workflowpb.WorkflowExecutionInfo {
	t.Helper()
	found, err := temporal(t).ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query})
	if err != nil {
		t.Fatal(err)
	}
	return found.GetExecutions()
}

// saveTick saves the latest closed one of a cron workflow's runs, when there are some that began from now on.
func saveTick(t *testing.T, name, workflowID string, atLeast int) {
	t.Helper()
	began := time.Now().UTC().Format(time.RFC3339)
	var closed []*workflowpb.WorkflowExecutionInfo
	eventually(t, 2*time.Minute, workflowID+" has ticks that ended", func() (bool, string) {
		closed = closedRuns(t, fmt.Sprintf("WorkflowId = '%s' AND StartTime >= '%s' AND ExecutionStatus IN ('Completed', 'ContinuedAsNew')", workflowID, began))
		return len(closed) >= atLeast, fmt.Sprintf("%d of them", len(closed))
	})
	saveRun(t, name, workflowID, closed[0].GetExecution().GetRunId())
}

// saveRun saves one run of a workflow, or its latest.
func saveRun(t *testing.T, name, workflowID, runID string) {
	t.Helper()
	file := filepath.Join(*record, name+".json")
	show := exec.Command(filepath.Join(under.bin, "temporal"), "workflow", "show", "--address", fmt.Sprintf("127.0.0.1:%d", temporalPort),
		"--workflow-id", workflowID, "--run-id", runID, "--output", "json")
	history, err := show.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, history, 0o644); err != nil {
		t.Fatal(err)
	}
}
