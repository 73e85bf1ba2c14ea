package external

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/health"
	"github.com/khronicle/khronicle/external/khcheckcrd"
	"github.com/khronicle/khronicle/external/khjobcrd"
	"github.com/khronicle/khronicle/external/khstatecrd"
	"github.com/khronicle/khronicle/internal/protocol"
)

// Names of the custom resources, of the pod's annotation, and of the variables in each container of a checker pod.
const (
	// CRDGroup is the API group of the custom resources.
	CRDGroup = khv1.Group
	// CRDVersion is the version of the custom resources.
	CRDVersion = khv1.Version
	// DefaultKuberhealthyReportingURL is where checks report when Khronicle is installed under Kuberhealthy's names.
	DefaultKuberhealthyReportingURL = "http://kuberhealthy." + defaultNamespace + ".svc.cluster.local" + protocol.PathReport
	// KHCheckNameAnnotationKey is the annotation of a checker pod that holds the name of its check.
	KHCheckNameAnnotationKey = protocol.AnnotationCheckName
	// KHDeadline is the variable with the end of the run, in whole Unix seconds.
	KHDeadline = protocol.EnvDeadline
	// KHPodNamespace is the variable with the namespace of the pod.
	KHPodNamespace = protocol.EnvPodNamespace
	// KHReportingURL is the variable with the URL to which the check reports.
	KHReportingURL = protocol.EnvReportingURL
	// KHRunUUID is the variable with the UUID of the run, which the check sends with its report.
	KHRunUUID = protocol.EnvRunUUID
)

const (
	// defaultNamespace is the namespace of a check whose configuration names none.
	defaultNamespace = "kuberhealthy"
	// defaultTimeout is the timeout of a check until the caller sets another.
	defaultTimeout = 15 * time.Minute
)

// DefaultName is a name for a check that has none. The package never applies it.
var DefaultName = "external-check"

// Errors of a pod that was removed during a run. Compare with errors.Is.
var (
	// ErrPodRemovedExpectedly is the error when the platform removed the pod, and then its replacement: eviction, drain,
	// preemption.
	ErrPodRemovedExpectedly = check.ErrPodRemovedExpectedly
	// ErrPodRemovedUnexpectedly is the error when someone deleted the pod while it ran.
	ErrPodRemovedUnexpectedly = check.ErrPodRemovedUnexpectedly
	// ErrPodDeletedBeforeRunning is the error when someone deleted the pod before it ran.
	ErrPodDeletedBeforeRunning = check.ErrPodDeletedBeforeRunning
)

// Checker runs one check or job, one run at a time. Shutdown may be called during a run. The fields must not be changed
// during a run. Apart from RunID, they show its outcome only after its end.
type Checker struct {
	CheckName   string        // name of the check or job
	Namespace   string        // namespace of the check or job, and of its pods
	RunInterval time.Duration // how often the caller means to run it; Run runs once
	RunTimeout  time.Duration // time that one run may take in all; must be above 0

	KubeClient    *kubernetes.Clientset               // must not be nil
	KHJobClient   *khjobcrd.KHJobV1Client             // finds the KHJob that owns the pods; may be nil
	KHCheckClient *khcheckcrd.KuberhealthyCheckClient // finds the KHCheck that owns the pods; may be nil
	KHStateClient *khstatecrd.KuberhealthyStateClient // reads the status for CurrentStatus

	PodSpec         corev1.PodSpec // pod spec of the last run, as Khronicle completed it
	OriginalPodSpec corev1.PodSpec // pod spec as the user gave it

	RunID                    string // UUID of the last run that this Checker asked for; a credential while the run is open
	KuberhealthyReportingURL string // where the check reports
	ExtraAnnotations         map[string]string
	ExtraLabels              map[string]string
	Debug                    bool // has no effect, as in Kuberhealthy
	KHWorkload               health.KHWorkload

	// TemporalClient starts the runs. If it is nil, the first run makes a client from the TEMPORAL_* variables and profile.
	// All Checkers of the process share that client.
	TemporalClient client.Client

	mu      sync.Mutex
	running *call // the run in flight
}

// New returns a Checker for a check; it is NewCheck.
func New(client *kubernetes.Clientset, checkConfig *khcheckcrd.KuberhealthyCheck, khCheckClient *khcheckcrd.KuberhealthyCheckClient, khStateClient *khstatecrd.KuberhealthyStateClient, reportingURL string) *Checker {
	return NewCheck(client, checkConfig, khCheckClient, khStateClient, reportingURL)
}

// NewCheck returns a Checker for a check. As in Kuberhealthy, its timeout is 15 minutes, whatever the configuration says.
// Set RunTimeout and RunInterval for other values. Extra labels and annotations are left empty, too. A check without a
// namespace is in "kuberhealthy". Nothing is validated before the first run.
func NewCheck(client *kubernetes.Clientset, checkConfig *khcheckcrd.KuberhealthyCheck, khCheckClient *khcheckcrd.KuberhealthyCheckClient, khStateClient *khstatecrd.KuberhealthyStateClient, reportingURL string) *Checker {
	ext := newChecker(client, checkConfig.ObjectMeta, checkConfig.Spec.PodSpec, khStateClient, reportingURL)
	ext.KHWorkload, ext.KHCheckClient, ext.RunTimeout = health.KHCheck, khCheckClient, defaultTimeout
	return ext
}

// NewJob returns a Checker for a job. It has no timeout: set RunTimeout before the run. Otherwise it is like NewCheck.
func NewJob(client *kubernetes.Clientset, jobConfig *khjobcrd.KuberhealthyJob, khJobClient *khjobcrd.KHJobV1Client, khStateClient *khstatecrd.KuberhealthyStateClient, reportingURL string) *Checker {
	ext := newChecker(client, jobConfig.ObjectMeta, jobConfig.Spec.PodSpec, khStateClient, reportingURL)
	ext.KHWorkload, ext.KHJobClient = health.KHJob, khJobClient
	return ext
}

func newChecker(client *kubernetes.Clientset, meta metav1.ObjectMeta, spec corev1.PodSpec, states *khstatecrd.KuberhealthyStateClient, reportingURL string) *Checker {
	namespace := meta.Namespace
	if namespace == "" {
		namespace = defaultNamespace
	}
	return &Checker{
		CheckName: meta.Name, Namespace: namespace, KubeClient: client, KHStateClient: states,
		PodSpec: *spec.DeepCopy(), OriginalPodSpec: *spec.DeepCopy(), KuberhealthyReportingURL: reportingURL,
		ExtraAnnotations: map[string]string{}, ExtraLabels: map[string]string{},
	}
}

// Name returns the name of the check or job.
func (ext *Checker) Name() string { return ext.CheckName }

// CheckNamespace returns the namespace of the check or job.
func (ext *Checker) CheckNamespace() string { return ext.Namespace }

// Interval returns how often the check is meant to run.
func (ext *Checker) Interval() time.Duration { return ext.RunInterval }

// Timeout returns the time that one run may take in total.
func (ext *Checker) Timeout() time.Duration { return ext.RunTimeout }

// CurrentStatus returns the content of the check's KHState: true when it has no errors, and the errors. A check without a
// KHState is up until its first run. If the KHState cannot be read, the status is false and the reason is the error.
func (ext *Checker) CurrentStatus() (bool, []string) {
	if ext.KHStateClient == nil {
		return false, []string{"khStateClient can not be nil"}
	}
	state, err := ext.KHStateClient.Get(metav1.GetOptions{}, khv1.StateResource, check.StateName(ext.CheckName), ext.Namespace)
	switch {
	case apierrors.IsNotFound(err):
		return true, []string{}
	case err != nil:
		return false, []string{err.Error()}
	}
	return len(state.Spec.Errors) == 0, state.Spec.Errors
}

// Run is RunOnce with this Kubernetes client.
func (ext *Checker) Run(ctx context.Context, client *kubernetes.Clientset) error {
	ext.KubeClient = client
	return ext.RunOnce(ctx)
}

// executionError is why a check did not report, in Kuberhealthy's words.
type executionError struct {
	text  string
	cause error
}

func (e *executionError) Error() string { return e.text }

func (e *executionError) Unwrap() error { return e.cause }

// newExecutionError wraps the sentinel error that a text stands for.
func newExecutionError(text string) error {
	for _, sentinel := range []error{ErrPodRemovedExpectedly, ErrPodRemovedUnexpectedly, ErrPodDeletedBeforeRunning} {
		switch {
		case text == sentinel.Error():
			return sentinel
		case strings.HasSuffix(text, sentinel.Error()):
			return &executionError{text: text, cause: sentinel}
		}
	}
	return &executionError{text: text}
}
