package browse_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/khronicle/khronicle/test/browse"
	"github.com/khronicle/khronicle/test/wait"
)

// A page is loaded once, and again after each pause in which something has changed. What fails is counted.
func TestBrowsersLoadAfterAChange(t *testing.T) {
	var loads, streams atomic.Int32
	change, broken := make(chan struct{}), atomic.Bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case broken.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/":
			loads.Add(1)
			_, _ = io.WriteString(w, "page")
		default:
			streams.Add(1)
			_, _ = io.WriteString(w, "retry: 2000\n\nid: 1\nevent: refresh\ndata: {}\n\n")
			_ = http.NewResponseController(w).Flush()
			for {
				select {
				case <-r.Context().Done():
					return
				case <-change:
					_, _ = io.WriteString(w, "id: 2\nevent: changed\ndata: {}\n\n")
					_ = http.NewResponseController(w).Flush()
				}
			}
		}
	}))
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	pages := browse.Open(ctx, server.URL, 2, time.Millisecond)
	await := func(what string, done func() bool) {
		t.Helper()
		if !wait.Until(t.Context(), 30*time.Second, done) {
			t.Fatalf("%s: %d loads, %d streams", what, loads.Load(), streams.Load())
		}
	}
	await("both pages are open", func() bool { return loads.Load() == 2 && streams.Load() == 2 })
	change <- struct{}{} // one of the two receives it
	await("one page is loaded again", func() bool { return loads.Load() == 3 })
	var all browse.Figures
	await("all is counted", func() bool {
		got, _ := pages.Figures()
		all.Loads, all.LoadBytes, all.Failures = all.Loads+got.Loads, all.LoadBytes+got.LoadBytes, all.Failures+got.Failures
		all.Events, all.EventBytes = all.Events+got.Events, all.EventBytes+got.EventBytes
		return all.Loads == 3 && all.LoadBytes == 12 && all.Events == 3 && all.EventBytes > 50 && all.Failures == 0
	})
	broken.Store(true)
	change <- struct{}{}
	await("a failure is counted", func() bool {
		got, errors := pages.Figures()
		return got.Failures == 1 && len(errors) == 1
	})
	stop()
	pages.Wait()
	if got, errors := pages.Figures(); got.Failures != 0 || len(errors) != 0 {
		t.Errorf("closing a page is a failure: %+v, %v", got, errors)
	}
}
