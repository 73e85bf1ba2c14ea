package reportapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
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

// retryAfter is the header of 429, in seconds. A source gets sourceRate tries in that time.
const retryAfter = "1"

// blobTooLarge is in the text of Temporal's error for a report above its limit, which an operator may have lowered. The
// error has no type of its own.
const blobTooLarge = "size exceeds limit"

// Errors of a report that never reaches a run.
var (
	errNoUUID     = errors.New("header " + protocol.HeaderRunUUID + " is missing: set it to the value of " + protocol.EnvRunUUID)
	errBadUUID    = errors.New("header " + protocol.HeaderRunUUID + " is not a run UUID: set it to the value of " + protocol.EnvRunUUID)
	errTwoUUIDs   = errors.New("header " + protocol.HeaderRunUUID + " is there twice, with different values")
	errNoPod      = errors.New("header " + protocol.HeaderRunUUID + " is missing, and the sender's address is not that of exactly one running checker pod")
	errUnknownRun = errors.New("no such run is open: the run UUID is unknown, or the run has ended")
	errTooLarge   = errors.New("report is larger than 512 KiB")
	errBody       = errors.New("report could not be read")
	errEncoded    = errors.New("content encoding is not supported: send the report as plain JSON")
	errNotStored  = errors.New("Temporal does not store the report") //nolint:staticcheck // a name
)

// answers maps an error of a report to the HTTP status and to the result that the metrics count. Any other error is
// Khronicle's fault: 503.
var answers = []struct {
	err    error
	status int
	result string
}{
	{errNoUUID, http.StatusBadRequest, "no-uuid"},
	{errBadUUID, http.StatusBadRequest, "bad-uuid"},
	{errTwoUUIDs, http.StatusBadRequest, "bad-uuid"},
	{errNoPod, http.StatusBadRequest, "no-such-pod"},
	{errUnknownRun, http.StatusBadRequest, "unknown-run"},
	{errTooLarge, http.StatusRequestEntityTooLarge, "too-large"},
	{errBody, http.StatusBadRequest, "malformed"},
	{errEncoded, http.StatusUnsupportedMediaType, "unsupported"},
	{errNotStored, http.StatusBadRequest, "not-stored"},
	{errRateLimited, http.StatusTooManyRequests, "rate-limited"},
	{errRunFull, http.StatusTooManyRequests, "too-many"},
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

// handleReport serves POST /externalCheckStatus and POST /check. 200: Temporal has stored the report. 400: the report or
// its run UUID is not valid, the run is over, or Temporal refuses the report. 413: too large. 415: compressed.
// The content type does not matter, as in Kuberhealthy v2. 429: too many reports of unknown runs from one address, or of one run. 503: Temporal did not answer. 503
// for a report without a run UUID: the pods were not read within 5 seconds, too many such reports wait, or the server
// stops. After 429 and 503 the same request may be sent again.
func (s *Server) handleReport(c echo.Context) error {
	// The reader of the body closes the connection at the limit. For that it needs the writer of the server itself.
	return s.answer(c, s.report(c.Response().Writer, c.Request()))
}

func (s *Server) answer(c echo.Context, err error) error {
	if err == nil {
		s.reports.WithLabelValues("accepted").Inc()
		// The client has nothing more to say. Node.js lives for as long as a connection is open, and so does its pod.
		c.Response().Header().Set(echo.HeaderConnection, "close")
		return c.NoContent(http.StatusOK)
	}
	for _, answer := range answers {
		if errors.Is(err, answer.err) {
			s.reports.WithLabelValues(answer.result).Inc()
			if answer.status == http.StatusTooManyRequests {
				return tryAgain(c, answer.status)
			}
			return c.String(answer.status, err.Error()+"\n")
		}
	}
	s.reports.WithLabelValues("unavailable").Inc()
	s.warnings.Do(func() { s.Logger.Warn("report could not be stored", "error", err) })
	return tryAgain(c, http.StatusServiceUnavailable)
}

// tryAgain answers without a body. After an answer with a body, Kuberhealthy's own Go client cannot send the request again.
func tryAgain(c echo.Context, status int) error {
	if status == http.StatusTooManyRequests {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter)
	}
	return c.NoContent(status)
}

func (s *Server) report(w http.ResponseWriter, r *http.Request) error {
	runUUID, err := runUUID(r.Header)
	unnamed := errors.Is(err, errNoUUID) && s.Pods != nil
	if err != nil && !unnamed {
		return err
	}
	sender := senderOf(r)
	if !unnamed {
		if err := s.admission.check(runUUID, sender); err != nil {
			return err
		}
	}
	read, size, err := readReport(w, r)
	if err != nil {
		return err
	}
	bePatient(w)
	report := workflows.Report{Report: read, Received: time.Now().UTC()}
	if unnamed {
		return s.reportBySourceIP(r.Context(), sender, report, size)
	}
	return s.signal(r.Context(), sender, runUUID, report, size)
}

// bePatient gives a request, which has been read, the time that its answer may take. The limits for all requests are shorter.
func bePatient(w http.ResponseWriter) {
	limits := http.NewResponseController(w)
	// A writer without limits has an error.
	_ = limits.SetReadDeadline(time.Time{})
	_ = limits.SetWriteDeadline(time.Now().Add(podLag + workflows.ReportHold + answerGrace))
}

// senderOf is the address at the other end of the connection. Headers such as X-Forwarded-For are ignored, because anyone
// can set them. The zero value means none.
func senderOf(r *http.Request) netip.Addr {
	sender, _ := netip.ParseAddrPort(r.RemoteAddr)
	return sender.Addr().Unmap()
}

// signal passes a report on. While Temporal does not answer, it tries again for up to 20 seconds.
func (s *Server) signal(ctx context.Context, from netip.Addr, runUUID string, report workflows.Report, size int) error {
	err := s.hold(ctx, size, func(ctx context.Context) error {
		return s.admission.signal(ctx, runUUID, from, size, func() error {
			return persistently(ctx, func() error { return s.Signaler.SignalWorkflow(ctx, runUUID, "", workflows.ReportSignal, report) })
		})
	})
	var invalid *serviceerror.InvalidArgument
	switch {
	case workflows.NotFound(err):
		s.late.offer(lateReport{runUUID, shortened(report.Report, maxLateContent), report.Received})
		return errUnknownRun
	case errors.As(err, &invalid) && strings.Contains(invalid.Message, blobTooLarge):
		return errTooLarge
	case errors.As(err, &invalid): // such as a run that has as many signals as Temporal allows
		return fmt.Errorf("%w: %s", errNotStored, invalid.Message)
	}
	return err
}

// runUUID reads the header. Two different values are refused: another reader of the request might take the other one.
func runUUID(header http.Header) (string, error) {
	values := header.Values(protocol.HeaderRunUUID)
	for _, value := range values {
		if value != values[0] {
			return "", errTwoUUIDs
		}
	}
	if len(values) == 0 || values[0] == "" { // the server has trimmed it
		return "", errNoUUID
	}
	return canonical(values[0])
}

// canonical accepts only the plain form of a UUID, so that only a run can be addressed, and no other workflow.
func canonical(value string) (string, error) {
	parsed, err := uuid.Parse(value)
	if err != nil || parsed.String() != strings.ToLower(value) {
		return "", errBadUUID
	}
	return parsed.String(), nil
}

// readReport returns the report of a request, and its size as it is stored.
func readReport(w http.ResponseWriter, r *http.Request) (report status.Report, size int, err error) {
	if encoding := r.Header.Get(echo.HeaderContentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return report, 0, errEncoded
	}
	if r.ContentLength > maxReport { // a client that waits for 100 Continue need not send the body
		return report, 0, errTooLarge
	}
	read, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return report, 0, errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return report, 0, err // 503: a 400 would count as delivered
	case err != nil:
		return report, 0, errBody
	}
	if report, err = check.ParseReport(read); err != nil {
		return report, 0, err
	}
	if size = encodedSize(report); size > maxReport {
		return report, 0, errTooLarge
	}
	return report, size, nil
}

// encodedSize is the size of a report where it is stored. JSON writes some characters with six, so it may be several times
// what was sent. A report too large for the API server would never be recorded.
func encodedSize(report status.Report) int {
	encoded, err := json.Marshal(report)
	if err != nil { // not possible: it holds nothing but texts
		return maxReport + 1
	}
	return len(encoded)
}
