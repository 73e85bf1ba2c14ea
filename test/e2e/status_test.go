//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/khcheckcrd"
	"github.com/khronicle/khronicle/internal/protocol"
)

// awaitCheck waits for a check that satisfies the condition.
func awaitCheck(t *testing.T, namespace, name string, within time.Duration, what string, ok func(*khv1.KuberhealthyCheck) bool) *khv1.KuberhealthyCheck {
	t.Helper()
	var found *khv1.KuberhealthyCheck
	eventually(t, within, "khcheck "+namespace+"/"+name+": "+what, func() (bool, string) {
		var err error
		if found, err = under.kube.checks(namespace).Get(t.Context(), name, getOptions); err != nil {
			return false, err.Error()
		}
		return ok(found), fmt.Sprintf("generation %d, %+v", found.Generation, found.Status)
	})
	return found
}

// waitFor waits as `kubectl wait --for=condition=TYPE=STATUS` does: a condition of an older generation does not count.
func waitFor(t *testing.T, namespace, name string, within time.Duration, condition string, status metav1.ConditionStatus) *khv1.KuberhealthyCheck {
	t.Helper()
	return awaitCheck(t, namespace, name, within, condition+"="+string(status), func(c *khv1.KuberhealthyCheck) bool {
		found := meta.FindStatusCondition(c.Status.Conditions, condition)
		return found != nil && found.Status == status && found.ObservedGeneration >= c.Generation
	})
}

// reasonOf returns the reason of a condition.
func reasonOf(c *khv1.KuberhealthyCheck, condition string) string {
	if found := meta.FindStatusCondition(c.Status.Conditions, condition); found != nil {
		return found.Reason
	}
	return ""
}

// statusWrites counts the requests for the status of the checks of a namespace, in the API server's audit log.
func statusWrites(t *testing.T, namespace string, from, until time.Time) (count int) {
	t.Helper()
	file, err := os.Open(filepath.Join(filepath.Dir(filepath.Dir(under.kubeconfig)), "log", "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			UserAgent, Stage         string
			RequestReceivedTimestamp time.Time
			ObjectRef                struct{ Resource, Subresource, Namespace string }
		}
		if json.Unmarshal(lines.Bytes(), &event) != nil || !strings.HasPrefix(event.UserAgent, "khronicle/") || event.Stage == "ResponseStarted" {
			continue
		}
		at, object := event.RequestReceivedTimestamp, event.ObjectRef
		if object.Resource == khv1.CheckResource && object.Subresource == "status" && object.Namespace == namespace && at.After(from) && at.Before(until) {
			count++
		}
	}
	return count
}

// moodyCheck is a check that reports the errors of a ConfigMap, so that its outcome changes without an edit.
func moodyCheck(t *testing.T, namespace, name, interval string) (setErrors func(text string)) {
	t.Helper()
	mood := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"errors": ""}}
	if _, err := under.kube.core.CoreV1().ConfigMaps(namespace).Create(t.Context(), mood, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c := demoCheck(namespace, name, nil)
	c.Spec.RunInterval = interval
	c.Spec.PodSpec.Containers[0].Env = []corev1.EnvVar{{Name: "REPORT_ERRORS", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: "errors",
	}}}}
	apply(t, c)
	return func(text string) {
		t.Helper()
		mood.Data["errors"] = text
		if _, err := under.kube.core.CoreV1().ConfigMaps(namespace).Update(t.Context(), mood, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// eventsOf returns the reasons of the events about a check, sorted.
func eventsOf(t *testing.T, namespace, name string) (reasons []string) {
	t.Helper()
	list, err := under.kube.core.EventsV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	of := slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool { return e.Regarding.Kind != khv1.CheckKind || e.Regarding.Name != name })
	for _, e := range of {
		reasons = append(reasons, e.Reason)
	}
	slices.Sort(reasons)
	return reasons
}

func awaitEvents(t *testing.T, namespace, name string, want ...string) {
	t.Helper()
	eventually(t, 10*time.Second, fmt.Sprintf("events %v of %s", want, name), func() (bool, string) {
		got := eventsOf(t, namespace, name)
		return cmp.Equal(want, got), fmt.Sprint(got)
	})
}

// TestStatusIsWrittenOnChange: a change of the outcome costs one request, whoever is to blame, and a steady state none.
func TestStatusIsWrittenOnChange(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	setErrors := moodyCheck(t, namespace, "moody", "3s")
	waitFor(t, namespace, "moody", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionTrue)
	quiet := func(what string) {
		t.Helper()
		from, before := time.Now(), completedRuns(t, namespace)
		eventually(t, 30*time.Second, "four more runs", func() (bool, string) {
			n := completedRuns(t, namespace) - before
			return n >= 4, fmt.Sprint(n)
		})
		if n := statusWrites(t, namespace, from, time.Now()); n != 0 {
			t.Errorf("%s: %d writes of the status, want none", what, n)
		}
	}
	change := func(errors string, want metav1.ConditionStatus) {
		t.Helper()
		from := time.Now()
		setErrors(errors)
		waitFor(t, namespace, "moody", 20*time.Second, khv1.ConditionHealthy, want)
		if n := statusWrites(t, namespace, from, time.Now()); n != 1 {
			t.Errorf("Healthy=%s: %d writes of the status, want 1", want, n)
		}
	}
	quiet("it succeeds")
	change("out of stock", metav1.ConditionFalse)
	quiet("it fails")
	awaitEvents(t, namespace, "moody", check.EventFailing)
	change("", metav1.ConditionTrue)
	awaitEvents(t, namespace, "moody", check.EventFailing, check.EventRecovered)
}

// TestKubectlWaitsForTheNewSpec: a condition of the old spec does not count after an apply.
func TestKubectlWaitsForTheNewSpec(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "edited", nil))
	c := waitFor(t, namespace, "edited", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionTrue)
	if !meta.IsStatusConditionTrue(c.Status.Conditions, khv1.ConditionReady) || c.Status.ObservedGeneration != c.Generation || c.Status.NextRunTime == nil {
		t.Errorf("status %+v", c.Status)
	}
	edit(t, namespace, "edited", func(c *khv1.KuberhealthyCheck) { c.Spec.PodSpec = demoPod(env{"REPORT_ERRORS": "out of stock"}) })
	c = waitFor(t, namespace, "edited", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionFalse)
	if got := meta.FindStatusCondition(c.Status.Conditions, khv1.ConditionHealthy); got.Message != "out of stock" || !meta.IsStatusConditionTrue(c.Status.Conditions, khv1.ConditionReady) {
		t.Errorf("status %+v, want a check that is ready and fails", c.Status)
	}
	edit(t, namespace, "edited", func(c *khv1.KuberhealthyCheck) { c.Spec.Timeout = "soon" })
	c = waitFor(t, namespace, "edited", 30*time.Second, khv1.ConditionStalled, metav1.ConditionTrue)
	if reason := reasonOf(c, khv1.ConditionReady); reason != check.ReasonInvalid {
		t.Errorf("Ready is %s", reason)
	}
	awaitEvents(t, namespace, "edited", check.EventFailing, check.EventInvalid)
}

// TestPausedCheckInItsStatus: who paused it and why is in the message.
func TestPausedCheckInItsStatus(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "paused", nil))
	waitFor(t, namespace, "paused", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionTrue)
	edit(t, namespace, "paused", func(c *khv1.KuberhealthyCheck) {
		c.Spec.Suspend = true
		c.Annotations = map[string]string{protocol.AnnotationPausedBy: "anna", protocol.AnnotationPauseReason: "the shop moves"}
	})
	c := waitFor(t, namespace, "paused", 20*time.Second, khv1.ConditionHealthy, metav1.ConditionUnknown)
	if got := meta.FindStatusCondition(c.Status.Conditions, khv1.ConditionHealthy); got.Reason != check.ReasonPaused || got.Message != "the check is paused by anna: the shop moves" {
		t.Errorf("condition %+v", got)
	}
	waitFor(t, namespace, "paused", 20*time.Second, khv1.ConditionReady, metav1.ConditionTrue)
	edit(t, namespace, "paused", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = false })
	waitFor(t, namespace, "paused", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionTrue)
}

// TestStatusOfACheckThatStops becomes unknown within a minute, without a starter's schedule and with an event.
func TestStatusOfACheckThatStops(t *testing.T) {
	restart(t, "worker")
	namespace := newNamespace(t)
	c := demoCheck(namespace, "stopped", nil)
	c.Spec.RunInterval, c.Spec.Timeout = "5s", "10s"
	apply(t, c)
	waitFor(t, namespace, "stopped", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionTrue)
	under.stop("worker")
	overdue := awaitCheck(t, namespace, "stopped", 150*time.Second, "it is overdue", func(c *khv1.KuberhealthyCheck) bool {
		return reasonOf(c, khv1.ConditionHealthy) == check.ReasonOverdue
	})
	if !meta.IsStatusConditionTrue(overdue.Status.Conditions, khv1.ConditionReady) {
		t.Errorf("status %+v", overdue.Status)
	}
	awaitEvents(t, namespace, "stopped", check.EventUnknown)
	if err := under.start("worker"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, namespace, "stopped", time.Minute, khv1.ConditionHealthy, metav1.ConditionTrue)
	awaitEvents(t, namespace, "stopped", check.EventRecovered, check.EventUnknown)
}

// TestColumnsOfChecks: what `kubectl get khc` prints is made by the API server.
func TestColumnsOfChecks(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "printed", nil)
	c.Spec.Suspend = true
	apply(t, c)
	waitFor(t, namespace, "printed", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionUnknown)
	edit(t, namespace, "printed", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = false })
	waitFor(t, namespace, "printed", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionTrue)
	content, err := under.kube.group.Get().Namespace(namespace).Resource(khv1.CheckResource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(content, &table); err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, column := range table.ColumnDefinitions {
		if column.Priority == 0 {
			columns = append(columns, column.Name)
		}
	}
	if diff := cmp.Diff([]string{"Name", "Healthy", "Last Run", "Schedule", "Suspended", "Age"}, columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if len(table.Rows) != 1 {
		t.Fatalf("%d rows", len(table.Rows))
	}
	row := table.Rows[0].Cells
	if row[0] != "printed" || row[1] != "True" || row[2] == nil || row[3] != "every 1h" || row[4] == true {
		t.Errorf("row %v", row)
	}
}

// TestStatusInAManifest: a manifest of v2 that carries a status by accident is applied, and the status is ignored.
func TestStatusInAManifest(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	manifest, err := json.Marshal(demoCheck(namespace, "accident", nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, status := range map[string]string{"empty": `{}`, "foreign": `{"phase":"Ready","conditions":[1,2]}`, "text": `"ok"`} {
		body := strings.Replace(string(manifest), `"accident"`, `"`+name+`"`, 1)
		body = strings.TrimSuffix(body, "}") + `,"apiVersion":"comcast.github.io/v1","kind":"KuberhealthyCheck","status":` + status + "}"
		result := under.kube.group.Post().Namespace(namespace).Resource(khv1.CheckResource).
			Param("fieldValidation", "Strict").Body([]byte(body)).SetHeader("Content-Type", "application/json").Do(t.Context())
		var code int
		if result.StatusCode(&code); code != http.StatusCreated {
			t.Errorf("%s: answered %d: %v", name, code, result.Error())
			continue
		}
		waitFor(t, namespace, name, 30*time.Second, khv1.ConditionHealthy, metav1.ConditionTrue)
	}
}

// TestUpdateByAClientOfV2: it updates the whole object and does not know the status.
func TestUpdateByAClientOfV2(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "v2", nil))
	waitFor(t, namespace, "v2", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionTrue)
	client, err := khcheckcrd.Client(khv1.Group, khv1.Version, under.kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	present, err := client.Get(getOptions, khv1.CheckResource, namespace, "v2")
	if err != nil {
		t.Fatal(err)
	}
	present.Status, present.Labels = khv1.CheckStatus{}, map[string]string{"team": "shop"}
	updated, err := client.Update(present, khv1.CheckResource, namespace, "v2")
	if err != nil {
		t.Fatal(err)
	}
	if updated.Labels["team"] != "shop" || reasonOf(updated, khv1.ConditionHealthy) != check.ReasonSucceeded {
		t.Errorf("labels %v, status %+v", updated.Labels, updated.Status)
	}
}

// ask sets the annotation that asks for a run, as kubectl annotate does.
func ask(t *testing.T, namespace, name, value string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, protocol.AnnotationRequestedAt, value)
	if _, err := under.kube.checks(namespace).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitRequest waits until the request of a value is in a phase.
func awaitRequest(t *testing.T, namespace, name, value string, phase khv1.RunRequestPhase) *khv1.KuberhealthyCheck {
	t.Helper()
	return awaitCheck(t, namespace, name, time.Minute, "request "+value+" is "+string(phase), func(c *khv1.KuberhealthyCheck) bool {
		last := c.Status.LastRequest
		return last != nil && last.Value == value && last.Phase == phase
	})
}

// manualRuns compares the number of records of runs of a check that somebody asked for.
func manualRuns(t *testing.T, namespace, name string, want int) {
	t.Helper()
	found := accountsOf(t, openLedger(t), namespace, name)
	manual := 0
	for _, r := range found {
		if r.Trigger == check.TriggerManual {
			manual++
		}
	}
	if manual != want {
		t.Errorf("%d runs of trigger manual, want %d: %s", manual, want, describe(found...))
	}
}

// TestRunOnRequest: a value starts one run of trigger manual. It does not matter that it is set again, that the starter is
// killed, or that the check is edited meanwhile.
func TestRunOnRequest(t *testing.T) {
	restart(t, "starter")
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "asked", env{"REPORT_DELAY": "5s"}))
	waitFor(t, namespace, "asked", 30*time.Second, khv1.ConditionHealthy, metav1.ConditionTrue)
	ask(t, namespace, "asked", "2026-11-22T12:00:00Z")
	c := awaitRequest(t, namespace, "asked", "2026-11-22T12:00:00Z", khv1.RequestRunning)
	if c.Status.LastRequest.RunUUID != "" {
		t.Error("the status shows the UUID of a run that is open")
	}
	under.kill("starter")
	ask(t, namespace, "asked", "again")
	ask(t, namespace, "asked", "2026-11-22T12:00:00Z")
	if err := under.start("starter"); err != nil {
		t.Fatal(err)
	}
	edit(t, namespace, "asked", func(c *khv1.KuberhealthyCheck) { c.Spec.RunInterval = "2h" })
	c = awaitRequest(t, namespace, "asked", "2026-11-22T12:00:00Z", khv1.RequestEnded)
	if last := c.Status.LastRequest; last.Outcome != string(check.Succeeded) || last.RunUUID == "" {
		t.Errorf("request %+v", last)
	}
	waitFor(t, namespace, "asked", time.Minute, khv1.ConditionHealthy, metav1.ConditionTrue) // of the new spec
	ask(t, namespace, "asked", "second")
	awaitRequest(t, namespace, "asked", "second", khv1.RequestEnded)
	ask(t, namespace, "asked", "2026-11-22T12:00:00Z")
	awaitRequest(t, namespace, "asked", "2026-11-22T12:00:00Z", khv1.RequestEnded)
	manualRuns(t, namespace, "asked", 2)
}

// TestRunOnRequestWaitsForTheOpenRun, and the ticks that come meanwhile are skipped.
func TestRunOnRequestWaitsForTheOpenRun(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "busy", env{"REPORT_DELAY": "6s"})
	c.Spec.RunInterval = "4s"
	apply(t, c)
	awaitPod(t, namespace, "busy", corev1.PodRunning)
	ask(t, namespace, "busy", "1")
	awaitRequest(t, namespace, "busy", "1", khv1.RequestWaiting)
	eventually(t, time.Minute, "the requested run has ended", func() (bool, string) {
		unfinished := 0
		for _, p := range podsOf(t, namespace, "busy") {
			if p.Status.Phase == corev1.PodPending || p.Status.Phase == corev1.PodRunning {
				unfinished++
			}
		}
		if unfinished > 1 {
			t.Fatalf("%d pods run at the same time", unfinished)
		}
		c, err := under.kube.checks(namespace).Get(t.Context(), "busy", getOptions)
		if err != nil {
			return false, err.Error()
		}
		last := c.Status.LastRequest
		return last != nil && last.Phase == khv1.RequestEnded, fmt.Sprintf("%+v", last)
	})
	manualRuns(t, namespace, "busy", 1)
}

// TestPausedCheckRunsOnRequest once, and stays paused.
func TestPausedCheckRunsOnRequest(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "asleep", env{"REPORT_ERRORS": "out of stock"})
	c.Spec.Suspend = true
	apply(t, c)
	waitFor(t, namespace, "asleep", 30*time.Second, khv1.ConditionReady, metav1.ConditionTrue)
	ask(t, namespace, "asleep", "1")
	found := awaitRequest(t, namespace, "asleep", "1", khv1.RequestEnded)
	if last := found.Status.LastRequest; last.Outcome != string(check.Failed) || reasonOf(found, khv1.ConditionHealthy) != check.ReasonPaused {
		t.Errorf("request %+v, status %+v", last, found.Status)
	}
	if runs := accountsOf(t, openLedger(t), namespace, "asleep"); len(runs) != 1 {
		t.Errorf("records %s, want one", describe(runs...))
	}
}
