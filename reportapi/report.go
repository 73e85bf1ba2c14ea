package reportapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/api/serviceerror"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/workflows"
)

// maxReport is the largest body of a report, and the largest report as it is stored, in bytes. Temporal stores it up to
// three times, 2 MiB each at most; the API server takes 1.5 MiB.
const maxReport = 512 << 10

// signalTimeout bounds the wait for Temporal to store a report. The client tries again for 30 seconds.
const signalTimeout = 2 * time.Second

// Errors of a report that never reaches a run.
var (
	errNoUUID     = errors.New("header " + protocol.HeaderRunUUID + " is missing: set it to the value of " + protocol.EnvRunUUID)
	errBadUUID    = errors.New("header " + protocol.HeaderRunUUID + " is not a run UUID: set it to the value of " + protocol.EnvRunUUID)
	errUnknownRun = errors.New("no such run is open: the run UUID is unknown, or the run has ended")
	errTooLarge   = errors.New("report is larger than 512 KiB")
	errBody       = errors.New("report could not be read")
)

// answers maps what can be wrong with a report to the HTTP status and to the result that the metrics count. What is not
// listed is Khronicle's own trouble: 503.
var answers = []struct {
	err    error
	status int
	result string
}{
	{errNoUUID, http.StatusBadRequest, "no-uuid"},
	{errBadUUID, http.StatusBadRequest, "bad-uuid"},
	{errUnknownRun, http.StatusBadRequest, "unknown-run"},
	{errTooLarge, http.StatusRequestEntityTooLarge, "too-large"},
	{errBody, http.StatusBadRequest, "malformed"},
	{check.ErrReportMalformed, http.StatusBadRequest, "malformed"},
	{check.ErrReportWithErrors, http.StatusBadRequest, "contradictory"},
	{check.ErrReportWithoutError, http.StatusBadRequest, "contradictory"},
	{check.ErrReportBlankError, http.StatusBadRequest, "contradictory"},
}

func newReportCounter() *prometheus.CounterVec {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "khronicle_reports_total", Help: "Reports of checks by result: accepted, or why not.",
	}, []string{"result"})
	for _, answer := range answers {
		counter.WithLabelValues(answer.result)
	}
	counter.WithLabelValues("accepted")
	counter.WithLabelValues("unavailable")
	return counter
}

// handleReport serves POST /externalCheckStatus and POST /check.
// 200: Temporal has stored the report. 400: the report or its run UUID is not valid, or the run is over. 413: too large.
// 415: not JSON (/check alone). 503: Temporal did not answer; the same request may be sent again.
func (s *Server) handleReport(c echo.Context) error {
	err := s.report(c.Request())
	if err == nil {
		s.reports.WithLabelValues("accepted").Inc()
		return c.NoContent(http.StatusOK)
	}
	for _, answer := range answers {
		if errors.Is(err, answer.err) {
			s.reports.WithLabelValues(answer.result).Inc()
			return c.String(answer.status, err.Error()+"\n")
		}
	}
	s.reports.WithLabelValues("unavailable").Inc()
	s.Logger.Warn("report could not be stored", "error", err)
	// With a body here, Kuberhealthy's own Go client could not send the request again.
	return c.NoContent(http.StatusServiceUnavailable)
}

func (s *Server) report(r *http.Request) error {
	runUUID, err := runUUID(r.Header)
	if err != nil {
		return err
	}
	report, err := readReport(r.Body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), signalTimeout)
	defer cancel()
	return signalError(s.Signaler.SignalWorkflow(ctx, runUUID, "", workflows.ReportSignal, report))
}

// runUUID accepts the canonical form alone, so that no other workflow than a run can be addressed.
func runUUID(header http.Header) (string, error) {
	value := header.Get(protocol.HeaderRunUUID)
	if value == "" {
		return "", errNoUUID
	}
	parsed, err := uuid.Parse(value)
	if err != nil || parsed.String() != strings.ToLower(value) {
		return "", errBadUUID
	}
	return parsed.String(), nil
}

func readReport(body io.Reader) (status.Report, error) {
	read, err := io.ReadAll(io.LimitReader(body, maxReport+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return status.Report{}, err // 503: a 400 would count as delivered
	case err != nil:
		return status.Report{}, errBody
	case len(read) > maxReport:
		return status.Report{}, errTooLarge
	}
	report, err := check.ParseReport(read)
	if err == nil && encodedSize(report) > maxReport {
		return status.Report{}, errTooLarge
	}
	return report, err
}

// encodedSize is what a report weighs wherever it is stored. JSON writes some characters with six, so that it may be
// several times what was sent; a report too large for the API server would never be recorded.
func encodedSize(report status.Report) int {
	encoded, err := json.Marshal(report)
	if err != nil { // not possible: it holds nothing but texts
		return maxReport + 1
	}
	return len(encoded)
}

func signalError(err error) error {
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return errUnknownRun
	}
	return err
}

// requireJSON answers 415 to a request without a JSON content type, as Kuberhealthy v3 does on /check. Its v2 path takes
// any content type.
func requireJSON(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		mediaType, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType))
		if err != nil || mediaType != echo.MIMEApplicationJSON {
			return c.String(http.StatusUnsupportedMediaType, "content type must be application/json\n")
		}
		return next(c)
	}
}
