// Package status holds the report that a check posts to the status endpoint: the wire format, and nothing else.
package status

// Report is the outcome of one check run as the check itself sees it. Its JSON keys are "Errors" and "OK"; receivers
// ignore the case of the keys and any further key.
type Report struct {
	// Errors says what is wrong, one text a fault. A report that is not OK has at least one.
	Errors []string
	// OK is true when the check found nothing wrong.
	OK bool
}

// NewReport returns a report that is OK exactly when errors is empty. The list is never nil, so that it is written as
// [] and not as null.
func NewReport(errors []string) Report {
	if errors == nil {
		errors = []string{}
	}
	return Report{Errors: errors, OK: len(errors) == 0}
}
