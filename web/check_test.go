package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/view"
)

func TestCheckPageShowsStateRunsSpecAndCommands(t *testing.T) {
	l, _ := filled(t)
	c := shop()
	c.checks[1].Annotations = map[string]string{"khronicle.github.io/paused-by": "anna " + hostile}
	got := get(t, serving(t, c, l), "/checks/shop/pay")
	if got.StatusCode != http.StatusOK || strings.Contains(got.body, "<script>alert") || strings.Contains(got.body, "hunter2") {
		t.Errorf("%d, or markup or a secret of others is in the page:\n%s", got.StatusCode, got.body)
	}
	for id, want := range map[string]string{
		"banner": "failing failed since 2026-11-22 11:59:53 UTC · running now", "errors": "second error", "facts": "Scheduleevery 1m",
		"spec": `"value": "(7 bytes)"`, "runs": "2026-11-22 11:52:00 UTC failed2sschedule1node-1",
		"command-run-now": `kubectl -n shop annotate khc pay khronicle.github.io/requested-at="$(date +%s)" --overwrite`,
		"command-pause":   `kubectl -n shop patch khc pay --type merge -p '{"spec":{"suspend":true}}'`,
		"command-logs":    `kubectl -n shop logs -l kuberhealthy-check-name=pay --all-containers --prefix --tail=200`,
		"chart":           "2026-11-22 11:52:00 UTC: failed, took 2s",
	} {
		if text := got.text(t, id); !strings.Contains(text, want) {
			t.Errorf("%s has no %q:\n%s", id, want, text)
		}
	}
}

func TestSuspendedCheckIsResumed(t *testing.T) {
	got := get(t, serving(t, shop(), nil), "/checks/shop/asleep")
	if want, line := `kubectl -n shop patch khc asleep --type merge -p '{"spec":{"suspend":false}}'`, got.text(t, "command-resume"); line != want {
		t.Errorf("the command is %s, want %s", line, want)
	}
}

// Who resumes a check without the command line leaves the annotations of the pause there.
func TestWhoPausedACheckIsShownWhileItIsPaused(t *testing.T) {
	c := shop()
	asleep := c.checks[2]
	asleep.Annotations = map[string]string{"khronicle.github.io/paused-by": "anna " + hostile, "khronicle.github.io/pause-reason": "the shop moves"}
	for _, paused := range []bool{true, false} {
		asleep.Spec.Suspend = paused
		got := get(t, serving(t, c, nil), "/checks/shop/asleep")
		if said := strings.Count(got.body, "anna") + strings.Count(got.body, "the shop moves"); (said > 0) != paused || said > 2 || strings.Contains(got.body, "<script>alert") {
			t.Errorf("paused %t: the page says %d times by whom or why:\n%s", paused, said, got.text(t, "banner"))
		}
	}
}

func TestNameInACommandIsOneWord(t *testing.T) {
	c := &cluster{}
	c.add("shop", "a'; rm -rf $HOME `x`", check.Succeeded)
	got := get(t, serving(t, c, nil), "/checks/shop/"+url.PathEscape("a'; rm -rf $HOME `x`"))
	if want, line := `kubectl -n shop annotate khc 'a'\''; rm -rf $HOME `+"`x`'"+` khronicle.github.io/requested-at="$(date +%s)" --overwrite`, got.text(t, "command-run-now"); line != want {
		t.Errorf("the command is %s, want %s", line, want)
	}
}

func TestCheckOrJobOfAName(t *testing.T) {
	c := shop()
	c.add("shop", "once", check.Failed)
	handler := serving(t, c, nil)
	for path, want := range map[string]string{"/checks/shop/once": "shop/once", "/checks/shop/once?kind=check": "shop/once", "/checks/shop/once?kind=job": "shop/once job"} {
		got := get(t, handler, path)
		if h1 := got.all(func(n *html.Node) bool { return n.Data == "h1" }); textOf(h1[0]) != want {
			t.Errorf("%s is %q, want %q", path, textOf(h1[0]), want)
		}
	}
}

// Each run of a long list is on one page, the newest first.
func TestRunsArePaged(t *testing.T) {
	c, l := &cluster{}, openLedger(t)
	c.add("shop", "cart", check.Succeeded)
	records := []ledger.Record{}
	for i := range 120 {
		records = append(records, record("shop", "cart", noon.Add(-time.Duration(i+1)*time.Minute), check.Succeeded))
	}
	ledgertest.Fill(t, l, records)
	handler, address, seen := serving(t, c, l), "/checks/shop/cart?outcome=succeeded", []string{}
	for range 5 {
		got := get(t, handler, address)
		seen = append(seen, got.with("data-run")...)
		next := got.all(func(n *html.Node) bool { return attribute(n, "id") == "next" })
		if len(next) == 0 {
			break
		}
		address = got.link(t, attribute(next[0], "href"))
	}
	want := []string{}
	for _, r := range records {
		want = append(want, view.RunID{Tick: r.Tick, Trigger: r.Trigger}.ID())
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("runs differ (-want +got):\n%s", diff)
	}
}

func TestFiltersChooseRuns(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	for query, want := range map[string][]string{
		"outcome=failed":                                     {"failed"},
		"outcome=failed,timed-out":                           {"timed-out", "failed"},
		"outcome=running":                                    {"running"},
		"since=2026-11-22T11:58":                             {"running", "missed"},
		"since=2026-11-22T11:52&until=2026-11-22T11:53":      {"failed"},
		"since=2026-11-22T12:58:00%2B01:00&outcome=missed":   {"missed"},
		"until=2026-11-21":                                   nil,
		"after=schedule-" + "1795348320000000" + "&outcome=": {"succeeded"},
	} {
		if diff := cmp.Diff(want, get(t, handler, "/checks/shop/pay?"+query).with("data-outcome")); diff != "" {
			t.Errorf("?%s (-want +got):\n%s", query, diff)
		}
	}
	for query, want := range map[string]string{
		"outcome=green": "The parameter outcome", "since=yesterday": "The parameter since", "until=1": "The parameter until",
		"after=x": "The parameter after", "kind=pod": "The parameter kind",
	} {
		got := get(t, handler, "/checks/shop/pay?"+query)
		if text := got.text(t, "problem"); got.StatusCode != http.StatusBadRequest || !strings.HasPrefix(text, want) {
			t.Errorf("?%s: %d %s", query, got.StatusCode, text)
		}
	}
}

func TestDeletedCheckHasItsPastRuns(t *testing.T) {
	l, _ := filled(t)
	got := get(t, serving(t, &cluster{}, l), "/checks/shop/pay")
	if text := got.text(t, "deleted"); got.StatusCode != http.StatusOK || len(got.with("data-run")) != 9 {
		t.Errorf("%d with %d runs: %s", got.StatusCode, len(got.with("data-run")), text)
	}
	if none := get(t, serving(t, &cluster{}, l), "/checks/shop/"+url.PathEscape(hostile)); none.StatusCode != http.StatusNotFound || strings.Contains(none.body, "<script>alert") {
		t.Errorf("a check that never was: %d\n%s", none.StatusCode, none.body)
	}
}

func TestCheckIsShownWhileTheLedgerIsDown(t *testing.T) {
	got := get(t, serving(t, shop(), downLedger{}), "/checks/shop/pay")
	if got.StatusCode != http.StatusOK || !strings.Contains(got.text(t, "no-runs"), "The ledger does not answer") || !strings.Contains(got.text(t, "banner"), "failing") {
		t.Errorf("%d\n%s", got.StatusCode, got.body)
	}
}

// No page has the run UUID of a run that is open, because anyone could report with it.
func TestRunUUIDOfAnOpenRunIsOnNoPage(t *testing.T) {
	l, open := filled(t)
	c := shop()
	for _, state := range c.states {
		state.Spec.CurrentUUID = open[0]
	}
	handler := serving(t, c, l)
	seen := map[string]bool{}
	var read func(path string)
	read = func(path string) {
		path, _, _ = strings.Cut(path, "#")
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/api/") || seen[path] || len(seen) > 300 {
			return
		}
		seen[path] = true
		got := get(t, handler, path)
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
		for _, uuid := range open {
			if strings.Contains(strings.ToLower(got.body), uuid) {
				t.Errorf("%s has the run UUID of an open run", path)
			}
		}
		for _, link := range got.with("href") {
			read(got.link(t, link))
		}
	}
	read("/")
	if len(seen) < 12 {
		t.Errorf("links lead to %d pages: the test has not seen them all", len(seen))
	}
}

func TestPublicStatusHasNoErrorsAndNoLinks(t *testing.T) {
	l, _ := filled(t)
	got := get(t, serving(t, shop(), l), "/status?text=second&labels=team%3Dbilling")
	if got.StatusCode != http.StatusOK || len(got.keys()) != 6 {
		t.Errorf("%d with %d checks: filters that search errors must do nothing", got.StatusCode, len(got.keys()))
	}
	if row := got.text(t, "check/shop/pay"); row != "shop/pay failing 60.00 % 24 h 60.00 % 7 d 60.00 % 30 d" {
		t.Errorf("the row is %q", row)
	}
	for _, secret := range []string{"second error", "alert(1)", "node-1", "checks/", "api/"} {
		if strings.Contains(got.body, secret) {
			t.Errorf("the page for the public has %q", secret)
		}
	}
	if got := get(t, serving(t, shop(), l), "/status?namespace=bank"); len(got.keys()) != 1 || !strings.Contains(got.text(t, "banner"), "Nothing is failing.") {
		t.Errorf("the status of one namespace is %s", got.text(t, "banner"))
	}
}

func TestJobHasNoCommandsOfChecks(t *testing.T) {
	got := get(t, serving(t, shop(), nil), "/checks/shop/once?kind=job")
	if about := got.with("data-about"); len(about) != 1 || about[0] != "job/shop/once" {
		t.Errorf("the page is about %q", about)
	}
	if len(got.with("data-copy")) != 1 || !strings.Contains(got.text(t, "facts"), "Phase"+string(khv1.JobCompleted)) {
		t.Errorf("the page of a job:\n%s", got.body)
	}
}
