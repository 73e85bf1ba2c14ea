package rest_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/reportapi/rest"
)

// event is one server-sent event.
type event struct{ id, name, data string }

// open opens a stream, whose events arrive in the channel. The channel is closed at the end of the stream.
func open(t *testing.T, server *httptest.Server, query, lastEventID string) (events <-chan event, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+rest.Base+"/changes"+query, nil)
	must(t, err)
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := server.Client().Do(request)
	must(t, err)
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	found := make(chan event, 1000)
	go func() {
		defer close(found)
		defer response.Body.Close()
		var e event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "id":
				e.id = value
			case name == "event":
				e.name = value
			case name == "data":
				e.data = value
			case lines.Text() == "" && e.name != "":
				found <- e
				e = event{}
			}
		}
	}()
	t.Cleanup(cancel)
	return found, cancel
}

// next is the next event.
func next(t *testing.T, events <-chan event) event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no event within 30s")
	}
	return event{}
}

func wantEvent(t *testing.T, events <-chan event, name, part string) event {
	t.Helper()
	e := next(t, events)
	if e.name != name || !strings.Contains(e.data, part) || e.id == "" {
		t.Errorf("event is %+v, want %s with %s", e, name, part)
	}
	return e
}

func TestChangesAreStreamed(t *testing.T) {
	c := shop()
	server := httptest.NewServer(serving(t, c, nil))
	t.Cleanup(server.Close)
	events, leave := open(t, server, "", "")
	wantEvent(t, events, "refresh", "{}")
	elsewhere, _ := open(t, server, "?namespace=none&namespace=other", "")
	wantEvent(t, elsewhere, "refresh", "{}")
	c.add(newCheck("added"))
	added := wantEvent(t, events, "changed", `"name":"added"`)
	c.remove("added")
	wantEvent(t, events, "deleted", `"name":"added"`)
	leave()

	again, _ := open(t, server, "", added.id) // it missed the deletion
	wantEvent(t, again, "deleted", `"name":"added"`)
	another, _ := open(t, server, "", "other-1") // of another replica
	wantEvent(t, another, "refresh", "{}")
	moved := newCheck("moved")
	moved.Namespace = "other"
	c.add(moved)
	wantEvent(t, elsewhere, "changed", `"namespace":"other"`) // what happened in the other namespace was not for it
}

func TestStreamsAreBoundedInNumber(t *testing.T) {
	server := httptest.NewServer(serving(t, shop(), nil))
	t.Cleanup(server.Close)
	var leave []func()
	for range rest.MaxStreams {
		events, cancel := open(t, server, "", "")
		wantEvent(t, events, "refresh", "{}")
		leave = append(leave, cancel)
	}
	ask := func() int {
		response, err := server.Client().Get(server.URL + rest.Base + "/changes") //nolint:noctx // it is refused at once
		must(t, err)
		defer response.Body.Close()
		return response.StatusCode
	}
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("%d for one stream too many, want 503", got)
	}
	response, err := server.Client().Get(server.URL + rest.Base + "/checks") //nolint:noctx // it is answered at once
	must(t, err)
	if discard(response.Body); response.StatusCode != http.StatusOK {
		t.Errorf("%d for a list meanwhile, want 200", response.StatusCode)
	}
	for _, cancel := range leave {
		cancel()
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the server sees that they have left
		if events, ok := tryOpen(t, server); ok {
			wantEvent(t, events, "refresh", "{}")
			return
		}
		if time.Now().After(end) {
			t.Fatal("the streams of clients that have left still count")
		}
	}
}

// tryOpen opens a stream if there is room for one.
func tryOpen(t *testing.T, server *httptest.Server) (events <-chan event, ok bool) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+rest.Base+"/changes", nil)
	must(t, err)
	response, err := server.Client().Do(request)
	must(t, err)
	if discard(response.Body); response.StatusCode != http.StatusOK {
		return nil, false
	}
	events, _ = open(t, server, "", "")
	return events, true
}

func TestStreamsEndWithTheServer(t *testing.T) {
	stopping := make(chan struct{})
	server := httptest.NewServer(serving(t, shop(), nil, func(o *rest.Options) { o.Stopping = stopping }))
	t.Cleanup(server.Close)
	events, _ := open(t, server, "", "")
	wantEvent(t, events, "refresh", "{}")
	close(stopping)
	select {
	case e, ok := <-events:
		if ok {
			t.Errorf("event %+v, want the end", e)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the stream goes on")
	}
}

// The client follows changes over the end of a stream, and ends with its context.
func TestTheClientFollowsChanges(t *testing.T) {
	c := shop()
	stopping := make(chan struct{})
	handler := serving(t, c, nil)
	ending := serving(t, c, nil, func(o *rest.Options) { o.Stopping = stopping })
	streams := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if streams++; streams == 1 {
			ending.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	client, err := apiclient.NewClient(server.URL + rest.Base)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var seen []string
	for change, err := range client.Changes(ctx, apiclient.StreamChangesParams{}) {
		must(t, err)
		switch {
		case change.Refresh && len(seen) == 0:
			seen = append(seen, "refresh")
			c.add(newCheck("added"))
		case change.Changed != nil && change.Changed.Name == "added":
			seen = append(seen, "changed")
			close(stopping) // the first stream ends
		case change.Refresh: // the second stream is another process
			seen = append(seen, "refresh")
			c.remove("added")
		case change.Deleted != nil && change.Deleted.Name == "added":
			seen = append(seen, "deleted")
		}
		if len(seen) == 4 {
			break
		}
	}
	if got := strings.Join(seen, " "); got != "refresh changed refresh deleted" {
		t.Errorf("seen %q", got)
	}
	for _, err := range client.Changes(ctx, apiclient.StreamChangesParams{Namespace: &[]string{""}}) {
		if p := (*apiclient.Problem)(nil); err == nil || !strings.Contains(err.Error(), "400 Bad Request: namespace: ") {
			t.Errorf("error %v (%v), want that of the parameter", err, p)
		}
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	for _, err := range client.Changes(ended, apiclient.StreamChangesParams{}) {
		if err == nil {
			t.Error("a change after the end of the context")
		}
	}
}
