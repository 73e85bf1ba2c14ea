package reportapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
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

// handleStatus serves GET /, optionally with ?namespace=a,b.
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

func namespaces(query string) []string {
	return strings.FieldsFunc(query, func(r rune) bool { return r == ',' })
}
