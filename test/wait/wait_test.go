package wait_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/khronicle/khronicle/test/wait"
)

func TestSleepEndsWithTheTimeOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if !wait.Sleep(t.Context(), time.Hour) || time.Since(start) != time.Hour {
			t.Errorf("slept %s, want an hour", time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start = time.Now()
		if wait.Sleep(ctx, time.Hour) || time.Since(start) != time.Minute {
			t.Errorf("slept %s, want the minute of the context", time.Since(start))
		}
	})
}

func TestUntilAsksUntilTheAnswerIsTrueOrTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		if !wait.Until(t.Context(), time.Minute, func() bool { asked++; return asked == 3 }) || asked != 3 {
			t.Errorf("asked %d times, want 3", asked)
		}
		start := time.Now()
		if wait.Until(t.Context(), time.Minute, func() bool { return false }) {
			t.Error("true, and the answer was false")
		}
		if took := time.Since(start); took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("gave up after %s, want a minute", took)
		}
	})
}

func TestAnswersIsTrueFor200Alone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	for url, want := range map[string]bool{
		server.URL + "/readyz": true, server.URL + "/": false, "http://127.0.0.1:1/readyz": false, "://": false,
	} {
		if got := wait.Answers(t.Context(), url); got != want {
			t.Errorf("%s: got %t, want %t", url, got, want)
		}
	}
}
