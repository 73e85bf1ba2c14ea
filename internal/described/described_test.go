package described_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/internal/described"
)

// judge records whether a test would fail.
type judge struct{ failed bool }

func (j *judge) Helper()               {}
func (j *judge) Errorf(string, ...any) { j.failed = true }

const (
	sum     = `{"ok":true,"ledger":"none","checks":{"total":0,"healthy":0,"failing":0,"unknown":0,"paused":0},"jobs":{"total":0,"healthy":0,"failing":0,"unknown":0,"paused":0}}`
	absent  = `{"type":"about:blank","title":"Not Found","status":404,"detail":"there is none"}`
	refused = `{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"read it"}`
	busy    = `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many"}`
	someone = `{"kind":"check","namespace":"shop","name":"pay"}`
)

// All tests of the API rely on this package. It finds fields and values that are not described, statuses that an operation has
// not, errors that are no problems, and events of another kind.
func TestAnswersThatAreNotDescribedAreFound(t *testing.T) {
	const asJSON, asProblem, asStream = "application/json", "application/problem+json", "text/event-stream"
	for name, tt := range map[string]struct {
		method, path string
		status       int
		kind, body   string
		header       string
		wrong        bool
	}{
		"as described":                 {"GET", "/summary", 200, asJSON, sum, "", false},
		"a further field":              {"GET", "/summary", 200, asJSON, strings.Replace(sum, `"ok"`, `"further":1,"ok"`, 1), "", true},
		"a missing field":              {"GET", "/summary", 200, asJSON, strings.Replace(sum, `"ok":true,`, "", 1), "", true},
		"another value":                {"GET", "/summary", 200, asJSON, strings.Replace(sum, "none", "fine", 1), "", true},
		"another type":                 {"GET", "/summary", 200, asJSON, strings.Replace(sum, "true", `"yes"`, 1), "", true},
		"deep inside":                  {"GET", "/summary", 200, asJSON, strings.Replace(sum, `"total":0`, `"total":-1`, 1), "", true},
		"another status":               {"GET", "/summary", 418, asProblem, strings.NewReplacer("Not Found", "I'm a teapot", "404", "418").Replace(absent), "", true},
		"another kind":                 {"GET", "/summary", 200, "text/html", "<html>", "", true},
		"a fault":                      {"GET", "/summary", 500, asProblem, strings.NewReplacer("Not Found", "Internal Server Error", "404", "500").Replace(absent), "", true},
		"an answer to HEAD":            {"HEAD", "/summary", 200, asJSON, "", "", false},
		"a problem":                    {"GET", "/checks/shop/pay", 404, asProblem, absent, "", false},
		"a problem as JSON":            {"GET", "/checks/shop/pay", 404, asJSON, absent, "", true},
		"a problem with a wrong title": {"GET", "/checks/shop/pay", 404, asProblem, strings.Replace(absent, "Not Found", "None", 1), "", true},
		"a problem of another status":  {"GET", "/checks/shop/pay", 404, asProblem, strings.Replace(absent, "404", "400", 1), "", true},
		"a problem without detail":     {"GET", "/checks/shop/pay", 404, asProblem, strings.Replace(absent, "there is none", "", 1), "", true},
		"an unknown path":              {"GET", "/nothing", 404, asProblem, absent, "", false},
		"an unknown path with content": {"GET", "/nothing", 200, asJSON, "{}", "", true},
		"another method":               {"POST", "/summary", 405, asProblem, refused, "Allow", false},
		"without the methods":          {"POST", "/summary", 405, asProblem, refused, "", true},
		"a method that works":          {"DELETE", "/summary", 200, asJSON, sum, "", true},
		"busy":                         {"GET", "/summary", 503, asProblem, busy, "Retry-After", false},
		"busy, for how long":           {"GET", "/summary", 503, asProblem, busy, "", true},
		"304 with a body":              {"GET", "/summary", 304, asJSON, sum, "", true},
		"another place":                {"GET", "/../../metrics", 200, "text/plain", "up 1", "", false},
		"events":                       {"GET", "/changes", 200, asStream, "retry: 2000\n\nid: a-1\nevent: refresh\ndata: {}\n\n: still there\n\nid: a-2\nevent: deleted\ndata: " + someone + "\n\n", "", false},
		"an event without id":          {"GET", "/changes", 200, asStream, "event: refresh\ndata: {}\n\n", "", true},
		"an event of another kind":     {"GET", "/changes", 200, asStream, "id: 1\nevent: added\ndata: " + someone + "\n\n", "", true},
		"an event with other data":     {"GET", "/changes", 200, asStream, "id: 1\nevent: changed\ndata: " + someone + "\n\n", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			answering := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				if tt.header != "" {
					w.Header().Set(tt.header, "1")
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			path := described.Base + tt.path
			if strings.HasPrefix(tt.path, "/..") {
				path = "/metrics"
			}
			behind, before := &judge{}, &judge{}
			recorder := httptest.NewRecorder()
			described.Handler(behind, answering).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), tt.method, path, nil))
			if behind.failed != tt.wrong {
				t.Errorf("Handler finds it wrong: %t, want %t", behind.failed, tt.wrong)
			}
			if recorder.Code != tt.status || tt.method != http.MethodHead && recorder.Body.String() != tt.body {
				t.Errorf("Handler passes on %d %s", recorder.Code, recorder.Body)
			}
			server := httptest.NewServer(answering)
			defer server.Close()
			request, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := (&http.Client{Transport: described.Transport(before, nil)}).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || tt.status != http.StatusNotModified && tt.method != http.MethodHead && string(body) != tt.body {
				t.Errorf("Transport passes on %q, %v", body, err)
			}
			if wrong := tt.wrong && tt.status != http.StatusNotModified; before.failed != wrong { // a server sends no body with 304
				t.Errorf("Transport finds it wrong: %t, want %t", before.failed, wrong)
			}
		})
	}
}
