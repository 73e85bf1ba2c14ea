package reportapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/khronicle/khronicle/reportapi"
)

// edge is a server without a network, so that it may run in a bubble.
type edge struct {
	*fakeTemporal
	routes http.Handler
}

// openRuns is a server whose Temporal knows only these runs as open.
func openRuns(t *testing.T, runs ...string) edge {
	t.Helper()
	temporal := &fakeTemporal{answer: func(ctx context.Context, s signal) error {
		for _, run := range runs {
			if s.WorkflowID == run {
				return nil
			}
		}
		return gone(ctx, s)
	}}
	return edgeOf(t, temporal)
}

func edgeOf(t *testing.T, temporal *fakeTemporal) edge {
	t.Helper()
	server, err := reportapi.New(options(temporal, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return edge{temporal, server.Routes()}
}

func (e edge) post(t *testing.T, from, run, body string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/externalCheckStatus", strings.NewReader(body))
	request.RemoteAddr = from + ":40000"
	request.Header.Set("kh-run-uuid", run)
	recorder := httptest.NewRecorder()
	e.routes.ServeHTTP(recorder, request)
	return recorder
}

func (e edge) want(t *testing.T, what string, want int, from, run string) {
	t.Helper()
	if got := e.post(t, from, run, `{"OK":true}`); got.Code != want {
		t.Errorf("%s: %d %q, want %d", what, got.Code, got.Body, want)
	}
}

// flood sends reports of n unknown runs and returns how many of them were answered 429.
func (e edge) flood(t *testing.T, from string, n int) (refused int) {
	t.Helper()
	for range n {
		if e.post(t, from, uuid.NewString(), `{"OK":true}`).Code == http.StatusTooManyRequests {
			refused++
		}
	}
	return refused
}

func TestFloodOfUnknownRunsDoesNotReachTemporal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := openRuns(t, runUUID, otherRun)
		e.want(t, "first report of an open run", http.StatusOK, "10.0.0.1", runUUID)
		if refused := e.flood(t, "10.0.0.1", 1000); refused != 1000-reportapi.SourceBurst {
			t.Errorf("%d of 1000 were refused, want all but %d", refused, reportapi.SourceBurst)
		}
		if got := e.questions(); got != 1+reportapi.SourceBurst {
			t.Errorf("Temporal was asked %d times, want %d", got, 1+reportapi.SourceBurst)
		}
		e.want(t, "the flooding address, a run that accepted a report", http.StatusOK, "10.0.0.1", runUUID)
		e.want(t, "the flooding address, another open run", http.StatusTooManyRequests, "10.0.0.1", otherRun)
		e.want(t, "another address", http.StatusOK, "10.0.0.2", otherRun)
		time.Sleep(time.Second)
		if refused := e.flood(t, "10.0.0.1", 20); refused != 10 {
			t.Errorf("a second later %d of 20 were refused, want 10", refused)
		}
	})
}

// 429 has no body, because Kuberhealthy's Go client could not send the request again. It says when to try again.
func TestTooManyRequestsCanBeRetried(t *testing.T) {
	e := openRuns(t)
	e.flood(t, "10.0.0.1", reportapi.SourceBurst)
	got := e.post(t, "10.0.0.1", runUUID, "this is not read")
	if got.Code != http.StatusTooManyRequests || got.Body.Len() > 0 || got.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %q, header %v, want 429 without a body and Retry-After 1", got.Code, got.Body, got.Header())
	}
}

// Reports of open runs use up no limit, however many runs there are behind one address.
func TestOpenRunsBehindOneAddressAreNeverRefused(t *testing.T) {
	temporal := &fakeTemporal{}
	e := edgeOf(t, temporal)
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for range 50 {
				e.want(t, "first report of a run", http.StatusOK, "10.0.0.1", uuid.NewString())
			}
		})
	}
	clients.Wait()
	if got := len(temporal.signals()); got != 1000 {
		t.Errorf("%d signals, want 1000", got)
	}
}

func TestFloodFromManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := openRuns(t, runUUID, otherRun)
		for i := range 100 {
			e.flood(t, fmt.Sprintf("10.1.0.%d", i), 40)
		}
		// 200 for all addresses together. After that, one for each address that has caused none before.
		if got := e.questions(); got < 200 || got > 300 {
			t.Errorf("Temporal was asked %d times about 4000 unknown runs, want 200 to 300", got)
		}
		e.want(t, "an address that floods", http.StatusTooManyRequests, "10.1.0.1", runUUID)
		e.want(t, "an address that does not", http.StatusOK, "10.2.0.1", otherRun)
		time.Sleep(time.Second)
		e.want(t, "an address that flooded, a second later", http.StatusOK, "10.1.0.1", runUUID)
	})
}

func TestUnknownRunIsAskedForOnceInTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := openRuns(t)
		for range 500 {
			e.want(t, "unknown run", http.StatusBadRequest, "10.0.0.1", runUUID)
		}
		if got := e.questions(); got != 1 {
			t.Errorf("Temporal was asked %d times, want once", got)
		}
		time.Sleep(11 * time.Second)
		e.want(t, "unknown run", http.StatusBadRequest, "10.0.0.1", runUUID)
		if got := e.questions(); got != 2 {
			t.Errorf("Temporal was asked %d times, want once more", got)
		}
	})
}

// Many connections at once do not pass the limits before the first answers arrive.
func TestFloodWhileTemporalIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := &fakeTemporal{answer: func(ctx context.Context, s signal) error {
			time.Sleep(500 * time.Millisecond)
			return gone(ctx, s)
		}}
		e := edgeOf(t, temporal)
		var clients sync.WaitGroup
		for range 5000 {
			clients.Go(func() { e.flood(t, "10.0.0.1", 1) })
		}
		clients.Wait()
		if got := e.questions(); got > reportapi.MaxQuestions+reportapi.SourceBurst {
			t.Errorf("Temporal was asked %d times, want at most %d", got, reportapi.MaxQuestions+reportapi.SourceBurst)
		}
	})
}

// A token is for one question, not for one question of each connection.
func TestFloodOverManyConnectionsGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := &fakeTemporal{answer: func(ctx context.Context, s signal) error {
			time.Sleep(100 * time.Millisecond)
			return gone(ctx, s)
		}}
		e := edgeOf(t, temporal)
		var clients sync.WaitGroup
		for range 16 {
			clients.Go(func() {
				for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					e.flood(t, "10.0.0.1", 1)
				}
			})
		}
		clients.Wait()
		if got, most := e.questions(), 16+reportapi.SourceBurst+20*10; got > most {
			t.Errorf("Temporal was asked %d times in 20 s, want at most %d", got, most)
		}
	})
}

func TestReportsOfOneRunAreBounded(t *testing.T) {
	large := `{"OK":false,"Errors":["` + strings.Repeat("x", 400<<10) + `"]}`
	tests := []struct {
		name, body string
		want       int
	}{
		{"in number", `{"OK":true}`, reportapi.MaxRunReports},
		{"in bytes", large, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := openRuns(t, runUUID, otherRun)
			var clients sync.WaitGroup
			for range 10 { // several at once, also before the first is accepted
				clients.Go(func() {
					for range 20 {
						if got := e.post(t, "10.0.0.1", runUUID, tt.body).Code; got != http.StatusOK && got != http.StatusTooManyRequests {
							t.Errorf("%d, want 200 or 429", got)
						}
					}
				})
			}
			clients.Wait()
			if got := len(e.signals()); got != tt.want {
				t.Errorf("%d reports were passed on, want %d", got, tt.want)
			}
			e.want(t, "another run", http.StatusOK, "10.0.0.1", otherRun)
		})
	}
}

// The client of a check may end with its pod while Temporal still stores the report.
func TestReportIsDeliveredAlthoughItsClientHangsUp(t *testing.T) {
	signalled, hungUp := make(chan struct{}), make(chan struct{})
	temporal := &fakeTemporal{answer: func(ctx context.Context, _ signal) error {
		close(signalled)
		<-hungUp
		return ctx.Err()
	}}
	e := edgeOf(t, temporal)
	ctx, hangUp := context.WithCancel(t.Context())
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/externalCheckStatus", strings.NewReader(`{"OK":true}`))
	request.Header.Set("kh-run-uuid", runUUID)
	var client sync.WaitGroup
	client.Go(func() { e.routes.ServeHTTP(httptest.NewRecorder(), request) })
	<-signalled
	hangUp()
	close(hungUp)
	client.Wait()
	if got := len(temporal.signals()); got != 1 {
		t.Errorf("%d signals, want 1", got)
	}
}
