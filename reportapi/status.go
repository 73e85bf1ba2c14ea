package reportapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Presentation is how people want the state of the cluster shown. It may change while the server runs.
type Presentation struct {
	// Metadata is shown on the status page, such as the name of the cluster.
	Metadata map[string]string
	// SuppressErrorLabel leaves the label error out of the metrics of checks and jobs.
	SuppressErrorLabel bool
	// ErrorLabelMaxLength cuts the label error to so many bytes, without splitting a character. 0 or less is unlimited.
	ErrorLabelMaxLength int
	// IgnoreUnknown shows a check or job from which nothing has been heard in time as it was last, as Kuberhealthy does.
	// The metric khronicle_check_unknown tells it all the same.
	IgnoreUnknown bool
}

func (o Options) presentation() Presentation {
	if o.Presentation == nil {
		return Presentation{}
	}
	return o.Presentation()
}

// view is the state of the cluster at one moment, for a page or a scrape.
type view struct {
	Presentation
	summary check.Summary
	now     time.Time
	states  []*khv1.KuberhealthyState
	// awaited is what each check and job owes.
	awaited []check.Awaited
}

// view reads the cached resources and asks the API server nothing.
func (o Options) view(namespaces []string) view {
	states := o.States.States()
	v := view{Presentation: o.presentation(), now: o.now(), states: states}
	v.awaited = check.AwaitedOfAll(o.States.Checks(), o.States.Jobs(), states, o.States.IsJob)
	var unknown []check.Awaited
	for _, awaited := range v.awaited {
		if awaited.Unknown(v.now) && !v.IgnoreUnknown {
			unknown = append(unknown, awaited)
		}
	}
	v.summary = check.Summarize(states, o.States.IsJob, namespaces, unknown...)
	return v
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
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
	view := s.view(namespaces(c.QueryParam("namespace")))
	view.summary.CurrentMaster = s.Name
	if view.Metadata != nil {
		view.summary.Metadata = view.Metadata
	}
	page, err := json.MarshalIndent(view.summary, "", "  ")
	if err != nil {
		return fmt.Errorf("encode status page: %w", err)
	}
	return c.JSONBlob(http.StatusOK, page)
}

func namespaces(query string) []string {
	return strings.FieldsFunc(query, func(r rune) bool { return r == ',' })
}
