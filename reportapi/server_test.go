package reportapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/internal/operations"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/view"
	"github.com/khronicle/khronicle/workflows"
)

const runUUID = "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"

// noon is when the states of these tests were written. The present is half a minute later, unless a test says otherwise.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// signal is what a report becomes.
type signal struct {
	WorkflowID, RunID, Name string
	Report                  status.Report
	// received is a time of the real clock, which tests do not compare.
	received time.Time
}

// Equal compares what a test can know.
func (s signal) Equal(other signal) bool {
	s.received, other.received = time.Time{}, time.Time{}
	return reflect.DeepEqual(s, other)
}

// fakeTemporal has the signals that it stored. answer, if set, is its answer instead of success.
type fakeTemporal struct {
	answer func(ctx context.Context, s signal) error

	mu     sync.Mutex
	asked  int
	stored []signal
	late   []workflows.LateReport
}

func (f *fakeTemporal) SignalWorkflow(ctx context.Context, workflowID, runID, name string, arg any) error {
	f.mu.Lock()
	f.asked++
	if late, ok := arg.(workflows.LateReport); ok && workflowID == workflows.HousekeepingID && name == workflows.LateReportSignal {
		f.late = append(f.late, late)
		f.mu.Unlock()
		return nil
	}
	f.mu.Unlock()
	s := signal{WorkflowID: workflowID, RunID: runID, Name: name, Report: arg.(workflows.Report).Report, received: arg.(workflows.Report).Received}
	if f.answer != nil {
		if err := f.answer(ctx, s); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored = append(f.stored, s)
	return nil
}

func (f *fakeTemporal) signals() []signal {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.stored)
}

func (f *fakeTemporal) lateReports() []workflows.LateReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.late)
}

// questions is the number of calls.
func (f *fakeTemporal) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// fakeStates are the states of a cluster; those with a kind of KHJob are of jobs.
type fakeStates []*khv1.KuberhealthyState

func (f fakeStates) States() []*khv1.KuberhealthyState { return f }

func (f fakeStates) Checks() []*khv1.KuberhealthyCheck { return nil }

func (f fakeStates) Jobs() []*khv1.KuberhealthyJob { return nil }

func (f fakeStates) IsJob(state *khv1.KuberhealthyState) bool {
	return state.Spec.KHWorkload != nil && *state.Spec.KHWorkload == khv1.KHJob
}

func synced(context.Context) error { return nil }

func options(temporal reportapi.Signaler, states fakeStates) reportapi.Options {
	return reportapi.Options{
		Address: "127.0.0.1:0", Signaler: temporal, View: showing(states, noon.Add(30*time.Second)), Synced: synced, Name: "khronicle-0",
		Registry: prometheus.NewRegistry(), Ready: &operations.Readiness{}, Logger: slog.New(slog.DiscardHandler),
	}
}

// showing is a view of a cluster at one time.
func showing(cluster view.Cluster, at time.Time) *view.View {
	return view.New(view.Options{Cluster: cluster, Now: func() time.Time { return at }})
}

// running is a server that answers until the test ends, or stop is called.
type running struct {
	url    string
	client *http.Client
	// stop ends the context of the server. When Serve has ended, its error arrives at ended.
	stop  context.CancelFunc
	ended <-chan error
}

func start(t *testing.T, o reportapi.Options) *running {
	t.Helper()
	server, err := reportapi.New(o)
	if err != nil {
		t.Fatalf("make server: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
	})
	return &running{
		url: "http://" + server.Addr().String(), stop: stop, ended: ended,
		client: &http.Client{Transport: transport, Timeout: 20 * time.Second},
	}
}

// answer is what came back for a request.
type answer struct {
	Status int
	Body   string
	Header http.Header `json:"-"`
}

func (r *running) send(t *testing.T, request *http.Request) answer {
	t.Helper()
	response, err := r.client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	return read(t, response)
}

func read(t *testing.T, response *http.Response) answer {
	t.Helper()
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return answer{Status: response.StatusCode, Body: string(body), Header: response.Header}
}

func (r *running) get(t *testing.T, path string) answer {
	t.Helper()
	return r.send(t, r.request(t, http.MethodGet, path, nil))
}

func (r *running) request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// report is a report as Kuberhealthy's clients send it.
func (r *running) report(t *testing.T, path, uuid, body string) *http.Request {
	t.Helper()
	request := r.request(t, http.MethodPost, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if uuid != "" {
		request.Header.Set("kh-run-uuid", uuid)
	}
	return request
}

func TestUnknownPaths(t *testing.T) {
	r := start(t, options(&fakeTemporal{}, nil))
	for _, path := range []string{"/foo", "/externalCheckStatus/", "/externalcheckstatus", "/check/", "/check/x", "/healthz/", "/index.html", "//", "/%2e%2e/"} {
		if got := r.get(t, path); got.Status != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, got.Status)
		}
		if got := r.send(t, r.report(t, path, runUUID, `{"OK":true}`)); got.Status != http.StatusNotFound {
			t.Errorf("POST %s: %d, want 404", path, got.Status)
		}
	}
}

// Load balancers and uptime services ask with HEAD.
func TestHeadIsAnsweredAsGet(t *testing.T) {
	o := options(&fakeTemporal{}, cluster())
	o.Ready.Add("temporal", func(context.Context) error { return errors.New("no route") })
	r := start(t, o)
	for _, path := range []string{"/", "/?namespace=kuberhealthy", "/healthz", "/readyz", "/readyz?exclude=temporal", "/metrics"} {
		get, head := r.get(t, path), r.send(t, r.request(t, http.MethodHead, path, nil))
		if get.Status != head.Status || head.Body != "" {
			t.Errorf("%s: GET is answered %d, HEAD %d %q, want the same status and no body", path, get.Status, head.Status, head.Body)
		}
		if get, head := get.Header.Get("Content-Type"), head.Header.Get("Content-Type"); get != head {
			t.Errorf("%s: the content type is %q for GET and %q for HEAD", path, get, head)
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	o := options(&fakeTemporal{}, nil)
	r := start(t, o)
	if got := r.get(t, "/healthz"); got.Status != http.StatusOK || got.Body != "ok\n" {
		t.Errorf("/healthz: %d %q, want 200 ok", got.Status, got.Body)
	}
	steps := []struct {
		name  string
		probe operations.Check
		code  int
		want  map[string]string
	}{
		{"nothing to check", nil, http.StatusOK, map[string]string{}},
		{"there", func(context.Context) error { return nil }, http.StatusOK, map[string]string{"temporal": "ok"}},
		{"away", func(context.Context) error { return errors.New("no route") }, http.StatusServiceUnavailable, map[string]string{"temporal": "no route"}},
		{"back", func(context.Context) error { return nil }, http.StatusOK, map[string]string{"temporal": "ok"}},
	}
	for _, step := range steps {
		if step.probe != nil {
			o.Ready.Add("temporal", step.probe)
		}
		got := r.get(t, "/readyz")
		var probes map[string]string
		if err := json.Unmarshal([]byte(got.Body), &probes); err != nil {
			t.Fatalf("%s: %q is not JSON: %v", step.name, got.Body, err)
		}
		if got.Status != step.code || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s, want %d application/json", step.name, got.Status, got.Header.Get("Content-Type"), step.code)
		}
		if diff := cmp.Diff(step.want, probes); diff != "" {
			t.Errorf("%s: answer differs (-want +got):\n%s", step.name, diff)
		}
		if alive := r.get(t, "/healthz"); alive.Status != http.StatusOK {
			t.Errorf("%s: /healthz is %d: the process would be restarted", step.name, alive.Status)
		}
	}
}

func TestNewSaysThatTheAddressIsTaken(t *testing.T) {
	first, err := reportapi.New(options(&fakeTemporal{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	o := options(&fakeTemporal{}, nil)
	o.Address = first.Addr().String()
	if _, err := reportapi.New(o); err == nil || !strings.HasPrefix(err.Error(), "listen for reports: ") {
		t.Errorf("got %v, want an error of listening", err)
	}
}

func TestNewFreesTheAddressWhenItFails(t *testing.T) {
	free, err := reportapi.New(options(&fakeTemporal{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	o := options(&fakeTemporal{}, nil)
	o.Address = address
	if err := o.Registry.Register(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "khronicle_reports_total"}, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := reportapi.New(o); err == nil || !strings.HasPrefix(err.Error(), "register metrics: ") {
		t.Errorf("got %v, want an error of registering", err)
	}
	o.Registry = prometheus.NewRegistry()
	again, err := reportapi.New(o)
	if err != nil {
		t.Fatalf("the address was not freed: %v", err)
	}
	_ = again.Close()
}

func TestGracefulStopFinishesARequestInFlight(t *testing.T) {
	signalled, release := make(chan struct{}), make(chan struct{})
	temporal := &fakeTemporal{answer: func(ctx context.Context, _ signal) error {
		close(signalled)
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	r := start(t, options(temporal, nil))
	answered := make(chan answer, 1)
	request := r.report(t, "/check", runUUID, `{"OK":true}`)
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() {
		defer close(answered)
		response, err := r.client.Do(request)
		if err != nil {
			t.Errorf("the request in flight was cut off: %v", err)
			return
		}
		answered <- read(t, response)
	})

	<-signalled
	r.stop()
	awaitRefusal(t, r)
	select {
	case err := <-r.ended:
		t.Errorf("Serve ended with a request in flight: %v", err)
		return
	default:
	}
	close(release)
	if got := <-answered; got.Status != http.StatusOK {
		t.Errorf("the request in flight got %d, want 200", got.Status)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	if got := len(temporal.signals()); got != 1 {
		t.Errorf("%d signals, want 1", got)
	}
}

// awaitRefusal returns once the server accepts no new connections.
func awaitRefusal(t *testing.T, r *running) {
	t.Helper()
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for t.Context().Err() == nil {
		response, err := fresh.Do(r.request(t, http.MethodGet, "/healthz", nil))
		if err != nil {
			return
		}
		_ = response.Body.Close()
	}
}
