package web_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/web"
)

func TestFailingChecksComeFirstThenUnknownOnesThenNamespaces(t *testing.T) {
	l, _ := filled(t)
	got := get(t, serving(t, shop(), l), "/")
	want := []string{"check/shop/pay", "check/shop/lost", "check/bank/vault", "check/shop/asleep", "check/shop/cart", "job/shop/once"}
	if diff := cmp.Diff(want, got.keys()); diff != "" {
		t.Errorf("order differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"state/failing", "state/unknown", "namespace/bank", "namespace/shop"}, got.with("data-group")); diff != "" {
		t.Errorf("groups differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1", "1", "1", "3"}, got.with("data-number")); diff != "" {
		t.Errorf("counts of failing, unknown, paused and healthy differ (-want +got):\n%s", diff)
	}
}

func TestOverviewShowsRunsUptimeDurationsAndErrors(t *testing.T) {
	l, _ := filled(t)
	got := get(t, serving(t, shop(), l), "/")
	row := got.text(t, "check/shop/pay")
	for _, want := range []string{
		"failing", "shop/pay", "failed since 2026-11-22 11:59:53 UTC", "60.00 % 24 h", "median 2s p95 2s", "running now", "and 1 more",
		"2026-11-22 11:52:00 UTC: failed, took 2s", "2026-11-22 11:58:00 UTC: missed", "2026-11-22 11:59:00 UTC: running",
	} {
		if !strings.Contains(row, want) {
			t.Errorf("the row has no %q:\n%s", want, row)
		}
	}
	if bars := got.with("aria-label"); !slices.ContainsFunc(bars, func(label string) bool {
		return strings.HasPrefix(label, "Runs from the newest on, 9: 1 running, 1 missed, 3 succeeded, 1 canceled, 1 timed-out, 1 infra-failed, 1 failed.")
	}) {
		t.Errorf("no picture says how the runs ended: %q", bars)
	}
}

// The state of an unknown check has neither the color nor the shape of a healthy one, whatever its last outcome was.
func TestUnknownCheckIsNotGreen(t *testing.T) {
	c := &cluster{}
	c.add("shop", "late", check.Succeeded).Spec.RunInterval = "1m"
	now := noon.Add(time.Hour)
	l := openLedger(t)
	got := get(t, servingAt(t, c, l, now), "/")
	state := got.all(func(n *html.Node) bool { return attribute(n, "data-key") == "check/shop/late" })
	if len(state) != 1 || attribute(state[0], "data-state") != "unknown" {
		t.Fatalf("the check is not shown as unknown:\n%s", got.body)
	}
	for node := range state[0].Descendants() {
		if strings.Contains(attribute(node, "class"), "s-healthy") {
			t.Errorf("<%s class=%q> looks healthy", node.Data, attribute(node, "class"))
		}
	}
}

func TestHostileTextsAreShownAsTexts(t *testing.T) {
	l, _ := filled(t)
	got := get(t, serving(t, shop(), l, func(o *web.Options) { o.Title = func() string { return hostile } }), "/?text=%3Cscript%3Ealert(1)")
	if strings.Contains(got.body, "<script>alert") || strings.Contains(got.body, "<img") {
		t.Errorf("markup of others is in the page:\n%s", got.body)
	}
	if row := got.text(t, "check/shop/pay"); !strings.Contains(row, "<script>alert(1)</script>") {
		t.Errorf("the error is not shown: %s", row)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Vary": "Accept, Accept-Encoding",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
}

func TestFiltersChooseChecks(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	for query, want := range map[string][]string{
		"namespace=bank":              {"check/bank/vault"},
		"namespace=bank,shop&text=va": {"check/bank/vault"},
		"state=failing":               {"check/shop/pay"},
		"state=failing,unknown":       {"check/shop/pay", "check/shop/lost"},
		"labels=team%3Dbilling":       {"check/shop/pay"},
		"text=SECOND+error":           {"check/shop/pay"},
		"text=nothing+of+this":        nil,
	} {
		got := get(t, handler, "/?"+query)
		if diff := cmp.Diff(want, got.keys()); diff != "" || got.StatusCode != http.StatusOK {
			t.Errorf("?%s: %d (-want +got):\n%s", query, got.StatusCode, diff)
		}
	}
}

func TestWrongParameterIsNamed(t *testing.T) {
	handler := serving(t, shop(), nil)
	for query, want := range map[string]string{
		"state=green":                       `The parameter state: "green" is not failing, unknown, paused or healthy.`,
		"page=0":                            `The parameter page: "0" is not a whole number from 1 on.`,
		"labels=a+b":                        `The parameter labels: "a b" is not a label selector such as team=billing,tier!=test.`,
		"text=" + strings.Repeat("x", 1001): `The parameter text: "` + strings.Repeat("x", 64) + `" is not at most 1000 bytes long.`,
		"state=%3Cscript%3Ealert(1)%00%1b":  `The parameter state: "<script>alert(1)\x00\x1b" is not failing, unknown, paused or healthy.`,
	} {
		got := get(t, handler, "/?"+query)
		if text := got.text(t, "problem"); got.StatusCode != http.StatusBadRequest || text != want {
			t.Errorf("?%.40s: %d %s, want 400 %s", query, got.StatusCode, text, want)
		}
	}
}

func TestPagesHaveEachCheckOnce(t *testing.T) {
	c := &cluster{}
	for i := range 120 {
		c.add("shop", named(i), check.Succeeded)
	}
	c.add("a", "first", check.Failed)
	handler, address, seen := serving(t, c, openLedger(t)), "/?text=c", map[string]int{}
	for range 10 {
		got := get(t, handler, address)
		for _, key := range got.keys() {
			seen[key]++
		}
		next := got.all(func(n *html.Node) bool { return attribute(n, "id") == "next" })
		if len(next) == 0 {
			break
		}
		address = got.link(t, attribute(next[0], "href"))
		if !strings.Contains(address, "text=c") {
			t.Errorf("the next page %s has lost the filter", address)
		}
	}
	if len(seen) != 121 || seen["check/a/first"] != 1 {
		t.Errorf("the pages have %d checks, want 121", len(seen))
	}
	for key, times := range seen {
		if times != 1 {
			t.Errorf("%s is on %d pages", key, times)
		}
	}
	if text := get(t, handler, "/?page=99").text(t, "pager"); text != "101–121 of 121 Previous" {
		t.Errorf("a page after the last one is %q", text)
	}
}

// downLedger does not answer.
type downLedger struct{ *ledger.Ledger }

var errDown = errors.New("the database is down")

func (downLedger) Overview(context.Context, time.Time) ([]ledger.Summary, error) {
	return nil, errDown
}

func (downLedger) Runs(context.Context, check.Ref, ledger.RunsQuery) ([]ledger.Record, error) {
	return nil, errDown
}

func (downLedger) Recent(context.Context, []check.Ref, int) ([][]ledger.RecentRun, error) {
	return nil, errDown
}

func (downLedger) RunOfTick(context.Context, check.Ref, time.Time, check.Trigger) (ledger.Record, bool, error) {
	return ledger.Record{}, false, errDown
}

func TestOverviewIsShownWhileTheLedgerIsDown(t *testing.T) {
	got := get(t, serving(t, shop(), downLedger{}), "/")
	if got.StatusCode != http.StatusOK || len(got.keys()) != 6 || !strings.Contains(got.text(t, "notice"), "The ledger does not answer") {
		t.Errorf("%d with %d checks:\n%s", got.StatusCode, len(got.keys()), got.body)
	}
}

func TestWithoutALedgerTheLastTenRunsAreShown(t *testing.T) {
	got := get(t, serving(t, shop(), nil), "/")
	if row := got.text(t, "check/shop/pay"); !strings.Contains(row, "2026-11-22 11:59:50 UTC: failed, took 2s") {
		t.Errorf("the row has no run: %s", row)
	}
	if notice := got.text(t, "notice"); !strings.Contains(notice, "There is no ledger") {
		t.Errorf("the notice is %q", notice)
	}
}

func TestNothingIsShownBeforeTheClusterWasRead(t *testing.T) {
	got := get(t, serving(t, shop(), nil, func(o *web.Options) {
		o.Synced = func(context.Context) error { return errors.New("informers have not synced") }
	}), "/")
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || len(got.keys()) > 0 {
		t.Errorf("%d %v:\n%s", got.StatusCode, got.Header, got.body)
	}
}

func TestEmptyClusterSaysSo(t *testing.T) {
	if text := get(t, serving(t, &cluster{}, nil), "/").text(t, "none"); text != "There are no checks yet." {
		t.Errorf("an empty cluster says %q", text)
	}
}

func TestUnknownPathIsNoPage(t *testing.T) {
	for _, path := range []string{"/nothing", "/assets/none.js"} {
		if got := get(t, serving(t, shop(), nil), path); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, got.StatusCode)
		}
	}
}

// A run that has ended is shown at once, although pictures are remembered.
func TestNewOutcomeIsInThePictureAtOnce(t *testing.T) {
	c, l := &cluster{}, openLedger(t)
	c.add("shop", "cart", check.Succeeded)
	must(t, l.Finish(t.Context(), record("shop", "cart", noon.Add(-10*time.Second), check.Succeeded)))
	handler := serving(t, c, l)
	if row := get(t, handler, "/").text(t, "check/shop/cart/bars"); strings.Contains(row, "failed") {
		t.Fatalf("a run has failed already: %s", row)
	}
	failed := record("shop", "cart", noon.Add(-5*time.Second), check.Failed)
	must(t, l.Finish(t.Context(), failed))
	c.states = nil
	state := stateOf(khv1.KHCheck, "shop", "cart", check.Failed)
	state.Spec.LastRun.Time = noon.Add(-time.Second)
	c.states = append(c.states, state)
	if row := get(t, handler, "/").text(t, "check/shop/cart/bars"); !strings.Contains(row, "failed") {
		t.Errorf("the run that failed is not in the picture: %s", row)
	}
}
