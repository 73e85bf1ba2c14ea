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

// Names of the custom resources, of the pod's annotation, and of what each container of a checker pod is told.
const (
	// CRDGroup is the API group of the custom resources.
	CRDGroup = khv1.Group
	// CRDVersion is the version of the custom resources.
	CRDVersion = khv1.Version
	// DefaultKuberhealthyReportingURL is where checks report when Khronicle is installed under Kuberhealthy's names.
	DefaultKuberhealthyReportingURL = "http://kuberhealthy." + defaultNamespace + ".svc.cluster.local" + protocol.PathReport
	// KHCheckNameAnnotationKey is the annotation of a checker pod that holds the name of its check.
	KHCheckNameAnnotationKey = protocol.AnnotationCheckName
	// KHDeadline is the variable that tells a check the end of its run, in whole Unix seconds.
	KHDeadline = protocol.EnvDeadline
	// KHPodNamespace is the variable that tells a check the namespace of its pod.
	KHPodNamespace = protocol.EnvPodNamespace
	// KHReportingURL is the variable that tells a check where to report.
	KHReportingURL = protocol.EnvReportingURL
	// KHRunUUID is the variable that tells a check the UUID of its run, which it sends along with its report.
	KHRunUUID = protocol.EnvRunUUID
)

const (
	// defaultNamespace is that of a check whose configuration names none.
	defaultNamespace = "kuberhealthy"
	// defaultTimeout is that of a check, until the caller sets another.
	defaultTimeout = 15 * time.Minute
)

// DefaultName is a name for a check that has none. The package never applies it.
var DefaultName = "external-check"

// Errors of a pod that went away during a run. Compare with errors.Is.
var (
	// ErrPodRemovedExpectedly says that the platform took the pod away, and then its replacement: eviction, drain, preemption.
	ErrPodRemovedExpectedly = check.ErrPodRemovedExpectedly
	// ErrPodRemovedUnexpectedly says that someone deleted the pod while it ran.
	ErrPodRemovedUnexpectedly = check.ErrPodRemovedUnexpectedly
	// ErrPodDeletedBeforeRunning says that someone deleted the pod before it ran.
	ErrPodDeletedBeforeRunning = check.ErrPodDeletedBeforeRunning
)

// Checker runs one check or job, one run at a time. Shutdown may be called during a run; the fields must not be changed, and
// but for RunID tell of it when it has ended.
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

	// TemporalClient asks for the runs. When it is nil, the first run makes one from the TEMPORAL_* variables and profile,
	// which all Checkers of the process share.
	TemporalClient client.Client

	mu      sync.Mutex
	running *call // the run in flight
}

// New returns a Checker for a check; it is NewCheck.
func New(client *kubernetes.Clientset, checkConfig *khcheckcrd.KuberhealthyCheck, khCheckClient *khcheckcrd.KuberhealthyCheckClient, khStateClient *khstatecrd.KuberhealthyStateClient, reportingURL string) *Checker {
	return NewCheck(client, checkConfig, khCheckClient, khStateClient, reportingURL)
}

// NewCheck returns a Checker for a check with a timeout of 15 minutes, whatever the configuration says, as in Kuberhealthy:
// set RunTimeout and RunInterval for others. Extra labels and annotations are left empty, too. A check without a namespace
// is in "kuberhealthy". Nothing is validated before the first run.
func NewCheck(client *kubernetes.Clientset, checkConfig *khcheckcrd.KuberhealthyCheck, khCheckClient *khcheckcrd.KuberhealthyCheckClient, khStateClient *khstatecrd.KuberhealthyStateClient, reportingURL string) *Checker {
	ext := newChecker(client, checkConfig.ObjectMeta, checkConfig.Spec.PodSpec, khStateClient, reportingURL)
	ext.KHWorkload, ext.KHCheckClient, ext.RunTimeout = health.KHCheck, khCheckClient, defaultTimeout
	return ext
}

// NewJob returns a Checker for a job. It has no timeout: set RunTimeout before the run. Else it is as NewCheck says.
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

// Timeout returns the time that one run may take in all.
func (ext *Checker) Timeout() time.Duration { return ext.RunTimeout }

// CurrentStatus returns what the check's KHState on the cluster says: true when it has no errors, and the errors. A check
// without a KHState is up until a first run says otherwise. When the KHState cannot be read, the status is false and the
// reason is the error.
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

// executionError is what kept a check from reporting, in Kuberhealthy's words.
type executionError struct {
	text  string
	cause error
}

func (e *executionError) Error() string { return e.text }

func (e *executionError) Unwrap() error { return e.cause }

// newExecutionError gives callers the sentinel errors back that a text stands for.
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
