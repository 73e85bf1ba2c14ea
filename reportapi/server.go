// Package reportapi is the HTTP edge of Khronicle. Reports of checks come in and become signals to their runs. It serves
// the pages, the status in JSON, the metrics, the REST API and the health of the process. It stores nothing, so any number of replicas may serve.
package reportapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/khronicle/khronicle/internal/operations"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/reportapi/rest"
	"github.com/khronicle/khronicle/view"
	"github.com/khronicle/khronicle/web"
)

// Signaler is what the report endpoint needs from Temporal's client.
type Signaler interface {
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
}

// Options are the clients and settings of the server.
type Options struct {
	// Address is where to listen, such as ":8080".
	Address  string
	Signaler Signaler
	// Runs, if set, stores the first report that comes soon after the end of a run as evidence. That is done only for a run
	// without a report.
	Runs Runs
	// View is what the status page and the metrics show.
	View *view.View
	// Pods, if set, finds the run of a report without a run UUID, by the address that it comes from. See PodFinder.
	Pods PodFinder
	// Synced returns nil once the states have been read. Until then there is no status to show.
	Synced func(context.Context) error
	// Name is the name of this process, shown where Kuberhealthy shows its master.
	Name string
	// TemporalUI is the address of Temporal's web UI, to which pages of runs link, and TemporalNamespace the namespace there.
	// Nil means no links.
	TemporalUI        *url.URL
	TemporalNamespace string
	// Presentation says how the state is shown. It is called for each request. Nil means the zero value.
	Presentation func() Presentation
	// Registry holds the metrics; the server adds its own.
	Registry *prometheus.Registry
	Ready    *operations.Readiness
	Logger   *slog.Logger
}

// Server serves HTTP. See New.
type Server struct {
	Options
	listener net.Listener
	reports  *prometheus.CounterVec
	// unnamed counts the accepted reports that had no run UUID.
	unnamed *prometheus.CounterVec
	late    *lateReports
	// api is the REST API. It shares no limit with reports.
	api *rest.API
	// pages shares no limit with reports and the REST API.
	pages http.Handler
	// admission protects Temporal from floods of reports.
	admission *admission
	// held counts the reports that wait for Temporal. When holdUntil ends, they are answered.
	held      holding
	holdUntil context.Context //nolint:containedctx // of the server, not of a call
	endHold   context.CancelFunc
	// waiting has an element for each report that waits until its pod is known.
	waiting chan struct{}
	// warnings bounds how often the log warns that reports cannot be stored.
	warnings rate.Sometimes
	// stopping is closed when Serve must end. Before Serve it is nil.
	stopping <-chan struct{}
}

// New binds the address, so that Addr is known and a used port is an error at once. Serve starts to answer.
func New(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for reports: %w", err)
	}
	s := &Server{
		Options: o, listener: listener, reports: newReportCounter(), unnamed: newUnnamedCounter(), late: newLateReports(o),
		admission: newAdmission(), waiting: make(chan struct{}, maxWaiting), warnings: rate.Sometimes{Interval: time.Second},
	}
	if s.api, err = rest.New(rest.Options{View: o.View, Synced: o.Synced, Logger: o.Logger}); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	pages, err := web.New(web.Options{
		View: o.View, Synced: o.Synced, Title: o.metadata, Temporal: o.TemporalUI, TemporalNamespace: o.TemporalNamespace, Logger: o.Logger,
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.pages = pages.Handler()
	s.holdUntil, s.endHold = context.WithCancel(context.Background())
	collectors := []prometheus.Collector{s.reports, s.unnamed, statusCollector{o, &view.Memory[series, prometheus.Metric]{}}}
	if o.Runs != nil {
		collectors = append(collectors, s.late.results)
	}
	for _, collector := range collectors {
		if err := o.Registry.Register(collector); err != nil {
			return nil, errors.Join(fmt.Errorf("register metrics: %w", err), listener.Close())
		}
	}
	return s, nil
}

func (s *Server) routes() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.POST(protocol.PathReport, s.handleReport)
	e.POST(protocol.PathReportAlias, s.handleReport)
	e.Match([]string{http.MethodGet, http.MethodHead}, "/", s.handleRoot)
	for _, path := range web.Paths {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, echo.WrapHandler(s.pages))
	}
	operator := echo.WrapHandler(operations.Handler(s.Ready, s.Registry, s.Logger))
	s.api.Register(e)
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, operator) // load balancers ask with HEAD
	}
	return e
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve answers until ctx ends. Then it finishes the open requests, for a bounded time.
func (s *Server) Serve(ctx context.Context) error {
	s.stopping = ctx.Done()
	s.api.Stopping = ctx.Done()
	defer s.endHold()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(holdGrace, s.endHold) })()
	finish := s.late.sendAll(context.WithoutCancel(ctx))
	defer finish()
	return operations.Serve(ctx, s.listener, s.routes(), s.Logger)
}
