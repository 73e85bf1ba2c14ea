// Package reports is a report API that takes every report, for tests of the checks.
package reports

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Received are the bodies of reports in the order in which they came.
type Received <-chan string

// Receive starts the report API, and gives the test the environment of a checker pod that reports to it.
func Receive(t testing.TB) Received {
	t.Helper()
	bodies := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a body that is cut short differs from what the test wants
		bodies <- string(body)
	}))
	t.Cleanup(server.Close)
	t.Setenv("KH_REPORTING_URL", server.URL)
	t.Setenv("KH_RUN_UUID", "5d0e1a2b-6b1f-4c3c-9e2b-0d4f4a4f3d11")
	return bodies
}

// All returns the reports so far that no other call has returned.
func (r Received) All() []string {
	var all []string
	for {
		select {
		case body := <-r:
			all = append(all, body)
		default:
			return all
		}
	}
}
