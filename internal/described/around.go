package described

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// Checked is a handler whose answers are held against the description. See Handler.
type Checked struct {
	Reporter
	next http.Handler
}

// Handler returns a handler that fails the test on an answer that is not as described, and passes all answers on. Answers to
// other paths than those of the API pass unseen.
func Handler(t Reporter, next http.Handler) *Checked { return &Checked{t, next} }

// ServeHTTP implements http.Handler.
func (c *Checked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !ofAPI(r) {
		c.next.ServeHTTP(w, r)
		return
	}
	seen := &recorder{ResponseWriter: w, status: http.StatusOK, stream: events{Reporter: c.Reporter, request: r}}
	c.next.ServeHTTP(seen, r)
	if !isStream(seen.Header()) || seen.status != http.StatusOK {
		Check(c.Reporter, r, seen.status, seen.Header(), seen.body.Bytes())
	}
}

func ofAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, Base+"/") }

func isStream(header http.Header) bool { return header.Get("Content-Type") == "text/event-stream" }

// recorder passes an answer on and remembers it. Of a stream it remembers nothing.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	stream events
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(part []byte) (int, error) {
	if isStream(r.Header()) {
		r.stream.write(part)
	} else {
		r.body.Write(part)
	}
	return r.ResponseWriter.Write(part)
}

// Flush implements http.Flusher.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Unwrap lets a http.ResponseController set the deadlines of the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Transport returns a transport that fails the test on an answer that is not as described. Nil is the default transport.
func Transport(t Reporter, next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return transport{t, next}
}

type transport struct {
	Reporter
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil || !ofAPI(r) {
		return response, err
	}
	if isStream(response.Header) && response.StatusCode == http.StatusOK {
		response.Body = &watched{response.Body, events{Reporter: t.Reporter, request: r}}
		return response, nil
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	Check(t.Reporter, r, response.StatusCode, response.Header, body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// watched is the body of a stream.
type watched struct {
	io.ReadCloser
	stream events
}

// Read implements io.Reader.
func (w *watched) Read(into []byte) (int, error) {
	n, err := w.ReadCloser.Read(into)
	w.stream.write(into[:n])
	return n, err
}
