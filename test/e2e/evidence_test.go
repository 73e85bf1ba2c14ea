//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/workflows"
)

const secretValue = "a-value-that-nobody-may-read-5b1f"

// evidenceOf returns what is kept of an account, by kind and name.
func evidenceOf(t *testing.T, kept *ledger.Ledger, a ledger.Account) map[string]string {
	t.Helper()
	pieces, err := kept.Evidence(t.Context(), a.Key)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range pieces {
		found[e.Kind+" "+e.Name] = string(e.Content)
		t.Logf("%s %s: %d of %d bytes", e.Kind, e.Name, len(e.Content), e.Size)
		if strings.Contains(string(e.Content), a.WorkflowID) || strings.Contains(string(e.Content), secretValue) {
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

// closedAccount waits for the one account of a check that ends with this outcome.
func closedAccount(t *testing.T, kept *ledger.Ledger, namespace, name string, outcome ledger.Outcome) ledger.Account {
	t.Helper()
	return awaitAccounts(t, kept, khv1.KHCheck, namespace, name, time.Minute, "one, "+string(outcome), func(accounts []ledger.Account) bool {
		return len(accounts) == 1 && accounts[0].Outcome == outcome
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

// TestEvidenceOfACrash: the log, the exit code, the events and the spec are there when the pod is not, which is deleted at
// once because none is kept.
func TestEvidenceOfACrash(t *testing.T) {
	t.Cleanup(func() { configure(t, defaultConfig) })
	configure(t, defaultConfig+"maxErrorPodCount: 0\n")
	kept, namespace := openLedger(t), newNamespace(t)
	const lines = 20000
	apply(t, demoCheck(namespace, "crash", env{"SKIP_REPORT": "true", "EXIT_CODE": "3", "LOG_LINES": fmt.Sprint(lines), "SECRET": secretValue}))
	a := closedAccount(t, kept, namespace, "crash", ledger.Failed)
	if pods := podsOf(t, namespace, "crash"); len(pods) > 0 && pods[0].DeletionTimestamp == nil {
		t.Errorf("%d pods are left, want none", len(pods))
	}
	found := evidenceOf(t, kept, a)
	// The demo check writes lines of its own at the start, and at the end, to standard error.
	log := found["log 1/check"]
	if len(log) != ledger.MaxEvidence || !strings.HasSuffix(numbered(1, lines), log[:strings.LastIndex(log, "line 20000 of 20000\n")+len("line 20000 of 20000\n")]) ||
		!strings.Contains(log, `"exit_code":3`) {
		t.Errorf("the log has %d bytes: %.100q … %.300q", len(log), log, log[max(0, len(log)-300):])
	}
	has(t, found, "status 1", `"exitCode": 3`, `"reason": "Error"`, `"phase": "Failed"`)
	has(t, found, "events 1", " Normal Scheduled ", " Normal Started ")
	has(t, found, "spec 1", `"name": "SECRET"`, fmt.Sprintf(`"value": "(%d bytes)"`, len(secretValue)), `"name": "KH_RUN_UUID"`,
		`"fieldPath": "metadata.namespace"`, `"image": "`+image+`"`)
	if len(found) != 4 {
		t.Errorf("%d pieces, want 4", len(found))
	}
	took := keepingTook(t, a.WorkflowID)
	t.Logf("keeping it took %s", took)
	if took > 5*time.Second {
		t.Error("the run waited too long for it")
	}
	show := exec.Command(filepath.Join(under.bin, "khronicle"), "evidence", namespace+"/crash", "--ledger", under.ledgerDSN())
	out, err := show.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "=== log 1/check (the end: 65536 of at least ") || !strings.Contains(string(out), "line 20000 of 20000\n") {
		t.Errorf("khronicle evidence: %v\n%.2000s", err, out)
	}
	for _, args := range [][]string{{"--run", a.WorkflowID}, {"--at", a.Nominal.Format(time.RFC3339)}} {
		out, err := exec.Command(show.Path, append(append(show.Args[1:], args...), "-o", "json")...).Output()
		var shown struct {
			Evidence []struct{ Kind, Content string }
		}
		if err != nil || json.Unmarshal(out, &shown) != nil || len(shown.Evidence) != 4 {
			t.Errorf("khronicle evidence %v: %v\n%.300s", args, err, out)
		}
	}
}

func TestEvidenceOfAReport(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	apply(t, demoCheck(namespace, "reports", env{"REPORT_ERRORS": "first|second"}))
	found := evidenceOf(t, kept, closedAccount(t, kept, namespace, "reports", ledger.Failed))
	has(t, found, "report 1", `{"Errors":["first","second"],"OK":false}`)
	has(t, found, "log 1/check", `"exit_code":0`)
}

// TestEvidenceOfSuccess: there is none.
func TestEvidenceOfSuccess(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	apply(t, demoCheck(namespace, "fine", nil))
	if found := evidenceOf(t, kept, closedAccount(t, kept, namespace, "fine", ledger.Succeeded)); len(found) != 0 {
		t.Errorf("evidence of a success: %v", found)
	}
}

// TestEvidenceOfAHungCheck: its pod is deleted at the deadline, but its log was read before.
func TestEvidenceOfAHungCheck(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	c := demoCheck(namespace, "hung", env{"REPORT_DELAY": "5m", "LOG_LINES": "10"})
	c.Spec.Timeout = "6s"
	apply(t, c)
	found := evidenceOf(t, kept, closedAccount(t, kept, namespace, "hung", ledger.TimedOut))
	has(t, found, "log 1/check", numbered(1, 10))
	has(t, found, "status 1", `"phase": "Running"`)
}

// TestEvidenceOfAMissingImage: there is no log, and that is said.
func TestEvidenceOfAMissingImage(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	c := demoCheck(namespace, "missing", nil)
	c.Spec.PodSpec.Containers[0].Image = "nowhere.invalid/missing:1"
	apply(t, c)
	found := evidenceOf(t, kept, closedAccount(t, kept, namespace, "missing", ledger.InfraFailed))
	has(t, found, "events 1", " Warning Failed ")
	has(t, found, "missing 1", "log of container check: it was not seen to start\n")
}

// TestEvidenceOfAPodThatIsTakenAway: its log is read to the last words while it goes.
func TestEvidenceOfAPodThatIsTakenAway(t *testing.T) {
	for name, away := range map[string]func(*testing.T, corev1.Pod){
		"deleted": func(t *testing.T, p corev1.Pod) { deletePod(t, p) },
		"evicted": func(t *testing.T, p corev1.Pod) { evict(t, p) },
		"at-once": func(t *testing.T, p corev1.Pod) {
			now := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
			if err := under.kube.core.CoreV1().Pods(p.Namespace).Delete(t.Context(), p.Name, now); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept, namespace := openLedger(t), newNamespace(t)
			apply(t, demoCheck(namespace, name, env{"REPORT_DELAY": "8s", "LOG_LINES": "10", "REPORT_ERRORS": "broken"}))
			pod := awaitPod(t, namespace, name, corev1.PodRunning)
			time.Sleep(time.Second)
			away(t, pod)
			found := evidenceOf(t, kept, closedAccount(t, kept, namespace, name, ledger.Failed))
			has(t, found, "spec 1", pod.Name)
			has(t, found, "events 1", " Normal Killing ")
			if name == "at-once" {
				has(t, found, "missing 1", "log of container check: ")
				return
			}
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
	eventually(t, time.Minute, "evidence and account wait", func() (bool, string) {
		waiting := workflowIDs(t, fmt.Sprintf("KhNamespace = '%s' AND WorkflowType = 'KeepAccount' AND ExecutionStatus = 'Running'", namespace))
		return len(waiting) == 2, fmt.Sprint(waiting)
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
	kept := openLedger(t)
	a := closedAccount(t, kept, namespace, "waits", ledger.Failed)
	eventually(t, time.Minute, "the evidence is there", func() (bool, string) {
		pieces, err := kept.Evidence(t.Context(), a.Key)
		return err == nil && len(pieces) == 4, fmt.Sprintf("%d pieces, %v", len(pieces), err)
	})
	if log := evidenceOf(t, kept, a)["log 1/check"]; len(log) != ledger.MaxEvidence {
		t.Errorf("the log has %d bytes", len(log))
	}
}

// TestLateReportIsEvidence: of what comes when a run is over, the first is kept and none is taken.
func TestLateReportIsEvidence(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	apply(t, demoCheck(namespace, "late", env{"SKIP_REPORT": "true", "EXIT_CODE": "1"}))
	a := closedAccount(t, kept, namespace, "late", ledger.Failed)
	settled(t, a.WorkflowID)
	unknown := "11111111-2222-4333-8444-555555555555"
	for _, uuid := range []string{unknown, a.WorkflowID} {
		began := time.Now()
		if status := post(t, uuid, `{"OK":false,"Errors":["too late"]}`); status != 400 {
			t.Errorf("late report is answered %d, want 400", status)
		}
		t.Logf("400 after %s", time.Since(began))
	}
	eventually(t, 20*time.Second, "the report is kept", func() (bool, string) {
		pieces, err := kept.Evidence(t.Context(), a.Key)
		for _, e := range pieces {
			if e.Kind == "late-report" {
				return string(e.Content) == `{"Errors":["too late"],"OK":false}`, string(e.Content)
			}
		}
		return false, fmt.Sprint(len(pieces), err)
	})
	for range 20 {
		post(t, a.WorkflowID, `{"OK":true,"Errors":[]}`)
	}
	time.Sleep(2 * time.Second) // nothing more is to come of them
	late := 0
	for piece := range evidenceOf(t, kept, a) {
		if strings.HasPrefix(piece, "late-report ") {
			late++
		}
	}
	if late != 1 {
		t.Errorf("%d late reports are kept, want the first", late)
	}
	if got := closedAccount(t, kept, namespace, "late", ledger.Failed); got.Revision != a.Revision {
		t.Errorf("the account is now %s", describe(got))
	}
	_, err := temporal(t).DescribeWorkflowExecution(t.Context(), workflows.LateReportID(unknown), "")
	if _, none := err.(*serviceerror.NotFound); !none { //nolint:errorlint // it is not wrapped
		t.Errorf("an unknown run UUID has a workflow, error %v", err)
	}
}
