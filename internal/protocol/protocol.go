// Package protocol holds the literal names of the wire: environment variables, the header, paths, labels and annotations.
// Khronicle shares them with Kuberhealthy v2, with every checker pod and with the client of every check author. The package
// imports nothing and decides nothing.
package protocol

// Environment variables that every container of a checker pod receives.
const (
	// EnvReportingURL is where the check posts its report.
	EnvReportingURL = "KH_REPORTING_URL"
	// EnvRunUUID is the identity, and the credential, of one run.
	EnvRunUUID = "KH_RUN_UUID"
	// EnvDeadline is the end of the run, in whole Unix seconds.
	EnvDeadline = "KH_CHECK_RUN_DEADLINE"
	// EnvPodNamespace is the pod's own namespace, through the downward API.
	EnvPodNamespace = "KH_POD_NAMESPACE"
)

// The report request.
const (
	// HeaderRunUUID carries the run UUID of a report.
	HeaderRunUUID = "kh-run-uuid"
	// PathReport is Kuberhealthy v2's report path.
	PathReport = "/externalCheckStatus"
	// PathReportAlias is Kuberhealthy v3's report path.
	PathReportAlias = "/check"
)

// Labels and annotations of a checker pod.
const (
	LabelRunID          = "kuberhealthy-run-id"
	LabelCheckName      = "kuberhealthy-check-name"
	LabelApp            = "app"
	AppName             = "kuberhealthy-check"
	AnnotationCheckName = "comcast.github.io/check-name"
)

// AnnotationPrefix begins the names of Khronicle's own annotations, which Kuberhealthy does not have.
const AnnotationPrefix = "khronicle.github.io/"

// AnnotationReportPath is, on a check or job, the path in the reporting URL of its pods: PathReport or PathReportAlias.
const AnnotationReportPath = AnnotationPrefix + "report-path"

// Annotations of a suspended check: who suspended it, and why.
const (
	AnnotationPausedBy    = AnnotationPrefix + "paused-by"
	AnnotationPauseReason = AnnotationPrefix + "pause-reason"
)

// AnnotationRequestedAt asks for a run of a check. Each new value asks for one.
const AnnotationRequestedAt = AnnotationPrefix + "requested-at"

// DefaultNamespace is the namespace of Khronicle, which is that of Kuberhealthy, unless it is installed elsewhere.
const DefaultNamespace = "kuberhealthy"

// ReportingURL returns where checks report when nothing else is configured: the Service of Khronicle in its namespace.
func ReportingURL(namespace string) string {
	return "http://kuberhealthy." + namespace + ".svc.cluster.local" + PathReport
}
