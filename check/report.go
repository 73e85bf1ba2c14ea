package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/khronicle/khronicle/external/status"
)

// Errors of a report that is refused.
var (
	ErrReportMalformed    = errors.New(`report is not a JSON object with "OK" and "Errors"`)
	ErrReportWithErrors   = errors.New("report is OK and has errors: send OK false, or no errors")
	ErrReportWithoutError = errors.New("report is not OK and has no errors: say what is wrong in Errors")
	ErrReportBlankError   = errors.New("report has an empty error text")
)

// ParseReport decodes and validates the body of a report. Keys may be of any case, and other keys are ignored. A missing or
// null list of errors is an empty list.
func ParseReport(body []byte) (status.Report, error) {
	var wire struct {
		OK *bool
		// A pointer, so that a null does not keep the text of an earlier key with the same name.
		Errors []*string
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return status.Report{}, fmt.Errorf("%w: %w", ErrReportMalformed, err)
	}
	if wire.OK == nil && wire.Errors == nil {
		return status.Report{}, ErrReportMalformed
	}
	report := status.Report{OK: wire.OK != nil && *wire.OK, Errors: make([]string, 0, len(wire.Errors))}
	for _, text := range wire.Errors {
		report.Errors = append(report.Errors, storable(text))
	}
	return report, validate(report)
}

// storable replaces the zero bytes of a text by U+FFFD, like bytes that are not UTF-8. Temporal and the API server accept
// zero bytes; PostgreSQL does not. A null is an empty text.
func storable(text *string) string {
	if text == nil {
		return ""
	}
	return strings.ReplaceAll(*text, "\x00", "\uFFFD")
}

func validate(report status.Report) error {
	for _, text := range report.Errors {
		if text == "" {
			return ErrReportBlankError
		}
	}
	switch {
	case report.OK && len(report.Errors) > 0:
		return ErrReportWithErrors
	case !report.OK && len(report.Errors) == 0:
		return ErrReportWithoutError
	}
	return nil
}

// AddReport returns the report of a pod that has sent a further one, such as that of its second container. A failure is never
// taken back: if both are failures, the errors of the second are added, up to a bound. adds is false if nothing changes.
func AddReport(first, further status.Report) (both status.Report, adds bool) {
	switch {
	case further.OK:
		return first, false
	case first.OK:
		return further, true
	}
	both.Errors = slices.Clone(first.Errors)
	known, size := map[string]bool{}, 0
	for _, text := range first.Errors {
		known[text] = true
		size += len(text)
	}
	for _, text := range further.Errors {
		if size += len(text); size > MaxEvidence {
			break
		}
		if !known[text] {
			known[text], adds = true, true
			both.Errors = append(both.Errors, text)
		}
	}
	return both, adds
}
