package reportapi_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/api/serviceerror"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/reportapi"
)

var _ reportapi.PodFinder = (*kube.Cluster)(nil)

// fakePods are the runs of pods by address, and the addresses of the calls.
type fakePods struct {
	kind  khv1.KHWorkload
	mu    sync.Mutex
	runs  map[string]string
	asked []string
}

func (f *fakePods) RunByPodIP(ip netip.Addr) (check.Ref, string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, ip.String())
	run, ok := f.runs[ip.String()]
	return check.Ref{Kind: f.kind, Namespace: "ns", Name: "dns"}, run, ok
}

func (f *fakePods) set(ip, run string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[ip] = run
}

func pods(runs ...string) *fakePods {
	f := &fakePods{runs: map[string]string{}}
	for i := 0; i < len(runs); i += 2 {
		f.runs[runs[i]] = runs[i+1]
	}
	return f
}

const (
	podIP    = "10.0.0.7"
	otherRun = "9d3b6f0a-1c57-4a55-8d8c-0f6f4f1c2a11"
	noPod    = "header kh-run-uuid is missing, and the sender's address is not that of exactly one running checker pod\n"
)

// serveFrom makes the routes answer a report from an address. It uses no network, so that it may run in a bubble.
func serveFrom(t *testing.T, o reportapi.Options, remote, body string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	server, err := reportapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/externalCheckStatus", strings.NewReader(body))
	request.RemoteAddr, request.Header = remote, header
	recorder := httptest.NewRecorder()
	server.Routes().ServeHTTP(recorder, request)
	return recorder
}

func unnamed(t *testing.T, r *running) []series {
	t.Helper()
	return seriesOf(scrape(t, r)["khronicle_reports_by_source_ip_total"])
}

// The requests are those of Kuberhealthy's Go client up to v2.4.1, and of its Python and JavaScript clients, on a real
// connection.
func TestReportWithoutUUIDIsToldByItsAddress(t *testing.T) {
	temporal := oneRun()
	o := options(temporal, nil)
	o.Pods = pods("127.0.0.1", runUUID, podIP, otherRun)
	r := start(t, o)
	if got := unnamed(t, r); got != nil {
		t.Errorf("counted before the first report: %v", got)
	}
	for _, path := range paths {
		if got := r.send(t, r.report(t, path, "", `{"Errors":["a"],"OK":false}`)); got.Status != http.StatusOK || got.Body != "" {
			t.Errorf("%s: %d %q, want 200 and no body", path, got.Status, got.Body)
		}
	}
	blank := r.report(t, "/check", "", `{"OK":true}`)
	blank.Header["kh-run-uuid"] = []string{""}
	if got := r.send(t, blank); got.Status != http.StatusOK {
		t.Errorf("empty header: %d, want 200", got.Status)
	}
	if diff := cmp.Diff([]signal{stored(failed("a")), stored(failed("a")), stored(passed())}, temporal.signals()); diff != "" {
		t.Errorf("signals differ (-want +got):\n%s", diff)
	}
	want := []series{{Labels: map[string]string{"check": "ns/dns", "check_namespace": "ns"}, Value: 3}}
	if diff := cmp.Diff(want, unnamed(t, r)); diff != "" {
		t.Errorf("counts differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"accepted": 3}, counted(t, r)); diff != "" {
		t.Errorf("results differ (-want +got):\n%s", diff)
	}
}

// The counter exists as long as the server, and the name of a job may be another each time.
func TestReportOfAJobByItsAddressIsCountedForItsNamespace(t *testing.T) {
	o := options(oneRun(), nil)
	found := pods("127.0.0.1", runUUID)
	found.kind = khv1.KHJob
	o.Pods = found
	r := start(t, o)
	if got := r.send(t, r.report(t, "/externalCheckStatus", "", `{"OK":true}`)); got.Status != http.StatusOK {
		t.Fatalf("%d %q, want 200", got.Status, got.Body)
	}
	want := []series{{Labels: map[string]string{"check": "ns/", "check_namespace": "ns"}, Value: 1}}
	if diff := cmp.Diff(want, unnamed(t, r)); diff != "" {
		t.Errorf("counts differ (-want +got):\n%s", diff)
	}
}

func TestRunUUIDGoesBeforeTheAddress(t *testing.T) {
	tests := []struct {
		name   string
		ids    []string
		body   string
		want   int
		stored []signal
	}{
		{"good header of another run than the pod's", []string{runUUID}, `{"OK":true}`, 200, []signal{stored(passed())}},
		{"unknown run", []string{"00000000-0000-4000-8000-000000000000"}, `{"OK":true}`, 400, nil},
		{"no UUID", []string{"x"}, `{"OK":true}`, 400, nil},
		{"braces", []string{"{" + runUUID + "}"}, `{"OK":true}`, 400, nil},
		{"two", []string{runUUID, otherRun}, `{"OK":true}`, 400, nil},
		{"an empty one and one", []string{"", otherRun}, `{"OK":true}`, 400, nil},
		{"none, and no report either", nil, `{"OK":tr`, 400, nil},
		{"none, and a contradiction", nil, `{"OK":false}`, 400, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			temporal, known := oneRun(), pods(podIP, otherRun)
			o := options(temporal, nil)
			o.Pods = known
			got := serveFrom(t, o, podIP+":40000", tt.body, http.Header{"Kh-Run-Uuid": tt.ids})
			if got.Code != tt.want {
				t.Errorf("%d %q, want %d", got.Code, got.Body, tt.want)
			}
			if known.asked != nil {
				t.Errorf("the pods were searched for %v", known.asked)
			}
			if diff := cmp.Diff(tt.stored, temporal.signals()); diff != "" {
				t.Errorf("signals differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSenderIsFoundByItsAddress(t *testing.T) {
	tests := []struct {
		name, remote string
		header       http.Header
		known        *fakePods
		want         int
		asked        string // "": nothing
	}{
		{"IPv4", "10.0.0.7:40000", nil, pods(podIP, runUUID), 200, podIP},
		{"IPv4 within IPv6", "[::ffff:10.0.0.7]:40000", nil, pods(podIP, runUUID), 200, podIP},
		{"IPv6", "[fd00:10::7]:40000", nil, pods("fd00:10::7", runUUID), 200, "fd00:10::7"},
		{"another address", "10.0.0.8:40000", nil, pods(podIP, runUUID), 400, "10.0.0.8"},
		{"no address", "@", nil, pods(podIP, runUUID), 400, ""},
		{"none", "", nil, pods(podIP, runUUID), 400, ""},
		{
			"what proxies say is not believed", "10.0.0.8:40000",
			http.Header{"X-Forwarded-For": {podIP}, "X-Real-Ip": {podIP}, "Forwarded": {"for=" + podIP}, "True-Client-Ip": {podIP}},
			pods(podIP, runUUID), 400, "10.0.0.8",
		},
		{"a pod whose run is no UUID", "10.0.0.7:40000", nil, pods(podIP, "report"), 400, podIP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				temporal := &fakeTemporal{}
				o := options(temporal, nil)
				o.Pods = tt.known
				got := serveFrom(t, o, tt.remote, `{"OK":true}`, tt.header)
				if got.Code != tt.want || tt.want == http.StatusBadRequest && got.Body.String() != noPod {
					t.Errorf("%d %q, want %d", got.Code, got.Body, tt.want)
				}
				if signals := len(temporal.signals()); (signals == 1) != (tt.want == http.StatusOK) {
					t.Errorf("%d signals", signals)
				}
				if len(tt.known.asked) == 0 != (tt.asked == "") || tt.asked != "" && tt.known.asked[0] != tt.asked {
					t.Errorf("searched for %v, want %q", tt.known.asked, tt.asked)
				}
			})
		})
	}
}

// The kubelet reports the address of a pod to the API server about a second after the pod has started.
func TestPodIsWaitedFor(t *testing.T) {
	unread := errors.New("the watched resources have not been read yet")
	tests := []struct {
		name   string
		after  time.Duration // when the pod is there; 0: never
		synced error
		want   int
		took   time.Duration
	}{
		{"there after a while", 1220 * time.Millisecond, nil, 200, 1250 * time.Millisecond},
		{"never there", 0, nil, 400, 5 * time.Second},
		{"there too late", 6 * time.Second, nil, 400, 5 * time.Second},
		{"the pods have not been read", 0, unread, 503, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				known := pods()
				o := options(&fakeTemporal{}, nil)
				o.Pods, o.Synced = known, func(context.Context) error { return tt.synced }
				if tt.after > 0 {
					time.AfterFunc(tt.after, func() { known.set(podIP, runUUID) })
				}
				began := time.Now()
				got := serveFrom(t, o, podIP+":40000", `{"OK":true}`, nil)
				if took := time.Since(began); got.Code != tt.want || took != tt.took {
					t.Errorf("%d after %s, want %d after %s", got.Code, took, tt.want, tt.took)
				}
				if got.Code == http.StatusServiceUnavailable && got.Body.Len() > 0 {
					t.Errorf("503 has a body: %q", got.Body)
				}
			})
		})
	}
}

// The server stops sooner than a report may wait for its pod. The client is not cut off: the answer asks it to try again.
func TestUnnamedReportIsAnswered503WhenTheServerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(&fakeTemporal{}, nil)
		o.Pods = pods()
		server, err := reportapi.New(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		client, end := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- server.ServeOn(ctx, newOneConn(from{end, podIP})) }()
		time.AfterFunc(time.Second, stop)
		began := time.Now()
		go drip(client, 0, "POST /externalCheckStatus HTTP/1.1\r\nHost: khronicle\r\nContent-Length: 11\r\n\r\n{\"OK\":true}")
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); response.StatusCode != http.StatusServiceUnavailable || response.ContentLength > 0 || took > 2*time.Second {
			t.Errorf("%s of %d bytes after %s, want 503 without a body, a second after the start", response.Status, response.ContentLength, took)
		}
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v, want an orderly end", err)
		}
	})
}

// from is a connection that comes from an address.
type from struct {
	net.Conn
	ip string
}

func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.ip), Port: 40000} }

func TestReportByAddressIsRefusedForAnEndedRunAndWithoutTemporal(t *testing.T) {
	temporal, known := &fakeTemporal{answer: gone}, pods("127.0.0.1", runUUID)
	o := options(temporal, nil)
	o.Pods = known
	r := start(t, o)
	if got := r.send(t, r.report(t, "/externalCheckStatus", "", `{"OK":true}`)); got.Status != http.StatusBadRequest {
		t.Errorf("run that is over: %d, want 400", got.Status)
	}
	known.set("127.0.0.1", otherRun)
	temporal.answer = func(context.Context, signal) error { return serviceerror.NewPermissionDenied("no role", "") }
	if got := r.send(t, r.report(t, "/externalCheckStatus", "", `{"OK":true}`)); got.Status != http.StatusServiceUnavailable || got.Body != "" {
		t.Errorf("Temporal refuses the report API: %d %q, want 503 and no body", got.Status, got.Body)
	}
	if got := unnamed(t, r); got != nil {
		t.Errorf("counted as accepted: %v", got)
	}
	if diff := cmp.Diff(map[string]float64{"unknown-run": 1, "unavailable": 1}, counted(t, r)); diff != "" {
		t.Errorf("results differ (-want +got):\n%s", diff)
	}
}

// A flood of reports without a run UUID occupies a bounded number of requests. Each request may be as large as a report may
// be.
func TestUnnamedReportsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := pods()
		o := options(&fakeTemporal{}, nil)
		o.Pods = known
		server, err := reportapi.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = server.Close() }()
		send := func() int {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/externalCheckStatus", strings.NewReader(`{"OK":true}`))
			request.RemoteAddr = podIP + ":40000"
			recorder := httptest.NewRecorder()
			server.Routes().ServeHTTP(recorder, request)
			return recorder.Code
		}
		var waiting sync.WaitGroup
		for range reportapi.MaxWaiting {
			waiting.Go(func() {
				if got := send(); got != http.StatusBadRequest {
					t.Errorf("one that waited: %d, want 400", got)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if got := send(); got != http.StatusServiceUnavailable || time.Since(began) > 0 {
			t.Errorf("one too many: %d after %s, want 503 at once", got, time.Since(began))
		}
		waiting.Wait()
		if asked := len(known.asked) - 1; asked > reportapi.MaxWaiting*21 {
			t.Errorf("the pods were searched %d times, want at most 21 each", asked)
		}
		if got := send(); got != http.StatusBadRequest {
			t.Errorf("one afterwards: %d, want 400", got)
		}
	})
}

func TestSenderThatGoesIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(&fakeTemporal{}, nil)
		o.Pods = pods()
		server, err := reportapi.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = server.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/check", strings.NewReader(`{"OK":true}`))
		request.Header.Set("Content-Type", "application/json")
		began := time.Now()
		server.Routes().ServeHTTP(httptest.NewRecorder(), request)
		if took := time.Since(began); took != time.Second {
			t.Errorf("waited %s, want 1s", took)
		}
	})
}
