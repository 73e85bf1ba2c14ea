// Package doctor looks for what is wrong with an installation of Khronicle, and names the command that mends it. It changes
// nothing; only when it is asked to, it runs one pod for a moment. It says of all it could not look at why.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/kube"
)

// Status is what came out of one look.
type Status string

// The statuses of a Finding.
const (
	OK Status = "ok"
	// Warn: it works, but not all of it or not for long.
	Warn Status = "warn"
	// Fail: it does not work.
	Fail Status = "fail"
	// Unknown: the doctor looked and could not tell.
	Unknown Status = "unknown"
	// Skipped: the doctor was not asked to look, or there is nothing to look at.
	Skipped Status = "skipped"
)

// Finding is what came out of one look.
type Finding struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	// Mend is the shell command that mends it, or that shows more when the cause is not known.
	Mend string `json:"mend,omitempty"`
}

// Worst returns the status of all findings together: Fail before Unknown before OK. Warn and Skipped count as OK.
func Worst(findings []Finding) Status {
	worst := OK
	for _, f := range findings {
		if f.Status == Fail || f.Status == Unknown && worst == OK {
			worst = f.Status
		}
	}
	return worst
}

// Cluster is what the doctor reads of a cluster; kube.Inspector implements it.
type Cluster interface {
	Version(ctx context.Context) (version, date string, err error)
	Definition(ctx context.Context, name string) (map[string]any, error)
	MayI(ctx context.Context, right kube.Right) (bool, error)
	MayAccount(ctx context.Context, namespace, account string, right kube.Right) (bool, error)
	HasAccount(ctx context.Context, namespace, name string) (bool, error)
	Deployments(ctx context.Context, namespace string) ([]appsv1.Deployment, error)
	ConfigMap(ctx context.Context, namespace, name string) (map[string]string, error)
	Checks(ctx context.Context, namespaces []string) ([]khv1.KuberhealthyCheck, error)
	NewestCheckerPod(ctx context.Context, namespaces []string) (*corev1.Pod, error)
	ReadyEndpoints(ctx context.Context, namespace, name string) (ready int, exists bool, err error)
	RunPod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
}

// ReportAPI sends requests to the report API.
type ReportAPI struct {
	Client interface {
		Do(request *http.Request) (*http.Response, error)
	}
	// Base is its URL without a path.
	Base string
}

// Options say what to look at.
type Options struct {
	Cluster Cluster
	Reports ReportAPI
	// Namespace is that of Khronicle.
	Namespace string
	// CallersNamespace is where the caller wants to use checks. Empty means all namespaces.
	CallersNamespace string
	// Targets are the namespaces whose checks are run. Empty means those of the ConfigMap khronicle, which are all by default.
	Targets []string
	// Temporal says how Temporal is reached. Without an address, Temporal is not looked at.
	Temporal TemporalOptions
	// ReportingURL is where checks report. Empty means the URL that the newest pod of a check has.
	ReportingURL string
	// Pod is the pod that tries the reporting URL. Without an image there is none.
	Pod PodOptions
	// Kubectl is the command kubectl with the flags that choose the same cluster.
	Kubectl string
	// Now is the clock of this machine.
	Now func() time.Time
}

// within bounds one question.
const within = 10 * time.Second

// examination is one run of the doctor.
type examination struct {
	Options
	findings []Finding
	// deployments are the roles in the cluster, by their component. asked is false if they could not be read.
	deployments map[string]appsv1.Deployment
	asked       bool
	settings    map[string]string
	// reachesTemporal is what the report API says of Temporal: "ok", another text, or nothing.
	reachesTemporal string
	checks          []khv1.KuberhealthyCheck
	knowsChecks     bool
	clocks          []clock
}

// Examine looks at everything, one thing after the other.
func Examine(ctx context.Context, o Options) []Finding {
	x := &examination{Options: o, deployments: map[string]appsv1.Deployment{}}
	if x.server(ctx) {
		x.definitions(ctx)
		x.ownRights(ctx)
		x.roles(ctx)
		x.rights(ctx)
		x.reportAPI(ctx)
		x.readChecks(ctx)
		x.reportingURL(ctx)
		x.ledger(ctx)
	}
	x.temporal(ctx)
	x.compareClocks()
	return x.findings
}

func (x *examination) add(name string, status Status, mend, format string, args ...any) {
	x.findings = append(x.findings, Finding{Name: name, Status: status, Mend: mend, Detail: fmt.Sprintf(format, args...)})
}

// unknown adds a question without an answer.
func (x *examination) unknown(name, doing string, err error) {
	x.add(name, Unknown, "", "%s: %s", doing, reason(err))
}

// reason is a short text of an error.
func reason(err error) string {
	if apierrors.IsForbidden(err) {
		return "you have not the right: " + err.Error()
	}
	return err.Error()
}

// server returns false when the API server does not answer. Then nothing else of the cluster can be asked.
func (x *examination) server(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	sent := x.Now()
	version, date, err := x.Cluster.Version(ctx)
	if err != nil {
		x.add("kubernetes", Unknown, x.Kubectl+" version", "the API server does not answer, so nothing in the cluster was looked at: %s", err)
		return false
	}
	x.readClock("the API server", date, sent)
	x.add("kubernetes", OK, "", "the API server answers, version %s", version)
	return true
}

// roleNames are the roles, which are the components of the manifests.
var roleNames = []string{"worker", "starter", "reportapi"}

// roles looks whether the pods of each role are ready.
func (x *examination) roles(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	found, err := x.Cluster.Deployments(ctx, x.Namespace)
	if err != nil {
		x.unknown("roles", "list Deployments in "+x.Namespace, err)
		return
	}
	x.asked = true
	for _, d := range found {
		x.deployments[d.Labels["app.kubernetes.io/component"]] = d
	}
	x.readSettings(ctx)
	if len(found) == 0 {
		x.add("roles", Skipped, "", "there is no Deployment of Khronicle in the namespace %s: it runs elsewhere, or --service-namespace is another", x.Namespace)
		return
	}
	for _, role := range roleNames {
		x.role(role)
	}
}

func (x *examination) role(role string) {
	name := "roles/" + role
	d, ok := x.deployments[role]
	if !ok {
		x.add(name, Fail, x.Kubectl+" apply --server-side -k deploy/manifests", "there is no Deployment of the %s in the namespace %s", role, x.Namespace)
		return
	}
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	ready := d.Status.ReadyReplicas
	look := fmt.Sprintf("%s describe pods -n %s -l app.kubernetes.io/component=%s", x.Kubectl, x.Namespace, role)
	switch {
	case wanted == 0:
		x.add(name, Fail, x.startRole(role), "Deployment %s has 0 replicas", d.Name)
	case ready == 0:
		x.add(name, Fail, look, "no pod of Deployment %s is ready%s", d.Name, whyNot(d))
	case ready < wanted:
		x.add(name, Warn, look, "%d of %d pods of Deployment %s are ready%s", ready, wanted, d.Name, whyNot(d))
	default:
		x.add(name, OK, "", "%d of %d pods are ready", ready, wanted)
	}
}

// whyNot is what the Deployment says of itself.
func whyNot(d appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Status == corev1.ConditionFalse || c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return ": " + c.Message
		}
	}
	return ""
}

// startRole is the command that starts a role which does not do its work.
func (x *examination) startRole(role string) string {
	d, ok := x.deployments[role]
	switch {
	case ok && d.Spec.Replicas != nil && *d.Spec.Replicas == 0:
		return fmt.Sprintf("%s scale -n %s deployment/%s --replicas=2", x.Kubectl, x.Namespace, d.Name)
	case ok:
		return fmt.Sprintf("%s rollout restart -n %s deployment/%s", x.Kubectl, x.Namespace, d.Name)
	case x.Temporal.Address != "":
		return fmt.Sprintf("TEMPORAL_ADDRESS=%s TEMPORAL_NAMESPACE=%s khronicle %s", x.Temporal.Address, x.Temporal.namespace(), role)
	}
	return "khronicle " + role
}

// readSettings reads the environment of the roles. What it has is no secret.
func (x *examination) readSettings(ctx context.Context) {
	settings, err := x.Cluster.ConfigMap(ctx, x.Namespace, "khronicle")
	if err != nil {
		x.unknown("settings", "get ConfigMap khronicle in "+x.Namespace, err)
	}
	x.settings = settings
	if targets := settings["TARGET_NAMESPACE"]; len(x.Targets) == 0 && targets != "" {
		for target := range strings.SplitSeq(targets, ",") {
			x.Targets = append(x.Targets, strings.TrimSpace(target))
		}
	}
}
