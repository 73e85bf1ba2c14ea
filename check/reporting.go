package check

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/khronicle/khronicle/internal/protocol"
)

// IsHTTP is true for an absolute URL of HTTP or HTTPS that names a host.
func IsHTTP(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return false
	}
	_, err = strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil
}

// ReportPaths are the paths at which the report API receives reports, that of Kuberhealthy v2 first.
func ReportPaths() []string { return []string{protocol.PathReport, protocol.PathReportAlias} }

// HasReportPath is true for a URL that ends in a path of the report API. A prefix before that, as of an ingress, is right.
func HasReportPath(reportingURL string) bool {
	_, ok := beforeReportPath(reportingURL)
	return ok
}

// beforeReportPath returns a URL without its query and the path of the report API. ok is false if the URL has no such path.
func beforeReportPath(reportingURL string) (before string, ok bool) {
	before, _, _ = strings.Cut(reportingURL, "?")
	for _, path := range ReportPaths() {
		if rest, found := strings.CutSuffix(before, path); found {
			return rest, true
		}
	}
	return before, false
}

// WithReportPath returns a reporting URL whose path is another one of the report API. A URL without any of them gets the path
// at its end. An empty path changes nothing.
func WithReportPath(reportingURL, path string) string {
	if path == "" {
		return reportingURL
	}
	before, _ := beforeReportPath(reportingURL)
	return strings.TrimSuffix(before, "/") + path
}

// parseReportPath reads the annotation that chooses the path to which the pods of a check report. Empty means the path of the
// configured URL.
func parseReportPath(path string) error {
	if path == "" || path == protocol.PathReport || path == protocol.PathReportAlias {
		return nil
	}
	return &FieldError{
		Field: reportPathField, Value: path,
		Want: fmt.Sprintf("%s or %s, which Kuberhealthy v3's clients need", protocol.PathReport, protocol.PathReportAlias),
	}
}

// reportPathField is the field of a check or job that chooses the path of reports.
const reportPathField = "metadata.annotations[" + protocol.AnnotationReportPath + "]"
