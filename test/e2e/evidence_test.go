//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	enumspb "go.temporal.io/api/enums/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

const secretValue = "a-value-that-nobody-may-read-5b1f"

// evidenceOf returns what is kept of an record, by kind and name.
func evidenceOf(t *testing.T, kept *ledger.Ledger, a ledger.Record) map[string]string {
	t.Helper()
	pieces, err := kept.Evidence(t.Context(), a.Key)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range pieces {
		found[e.Kind+" "+e.Name] = e.Content
		t.Logf("%s %s: %d of %d bytes", e.Kind, e.Name, len(e.Content), e.Size)
		if strings.Contains(e.Content, a.WorkflowID) || strings.Contains(e.Content, secretValue) {
			t.Errorf("%s %s has the run UUID or the value of a variable:\n%s", e.Kind, e.Name, e.Content)
		}
	}
	return found
}

// has fails unless a piece is there with all of these parts.
func has(t *testing.T, evidence map[string]string, piece string, parts ...string) {
	t.Helper()
	content, ok := evidence[piece]
	for _, part := range parts {
		if !strings.Contains(content, part) {
			t.Errorf("%s (there: %t) lacks %q:\n%.3000s", piece, ok, part, content)
		}
	}
}

// closedRecord waits for the one record of a check that ends with this outcome.
func closedRecord(t *testing.T, kept *ledger.Ledger, namespace, name string, outcome check.Outcome) ledger.Record {
	t.Helper()
	return awaitRecords(t, kept, khv1.KHCheck, namespace, name, time.Minute, "one, "+string(outcome), func(records []ledger.Record) bool {
		return len(records) == 1 && records[0].Outcome == outcome
	})[0]
}

// keepingTook is how long a run waited for its evidence to be kept.
func keepingTook(t *testing.T, runUUID string) time.Duration {
	t.Helper()
	var scheduled time.Time
	var id int64
	events := temporal(t).GetWorkflowHistory(t.Context(), runUUID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == "KeepEvidence" {
			scheduled, id = e.GetEventTime().AsTime(), e.GetEventId()
		}
		if done := e.GetActivityTaskCompletedEventAttributes(); done != nil && done.GetScheduledEventId() == id && id != 0 {
			return e.GetEventTime().AsTime().Sub(scheduled)
		}
	}
	t.Fatal("no evidence was kept")
	return 0
}

// numbered is the log of a demo check that has written so many lines, from one of them on.
func numbered(from, lines int) string {
	var text strings.Builder
	for i := from; i <= lines; i++ {
		fmt.Fprintf(&text, "line %d of %d\n", i, lines)
	}
	return text.String()
}

// TestEvidenceOfACrash: the log, the exit code, the events and the spec can be read after the pod was deleted. The pod is
// deleted at once because the test retains none. The log is complete to its last line, or the evidence says that it may be
// cut. The container runtime of the node can drop output that it has not read when a container ends.
func TestEvidenceOfACrash(t *testing.T) {
	t.Cleanup(func() { configure(t, defaultConfig) })
	configure(t, defaultConfig+"maxErrorPodCount: 0\n")
	kept, namespace := openLedger(t), newNamespace(t)
	const lines = 20000
	apply(t, demoCheck(namespace, "crash", env{"SKIP_REPORT": "true", "EXIT_CODE": "3", "LOG_LINES": fmt.Sprint(lines), "SECRET": secretValue}))
	a := closedRecord(t, kept, namespace, "crash", check.Failed)
	eventually(t, 2*time.Minute, "the reaper has deleted the pod", func() (bool, string) {
		pods := podsOf(t, namespace, "crash")
		return len(pods) == 0, fmt.Sprintf("%d pods", len(pods))
	})
	found := evidenceOf(t, kept, a)
	warning, warned := found["missing 1"]
	if warned && !strings.Contains(warning, "last lines may be missing: ") {
		t.Errorf("missing: %s", warning)
	}
	// The demo check writes lines of its own too, to standard error, which may come between the others.
	numbers := regexp.MustCompile(`(?m)^line \d+ of 20000\n`).FindAllString(found["log 1/check"], -1)
	text := strings.Join(numbers, "")
	whole := numbered(1, lines)
	if at := strings.Index(whole, text); len(found["log 1/check"]) < ledger.MaxEvidence-3 || len(numbers) < 3000 || at < 0 || !warned && at+len(text) != len(whole) {
		t.Errorf("%d lines, warning %q, the log is %.100q … %.300q", len(numbers), warning, text, text[max(0, len(text)-300):])
	}
	has(t, found, "status 1", `"exitCode": 3`, `"reason": "Error"`, `"phase": "Failed"`)
	has(t, found, "events 1", " Normal Scheduled ", " Normal Started ")
	has(t, found, "spec 1", `"name": "SECRET"`, fmt.Sprintf(`"value": "(%d bytes)"`, len(secretValue)), `"name": "KH_RUN_UUID"`,
		`"fieldPath": "metadata.namespace"`, `"image": "`+image+`"`)
	if want := map[bool]int{false: 4, true: 5}[warned]; len(found) != want {
		t.Errorf("%d pieces, want %d", len(found), want)
	}
	took := keepingTook(t, a.WorkflowID)
	t.Logf("keeping it took %s", took)
	if took > 15*time.Second {
		t.Error("the run waited too long for it")
	}
	show := exec.Command(filepath.Join(under.bin, "khronicle"), "evidence", namespace+"/crash", "--ledger", under.ledgerDSN())
	out, err := show.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "=== log 1/check (the end: ") || !strings.Contains(string(out), numbers[len(numbers)-1]) {
		t.Errorf("khronicle evidence: %v\n%.2000s", err, out)
	}
	for _, args := range [][]string{{"--run", a.WorkflowID}, {"--at", a.Tick.Format(time.RFC3339)}} {
		out, err := exec.Command(show.Path, append(append(show.Args[1:], args...), "-o", "json")...).Output()
		var shown struct {
			Pieces []struct{ Kind, Content string }
		}
		if err != nil || json.Unmarshal(out, &shown) != nil || len(shown.Pieces) != len(found) {
			t.Errorf("khronicle evidence %v: %v\n%.300s", args, err, out)
		}
	}
}

func TestEvidenceOfAReport(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	apply(t, demoCheck(namespace, "reports", env{"REPORT_ERRORS": "first|second"}))
	found := evidenceOf(t, kept, closedRecord(t, kept, namespace, "reports", check.Failed))
	has(t, found, "report 1", `{"Errors":["first","second"],"OK":false}`)
	has(t, found, "log 1/check", `"exit_code":0`)
}

// TestEvidenceOfSuccess: there is none.
func TestEvidenceOfSuccess(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	apply(t, demoCheck(namespace, "fine", nil))
	if found := evidenceOf(t, kept, closedRecord(t, kept, namespace, "fine", check.Succeeded)); len(found) != 0 {
		t.Errorf("evidence of a success: %v", found)
	}
}

// TestEvidenceOfAHungCheck: its pod is deleted at the deadline, but its log was read before.
func TestEvidenceOfAHungCheck(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	c := demoCheck(namespace, "hung", env{"REPORT_DELAY": "5m", "LOG_LINES": "10"})
	c.Spec.Timeout = "10s"
	apply(t, c)
	found := evidenceOf(t, kept, closedRecord(t, kept, namespace, "hung", check.TimedOut))
	has(t, found, "log 1/check", numbered(1, 10))
	has(t, found, "status 1", `"phase": "Running"`)
}

// TestEvidenceOfAMissingImage: there is no log, and that is said.
func TestEvidenceOfAMissingImage(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	c := demoCheck(namespace, "missing", nil)
	c.Spec.PodSpec.Containers[0].Image = "nowhere.invalid/missing:1"
	c.Spec.Timeout = "15s"
	apply(t, c)
	found := evidenceOf(t, kept, closedRecord(t, kept, namespace, "missing", check.InfraFailed))
	has(t, found, "events 1", " Warning Failed ")
	has(t, found, "missing 1", "log of container check: it was not seen to start\n")
}

// TestEvidenceOfAPodThatIsTakenAway: its log is read to the last words while it goes.
func TestEvidenceOfAPodThatIsTakenAway(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		away   func(*testing.T, corev1.Pod)
		atOnce bool // nobody can read its log then
	}{
		"deleted": {away: func(t *testing.T, p corev1.Pod) { deletePod(t, p) }},
		"evicted": {away: func(t *testing.T, p corev1.Pod) { evict(t, p) }},
		"at-once": {atOnce: true, away: func(t *testing.T, p corev1.Pod) {
			now := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
			if err := under.kube.core.CoreV1().Pods(p.Namespace).Delete(t.Context(), p.Name, now); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept, namespace := openLedger(t), newNamespace(t)
			apply(t, demoCheck(namespace, name, env{"REPORT_DELAY": "12s", "LOG_LINES": "10", "REPORT_ERRORS": "broken"}))
			pod := awaitPod(t, namespace, name, corev1.PodRunning)
			time.Sleep(time.Second)
			tt.away(t, pod)
			found := evidenceOf(t, kept, closedRecord(t, kept, namespace, name, check.Failed))
			has(t, found, "spec 1", pod.Name)
			if tt.atOnce {
				has(t, found, "events 1", " Normal Started ")
				has(t, found, "missing 1", "log of container check: ")
				return
			}
			has(t, found, "events 1", " Normal Killing ")
			has(t, found, "log 1/check", numbered(1, 10), "interrupted before the report")
			has(t, found, "status 1", `"exitCode": 1`)
		})
	}
}

// TestEvidenceWaitsForTheLedger: while its database cannot be opened, evidence waits in Temporal.
func TestEvidenceWaitsForTheLedger(t *testing.T) {
	restart(t, "worker")
	namespace := newNamespace(t)
	under.stop("worker")
	path := strings.TrimPrefix(under.ledgerDSN(), "sqlite:")
	aside := path + "-aside"
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil { // which no database can be
		t.Fatal(err)
	}
	if err := under.start("worker"); err != nil {
		t.Fatal(err)
	}
	apply(t, demoCheck(namespace, "waits", env{"SKIP_REPORT": "true", "EXIT_CODE": "3", "LOG_LINES": "20000"}))
	awaitState(t, namespace, "waits", time.Minute, "an outcome", anyState)
	eventually(t, time.Minute, "the record waits in the result of the run", func() (bool, string) {
		waiting := workflowIDs(t, fmt.Sprintf("KhNamespace = '%s' AND KhRecord = 'waiting' AND ExecutionStatus = 'Completed'", namespace))
		return len(waiting) == 1, fmt.Sprint(waiting)
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
	kept := openLedger(t)
	a := closedRecord(t, kept, namespace, "waits", check.Failed)
	eventually(t, time.Minute, "the evidence is there", func() (bool, string) {
		pieces, err := kept.Evidence(t.Context(), a.Key)
		return err == nil && len(pieces) >= 4, fmt.Sprintf("%d pieces, %v", len(pieces), err)
	})
	if log := evidenceOf(t, kept, a)["log 1/check"]; len(log) < ledger.MaxEvidence-3 {
		t.Errorf("the log has %d bytes", len(log))
	}
}

// TestLateReportIsEvidence: of what comes when a run is over, the first is kept and none is taken.
func TestLateReportIsEvidence(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	apply(t, demoCheck(namespace, "late", env{"SKIP_REPORT": "true", "EXIT_CODE": "1"}))
	a := closedRecord(t, kept, namespace, "late", check.Failed)
	settled(t, a.WorkflowID)
	unknown := "11111111-2222-4333-8444-555555555555"
	for _, uuid := range []string{unknown, a.WorkflowID} {
		began := time.Now()
		if status := post(t, uuid, `{"OK":false,"Errors":["too late"]}`); status != 400 {
			t.Errorf("late report is answered %d, want 400", status)
		}
		t.Logf("400 after %s", time.Since(began))
	}
	eventually(t, time.Minute, "the report is kept", func() (bool, string) {
		pieces, err := kept.Evidence(t.Context(), a.Key)
		for _, e := range pieces {
			if e.Kind == "late-report" {
				return strings.HasSuffix(e.Content, ` {"Errors":["too late"],"OK":false}`), e.Content
			}
		}
		return false, fmt.Sprint(len(pieces), err)
	})
	for range 20 {
		post(t, a.WorkflowID, `{"OK":true,"Errors":[]}`)
	}
	late := 0
	for piece := range evidenceOf(t, kept, a) {
		if strings.HasPrefix(piece, "late-report ") {
			late++
		}
	}
	if late != 1 {
		t.Errorf("%d late reports are kept, want the first", late)
	}
	if got := closedRecord(t, kept, namespace, "late", check.Failed); got.Revision != a.Revision {
		t.Errorf("the record is now %s", describe(got))
	}
}
