package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/view"
)

// Times of a stream.
const (
	// heartbeatEvery is the longest time without a line. It is less than proxies wait.
	heartbeatEvery = 15 * time.Second
	// streamFor is how long a stream lasts. The client comes again, perhaps to another replica.
	streamFor = 30 * time.Minute
	// writeWithin is how long a client may take to receive what is sent at once.
	writeWithin = 10 * time.Second
)

// errStreamEnds is the cause of a stream that the server ends.
var errStreamEnds = errors.New("the stream ends")

// stream sends events to one client.
type stream struct {
	echo.Context
	*view.Watcher
	view       *view.View
	namespaces []string
	limits     *http.ResponseController
}

// StreamChanges serves GET /api/v1/changes: server-sent events until the client leaves. 200, 400: a parameter is wrong. 503:
// there are too many streams.
func (a *API) StreamChanges(c echo.Context, params apiclient.StreamChangesParams) error {
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		return unavailable("too many streams are open")
	}
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, "text/event-stream")
	header.Set(echo.HeaderCacheControl, "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would hold the events back
	c.Response().WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	ctx, stop := a.untilEnd(c.Request().Context())
	defer stop()
	position := ""
	if params.LastEventID != nil {
		position = *params.LastEventID
	}
	watcher, complete := a.View.Watch(position)
	defer watcher.Close()
	s := stream{c, watcher, a.View, listOf(params.Namespace), http.NewResponseController(c.Response())}
	_ = s.limits.SetReadDeadline(time.Time{}) // that of all requests would end the stream
	// The error is that of a client that has left.
	_ = s.run(ctx, complete)
	return nil
}

// untilEnd returns the context of a stream.
func (a *API) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithTimeoutCause(ctx, streamFor, errStreamEnds)
	if a.Stopping == nil {
		return ctx, stop
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		select {
		case <-a.Stopping:
			cancel(errStreamEnds)
		case <-done:
		}
	}()
	return ctx, func() { close(done); cancel(nil); stop() }
}

func (s stream) run(ctx context.Context, complete bool) error {
	if err := s.send("retry: 2000\n\n"); err != nil {
		return err
	}
	for {
		if !complete {
			if err := s.event("refresh", s.Position(), struct{}{}); err != nil {
				return err
			}
		}
		var found []view.Change
		var err error
		found, complete, err = s.next(ctx)
		if err != nil {
			return err
		}
		for _, change := range found {
			if err := s.change(change); err != nil {
				return err
			}
		}
	}
}

// next waits for changes, and sends comments meanwhile.
func (s stream) next(ctx context.Context) ([]view.Change, bool, error) {
	for {
		waiting, cancel := context.WithTimeout(ctx, heartbeatEvery)
		found, complete, err := s.Next(waiting)
		cancel()
		if err == nil || ctx.Err() != nil {
			return found, complete, err
		}
		if err := s.send(": still there\n\n"); err != nil {
			return nil, true, err
		}
	}
}

func (s stream) change(change view.Change) error {
	if len(s.namespaces) > 0 && !slices.Contains(s.namespaces, change.Ref.Namespace) {
		return nil
	}
	if change.Check == nil {
		return s.event("deleted", change.Position, apiclient.CheckName{
			Kind: kindOf(change.Ref.Kind), Namespace: change.Ref.Namespace, Name: change.Ref.Name,
		})
	}
	return s.event("changed", change.Position, listed(change.Check, s.view.Snapshot().Ledger))
}

// event sends an event. Its data is one line, because JSON escapes line breaks.
func (s stream) event(name, id string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	return s.send(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", id, name, text))
}

func (s stream) send(text string) error {
	_ = s.limits.SetWriteDeadline(time.Now().Add(writeWithin)) // a writer without limits has an error
	if _, err := s.Response().Write([]byte(text)); err != nil {
		return fmt.Errorf("send event: %w", err)
	}
	return s.limits.Flush()
}
