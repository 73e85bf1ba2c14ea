package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReachTellsTheReportAPIFromOthers(t *testing.T) {
	routes := http.NewServeMux()
	routes.HandleFunc("POST /externalCheckStatus", func(http.ResponseWriter, *http.Request) { t.Error("a report was sent") })
	routes.HandleFunc("GET /page", func(http.ResponseWriter, *http.Request) {})
	routes.HandleFunc("DELETE /thing", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(routes)
	defer server.Close()
	gone := httptest.NewServer(routes)
	gone.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // reports use no proxy
	tests := []struct {
		name, url string
		code      int
		message   string
	}{
		{"the report API", server.URL + "/externalCheckStatus", 0, ""},
		{"a page", server.URL + "/page", 1, "/page answers 200 OK, not as the report API does"},
		{"another path", server.URL + "/x", 1, "/x answers 404 Not Found"},
		{"a path that takes no reports", server.URL + "/thing", 1, "/thing answers 405"},
		{"nobody", gone.URL, 1, "connect: connection refused"},
		{"no URL", "kuberhealthy\n", 1, "invalid control character"},
		{"no scheme", "kuberhealthy", 1, "unsupported protocol scheme"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			message := filepath.Join(t.TempDir(), "termination-log")
			code := reach(t.Context(), tt.url, message)
			text, err := os.ReadFile(message)
			if code != tt.code || !strings.Contains(string(text), tt.message) || (err == nil) != (tt.code != 0) {
				t.Errorf("%d, %q, %v, want %d, %q", code, text, err, tt.code, tt.message)
			}
		})
	}
}
