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

	sdk "go.temporal.io/sdk/temporal"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

var record = flag.String("record", "", "folder into which TestRecordHistories writes the histories that the replay test reads")

// TestRecordHistories records one history of each kind of run; `make record` runs it after a change of the workflows.
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
	t.Run("external", func(t *testing.T) {
		ext := newGoProgram(t).checker(t, namespace, "external", nil)
		if err := ext.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		save(t, "CheckRun-external", ext.RunID)
		save(t, "ScheduledCheck-external", workflows.ExternalRunID(check.Ref{Kind: khv1.KHCheck, Namespace: namespace, Name: "external"}))
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
		save(t, "ScheduledCheck-lost-job", workflows.LostJobRunID(check.FromJob(present(t, namespace, "lost-job")).Ref))
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
	return workflows.FirstRunOf(workflows.ScheduledCheckID(c.Namespace, c.Name),
		workflows.Revision{UID: string(c.UID), Generation: c.Generation})
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
	show := exec.Command(filepath.Join(under.bin, "temporal"), "workflow", "show",
		"--address", fmt.Sprintf("127.0.0.1:%d", temporalPort), "--workflow-id", workflowID, "--output", "json")
	history, err := show.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*record, name+".json"), history, 0o644); err != nil {
		t.Fatal(err)
	}
}
