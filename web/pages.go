package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/khronicle/khronicle/view"
)

// Limits of what readers of pages may use. Reports of checks and the REST API share none of them.
const (
	// maxReaders is how many pages are made at once. Another request waits queueWithin for its turn.
	maxReaders  = 8
	queueWithin = 2 * time.Second
	// readWithin is how long a page may wait for the ledger.
	readWithin = 3 * time.Second
)

//go:embed templates/*.html
var templateFiles embed.FS

// Options are what the pages show.
type Options struct {
	View *view.View
	// Synced returns nil once the cluster has been read. Until then there is nothing to show.
	Synced func(context.Context) error
	// Title returns the name of the cluster, or an empty text. Nil means that there is none.
	Title func() string
	// Temporal is the address of Temporal's web UI, and TemporalNamespace the namespace there. Nil means no links to it.
	Temporal          *url.URL
	TemporalNamespace string
	Logger            *slog.Logger
}

// Pages has the pages. See New.
type Pages struct {
	Options
	templates map[string]*template.Template
	assets    map[string]asset
	recent    recentRuns
	made      madePages
	readers   chan struct{}
}

// New returns the pages. It fails only if a template or an asset is not valid.
func New(o Options) (*Pages, error) {
	p := &Pages{Options: o, templates: map[string]*template.Template{}, readers: make(chan struct{}, maxReaders)}
	p.recent.reading = make(chan struct{}, 1)
	var err error
	if p.assets, err = readAssets(); err != nil {
		return nil, err
	}
	layout, err := template.New("layout.html").Funcs(p.functions()).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	for _, name := range pageNames {
		own, err := layout.Clone()
		if err == nil {
			own, err = own.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("read template %s: %w", name, err)
		}
		p.templates[name] = own
	}
	return p, nil
}

// pageNames are the templates that are pages.
var pageNames = []string{"overview", "check", "run", "status", "problem"}

// Paths are the paths below which the pages are, as patterns of echo.
var Paths = []string{"/checks/*", "/status", "/assets/*"}

// Handler serves GET and HEAD of all pages. 200: a page. 400: a parameter is wrong. 404: there is no such page, check or
// run. 503: too many readers, or nothing has been read yet.
func (p *Pages) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.page(p.overview))
	mux.HandleFunc("GET /checks/{namespace}/{name}", p.page(p.check))
	mux.HandleFunc("GET /checks/{namespace}/{name}/runs/{run}", p.page(p.run))
	mux.HandleFunc("GET /status", p.page(p.status))
	mux.HandleFunc("GET /assets/{file}", p.asset)
	mux.HandleFunc("GET /", p.page(func(*http.Request) (answered, error) { return answered{}, errNoPage }))
	return secure(mux)
}

// policy lets a page load what this server has, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// answered is a page before it is rendered.
type answered struct {
	// template is its name in pageNames.
	template string
	// Title names the page. Live says how the script keeps it up to date: by the stream of changes, by polling, or not.
	Title, Live string
	// Only is the key of the check whose changes matter. Empty means all.
	Only string
	// Public is true for a page that links to no other.
	Public bool
	// Root is where the links of the page begin.
	Root root
	// At is how old the data is.
	At   time.Time
	Body any

	status int
}

// How a page is kept up to date.
const (
	byStream  = "stream"
	byPolling = "poll"
)

// page serves a page that a function makes.
func (p *Pages) page(build func(*http.Request) (answered, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		made, err := p.inTurn(r, build)
		if err != nil {
			p.Logger.Error("a page could not be made", "path", r.URL.Path, "error", err)
			http.Error(w, "the page could not be made", http.StatusInternalServerError)
			return
		}
		made.write(w, r)
	}
}

// inTurn makes a page, when its turn has come. A slow client does not take the turn of others.
func (p *Pages) inTurn(r *http.Request, build func(*http.Request) (answered, error)) (*rendered, error) {
	waiting, stop := context.WithTimeout(r.Context(), queueWithin)
	defer stop()
	select {
	case p.readers <- struct{}{}:
		defer func() { <-p.readers }()
	case <-waiting.Done():
		return p.render(r, p.problemOf(errBusy))
	}
	reading, cancel := context.WithTimeout(r.Context(), readWithin)
	defer cancel()
	if err := p.Synced(reading); err != nil {
		return p.render(r, p.problemOf(&problem{http.StatusServiceUnavailable, "The cluster has not been read yet: " + err.Error()}))
	}
	return p.made.get(reading, p.View.Snapshot(), r.URL.RequestURI(), func() (*rendered, error) {
		made, err := build(r.WithContext(reading))
		if err != nil {
			made = p.problemOf(err)
		}
		return p.render(r, made)
	})
}

func (p *Pages) render(r *http.Request, made answered) (*rendered, error) {
	made.Root = rootOf(r)
	var text bytes.Buffer
	if err := p.templates[made.template].Execute(&text, made); err != nil {
		return nil, fmt.Errorf("render %s: %w", made.template, err)
	}
	return &rendered{status: max(made.status, http.StatusOK), body: text.Bytes()}, nil
}

// problem is a page that says what is wrong.
type problem struct {
	status int
	detail string
}

// Error returns what is wrong.
func (p *problem) Error() string { return p.detail }

var (
	errNoPage = &problem{http.StatusNotFound, "There is no such page."}
	errBusy   = &problem{http.StatusServiceUnavailable, "Too many pages are being made. Try again in a moment."}
)

func (p *Pages) problemOf(err error) answered {
	var known *problem
	if !errors.As(err, &known) {
		if !errors.Is(err, context.Canceled) {
			p.Logger.Warn("the ledger cannot be read for a page", "error", err)
		}
		known = &problem{http.StatusServiceUnavailable, "The ledger does not answer. Checks are shown, but not their runs. Try again in a moment."}
	}
	return answered{template: "problem", Title: http.StatusText(known.status), At: p.View.Snapshot().At, Body: known.detail, status: known.status}
}
