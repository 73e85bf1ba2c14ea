//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

func TestSameNameInTwoNamespaces(t *testing.T) {
	t.Parallel()
	good, bad := newNamespace(t), newNamespace(t)
	apply(t, demoCheck(good, "twin", nil))
	apply(t, demoCheck(bad, "twin", env{"REPORT_ERRORS": "the other one"}))
	awaitState(t, good, "twin", 20*time.Second, "OK", func(s khv1.WorkloadDetails) bool { return s.OK })
	awaitState(t, bad, "twin", 20*time.Second, "failed", func(s khv1.WorkloadDetails) bool { return !s.OK })

	var page check.Summary
	eventually(t, 5*time.Second, "both twins on the status page", func() (bool, string) {
		page = statusPage(t, "?namespace="+good+","+bad)
		return len(page.CheckDetails) == 2, fmt.Sprintf("%d", len(page.CheckDetails))
	})
	if got := page.CheckDetails[good+"/twin"]; !got.OK || got.Namespace != good {
		t.Errorf("status page shows %+v for the good twin", got)
	}
	if got := page.CheckDetails[bad+"/twin"]; got.OK || got.Namespace != bad {
		t.Errorf("status page shows %+v for the bad twin", got)
	}
	if page.OK || len(page.CheckDetails) != 2 {
		t.Errorf("status page: OK=%t with %d checks, want false with 2", page.OK, len(page.CheckDetails))
	}
}

func statusPage(t testing.TB, query string) check.Summary {
	t.Helper()
	response, err := http.Get(reportBase + "/" + query)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var page check.Summary
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	return page
}

func TestEditWhileRunning(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "edited", env{"REPORT_DELAY": "4s"}))
	apply(t, demoCheck(namespace, "bystander", env{"REPORT_DELAY": "8s"}))
	awaitPod(t, namespace, "edited", corev1.PodRunning)
	awaitPod(t, namespace, "bystander", corev1.PodRunning)
	edit(t, namespace, "edited", func(c *khv1.KuberhealthyCheck) {
		c.Spec.PodSpec = demoPod(env{"REPORT_ERRORS": "the new spec"})
	})

	first := awaitState(t, namespace, "edited", 30*time.Second, "the run in flight, under the old spec", anyState)
	if !first.OK {
		t.Fatalf("run in flight ended with %q, want the old spec's success", first.Errors)
	}
	second := awaitState(t, namespace, "edited", 30*time.Second, "a run of the new spec", func(s khv1.WorkloadDetails) bool {
		return !s.OK
	})
	if second.Errors[0] != "the new spec" || second.CurrentUUID == first.CurrentUUID {
		t.Errorf("second outcome is %+v", second)
	}
	awaitState(t, namespace, "bystander", 15*time.Second, "OK", func(s khv1.WorkloadDetails) bool { return s.OK })
	if n := len(podsOf(t, namespace, "bystander")); n != 1 {
		t.Errorf("the bystander has %d pods, want 1: the edit of another check disturbed it", n)
	}
	if n := len(podsOf(t, namespace, "edited")); n != 2 {
		t.Errorf("the edited check has %d pods, want 2", n)
	}
}

func TestDeleteWhileRunning(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "doomed", env{"REPORT_DELAY": "5m"})
	c.Spec.RunInterval = "10s"
	apply(t, c)
	awaitPod(t, namespace, "doomed", corev1.PodRunning)
	if err := under.kube.checks(namespace).Delete(t.Context(), "doomed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the pod is gone", func() (bool, string) {
		pods := podsOf(t, namespace, "doomed")
		return len(pods) == 0, "still there"
	})
	eventually(t, 20*time.Second, "no workflow of the check is open", func() (bool, string) {
		open := openWorkflows(t, namespace)
		return len(open) == 0, strings.Join(open, " ")
	})
	if _, err := under.kube.states(namespace).Get(context.Background(), "doomed", metav1.GetOptions{}); !gone(err) {
		t.Errorf("the deleted check has a state (error %v), want none", err)
	}
}

func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "sleeper", nil)
	c.Spec.Suspend = true
	c.Spec.RunInterval = "3s"
	apply(t, c)
	witness := demoCheck(namespace, "witness", nil)
	apply(t, witness)
	awaitState(t, namespace, "witness", 20*time.Second, "an outcome", anyState)
	if n := len(podsOf(t, namespace, "sleeper")); n != 0 {
		t.Fatalf("a suspended check has %d pods", n)
	}
	edit(t, namespace, "sleeper", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = false })
	first := awaitState(t, namespace, "sleeper", 15*time.Second, "a run at once", anyState)
	awaitState(t, namespace, "sleeper", 20*time.Second, "a second run by the interval", func(s khv1.WorkloadDetails) bool {
		return s.CurrentUUID != first.CurrentUUID
	})
}

// TestSuspendDuringATick: the run in flight ends by itself, and then the resumed check runs.
func TestSuspendDuringATick(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "napping", env{"REPORT_DELAY": "5s"})
	c.Spec.RunInterval = "8s"
	apply(t, c)
	first := awaitState(t, namespace, "napping", 20*time.Second, "the first run", anyState)
	eventually(t, 20*time.Second, "a tick is in progress", func() (bool, string) {
		for _, pod := range podsOf(t, namespace, "napping") {
			if pod.Status.Phase == corev1.PodRunning && pod.Labels["kuberhealthy-run-id"] != first.CurrentUUID {
				return true, ""
			}
		}
		return false, "no second pod"
	})
	edit(t, namespace, "napping", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true })
	second := awaitState(t, namespace, "napping", 20*time.Second, "the run in flight", func(s khv1.WorkloadDetails) bool {
		return s.CurrentUUID != first.CurrentUUID
	})
	edit(t, namespace, "napping", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = false })
	awaitState(t, namespace, "napping", 20*time.Second, "a run of the resumed check", func(s khv1.WorkloadDetails) bool {
		return s.CurrentUUID != second.CurrentUUID
	})
}

// TestRecreateDuringATick: the new check of the same name runs once the old one's run is over.
func TestRecreateDuringATick(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "phoenix", env{"REPORT_DELAY": "5m"})
	apply(t, c)
	awaitPod(t, namespace, "phoenix", corev1.PodRunning)
	if err := under.kube.checks(namespace).Delete(t.Context(), "phoenix", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	apply(t, demoCheck(namespace, "phoenix", nil))
	awaitState(t, namespace, "phoenix", 60*time.Second, "OK, from the new check", func(s khv1.WorkloadDetails) bool { return s.OK })
}

func TestScheduleRunsAtOnceAndByTheClock(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "clockwork", nil)
	c.Spec.RunInterval, c.Spec.Schedule, c.Spec.TimeZone = "", "* * * * *", "Europe/Berlin"
	apply(t, c)
	first := awaitState(t, namespace, "clockwork", 20*time.Second, "a run at once", anyState)
	awaitState(t, namespace, "clockwork", 75*time.Second, "a run at the next full minute", func(s khv1.WorkloadDetails) bool {
		took, err := time.ParseDuration(s.RunDuration) // LastRun has whole seconds
		return s.CurrentUUID != first.CurrentUUID && err == nil && s.LastRun.Add(time.Second-took).Second() < 10
	})
}

func TestNoRunUUIDIsShownBeforeItsOutcome(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	pod := openRun(t, namespace, "secret")
	if _, shown := statusPage(t, "?namespace="+namespace).CheckDetails[namespace+"/secret"]; shown {
		t.Error("the status page shows a check that has no finished run")
	}
	if status := post(t, pod.Labels["kuberhealthy-run-id"], `{"OK":true,"Errors":[]}`); status != http.StatusOK {
		t.Fatalf("report is answered %d", status)
	}
	state := awaitState(t, namespace, "secret", 15*time.Second, "OK", func(s khv1.WorkloadDetails) bool { return s.OK })
	if want := pod.Labels["kuberhealthy-run-id"]; state.CurrentUUID != want {
		t.Errorf("state shows run %s, want %s", state.CurrentUUID, want)
	}
}
