package operations_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/khronicle/khronicle/internal/operations"
)

func TestHandler(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "ticks_total", Help: "Ticks."}))
	ready := &operations.Readiness{}
	ready.Add("temporal", func(context.Context) error { return errors.New("no route") })
	handler := operations.Handler(ready, registry, slog.New(slog.DiscardHandler))
	tests := []struct {
		name, method, path string
		code               int
		want               string // part of the body
	}{
		{"the process is alive although it is not ready", http.MethodGet, "/healthz", http.StatusOK, "ok\n"},
		{"the process is not ready", http.MethodGet, "/readyz", http.StatusServiceUnavailable, `{"temporal":"no route"}`},
		{"metrics", http.MethodGet, "/metrics", http.StatusOK, "\nticks_total 0\n"},
		{"nothing is changed here", http.MethodPost, "/healthz", http.StatusMethodNotAllowed, ""},
		{"another path", http.MethodGet, "/", http.StatusNotFound, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil))
			if body := recorder.Body.String(); recorder.Code != tt.code || !strings.Contains(body, tt.want) {
				t.Errorf("%d %q, want %d and %q", recorder.Code, body, tt.code, tt.want)
			}
		})
	}
}
