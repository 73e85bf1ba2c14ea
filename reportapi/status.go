package reportapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/answer"
)

// Presentation is how the state of the cluster is shown. It may change while the server runs.
type Presentation struct {
	// Metadata is shown on the status page, such as the name of the cluster.
	Metadata map[string]string
	// SuppressErrorLabel leaves the label error out of the metrics of checks and jobs.
	SuppressErrorLabel bool
	// ErrorLabelMaxLength is the most bytes of the label error. A longer value is cut between two characters. 0 or less is
	// unlimited.
	ErrorLabelMaxLength int
	// IgnoreUnknown shows the last outcome of an unknown check or job, as Kuberhealthy does. The metric
	// khronicle_check_unknown still shows it.
	IgnoreUnknown bool
}

// handleRoot serves GET /: the page of all checks if the client asks for HTML, as browsers do, and else handleStatus.
func (s *Server) handleRoot(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderVary, echo.HeaderAccept)
	if answer.PrefersHTML(c.Request().Header) {
		s.pages.ServeHTTP(c.Response(), c.Request())
		return nil
	}
	return s.handleStatus(c)
}

// handleStatus serves GET / for programs, optionally with ?namespace=a,b.
// 200: the state of the cluster in Kuberhealthy's JSON, also when it is not OK. 400: the request has a body. 503: the
// states have not been read yet.
func (s *Server) handleStatus(c echo.Context) error {
	if c.Request().ContentLength != 0 {
		return c.NoContent(http.StatusBadRequest)
	}
	if err := s.Synced(c.Request().Context()); err != nil {
		return c.String(http.StatusServiceUnavailable, err.Error()+"\n")
	}
	shown := s.presentation()
	summary := s.View.Snapshot().Status(namespaces(c.QueryParam("namespace")), shown.IgnoreUnknown)
	summary.CurrentMaster = s.Name
	if shown.Metadata != nil {
		summary.Metadata = shown.Metadata
	}
	page, err := json.MarshalIndent(summary, "", "  ")
	if err != nil {
		return fmt.Errorf("encode status page: %w", err)
	}
	return c.JSONBlob(http.StatusOK, page)
}

func (o Options) presentation() Presentation {
	if o.Presentation == nil {
		return Presentation{}
	}
	return o.Presentation()
}

// maxMetadata is the longest text of the metadata on a page, in bytes.
const maxMetadata = 200

// metadata returns the metadata in one line, such as "cluster: prod, region: eu", or an empty text.
func (o Options) metadata() string {
	values := o.presentation().Metadata
	parts := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, name+": "+values[name])
	}
	return check.Cut(strings.Join(parts, ", "), maxMetadata)
}

func namespaces(query string) []string {
	return strings.FieldsFunc(query, func(r rune) bool { return r == ',' })
}
