// Package checkclient is for authors of checks. It reports the outcome of a run and returns the run's deadline. It reads
// everything from the environment of the checker pod (KH_REPORTING_URL, KH_RUN_UUID, KH_CHECK_RUN_DEADLINE). It goes into
// every check's image, so it needs no library outside of this module and the standard library. It never calls the
// Kubernetes API.
//
// The functions, the texts of the errors and the retries are those of Kuberhealthy v2. To move a check, change the import
// path.
package checkclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/internal/protocol"
)

// Debug makes the functions of this package log what they send and receive, through slog's default logger. Set it before
// the first call.
var Debug bool

// ReportSuccess reports that the check found nothing wrong. It returns nil once the report was delivered. It returns an
// error after about 30 s of trying. If the environment lacks the reporting URL or the run UUID, it returns an error at
// once.
//
// Delivered means that the answer was 200 or 400. With 400 the server refused the report (the run has ended, or its UUID is
// not known), and would refuse it again.
func ReportSuccess() error {
	return report(status.NewReport(nil), newSender())
}

// ReportFailure reports what is wrong, one text for each fault. No text may be blank. It returns like ReportSuccess.
//
// An empty list reports success, as in Kuberhealthy v2, where a report is OK exactly when it has no errors. Checks pass
// their list of faults without testing whether it is empty.
func ReportFailure(errorMessages []string) error {
	return report(status.NewReport(errorMessages), newSender())
}

// GetDeadline returns the end of the run, from KH_CHECK_RUN_DEADLINE in whole Unix seconds. A report that arrives later
// is not counted. The error says that the variable is blank or not a whole number.
func GetDeadline() (time.Time, error) {
	text, err := lookup(protocol.EnvDeadline)
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := strconv.Atoi(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("unable to parse %s: %w", protocol.EnvDeadline, err)
	}
	return time.Unix(int64(seconds), 0), nil
}

// report encodes r and delivers it to the URL in the environment.
func report(r status.Report, s sender) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("error mashaling status report json: %w", err)
	}
	url, err := lookup(protocol.EnvReportingURL)
	if err != nil {
		return fmt.Errorf("failed to fetch the kuberhealthy url: %w", err)
	}
	uuid, err := lookup(protocol.EnvRunUUID)
	if err != nil {
		return fmt.Errorf("failed to fetch the kuberhealthy run uuid: %w", err)
	}
	debug("sending report", "url", url, "ok", r.OK, "errors", len(r.Errors))
	if err := s.send(url, uuid, body); err != nil {
		return fmt.Errorf("bad POST request to kuberhealthy status reporting url: %w", err)
	}
	return nil
}

// lookup returns the variable's value. A blank value is an error, like a missing one.
func lookup(name string) (string, error) {
	value := os.Getenv(name)
	if value == "" {
		return "", errors.New("fetched " + name + " environment variable but it was blank")
	}
	return value, nil
}

// debug logs when Debug is set. The run UUID is a credential and is never logged.
func debug(message string, args ...any) {
	if Debug {
		slog.Info(message, args...) //nolint:sloglint // callers pass constants
	}
}
