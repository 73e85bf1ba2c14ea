package checkclient_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// received is what a report endpoint saw of one try.
type received struct {
	Method, Path, UUID, ContentType, Body string
}

// endpoint answers the tries one after another as its script says, and goes on with the script's last answer.
type endpoint struct {
	*httptest.Server
	mu   sync.Mutex
	seen []received
}

func newEndpoint(t *testing.T, script ...http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		script[min(e.record(r), len(script))-1](w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

// record keeps the request and returns how many there are.
func (e *endpoint) record(r *http.Request) int {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		body = []byte("unreadable: " + err.Error())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, received{
		Method: r.Method, Path: r.URL.Path, UUID: r.Header.Get("kh-run-uuid"),
		ContentType: r.Header.Get("Content-Type"), Body: string(body),
	})
	return len(e.seen)
}

func (e *endpoint) requests() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]received(nil), e.seen...)
}

// answer answers with a status and, unless it is blank, a body.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// answerAndClose answers and closes the connection.
func answerAndClose(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		answer(status, body)(w, r)
	}
}

// reset drops the connection with a TCP reset instead of an answer.
func reset(w http.ResponseWriter, _ *http.Request) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}
