package reportapi_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/khronicle/khronicle/internal/operations"
	"github.com/khronicle/khronicle/reportapi"
)

// dial serves the routes within the bubble, over connections in memory and with the time limits of the real server. It
// returns the client's end of one connection.
func dial(t *testing.T, temporal reportapi.Signaler) net.Conn {
	t.Helper()
	server, err := reportapi.New(options(temporal, nil))
	if err != nil {
		t.Fatal(err)
	}
	client, end := net.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	listener := newOneConn(end)
	var serving sync.WaitGroup
	serving.Go(func() { _ = operations.Serve(ctx, listener, server.Routes(), slog.New(slog.DiscardHandler)) })
	t.Cleanup(func() {
		_ = client.Close()
		stop()
		serving.Wait()
		_ = server.Close()
	})
	return client
}

// oneConn is a listener with one connection. Only the server closes it, as it closes a real one. A listener that closes by
// itself could end the server before the server has begun to stop.
type oneConn struct {
	conn   chan net.Conn
	closed context.Context
	close  context.CancelFunc
}

func newOneConn(conn net.Conn) *oneConn {
	l := &oneConn{conn: make(chan net.Conn, 1)}
	l.conn <- conn
	l.closed, l.close = context.WithCancel(context.Background())
	return l
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	case <-l.closed.Done():
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { l.close(); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "bubble", Net: "unix"} }

// drip writes a text in pieces with a pause before each, until the other end is closed.
func drip(conn net.Conn, pause time.Duration, pieces ...string) {
	for _, piece := range pieces {
		time.Sleep(pause)
		if _, err := io.WriteString(conn, piece); err != nil {
			return
		}
	}
}

// Clients treat 400 as delivered. So the answer to a client that is too slow asks it to try again.
func TestSlowBodies(t *testing.T) {
	const report = `{"OK":false,"Errors":["slow"]}`
	framed := "Content-Length: 30\r\n\r\n"
	tests := []struct {
		name, head string
		pause      time.Duration
		pieces     []string
		want       int
		took       time.Duration
	}{
		{"a byte every 300 ms, in time", framed, 300 * time.Millisecond, strings.Split(report, ""), 200, 9 * time.Second},
		{"a byte every second, too slow", framed, time.Second, strings.Split(report, ""), 503, 10 * time.Second},
		{"chunks that go on and on", "Transfer-Encoding: chunked\r\n\r\n", time.Second, slices.Repeat([]string{"1\r\n \r\n"}, 60), 503, 10 * time.Second},
		{"half a report, then nothing", framed, time.Second, []string{report[:15]}, 503, 10 * time.Second},
		{"a whole report, but not all that was announced", "Content-Length: 31\r\n\r\n", time.Second, []string{report}, 503, 10 * time.Second},
		{"nothing", framed, 0, nil, 503, 10 * time.Second},
		{"headers in pieces, in time", "", 2 * time.Second, []string{framed[:8], framed[8:], report}, 200, 6 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				temporal := &fakeTemporal{}
				conn := dial(t, temporal)
				began := time.Now()
				var writing sync.WaitGroup
				defer writing.Wait()
				defer conn.Close()
				writing.Go(func() {
					head := "POST /externalCheckStatus HTTP/1.1\r\nHost: khronicle\r\nkh-run-uuid: " + runUUID + "\r\n" + tt.head
					drip(conn, 0, head)
					drip(conn, tt.pause, tt.pieces...)
				})
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				if response.StatusCode != tt.want || len(body) > 0 || err != nil {
					t.Errorf("%d %q (%v), want %d and no body", response.StatusCode, body, err, tt.want)
				}
				if took := time.Since(began).Round(time.Millisecond); took != tt.took {
					t.Errorf("answered after %s, want %s", took, tt.took)
				}
				if got := len(temporal.signals()); (got == 1) != (tt.want == http.StatusOK) {
					t.Errorf("%d signals", got)
				}
			})
		})
	}
}

// Node.js lives for as long as its connection is open, and so does the pod of its check.
func TestConnectionIsClosedAfterAnAcceptedReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, &fakeTemporal{})
		began := time.Now()
		drip(conn, 0, "POST /externalCheckStatus HTTP/1.1\r\nHost: khronicle\r\nConnection: keep-alive\r\nkh-run-uuid: "+runUUID+
			"\r\nContent-Length: 11\r\n\r\n{\"OK\":true}")
		answer := bufio.NewReader(conn)
		response, err := http.ReadResponse(answer, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusOK || !response.Close {
			t.Errorf("%s, closed is %t, want 200 and closed", response.Status, response.Close)
		}
		if _, err := answer.ReadByte(); err != io.EOF {
			t.Errorf("got %v, want the end of the connection", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the connection was closed after %s, want at once", took)
		}
	})
}

// serve returns the answer of a server to a report with this body. It uses no network, so that it may run in a bubble.
func serve(t *testing.T, server *reportapi.Server, runUUID string, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/externalCheckStatus", body)
	request.Header.Set("kh-run-uuid", runUUID)
	recorder := httptest.NewRecorder()
	server.Routes().ServeHTTP(recorder, request)
	return recorder
}

// notServing is a server that a test calls without a network.
func notServing(t *testing.T, o reportapi.Options) *reportapi.Server {
	t.Helper()
	server, err := reportapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// endless is a body without an end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestEndlessBodyIsReadToTheLimit(t *testing.T) {
	body := &endless{}
	if got := serve(t, notServing(t, options(&fakeTemporal{}, nil)), runUUID, body); got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d, want 413", got.Code)
	}
	if body.read != reportapi.MaxReport+1 {
		t.Errorf("%d bytes were read, want one more than the limit of %d", body.read, reportapi.MaxReport)
	}
}

// The answer comes while the client is still writing. Package http then reads 256 KiB more, so that the client can read the
// answer. After that it closes the connection.
func TestEndlessBodyOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dial(t, &fakeTemporal{})
		written := make(chan int, 1)
		go func() {
			total := 0
			chunk := "4000\r\n" + strings.Repeat(" ", 0x4000) + "\r\n"
			text := "POST /check HTTP/1.1\r\nHost: khronicle\r\nContent-Type: application/json\r\nkh-run-uuid: " + runUUID +
				"\r\nTransfer-Encoding: chunked\r\n\r\n"
			for {
				n, err := io.WriteString(conn, text)
				if total += n; err != nil {
					written <- total
					return
				}
				text = chunk
			}
		}()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusRequestEntityTooLarge || !response.Close {
			t.Errorf("%s, closed is %t, want 413 and closed", response.Status, response.Close)
		}
		if got, limit := <-written, reportapi.MaxReport+(256+64)<<10; got > limit {
			t.Errorf("%d bytes were taken from the connection, want at most %d", got, limit)
		}
	})
}
