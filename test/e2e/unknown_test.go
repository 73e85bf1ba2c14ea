//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// TestCheckThatSilentlyStopsIsUnknown takes a check's schedule away behind the starter's back. Page and metrics say so
// within the bound, no earlier, and show it as known when the starter is back.
func TestCheckThatSilentlyStopsIsUnknown(t *testing.T) {
	restart(t, "starter")
	namespace := newNamespace(t)
	c := demoCheck(namespace, "silent", nil)
	c.Spec.RunInterval, c.Spec.Timeout = "5s", "10s"
	apply(t, c)
	eventually(t, 30*time.Second, "the check is known", func() (bool, string) { return shownAs(t, namespace, "silent", false) })

	under.stop("starter") // it would schedule the check anew
	if err := temporal(t).TerminateWorkflow(t.Context(), workflows.ScheduledCheckID(namespace, "silent"), "", "a fault of the test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "no run is in flight", func() (bool, string) {
		open := openWorkflows(t, namespace)
		return len(open) == 0, fmt.Sprint(open)
	})
	tick := awaitedFrom(t, namespace, "silent").By
	if left := time.Until(tick); left < 0 || left > 75*time.Second { // 30 s, the interval, the timeout, the grace of 30 s
		t.Fatalf("the next outcome is due in %s", left)
	}
	eventually(t, time.Until(tick)+5*time.Second, "the check is unknown", func() (bool, string) {
		ok, saw := shownAs(t, namespace, "silent", true)
		if ok && time.Now().Before(tick) {
			t.Fatalf("unknown before %s: %s", tick, saw)
		}
		return ok, saw
	})
	shown := statusPage(t, "?namespace="+namespace)
	if want := awaitedFrom(t, namespace, "silent").Text(); shown.OK || !slices.Equal(shown.Errors, []string{want}) {
		t.Errorf("page: OK=%t %q, want the error %q", shown.OK, shown.Errors, want)
	}

	if err := under.start("starter"); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the check is known again", func() (bool, string) { return shownAs(t, namespace, "silent", false) })
}

// TestCheckThatNeverRanIsUnknown appears while no starter is there. Nothing of Khronicle has touched it, and it is shown.
func TestCheckThatNeverRanIsUnknown(t *testing.T) {
	restart(t, "starter")
	namespace := newNamespace(t)
	under.stop("starter")
	c := demoCheck(namespace, "unborn", nil)
	c.Spec.RunInterval, c.Spec.Timeout = "1s", "1s"
	apply(t, c)
	eventually(t, 40*time.Second, "the check is unknown", func() (bool, string) { return shownAs(t, namespace, "unborn", true) })
	shown := statusPage(t, "?namespace="+namespace).CheckDetails[namespace+"/unborn"]
	if len(shown.Errors) != 1 || !strings.HasPrefix(shown.Errors[0], "unknown: "+namespace+"/unborn: no outcome is known since its creation at ") {
		t.Errorf("errors %q", shown.Errors)
	}
}

// shownAs is true when the status page and the metrics both show a check as unknown, or both as known.
func shownAs(t *testing.T, namespace, name string, unknown bool) (ok bool, saw string) {
	t.Helper()
	page := statusPage(t, "?namespace="+namespace)
	shown, onPage := page.CheckDetails[namespace+"/"+name]
	said := len(shown.Errors) > 0 && strings.HasPrefix(shown.Errors[0], "unknown: ")
	value := map[bool]string{false: "0", true: "1"}[unknown]
	series := fmt.Sprintf(`khronicle_check_unknown{check="%s/%s",check_namespace="%s",workload="KHCheck"} %s`, namespace, name, namespace, value)
	_, metrics := get(t, reportBase+"/metrics")
	inMetrics := slices.Contains(strings.Split(metrics, "\n"), series)
	return onPage && said == unknown && page.OK != unknown && shown.OK != unknown && inMetrics,
		fmt.Sprintf("OK=%t %+v; %s: %t", page.OK, shown, series, inMetrics)
}

// awaitedFrom asks the API server, not the page, what a check owes.
func awaitedFrom(t *testing.T, namespace, name string) check.Awaited {
	t.Helper()
	c, err := under.kube.checks(namespace).Get(t.Context(), name, getOptions)
	if err != nil {
		t.Fatal(err)
	}
	var state *khv1.KuberhealthyState
	if state, err = under.kube.states(namespace).Get(t.Context(), name, getOptions); err != nil {
		t.Fatal(err)
	}
	return check.AwaitedOfCheck(c, state)
}
