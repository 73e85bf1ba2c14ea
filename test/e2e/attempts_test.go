//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

func closedFirst(records []ledger.Record) bool {
	return len(records) > 0 && records[len(records)-1].Outcome != check.Unfinished
}

// workerCounts waits for a counter of the worker for a check: a run is counted when it closes.
func workerCounts(t *testing.T, counter, namespace, name string) {
	t.Helper()
	eventually(t, 10*time.Second, "the worker counts "+counter+" of "+name, func() (bool, string) {
		_, metrics := get(t, "http://127.0.0.1:"+workerPort+"/metrics")
		return slices.ContainsFunc(strings.Split(metrics, "\n"), func(line string) bool {
			return strings.HasPrefix(line, counter+"{") && strings.Contains(line, fmt.Sprintf("check=%q", namespace+"/"+name))
		}), ""
	})
}

// TestFailureIsConfirmed: with spec.attempts a failure counts when it was confirmed; one that was not makes the run flaky.
func TestFailureIsConfirmed(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	broken := demoCheck(namespace, "broken", env{"REPORT_ERRORS": "broken"})
	broken.Spec.Attempts = 3
	apply(t, broken)

	maps := under.kube.core.CoreV1().ConfigMaps(namespace)
	weather := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "weather"}, Data: map[string]string{"errors": "a hiccup"}}
	if _, err := maps.Create(t.Context(), weather, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	flaky := demoCheck(namespace, "flaky", env{"REPORT_DELAY": "2s"})
	flaky.Spec.Attempts = 3
	container := &flaky.Spec.PodSpec.Containers[0]
	container.Env = append(container.Env, corev1.EnvVar{Name: "REPORT_ERRORS", ValueFrom: &corev1.EnvVarSource{
		ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "weather"}, Key: "errors", Optional: new(true)},
	}})
	apply(t, flaky)
	eventually(t, 30*time.Second, "the first attempt has its errors", func() (bool, string) { // it may end before it is seen to run
		pods := podsOf(t, namespace, "flaky")
		return len(pods) > 0 && pods[0].Status.Phase != corev1.PodPending, fmt.Sprint(len(pods))
	})
	if err := maps.Delete(t.Context(), "weather", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	a := awaitRecords(t, kept, khv1.KHCheck, namespace, "broken", time.Minute, "the first run", closedFirst)
	first := a[len(a)-1]
	if first.Outcome != check.Failed || first.Attempts != 3 || first.Flaky || first.InfraFailures != 0 || !slices.Equal(first.Errors, []string{"broken"}) {
		t.Errorf("record of the broken one is %s", describe(first))
	}
	a = awaitRecords(t, kept, khv1.KHCheck, namespace, "flaky", time.Minute, "the first run", closedFirst)
	first = a[len(a)-1]
	if first.Outcome != check.Succeeded || first.Attempts != 2 || !first.Flaky || !strings.Contains(strings.Join(first.Notes, "\n"), "attempt 1 was repeated: failed: a hiccup") {
		t.Errorf("record of the flaky one is %s", describe(first))
	}
	if state := awaitState(t, namespace, "flaky", 5*time.Second, "an outcome", anyState); !state.OK || len(state.Errors) != 0 {
		t.Errorf("the flaky one is shown with %q, want OK", state.Errors)
	}
	workerCounts(t, "khronicle_flaky_runs_total", namespace, "flaky")
}

// TestNodeDrain drains the node while checks run there. Their pods are evicted, and no check fails for that: when the node
// takes pods again, each run is repeated, and its record says so.
func TestNodeDrain(t *testing.T) {
	kept, namespace := openLedger(t), newNamespace(t)
	const checks = 8
	maps := under.kube.core.CoreV1().ConfigMaps(namespace)
	busy := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "busy"}, Data: map[string]string{"delay": "10m"}}
	if _, err := maps.Create(t.Context(), busy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for n := range checks {
		c := demoCheck(namespace, fmt.Sprintf("drained-%d", n), nil)
		c.Spec.Timeout = "90s"
		container := &c.Spec.PodSpec.Containers[0]
		container.Env = append(container.Env, corev1.EnvVar{Name: "REPORT_DELAY", ValueFrom: &corev1.EnvVarSource{
			ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "busy"}, Key: "delay", Optional: new(true)},
		}})
		apply(t, c)
	}
	name := func(n int) string { return fmt.Sprintf("drained-%d", n) }
	for n := range checks {
		awaitPod(t, namespace, name(n), corev1.PodRunning)
	}
	t.Cleanup(func() {
		if _, err := under.kubebox("kubectl", "uncordon", "kubebox"); err != nil {
			t.Error(err)
		}
	})
	out, err := under.kubebox("kubectl", "drain", "kubebox", "--pod-selector=kuberhealthy-check-name", "--timeout=60s")
	if err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), "busy", metav1.DeleteOptions{}); err != nil { // the next pods report at once
		t.Fatal(err)
	}
	evicted := strings.Count(out, "evicting pod") + strings.Count(out, " evicted")
	if _, err := under.kubebox("kubectl", "uncordon", "kubebox"); err != nil {
		t.Fatal(err)
	}
	infraFailed, attempts := 0, 0
	for n := range checks {
		records := awaitRecords(t, kept, khv1.KHCheck, namespace, name(n), 2*time.Minute, "the first run", closedFirst)
		a := records[len(records)-1]
		if a.Outcome != check.Succeeded || a.Flaky || a.InfraFailures == 0 || a.Attempts != a.InfraFailures+1 {
			t.Errorf("record of %s is %s, want a success after attempts that the platform ended", name(n), describe(a))
		}
		if !strings.Contains(strings.Join(a.Notes, "\n"), "attempt 1 was repeated: infra-failed: Check execution error: pod deleted expectedly; pod EvictionByEvictionAPI: Eviction API: evicting") {
			t.Errorf("notes of %s are %q", name(n), a.Notes)
		}
		infraFailed, attempts = infraFailed+a.InfraFailures, attempts+a.Attempts
		if state := awaitState(t, namespace, name(n), 5*time.Second, "an outcome", anyState); !state.OK {
			t.Errorf("%s is shown as failed: %q", name(n), state.Errors)
		}
	}
	t.Logf("drain: %d lines of kubectl name an eviction; %d runs with %d attempts, %d of them ended by the platform; none failed", evicted, checks, attempts, infraFailed)
	workerCounts(t, "khronicle_infra_failed_attempts_total", namespace, "drained-0")
}
