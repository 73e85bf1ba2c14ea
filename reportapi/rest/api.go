package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/khronicle/khronicle/api"
	"github.com/khronicle/khronicle/view"
)

// Base is the path below which the API is.
const Base = "/api/v1"

// Limits of what readers may use.
const (
	// maxReaders is how many answers are made at once, and maxQueue how many requests wait for that.
	maxReaders = 8
	maxQueue   = 64
	// queueWithin is how long a request waits for its turn, and readWithin how long making its answer may take.
	queueWithin = 2 * time.Second
	readWithin  = 5 * time.Second
	// maxStreams is how many clients may receive changes at once.
	maxStreams = 64
)

// Options are what the API reads.
type Options struct {
	View *view.View
	// Synced returns nil once the cluster has been read. Until then there is nothing to show.
	Synced func(context.Context) error
	// Stopping is closed when the server is about to end, so that streams end too. Nil means never.
	Stopping <-chan struct{}
	Logger   *slog.Logger
}

// API has the operations. See New.
type API struct {
	Options
	// parameters are those of each operation, by its route.
	parameters map[string][]parameter
	// readers, queue and streams have an element for each request.
	readers, queue, streams chan struct{}
}

// New returns the API. It fails only if the description cannot be read.
func New(o Options) (*API, error) {
	parameters, err := parametersOf(api.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("read the description of the API: %w", err)
	}
	return &API{
		Options: o, parameters: parameters,
		readers: make(chan struct{}, maxReaders), queue: make(chan struct{}, maxQueue), streams: make(chan struct{}, maxStreams),
	}, nil
}

// Register adds the routes.
func (a *API) Register(e *echo.Echo) {
	RegisterHandlersWithBaseURL(routes{e, a.serve}, a, Base)
	former := e.HTTPErrorHandler
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if strings.HasPrefix(c.Request().URL.Path, Base+"/") && !c.Response().Committed {
			err = writeProblem(c, a.problemOf(c, err))
		}
		if err != nil {
			former(err, c)
		}
	}
}

// routes adds HEAD to each GET, because monitors ask with HEAD.
type routes struct {
	*echo.Echo
	around echo.MiddlewareFunc
}

// GET adds a route.
func (r routes) GET(path string, handler echo.HandlerFunc, _ ...echo.MiddlewareFunc) *echo.Route {
	handler = r.around(handler)
	r.Add(http.MethodHead, path, handler)
	return r.Add(http.MethodGet, path, handler)
}

// serve validates a request, waits for its turn, makes the answer and writes it. A slow client does not take the turn of
// others: while the answer is written, the next one is made.
func (a *API) serve(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := a.check(c); err != nil {
			return err
		}
		if err := a.Synced(c.Request().Context()); err != nil {
			return unavailable(err.Error())
		}
		if strings.HasSuffix(c.Path(), "/changes") { // it has a limit of its own
			return next(c)
		}
		if err := a.inTurn(c, next); err != nil {
			return err
		}
		return write(c)
	}
}

// inTurn makes an answer, which the context has then.
func (a *API) inTurn(c echo.Context, next echo.HandlerFunc) error {
	select {
	case a.queue <- struct{}{}:
	default:
		return unavailable("too many readers wait")
	}
	waiting, cancel := context.WithTimeout(c.Request().Context(), queueWithin)
	defer cancel()
	select {
	case a.readers <- struct{}{}:
		<-a.queue
	case <-waiting.Done():
		<-a.queue
		return unavailable("too many readers are served")
	}
	defer func() { <-a.readers }()
	reading, stop := context.WithTimeout(c.Request().Context(), readWithin)
	defer stop()
	c.SetRequest(c.Request().WithContext(reading))
	return next(c)
}

// ofLedger turns the error of reading runs into a problem.
func (a *API) ofLedger(c echo.Context, err error) error {
	if errors.Is(err, view.ErrNoRun) {
		return notFound("there is no run %s of %s/%s: see the list of its runs", shorten(c.Param("run")), shorten(c.Param("namespace")), shorten(c.Param("name")))
	}
	if !errors.Is(err, context.Canceled) {
		a.Logger.Warn("the ledger cannot be read for the API", "error", err)
	}
	return unavailable("the ledger does not answer")
}
