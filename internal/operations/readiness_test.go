package operations_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/internal/operations"
)

func fine(context.Context) error { return nil }

func wrong(text string) operations.Check {
	return func(context.Context) error { return errors.New(text) }
}

func ask(t *testing.T, handler http.Handler) (code int, contentType string, answers map[string]string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	if err := json.Unmarshal(recorder.Body.Bytes(), &answers); err != nil {
		t.Fatalf("%q is not JSON: %v", recorder.Body, err)
	}
	return recorder.Code, recorder.Header().Get("Content-Type"), answers
}

func TestReadiness(t *testing.T) {
	tests := []struct {
		name   string
		checks map[string]operations.Check
		code   int
		want   map[string]string
	}{
		{"nothing to check", nil, http.StatusOK, map[string]string{}},
		{"all there", map[string]operations.Check{"a": fine, "b": fine}, http.StatusOK, map[string]string{"a": "ok", "b": "ok"}},
		{"one away", map[string]operations.Check{"a": fine, "b": wrong("no route")}, http.StatusServiceUnavailable, map[string]string{"a": "ok", "b": "no route"}},
		{"all away", map[string]operations.Check{"a": wrong("x"), "b": wrong("y \"z\"\n")}, http.StatusServiceUnavailable, map[string]string{"a": "x", "b": "y \"z\"\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ready := &operations.Readiness{}
			for name, probe := range tt.checks {
				ready.Add(name, probe)
			}
			code, contentType, answers := ask(t, ready)
			if code != tt.code || contentType != "application/json" {
				t.Errorf("%d %s, want %d application/json", code, contentType, tt.code)
			}
			if diff := cmp.Diff(tt.want, answers); diff != "" {
				t.Errorf("answers differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChecksCanBeLeftOut(t *testing.T) {
	ready := &operations.Readiness{}
	ready.Add("a", wrong("x"))
	ready.Add("b", wrong("y"))
	ready.Add("c", fine)
	tests := []struct {
		query string
		code  int
		want  string
	}{
		{"", http.StatusServiceUnavailable, `{"a":"x","b":"y","c":"ok"}`},
		{"?exclude=a", http.StatusServiceUnavailable, `{"b":"y","c":"ok"}`},
		{"?exclude=a&exclude=b", http.StatusOK, `{"c":"ok"}`},
		{"?exclude=unknown", http.StatusServiceUnavailable, `{"a":"x","b":"y","c":"ok"}`},
		{"?exclude=a&exclude=b&exclude=c", http.StatusOK, `{}`},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			ready.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz"+tt.query, nil))
			if recorder.Code != tt.code || recorder.Body.String() != tt.want+"\n" {
				t.Errorf("%d %s, want %d %s", recorder.Code, recorder.Body, tt.code, tt.want)
			}
		})
	}
}

func TestAddReplacesTheCheckOfThatName(t *testing.T) {
	ready := &operations.Readiness{}
	ready.Add("a", wrong("old"))
	ready.Add("a", fine)
	if code, _, answers := ask(t, ready); code != http.StatusOK || len(answers) != 1 {
		t.Errorf("%d %v, want the new check alone", code, answers)
	}
}

// A backend that hangs must not hang the probe of the kubelet, whose own limit would say nothing of the reason.
func TestProbeThatHangsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := &operations.Readiness{}
		ready.Add("temporal", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		ready.Add("kubernetes", fine)
		began := time.Now()
		code, _, answers := ask(t, ready)
		if code != http.StatusServiceUnavailable || answers["temporal"] != context.DeadlineExceeded.Error() {
			t.Errorf("%d %v, want 503 and the reason", code, answers)
		}
		if answers["kubernetes"] != "ok" {
			t.Errorf("the other check suffers: %v", answers)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %s, want 2s", took)
		}
	})
}

func TestAProbeMayAddAProbe(t *testing.T) {
	ready := &operations.Readiness{}
	ready.Add("a", func(context.Context) error {
		ready.Add("b", fine)
		return nil
	})
	if code, _, _ := ask(t, ready); code != http.StatusOK {
		t.Errorf("%d, want 200", code)
	}
}

func TestReadinessIsSafeForConcurrentUse(t *testing.T) {
	ready := &operations.Readiness{}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() { ready.Add(fmt.Sprint(i), fine) })
		group.Go(func() { ask(t, ready) })
	}
	group.Wait()
	if _, _, answers := ask(t, ready); len(answers) != 8 {
		t.Errorf("%d checks, want 8", len(answers))
	}
}
