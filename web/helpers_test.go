package web_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/html"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/view"
	"github.com/khronicle/khronicle/web"
)

// noon is the present of these tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// hostile is a text that must not be shown as it is.
const hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m\x00 \u202e {{.}} \xff"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cluster has checks, jobs and states.
type cluster struct {
	checks []*khv1.KuberhealthyCheck
	jobs   []*khv1.KuberhealthyJob
	states []*khv1.KuberhealthyState
}

func (c *cluster) Checks() []*khv1.KuberhealthyCheck { return c.checks }
func (c *cluster) Jobs() []*khv1.KuberhealthyJob     { return c.jobs }
func (c *cluster) States() []*khv1.KuberhealthyState { return c.states }
func (c *cluster) IsJob(state *khv1.KuberhealthyState) bool {
	return state.Spec.GetKHWorkload() == khv1.KHJob
}

// add adds a check that runs each minute, and the state after runs with these outcomes, of which the last began ten seconds ago.
func (c *cluster) add(namespace, name string, outcomes ...check.Outcome) *khv1.KuberhealthyCheck {
	c.checks = append(c.checks, &khv1.KuberhealthyCheck{
		ObjectMeta: meta(namespace, name), Spec: khv1.CheckConfig{RunInterval: "1m", Timeout: "30s", PodSpec: podSpec()},
	})
	if len(outcomes) > 0 {
		c.states = append(c.states, stateOf(khv1.KHCheck, namespace, name, outcomes...))
	}
	return c.checks[len(c.checks)-1]
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID("uid-" + namespace + "-" + name), CreationTimestamp: metav1.NewTime(noon.Add(-24 * time.Hour)),
	}
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{
		Name: "check", Image: "example/check:1", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "hunter2"}},
	}}}
}

func stateOf(kind khv1.KHWorkload, namespace, name string, outcomes ...check.Outcome) *khv1.KuberhealthyState {
	state := &khv1.KuberhealthyState{ObjectMeta: meta(namespace, name)}
	for i, outcome := range outcomes {
		tick := noon.Add(-10*time.Second - time.Duration(len(outcomes)-1-i)*time.Minute)
		conclusion := check.Conclusion{Outcome: outcome, Started: tick.Add(time.Second), Concluded: tick.Add(3 * time.Second), Node: "node-1", Reported: true}
		if outcome != check.Succeeded {
			conclusion.Errors = []string{hostile, "second error"}
		}
		state = check.NewState(state, check.Ref{Kind: kind, Namespace: namespace, Name: name}, uuid.NewString(), "worker-0", conclusion)
		check.AddRecentRun(state, check.NewRecentRun(tick, conclusion))
	}
	return state
}

// shop is a cluster with checks of every state, a job, and hostile texts.
func shop() *cluster {
	c := &cluster{}
	c.add("shop", "cart", check.Succeeded, check.Succeeded)
	c.add("shop", "pay", check.Succeeded, check.Failed).Labels = map[string]string{"team": "billing"}
	c.add("shop", "asleep", check.Succeeded).Spec.Suspend = true
	c.add("shop", "lost") // its first outcome is overdue
	c.add("bank", "vault", check.Succeeded)
	c.jobs = append(c.jobs, &khv1.KuberhealthyJob{ObjectMeta: meta("shop", "once"), Spec: khv1.JobConfig{Timeout: "30s", Phase: khv1.JobCompleted, PodSpec: podSpec()}})
	c.states = append(c.states, stateOf(khv1.KHJob, "shop", "once", check.Succeeded))
	return c
}

// openLedger is a real ledger in a new SQLite file.
func openLedger(t testing.TB) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

// record is the closed record of a run.
func record(namespace, name string, tick time.Time, outcome check.Outcome) ledger.Record {
	r := ledger.Record{
		Key:  ledger.Key{CheckUID: "uid-" + namespace + "-" + name, Trigger: check.TriggerSchedule, Tick: tick},
		Kind: khv1.KHCheck, Namespace: namespace, Name: name, Outcome: outcome, Attempts: 1, Node: "node-1",
		Started: tick.Add(time.Second), PodCreated: tick.Add(1100 * time.Millisecond), Running: tick.Add(2 * time.Second),
		Reported: tick.Add(3 * time.Second), Concluded: tick.Add(3 * time.Second), Exited: tick.Add(4 * time.Second), Recorded: tick.Add(5 * time.Second),
		Deadline: tick.Add(31 * time.Second), Queued: 20 * time.Millisecond, WorkflowID: uuid.NewString(), SpecHash: "f00", ImageDigest: "sha256:ab",
	}
	if outcome != check.Succeeded {
		r.Errors, r.Notes = []string{hostile, "second error"}, []string{"attempt 1 failed"}
	}
	return r
}

// filled is a ledger with runs of the checks of shop. open has the run UUIDs of those that are open.
func filled(t testing.TB) (l *ledger.Ledger, open []string) {
	t.Helper()
	l = openLedger(t)
	outcomes := []check.Outcome{check.Succeeded, check.Failed, check.InfraFailed, check.TimedOut, check.Succeeded, check.Canceled, check.Succeeded}
	for _, name := range []string{"cart", "pay"} {
		for i, outcome := range outcomes {
			must(t, l.Finish(t.Context(), record("shop", name, noon.Add(time.Duration(i-9)*time.Minute), outcome)))
		}
		missed := record("shop", name, noon.Add(-2*time.Minute), check.Missed)
		_, err := l.RecordTicks(t.Context(), []ledger.Record{{Key: missed.Key, Kind: missed.Kind, Namespace: "shop", Name: name, Outcome: check.Missed}})
		must(t, err)
		running := record("shop", name, noon.Add(-time.Minute), check.Succeeded)
		open = append(open, running.WorkflowID)
		must(t, l.Begin(t.Context(), running))
	}
	return l, open
}

// serving are the pages over a cluster and a ledger, which may be nil.
func serving(t testing.TB, c view.Cluster, l view.Ledger, change ...func(*web.Options)) http.Handler {
	t.Helper()
	return servingAt(t, c, l, noon, change...)
}

// servingAt are the pages at a time.
func servingAt(t testing.TB, c view.Cluster, l view.Ledger, now time.Time, change ...func(*web.Options)) http.Handler {
	t.Helper()
	o := web.Options{View: shownBy(view.Options{Cluster: c, Ledger: l, Now: func() time.Time { return now }}), Synced: func(context.Context) error { return nil }, Logger: slog.New(slog.DiscardHandler)}
	for _, apply := range change {
		apply(&o)
	}
	pages, err := web.New(o)
	must(t, err)
	return pages.Handler()
}

// shownBy is a view that has read its ledger.
func shownBy(o view.Options) *view.View {
	shown := view.New(o)
	_ = shown.Refresh(context.Background()) // the tests of outages have a ledger that fails
	return shown
}

// page is a page that was read.
type page struct {
	*http.Response
	body string
	root *html.Node
	at   *url.URL
}

// link is where a link of the page leads, as a browser understands it. A link to another host is returned as it is.
func (p page) link(t testing.TB, href string) string {
	t.Helper()
	to, err := p.at.Parse(href)
	must(t, err)
	return to.String()
}

// get reads a page. It fails the test if the page has what no page may have.
func get(t testing.TB, handler http.Handler, path string) page {
	t.Helper()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	handler.ServeHTTP(recorder, request)
	response := recorder.Result()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	root, err := html.Parse(strings.NewReader(string(body)))
	must(t, err)
	got := page{response, string(body), root, request.URL}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
		got.sound(t, path)
	}
	return got
}

// all are the elements for which a function is true, in their order.
func (p page) all(want func(*html.Node) bool) (found []*html.Node) {
	for node := range p.root.Descendants() {
		if node.Type == html.ElementNode && want(node) {
			found = append(found, node)
		}
	}
	return found
}

// attribute is the value of an attribute, or empty.
func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// with are the values of an attribute in the page, in their order.
func (p page) with(name string) (values []string) {
	for _, node := range p.all(func(n *html.Node) bool { return attribute(n, name) != "" }) {
		values = append(values, attribute(node, name))
	}
	return values
}

// text is what people read in an element of this ID.
func (p page) text(t testing.TB, id string) string {
	t.Helper()
	found := p.all(func(n *html.Node) bool { return attribute(n, "id") == id })
	if len(found) != 1 {
		t.Fatalf("the page has %d elements with the ID %s, want 1", len(found), id)
	}
	return textOf(found[0])
}

func textOf(node *html.Node) string {
	var text strings.Builder
	for n := range node.Descendants() {
		if n.Type == html.TextNode {
			text.WriteString(n.Data)
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

// sound fails the test for what a browser would refuse or run, and for what assistive technology needs.
func (p page) sound(t testing.TB, path string) {
	t.Helper()
	ids := map[string]bool{}
	for _, node := range p.all(func(*html.Node) bool { return true }) {
		for _, a := range node.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: <%s> has the attribute %s, which the policy forbids", path, node.Data, a.Key)
			}
			if slices.Contains([]string{"href", "src", "action", "data-root"}, a.Key) && strings.HasPrefix(a.Val, "/") {
				t.Errorf("%s: <%s> has the address %s, which is another page below the path of a proxy", path, node.Data, a.Val)
			}
			if a.Key == "id" && ids[a.Val] {
				t.Errorf("%s: two elements have the ID %q", path, a.Val)
			}
			if a.Key == "id" {
				ids[a.Val] = true
			}
		}
		switch node.Data {
		case "style", "img", "iframe", "object":
			t.Errorf("%s: the page has <%s>", path, node.Data)
		case "script":
			if !strings.HasPrefix(p.link(t, attribute(node, "src")), "/assets/script.js?v=") || node.FirstChild != nil {
				t.Errorf("%s: the page has a script of its own: %s", path, textOf(node))
			}
		case "svg":
			if attribute(node, "aria-hidden") != "true" && attribute(node, "aria-label") == "" {
				t.Errorf("%s: a picture has no name", path)
			}
		case "input", "select":
			if node.Parent.Data != "label" {
				t.Errorf("%s: the field %s has no label", path, attribute(node, "name"))
			}
		case "a", "button":
			if textOf(node) == "" && attribute(node, "aria-label") == "" {
				t.Errorf("%s: the link %s has no name", path, attribute(node, "href"))
			}
		}
	}
	for _, id := range []string{"main", "announce"} {
		if !ids[id] {
			t.Errorf("%s: there is no element with the ID %s", path, id)
		}
	}
	if len(p.all(func(n *html.Node) bool { return n.Data == "h1" })) != 1 {
		t.Errorf("%s: a page has one heading of the first level", path)
	}
	if strings.ContainsAny(p.body, "\x00\x1b\u202e") {
		t.Errorf("%s: the page has control characters", path)
	}
}

// keys are the checks of the list, in their order.
func (p page) keys() []string { return p.with("data-key") }

func named(n int) string { return fmt.Sprintf("check-%04d", n) }
