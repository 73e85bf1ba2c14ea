//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/client"
	corev1 "k8s.io/api/core/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/workflows"
)

const (
	// beatInterval is the interval of the heartbeat.
	beatInterval = 30 * time.Second
	// lostAfter is how long ago a run must have begun whose record is closed for it.
	lostAfter = 2 * time.Minute
)

// metric returns the value of the one series whose name and labels hold these texts; ok is false when there is none.
func metric(t *testing.T, port, name string, labels ...string) (value float64, ok bool) {
	t.Helper()
lines:
	for line := range strings.Lines(metricsOf(t, port)) {
		line = strings.TrimSpace(line)
		space := strings.LastIndexByte(line, ' ') // a label may hold blanks, a value none
		series, after := line[:max(space, 0)], line[space+1:]
		if rest, named := strings.CutPrefix(series, name); !named || rest != "" && rest[0] != '{' {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(series, label) {
				continue lines
			}
		}
		value, err := strconv.ParseFloat(after, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return value, true
	}
	return 0, false
}

// beating counts the heartbeats that arrive outside.
type beating struct {
	*httptest.Server
	beats atomic.Int64
}

// withHeartbeat starts the worker anew, with a service outside that receives each heartbeat.
func withHeartbeat(t *testing.T) *beating {
	t.Helper()
	outside := &beating{}
	outside.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/secret" {
			outside.beats.Add(1)
		}
	}))
	restart(t, "worker")
	before := under.roleEnv
	t.Cleanup(func() {
		under.stop("worker")
		under.roleEnv = before
		outside.Close()
	})
	under.stop("worker")
	under.roleEnv = append(before[:len(before):len(before)], "KHRONICLE_DEADMAN_URL="+outside.URL+"/secret")
	startWorker(t)
	return outside
}

func startWorker(t *testing.T) {
	t.Helper()
	if err := under.start("worker"); err != nil {
		t.Fatal(err)
	}
	if err := under.ready(time.Minute, "worker"); err != nil {
		t.Fatal(err)
	}
}

// await waits for this many more heartbeats, and returns the time of the last one that the worker shows.
func (b *beating) await(t *testing.T, more int64) float64 {
	t.Helper()
	want := b.beats.Load() + more
	eventually(t, time.Duration(more+1)*beatInterval, fmt.Sprintf("%d more beats", more), func() (bool, string) {
		return b.beats.Load() >= want, fmt.Sprintf("%d of %d", b.beats.Load(), want)
	})
	var at float64
	eventually(t, 5*time.Second, "the time of the beat", func() (ok bool, _ string) {
		at, ok = metric(t, workerPort, "khronicle_heartbeat_timestamp_seconds")
		return ok && time.Since(time.Unix(int64(at), 0)) < beatInterval, fmt.Sprint(at)
	})
	return at
}

// TestHeartbeat waits for heartbeats, stops the worker, and starts it again. The metrics show what was not done while the
// worker was down. The record of a run that somebody terminated is closed.
func TestHeartbeat(t *testing.T) {
	outside := withHeartbeat(t)
	kept, namespace := openLedger(t), newNamespace(t)
	const interval = 8 * time.Second // between the runs there is time for an outage
	c := demoCheck(namespace, "regular", nil)
	c.Spec.RunInterval = interval.String()
	apply(t, c)
	applyJob(t, demoJob(namespace, "job", nil))
	apply(t, demoCheck(namespace, "doomed", env{"REPORT_DELAY": "5m"}))
	runUUID := awaitPod(t, namespace, "doomed", corev1.PodRunning).Labels["kuberhealthy-run-id"]
	if err := temporal(t).TerminateWorkflow(t.Context(), runUUID, "", "a fault of the test"); err != nil {
		t.Fatal(err)
	}
	terminated := time.Now()

	first := outside.await(t, 1)
	second := outside.await(t, 1)
	if between := second - first; between < 25 || between > 40 {
		t.Errorf("%g s from beat to beat, want 30", between)
	}
	if sent, ok := metric(t, workerPort, "khronicle_deadman_sent_total", `result="success"`); !ok || sent != float64(outside.beats.Load()) {
		t.Errorf("%g beats are counted, %d have arrived", sent, outside.beats.Load())
	}
	eventually(t, 10*time.Second, "how late the last run began", func() (bool, string) {
		delay, ok := metric(t, reportPort, "khronicle_check_start_delay_seconds", `check="`+namespace+`/regular"`, `workload="KHCheck"`)
		return ok && delay > 0 && delay < interval.Seconds(), fmt.Sprint(delay)
	})

	succeeded := func(records []ledger.Record) bool { return countOf(records, check.Succeeded) >= 1 }
	runs := countOf(awaitRecords(t, kept, khv1.KHCheck, namespace, "regular", 30*time.Second, "any run", succeeded), check.Succeeded)
	ended := awaitRecords(t, kept, khv1.KHCheck, namespace, "regular", 30*time.Second, "a run that has just ended", func(records []ledger.Record) bool {
		return countOf(records, check.Succeeded) > runs
	})
	allSettled(t, ended)
	under.kill("worker")
	beats := outside.beats.Load()
	time.Sleep(beatInterval + 5*time.Second) // longer than from beat to beat: this is what is tested
	if now := outside.beats.Load(); now != beats {
		t.Errorf("%d beats without a worker", now-beats)
	}
	for _, a := range accountsOf(t, kept, namespace, "doomed") {
		if a.Outcome != check.Unfinished && time.Now().Before(a.Deadline.Add(lostAfter)) {
			t.Errorf("the record of the terminated run was closed early: %s", describe(a))
		}
	}

	startWorker(t)
	if third := outside.await(t, 1); third <= second {
		t.Errorf("beats at %f, then %f", second, third)
	}
	eventually(t, 2*time.Minute, "the ticks that were missed", func() (bool, string) {
		missed, _ := metric(t, workerPort, "khronicle_ticks_without_run_total", `check="`+namespace+`/regular"`, `outcome="missed"`)
		return missed >= 2, fmt.Sprint(missed)
	})
	doomed := awaitRecords(t, kept, khv1.KHCheck, namespace, "doomed", lostAfter+3*beatInterval, "closed", func(records []ledger.Record) bool {
		return len(records) == 1 && records[0].Outcome != check.Unfinished
	})[0]
	lost := "Check execution error: " + namespace + "/doomed: the run was lost: Temporal has no record of it any more"
	if diff := cmp.Diff([]string{lost}, doomed.Errors); doomed.Outcome != check.InfraFailed || diff != "" {
		t.Errorf("record is %s, want that of a lost run; errors (-want +got):\n%s", describe(doomed), diff)
	}
	if doomed.WorkflowID != runUUID {
		t.Errorf("record is of another run: %s", describe(doomed))
	}
	if !doomed.Concluded.IsZero() {
		t.Errorf("record has an outcome of its own: %s", describe(doomed))
	}
	if doomed.Deadline.IsZero() || doomed.Recorded.Sub(doomed.Deadline) < lostAfter {
		t.Errorf("record was closed at %s, want %s after the deadline %s or later: %s", doomed.Recorded, lostAfter, doomed.Deadline, describe(doomed))
	}
	if strings.Contains(roleLog(t, "worker"), outside.URL) || strings.Contains(roleLog(t, "worker"), runUUID) {
		t.Error("the worker's log shows a secret")
	}
	everyMetricOfTheRulesIsThere(t)
	t.Logf("the record was closed %s after the run was terminated", doomed.Recorded.Sub(terminated).Round(time.Second))
}

var metricName = regexp.MustCompile(`\b(khronicle|kuberhealthy|temporal)_[a-z_]+`)

// everyMetricOfTheRulesIsThere looks whether the alert rules name metrics that a role shows. All has happened that makes them.
func everyMetricOfTheRulesIsThere(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	failWorkflowTask(t)
	names := slices.Compact(slices.Sorted(slices.Values(metricName.FindAllString(string(text), -1))))
	if len(names) < 10 {
		t.Fatalf("the rules name only %q", names)
	}
	// There is no InfluxDB here; the other two are counted, and looked for, by TestFailureIsConfirmed and TestNodeDrain.
	elsewhere := []string{"khronicle_influxdb_points_total", "khronicle_flaky_runs_total", "khronicle_infra_failed_attempts_total"}
	for _, name := range names {
		if slices.Contains(elsewhere, name) {
			continue
		}
		eventually(t, 10*time.Second, "a role shows "+name, func() (bool, string) {
			for _, port := range everyRole {
				if _, ok := metric(t, port, name); ok {
					return true, ""
				}
			}
			return false, "none does"
		})
	}
}

// failWorkflowTask gives the worker a workflow of a version that it does not know.
func failWorkflowTask(t *testing.T) {
	t.Helper()
	run, err := temporal(t).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: workflows.TaskQueue}, "FromTheFuture")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the worker fails", func() (bool, string) {
		failed, ok := metric(t, workerPort, "temporal_workflow_task_execution_failed_total", `workflow_type="FromTheFuture"`)
		return ok && failed > 0, fmt.Sprint(failed)
	})
	if err := temporal(t).TerminateWorkflow(t.Context(), run.GetID(), "", "it has failed"); err != nil {
		t.Fatal(err)
	}
}

func accountsOf(t *testing.T, kept *ledger.Ledger, namespace, name string) []ledger.Record {
	t.Helper()
	return awaitRecords(t, kept, khv1.KHCheck, namespace, name, time.Second, "any", func(records []ledger.Record) bool { return len(records) > 0 })
}
