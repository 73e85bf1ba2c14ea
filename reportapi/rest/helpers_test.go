package rest_test

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
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/described"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/reportapi/rest"
	"github.com/khronicle/khronicle/view"
)

// noon is the present of these tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// operations are the paths of the description, in their order.
func operations(t testing.TB) []string {
	t.Helper()
	paths, err := described.Operations()
	must(t, err)
	return paths
}

// cluster has checks, jobs and states.
type cluster struct {
	mu     sync.Mutex
	checks []*khv1.KuberhealthyCheck
	jobs   []*khv1.KuberhealthyJob
	states []*khv1.KuberhealthyState
}

func (c *cluster) Checks() []*khv1.KuberhealthyCheck {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.checks)
}

func (c *cluster) Jobs() []*khv1.KuberhealthyJob { return c.jobs }

func (c *cluster) States() []*khv1.KuberhealthyState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.states)
}

func (c *cluster) IsJob(state *khv1.KuberhealthyState) bool {
	return state.Spec.GetKHWorkload() == khv1.KHJob
}

// add adds a check, or replaces the one of its name.
func (c *cluster) add(one *khv1.KuberhealthyCheck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks = append(slices.DeleteFunc(slices.Clone(c.checks), func(old *khv1.KuberhealthyCheck) bool { return old.Name == one.Name }), one)
}

func (c *cluster) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks = slices.DeleteFunc(slices.Clone(c.checks), func(old *khv1.KuberhealthyCheck) bool { return old.Name == name })
}

var version int

// meta is that of an object of the namespace shop, with a resource version of its own.
func meta(name string) metav1.ObjectMeta {
	version++
	return metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID("uid-" + name), ResourceVersion: fmt.Sprint(version),
		CreationTimestamp: metav1.NewTime(noon.Add(-24 * time.Hour)),
	}
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "check", Image: "example/check:1"}}}
}

func newCheck(name string, change ...func(*khv1.KuberhealthyCheck)) *khv1.KuberhealthyCheck {
	c := &khv1.KuberhealthyCheck{ObjectMeta: meta(name), Spec: khv1.CheckConfig{RunInterval: "1m", Timeout: "30s", PodSpec: podSpec()}}
	for _, apply := range change {
		apply(c)
	}
	return c
}

// hostile is an error that nobody should show as it is.
const hostile = "<script>alert(1)</script>\x1b[31m\x00 \u202e \xff"

// stateOf is the state after runs with these outcomes, each a minute after the other.
func stateOf(kind khv1.KHWorkload, name string, outcomes ...check.Outcome) *khv1.KuberhealthyState {
	state := &khv1.KuberhealthyState{ObjectMeta: meta(name)}
	for i, outcome := range outcomes {
		tick := noon.Add(-10*time.Second - time.Duration(len(outcomes)-1-i)*time.Minute)
		conclusion := check.Conclusion{Outcome: outcome, Started: tick.Add(time.Second), Concluded: tick.Add(3 * time.Second), Node: "node-1", Reported: true}
		if outcome != check.Succeeded {
			conclusion.Errors = []string{"card refused", hostile, strings.Repeat("ä", 3000), "d", "e", "f"}
		}
		state = check.NewState(state, check.Ref{Kind: kind, Namespace: "shop", Name: name}, uuid.NewString(), "worker-0", conclusion)
		check.AddRecentRun(state, check.NewRecentRun(tick, conclusion))
	}
	return state
}

// shop is a cluster with checks and jobs of every state.
func shop() *cluster {
	c := &cluster{
		checks: []*khv1.KuberhealthyCheck{
			newCheck("cart"), newCheck("pay", func(c *khv1.KuberhealthyCheck) { c.Labels = map[string]string{"team": "billing"} }),
			newCheck("asleep", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true }),
			newCheck("new", func(c *khv1.KuberhealthyCheck) { c.CreationTimestamp = metav1.NewTime(noon.Add(-time.Second)) }),
			newCheck("lost"), newCheck("broken", func(c *khv1.KuberhealthyCheck) { c.Spec.Timeout = "soon" }),
			newCheck("nightly", func(c *khv1.KuberhealthyCheck) {
				c.Spec.RunInterval, c.Spec.Schedule, c.Spec.TimeZone, c.Spec.Attempts = "", "0 3 * * *", "Europe/Berlin", 3
			}),
		},
		jobs: []*khv1.KuberhealthyJob{
			{ObjectMeta: meta("once"), Spec: khv1.JobConfig{Timeout: "30s", Phase: khv1.JobCompleted, PodSpec: podSpec()}},
			{ObjectMeta: meta("pay"), Spec: khv1.JobConfig{Timeout: "30s", PodSpec: podSpec()}},
		},
		states: []*khv1.KuberhealthyState{
			stateOf(khv1.KHCheck, "cart", check.Succeeded, check.Succeeded), stateOf(khv1.KHCheck, "pay", check.Succeeded, check.TimedOut),
			stateOf(khv1.KHCheck, "asleep", check.Succeeded), stateOf(khv1.KHJob, "once", check.Failed), stateOf(khv1.KHCheck, "broken", check.Failed),
			stateOf(khv1.KHCheck, "nightly", check.Succeeded),
		},
	}
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
func record(name string, tick time.Time, outcome check.Outcome) ledger.Record {
	r := ledger.Record{
		Key:  ledger.Key{CheckUID: "uid-" + name, Trigger: check.TriggerSchedule, Tick: tick},
		Kind: khv1.KHCheck, Namespace: "shop", Name: name, Outcome: outcome, Attempts: 1, Node: "node-1",
		Started: tick.Add(time.Second), PodCreated: tick.Add(1100 * time.Millisecond), Running: tick.Add(2 * time.Second),
		Reported: tick.Add(3 * time.Second), Concluded: tick.Add(3 * time.Second), Exited: tick.Add(4 * time.Second), Recorded: tick.Add(5 * time.Second),
		Deadline: tick.Add(31 * time.Second), Queued: 20 * time.Millisecond, WorkflowID: uuid.NewString(), SpecHash: "f00", ImageDigest: "sha256:ab",
	}
	if outcome != check.Succeeded {
		r.Errors, r.Notes = []string{"card refused", hostile}, []string{"attempt 1 failed"}
	}
	return r
}

// filled is a ledger with runs of the checks of shop: closed, open and missed ones. open has the run UUIDs of open runs.
func filled(t testing.TB) (l *ledger.Ledger, open []string) {
	t.Helper()
	l = openLedger(t)
	ctx := context.Background()
	for _, name := range []string{"cart", "pay", "nightly", "former"} {
		for i := range 7 {
			outcome := []check.Outcome{check.Succeeded, check.Failed, check.InfraFailed, check.TimedOut, check.Succeeded, check.Canceled, check.Succeeded}[i]
			must(t, l.Finish(ctx, record(name, noon.Add(time.Duration(i-9)*time.Minute), outcome)))
		}
		missed := record(name, noon.Add(-2*time.Minute), check.Missed)
		missed = ledger.Record{Key: missed.Key, Kind: missed.Kind, Namespace: "shop", Name: name, Outcome: check.Missed}
		_, err := l.RecordTicks(ctx, []ledger.Record{missed})
		must(t, err)
	}
	for _, name := range []string{"cart", "pay"} {
		running := record(name, noon.Add(-time.Minute), check.Succeeded)
		open = append(open, running.WorkflowID)
		must(t, l.Begin(ctx, running))
		must(t, l.PutEvidence(ctx, running.Key, ledger.Evidence{Kind: check.EvidenceLog, Name: "1/main", Content: "attempt 1"}))
	}
	failed := record("pay", noon.Add(-8*time.Minute), check.Failed)
	for _, e := range []ledger.Evidence{
		{Kind: check.EvidenceLog, Name: "1/main", Content: hostile, Size: 100_000},
		{Kind: check.EvidenceStatus, Name: "1", Content: `{"status":{"containerStatuses":[{"name":"main","state":{"terminated":{"exitCode":3,"reason":"Error","finishedAt":"2026-11-22T11:52:00Z"}}},{"name":"b","state":{"running":{}}}]}}`},
		{Kind: check.EvidenceSpec, Name: "1", Content: "{}"},
		{Kind: check.EvidenceReport, Content: `{"OK":false}`},
	} {
		must(t, l.PutEvidence(ctx, failed.Key, e))
	}
	return l, open
}

// serving is the API over a cluster and a ledger, which may be nil. Each answer must be as the description says.
func serving(t testing.TB, c view.Cluster, l view.Ledger, change ...func(*rest.Options)) http.Handler {
	t.Helper()
	o := rest.Options{View: shownBy(view.Options{Cluster: c, Ledger: l}), Synced: func(context.Context) error { return nil }, Logger: slog.New(slog.DiscardHandler)}
	for _, apply := range change {
		apply(&o)
	}
	a, err := rest.New(o)
	must(t, err)
	e := echo.New()
	a.Register(e)
	if test, ok := t.(*testing.T); ok { // a benchmark measures the API alone, and a fuzz test has a T for each input
		return described.Handler(test, e)
	}
	return e
}

// shownBy is a view at noon that has read its ledger.
func shownBy(o view.Options) *view.View {
	o.Now = func() time.Time { return noon }
	shown := view.New(o)
	_ = shown.Refresh(context.Background()) // the tests of outages have a ledger that fails
	return shown
}

// answer is what the API answered.
type answer struct {
	*http.Response
	body []byte
}

// ask sends a GET request for an operation, and fails the test if the answer is not as the description says.
func ask(t testing.TB, handler http.Handler, operation string, path map[string]string, query string, headers ...string) answer {
	t.Helper()
	address := operation
	for name, value := range path {
		address = strings.ReplaceAll(address, "{"+name+"}", url.PathEscape(value))
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, rest.Base+address, nil)
	request.URL.RawQuery = query
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return send(t, handler, request)
}

// send sends a request.
func send(t testing.TB, handler http.Handler, request *http.Request) answer {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	got := answer{recorder.Result(), recorder.Body.Bytes()}
	if _, checked := handler.(*described.Checked); !checked {
		described.Check(t, request, got.StatusCode, got.Header, got.body)
	}
	return got
}

// named are the path parameters of a check.
func named(name string) map[string]string {
	return map[string]string{"namespace": "shop", "name": name}
}

func discard(r io.ReadCloser) {
	_, _ = io.Copy(io.Discard, r)
	_ = r.Close()
}
