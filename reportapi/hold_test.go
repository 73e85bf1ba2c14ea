package reportapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/reportapi"
)

// down is a Temporal that gives errors for a time, and then works.
func down(outage time.Duration) *fakeTemporal {
	began := time.Now()
	return &fakeTemporal{answer: func(context.Context, signal) error {
		if time.Since(began) < outage {
			return serviceerror.NewUnavailable("connection refused")
		}
		return nil
	}}
}

// hung is a Temporal that lets each call wait for a time, and then works.
func hung(outage time.Duration) *fakeTemporal {
	began := time.Now()
	return &fakeTemporal{answer: func(ctx context.Context, _ signal) error {
		select {
		case <-time.After(outage - time.Since(began)):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

// bubble is a server and a client in a bubble of package synctest.
type bubble struct {
	client *http.Client
	// stop ends the context of the server, and ended returns when it has ended.
	stop  context.CancelFunc
	ended func()
}

func newBubble(t *testing.T, o reportapi.Options) *bubble {
	t.Helper()
	server, err := reportapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b := &bubble{}
	network := newPipes()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return network.dial(ctx)
	}}
	b.client = &http.Client{Transport: transport}
	ctx, stop := context.WithCancel(t.Context())
	b.stop = stop
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeOn(ctx, network) })
	b.ended = serving.Wait
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		serving.Wait()
	})
	return b
}

// pipes is a network in memory.
type pipes struct {
	connections chan net.Conn
	closed      context.Context
	close       context.CancelFunc
}

func newPipes() *pipes {
	p := &pipes{connections: make(chan net.Conn)}
	p.closed, p.close = context.WithCancel(context.Background())
	return p
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.connections <- server:
		return client, nil
	case <-p.closed.Done():
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case connection := <-p.connections:
		return connection, nil
	case <-p.closed.Done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "bubble", Net: "unix"} }

// post sends a report of success and returns the answer, and how long it took.
func (b *bubble) post(t *testing.T, path string) (got answer, took time.Duration) {
	t.Helper()
	began := time.Now()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://khronicle"+path, strings.NewReader(`{"OK":true}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("kh-run-uuid", runUUID)
	response, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response), time.Since(began)
}

// A client that sends its report once needs an answer that holds: 200, although Temporal was away when the report came.
func TestReportIsHeldWhileTemporalDoesNotAnswer(t *testing.T) {
	tests := []struct {
		name     string
		temporal func(time.Duration) *fakeTemporal
		outage   time.Duration
		want     int
		at       time.Duration // when the answer comes, at the latest
	}{
		{"down for a moment", down, time.Second, http.StatusOK, 2 * time.Second},
		{"down for 11 seconds", down, 11 * time.Second, http.StatusOK, 12 * time.Second},
		{"hangs for 11 seconds", hung, 11 * time.Second, http.StatusOK, 12 * time.Second},
		{"down for longer", down, time.Hour, http.StatusServiceUnavailable, 20 * time.Second},
		{"hangs for longer", hung, time.Hour, http.StatusServiceUnavailable, 20 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				temporal := tt.temporal(tt.outage)
				b := newBubble(t, options(temporal, nil))
				began := time.Now()
				got, took := b.post(t, "/externalCheckStatus")
				if got.Status != tt.want || got.Body != "" || got.Header.Get("Content-Length") != "0" {
					t.Errorf("%d %q with length %q, want %d and no body", got.Status, got.Body, got.Header.Get("Content-Length"), tt.want)
				}
				if took < min(tt.outage, tt.at) || took > tt.at {
					t.Errorf("answered after %s, want at most %s", took, tt.at)
				}
				for _, stored := range temporal.signals() {
					if !stored.received.Equal(began) {
						t.Errorf("the stamp is %s after the report, want none", stored.received.Sub(began))
					}
				}
				if got := len(temporal.signals()); (got == 1) != (tt.want == http.StatusOK) {
					t.Errorf("%d signals", got)
				}
			})
		})
	}
}

// D11: Kuberhealthy's Go client sends the same request object again, whose body has been read. Go can rewind the body only
// after an answer without a body, on a connection that stayed open.
func TestKuberhealthysOwnClientCanTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := down(35 * time.Second)
		b := newBubble(t, options(temporal, nil))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://khronicle/externalCheckStatus",
			bytes.NewBufferString(`{"Errors":[],"OK":true}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("kh-run-uuid", runUUID)
		for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
			response, err := b.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, response); got.Status != want {
				t.Errorf("%d, want %d", got.Status, want)
			}
		}
		if diff := cmp.Diff([]signal{stored(passed())}, temporal.signals()); diff != "" {
			t.Errorf("signals differ (-want +got):\n%s", diff)
		}
	})
}

// A client that waits no longer has nevertheless reported.
func TestHeldReportIsStoredAfterItsClientHasHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := down(11 * time.Second)
		conn := dial(t, temporal)
		drip(conn, 0, "POST /externalCheckStatus HTTP/1.1\r\nHost: khronicle\r\nkh-run-uuid: "+runUUID+"\r\nContent-Length: 11\r\n\r\n{\"OK\":true}")
		time.Sleep(time.Second)
		_ = conn.Close()
		time.Sleep(11 * time.Second)
		if diff := cmp.Diff([]signal{stored(passed())}, temporal.signals()); diff != "" {
			t.Errorf("signals differ (-want +got):\n%s", diff)
		}
	})
}

// A report without a run UUID waits for its pod first, and then for Temporal.
func TestReportBySourceAddressIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := down(11 * time.Second)
		o := options(temporal, nil)
		o.Pods = &fakePods{kind: khv1.KHCheck, runs: map[string]string{"192.0.2.1": runUUID}} // package httptest's address
		if got := serve(t, notServing(t, o), "", strings.NewReader(`{"OK":true}`)); got.Code != http.StatusOK {
			t.Errorf("%d, want 200", got.Code)
		}
	})
}

// A server that stops cannot hold for long. Its clients may find another replica.
func TestHeldReportsAreAnsweredWhenTheServerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, options(down(time.Hour), nil))
		time.AfterFunc(time.Second, b.stop)
		got, took := b.post(t, "/check")
		if got.Status != http.StatusServiceUnavailable || took != 5*time.Second {
			t.Errorf("%d after %s, want 503 four seconds after the stop", got.Status, took)
		}
		b.ended()
	})
}

// However many reports come while Temporal does not answer, they take a bounded part of the memory.
func TestHeldReportsAreBounded(t *testing.T) {
	large := `{"OK":false,"Errors":["` + strings.Repeat("x", reportapi.MaxReport/2) + `"]}`
	tests := []struct {
		name, body string
		fit        int
	}{
		{"in number", `{"OK":true}`, reportapi.MaxHeld},
		{"in bytes", large, reportapi.MaxHeldBytes / len(large)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := notServing(t, options(down(time.Hour), nil))
				post := func() (status int, took time.Duration) {
					began := time.Now()
					recorder := serve(t, server, uuid.NewString(), strings.NewReader(tt.body))
					return recorder.Code, time.Since(began)
				}
				var held sync.WaitGroup
				for range tt.fit {
					held.Go(func() {
						if status, took := post(); status != http.StatusServiceUnavailable || took < 19*time.Second {
							t.Errorf("%d after %s, want 503 after 20s", status, took)
						}
					})
				}
				synctest.Wait()
				if status, took := post(); status != http.StatusServiceUnavailable || took > 0 {
					t.Errorf("one more: %d after %s, want 503 at once", status, took)
				}
				held.Wait()
				if _, took := post(); took < 19*time.Second {
					t.Errorf("the next one is answered after %s, want that it is held", took)
				}
			})
		})
	}
}

// What Temporal has decided is answered at once. Interceptors may wrap its answers.
func TestDecisionsOfTemporalAreAnsweredAsTheyAre(t *testing.T) {
	const atOnce, held = 0, 20 * time.Second
	tests := []struct {
		name string
		err  error
		want int
		took time.Duration
	}{
		{"not found", serviceerror.NewNotFound("x"), http.StatusBadRequest, atOnce},
		{"invalid argument", serviceerror.NewInvalidArgument("exceeded workflow execution limit for signal events"), http.StatusBadRequest, atOnce},
		{"blob too large", serviceerror.NewInvalidArgument("Blob data size exceeds limit."), http.StatusRequestEntityTooLarge, atOnce},
		{"no permission", serviceerror.NewPermissionDenied("x", ""), http.StatusServiceUnavailable, atOnce},
		{"namespace not found, such as of a server that starts", serviceerror.NewNamespaceNotFound("khronicle"), http.StatusServiceUnavailable, held},
		{"slow", serviceerror.NewDeadlineExceeded("slow"), http.StatusServiceUnavailable, held},
		{"overloaded", serviceerror.NewResourceExhausted(0, "too many"), http.StatusServiceUnavailable, held},
		{"internal", serviceerror.NewInternal("?"), http.StatusServiceUnavailable, held},
		{"any other", errors.New("?"), http.StatusServiceUnavailable, held},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, options(&fakeTemporal{answer: func(context.Context, signal) error { return fmt.Errorf("signal: %w", tt.err) }}, nil))
				got, took := b.post(t, "/check")
				if got.Status != tt.want || took.Round(time.Second) != tt.took {
					t.Errorf("%d after %s, want %d after %s", got.Status, took, tt.want, tt.took)
				}
			})
		})
	}
}
