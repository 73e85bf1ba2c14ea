package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/view"
	"github.com/khronicle/khronicle/web"
)

// failure is a run that failed after a flaky success, whose pod spec the ledger has too.
func failure(t *testing.T, l *ledger.Ledger) (success, failed ledger.Record) {
	t.Helper()
	success, failed = record("shop", "cart", noon.Add(-3*time.Minute), check.Succeeded), record("shop", "cart", noon.Add(-2*time.Minute), check.Failed)
	success.Flaky, success.Attempts = true, 2
	failed.Node, failed.ImageDigest, failed.SpecHash = "node-2", "sha256:cd", "f01"
	for _, one := range []struct {
		r    ledger.Record
		kind string
		name string
		text string
	}{
		{success, check.EvidenceSpec, "1", `{"metadata":{"name":"a"},"spec":{"containers":[{"image":"cart:1"}],"nodeName":"node-1"}}`},
		{failed, check.EvidenceSpec, "1", `{"metadata":{"name":"b"},"spec":{"containers":[{"image":"cart:2"}],"nodeName":"node-1"}}`},
		{failed, check.EvidenceLog, "1/main", hostile},
		{failed, check.EvidenceStatus, "1", `{"status":{"containerStatuses":[{"name":"main","state":{"terminated":{"exitCode":3,"reason":"Error",` +
			`"startedAt":"2026-11-22T11:58:02Z","finishedAt":"2026-11-22T11:58:04Z"}}}]}}`},
	} {
		must(t, l.PutEvidence(t.Context(), one.r.Key, ledger.Evidence{Kind: one.kind, Name: one.name, Content: one.text}))
	}
	must(t, l.Finish(t.Context(), success))
	must(t, l.Finish(t.Context(), failed))
	return success, failed
}

func TestRunPageShowsTimelineEvidenceAndChanges(t *testing.T) {
	c, l := &cluster{}, openLedger(t)
	c.add("shop", "cart", check.Failed)
	_, failed := failure(t, l)
	got := get(t, serving(t, c, l), "/checks/shop/cart/runs/"+failed.WorkflowID)
	if got.StatusCode != http.StatusOK || strings.Contains(got.body, "<script>alert") {
		t.Errorf("%d, or markup of others is in the page:\n%s", got.StatusCode, got.body)
	}
	for id, want := range map[string]string{
		"banner": "failed", "errors": "<script>alert(1)</script>", "notes": "attempt 1 failed", "containers": "attempt 1mainterminatedexit code 3Error",
		"facts": "node-2", "evidence-1": "Status of the pod, attempt 1", "evidence-2": "Log of the container main, attempt 1",
		"timeline": "container main of attempt 1: 2s",
	} {
		if text := got.text(t, id); !strings.Contains(text, want) {
			t.Errorf("%s has no %q:\n%s", id, want, text)
		}
	}
	since := got.text(t, "since")
	for _, want := range []string{"Node: changed from node-1 to node-2", "Image: changed from sha256:ab to sha256:cd", `- "image": "cart:1"`, `+ "image": "cart:2"`} {
		if !strings.Contains(since, want) {
			t.Errorf("the changes have no %q:\n%s", want, since)
		}
	}
	phases := got.all(func(n *html.Node) bool { return attribute(n, "class") == "phases" })
	if text := textOf(phases[0]); !strings.HasPrefix(text, "scheduled 2026-11-22 11:58:00 UTC started 2026-11-22 11:58:01 UTC +1spod created 2026-11-22 11:58:01 UTC +100msrunning 2026-11-22 11:58:02 UTC +900ms") {
		t.Errorf("the phases are %s", text)
	}
}

// Kubernetes has times in whole seconds. A pod was not created before its run started, and did not exit before its report.
func TestRunPageShowsMomentsInTheirOrder(t *testing.T) {
	c, l := &cluster{}, openLedger(t)
	c.add("shop", "cart", check.Succeeded)
	r := record("shop", "cart", noon.Add(-time.Minute), check.Succeeded)
	r.Tick = r.Tick.Add(700 * time.Millisecond)
	r.Started, r.PodCreated, r.Running = r.Tick.Add(100*time.Millisecond), noon.Add(-time.Minute), noon.Add(-59*time.Second)
	r.Reported, r.Exited = r.Running.Add(400*time.Millisecond), r.Running
	r.Concluded, r.Recorded = r.Reported, r.Reported.Add(time.Second)
	must(t, l.Finish(t.Context(), r))
	got := get(t, serving(t, c, l), "/checks/shop/cart/runs/"+r.WorkflowID)
	var names []string
	for _, node := range got.all(func(n *html.Node) bool { return n.Data == "b" && attribute(n.Parent.Parent, "class") == "phases" }) {
		names = append(names, textOf(node))
	}
	want := []string{"scheduled", "started", "pod created", "running", "reported", "outcome known", "exited", "recorded"}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("moments (-want +got):\n%s", d)
	}
}

// The ledger stores the pod spec of failed attempts alone, so that of a success is mostly not there.
func TestRunPageSaysWhyPodSpecsCannotBeCompared(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	list := get(t, handler, "/checks/shop/pay?outcome=failed")
	address := list.all(func(n *html.Node) bool { return strings.HasPrefix(attribute(n, "id"), "run-") })
	got := get(t, handler, list.link(t, attribute(address[0], "href")))
	want := "The pod spec of that success was not stored: the ledger stores it of failed attempts alone. The hash says that the spec of the check is the same."
	if text := got.text(t, "no-spec"); text != want {
		t.Errorf("the page says %q, want %q", text, want)
	}
}

// A reader who may be anyone sees the run and its errors, and where the evidence can be read.
func TestEvidenceIsHiddenFromAnyone(t *testing.T) {
	c, l := &cluster{}, openLedger(t)
	c.add("shop", "cart", check.Failed)
	_, failed := failure(t, l)
	handler := serving(t, c, l, func(o *web.Options) {
		o.View = shownBy(view.Options{Cluster: c, Ledger: l, HideEvidence: true, Now: func() time.Time { return noon }})
	})
	got := get(t, handler, "/checks/shop/cart/runs/"+failed.WorkflowID)
	for _, part := range []string{"cart:1", "cart:2", "exit code 3", "evidence-1", `id="containers"`} {
		if strings.Contains(got.body, part) {
			t.Errorf("the page has evidence, %s:\n%s", part, got.body)
		}
	}
	for id, want := range map[string]string{
		"errors": "<script>alert(1)</script>", "no-evidence": "--show-evidence", "no-spec": "not shown here", "since": "Node: changed from node-1 to node-2",
	} {
		if text := got.text(t, id); !strings.Contains(text, want) {
			t.Errorf("%s has no %q: %s", id, want, text)
		}
	}
}

func TestOnlyEndedRunsLinkToTemporal(t *testing.T) {
	l, open := filled(t)
	ui, err := url.Parse("https://temporal.example.com/ui")
	must(t, err)
	handler := serving(t, shop(), l, func(o *web.Options) { o.Temporal, o.TemporalNamespace = ui, "prod" })
	list := get(t, handler, "/checks/shop/pay")
	rows := list.all(func(n *html.Node) bool { return strings.HasPrefix(attribute(n, "id"), "run-") })
	links := map[string]string{}
	for _, row := range rows {
		page := get(t, handler, list.link(t, attribute(row, "href")))
		for _, link := range page.all(func(n *html.Node) bool { return attribute(n, "id") == "temporal" }) {
			links[attribute(row, "href")] = attribute(link, "href")
		}
	}
	if len(rows) != 9 || len(links) != 7 { // one is open, and one is a tick without a run
		t.Errorf("%d of %d runs link to Temporal, want 7 of 9", len(links), len(rows))
	}
	for path, link := range links {
		if want := "https://temporal.example.com/ui/namespaces/prod/workflows/" + path[strings.LastIndex(path, "/")+1:]; link != want {
			t.Errorf("%s links to %s, want %s", path, link, want)
		}
	}
	for _, id := range []string{open[0], "schedule-1", "nothing"} {
		if got := get(t, handler, "/checks/shop/cart/runs/"+id); got.StatusCode != http.StatusNotFound {
			t.Errorf("run %s: %d, want 404", id, got.StatusCode)
		}
	}
}

func TestRunPageNeedsTheLedger(t *testing.T) {
	got := get(t, serving(t, shop(), downLedger{}), "/checks/shop/pay/runs/schedule-1795348320000000")
	if got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.text(t, "problem"), "The ledger does not answer.") {
		t.Errorf("%d\n%s", got.StatusCode, got.body)
	}
}
