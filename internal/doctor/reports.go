package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/internal/protocol"
)

// service is the name of the Service of the report API.
const service = "kuberhealthy"

// reportAPI asks the report API whether it is ready.
func (x *examination) reportAPI(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	const name = "report-api"
	look := x.startRole("reportapi")
	sent := x.Now()
	answers, date, err := x.readiness(ctx)
	switch {
	case apierrors.IsForbidden(err):
		x.unknown(name, "read /readyz of the report API", err)
		return
	case apierrors.IsNotFound(err):
		x.add(name, Fail, x.Kubectl+" apply --server-side -k deploy/manifests", "there is no Service %s in the namespace %s", service, x.Namespace)
		return
	case err != nil:
		x.add(name, Fail, look, "the report API does not answer: %s", err)
		return
	}
	x.readClock("the report API", date, sent)
	x.reachesTemporal = answers["temporal"]
	var wrong []string
	for part, answer := range answers {
		if answer != "ok" {
			wrong = append(wrong, part+": "+answer)
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		x.add(name, Fail, x.lookAtLog("reportapi"), "the report API is not ready: %s", strings.Join(wrong, "; "))
		return
	}
	x.add(name, OK, "", "the report API is ready, and reaches Kubernetes and Temporal")
}

// lookAtLog is the command that shows why a role is not ready.
func (x *examination) lookAtLog(role string) string {
	if d, ok := x.deployments[role]; ok {
		return fmt.Sprintf("%s logs -n %s deployment/%s --tail=20", x.Kubectl, x.Namespace, d.Name)
	}
	return x.startRole(role)
}

// readiness reads /readyz: what the report API says of each thing that it needs.
func (x *examination) readiness(ctx context.Context) (answers map[string]string, date string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, x.Reports.Base+"/readyz", nil)
	if err != nil {
		return nil, "", fmt.Errorf("make request: %w", err)
	}
	response, err := x.Reports.Client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(body, &answers)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: the answer is not that of the report API", response.Status)
	}
	return answers, response.Header.Get("Date"), nil
}

// starterGrace is how long the starter may take to see a check.
const starterGrace = 2 * time.Minute

// readChecks reads the checks, and looks whether a starter has seen each of them.
func (x *examination) readChecks(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*within)
	defer cancel()
	found, err := x.Cluster.Checks(ctx, x.Targets)
	if err != nil {
		x.unknown("checks", "list khchecks", err)
		return
	}
	x.checks, x.knowsChecks = found, true
	var unseen []string
	for _, c := range found {
		if c.Status.ObservedGeneration < c.Generation && x.Now().Sub(edited(c.ObjectMeta)) > starterGrace && c.DeletionTimestamp == nil {
			unseen = append(unseen, c.Namespace+"/"+c.Name)
		}
	}
	if len(unseen) > 0 {
		x.add("checks", Fail, x.startRole("starter"), "no starter has seen the present spec of %s", some(unseen))
		return
	}
	x.add("checks", OK, "", "a starter has seen each of the %d checks", len(found))
}

// edited is when the spec of an object changed last.
func edited(meta metav1.ObjectMeta) time.Time {
	last := meta.CreationTimestamp.Time
	for _, entry := range meta.ManagedFields {
		if entry.Subresource == "" && entry.Time != nil && entry.Time.After(last) {
			last = entry.Time.Time
		}
	}
	return last
}

// PodOptions are the pod that tries the reporting URL.
type PodOptions struct {
	// Namespace is where it runs. NetworkPolicies may differ between namespaces.
	Namespace string
	// Image has the program khcheck as its entry point.
	Image string
	// Within is how long the pod may take.
	Within time.Duration
}

// reportingURL looks whether checks can send their reports.
func (x *examination) reportingURL(ctx context.Context) {
	const name = "reporting-url"
	ctx, cancel := context.WithTimeout(ctx, 2*within+x.Pod.Within)
	defer cancel()
	address, from, err := x.findReportingURL(ctx)
	if err != nil {
		x.unknown(name, "list pods, to find the URL that checks have (or set --reporting-url)", err)
		return
	}
	mend := x.mendReportingURL()
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" {
		x.add(name, Fail, mend, "the reporting URL of %s is not a URL such as %s", from, protocol.ReportingURL(x.Namespace))
		return
	}
	shown := parsed.Redacted()
	if serviceName, namespace, ok := serviceOf(parsed.Hostname()); ok {
		ready, exists, err := x.Cluster.ReadyEndpoints(ctx, namespace, serviceName)
		switch {
		case err != nil:
			x.unknown(name, "read the Service "+namespace+"/"+serviceName, err)
		case !exists:
			x.add(name, Fail, mend, "%s of %s: there is no Service %s in the namespace %s", shown, from, serviceName, namespace)
		case ready == 0:
			x.add(name, Fail, x.startRole("reportapi"), "%s of %s: no pod behind Service %s/%s is ready", shown, from, namespace, serviceName)
		default:
			x.add(name, OK, "", "%s of %s: %d pods behind the Service are ready", shown, from, ready)
		}
	} else {
		x.add(name, Skipped, "", "%s of %s is no Service of this cluster, so only a pod can try it (--pod)", shown, from)
	}
	x.tryReportingURL(ctx, address, shown, from, mend)
}

// findReportingURL returns the URL and whose it is.
func (x *examination) findReportingURL(ctx context.Context) (address, from string, err error) {
	if x.ReportingURL != "" {
		return x.ReportingURL, "--reporting-url", nil
	}
	pod, err := x.Cluster.NewestCheckerPod(ctx, x.Targets)
	if err != nil {
		return "", "", err
	}
	if pod != nil {
		for _, variable := range pod.Spec.Containers[0].Env {
			if variable.Name == protocol.EnvReportingURL {
				return variable.Value, "pod " + pod.Namespace + "/" + pod.Name, nil
			}
		}
	}
	return protocol.ReportingURL(x.Namespace), "the default", nil
}

// mendReportingURL is the command that sets the reporting URL to the Service.
func (x *examination) mendReportingURL() string {
	setting := "KH_EXTERNAL_REPORTING_URL=" + protocol.ReportingURL(x.Namespace)
	if d, ok := x.deployments["worker"]; ok {
		return fmt.Sprintf("%s set env -n %s deployment/%s %s", x.Kubectl, x.Namespace, d.Name, setting)
	}
	return setting + " " + x.startRole("worker")
}

// serviceOf reads NAME.NAMESPACE, NAME.NAMESPACE.svc and NAME.NAMESPACE.svc.DOMAIN. Other names may be anything, so that two parts
// count only if the first is the name of our Service.
func serviceOf(host string) (name, namespace string, ok bool) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) == 2 && parts[0] == service || len(parts) > 2 && parts[2] == "svc" {
		return parts[0], parts[1], true
	}
	return "", "", false
}

// tryReportingURL runs the pod that asks for the URL.
func (x *examination) tryReportingURL(ctx context.Context, address, shown, from, mend string) {
	const name = "reporting-url/pod"
	if x.Pod.Image == "" {
		x.add(name, Skipped, "khronicle doctor --pod", "no pod tried the reporting URL: that needs --pod")
		return
	}
	running, cancel := context.WithTimeout(ctx, x.Pod.Within)
	defer cancel()
	pod, err := x.Cluster.RunPod(running, probe(x.Pod, address))
	if err != nil {
		x.unknown(name, "run a pod in "+x.Pod.Namespace, err)
		return
	}
	ended := containerOf(pod).State
	switch t := ended.Terminated; {
	case t == nil:
		x.add(name, Unknown, "khronicle doctor --pod --pod-image IMAGE", "the pod with image %s did not end within %s%s", x.Pod.Image, x.Pod.Within, waiting(pod))
	case t.ExitCode == 0:
		x.add(name, OK, "", "a pod in %s reaches %s of %s", x.Pod.Namespace, shown, from)
	case t.ExitCode == 1 && strings.TrimSpace(t.Message) != "":
		x.add(name, Fail, mend, "a pod in %s does not reach %s of %s: %s", x.Pod.Namespace, shown, from, strings.TrimSpace(t.Message))
	default:
		x.add(name, Unknown, "khronicle doctor --pod --pod-image IMAGE", "the pod with image %s ended with exit code %d: is it an image of khcheck? %s", x.Pod.Image, t.ExitCode, t.Reason)
	}
}

func containerOf(pod *corev1.Pod) corev1.ContainerStatus {
	if len(pod.Status.ContainerStatuses) == 0 {
		return corev1.ContainerStatus{}
	}
	return pod.Status.ContainerStatuses[0]
}

// waiting says why a pod does not run.
func waiting(pod *corev1.Pod) string {
	if w := containerOf(pod).State.Waiting; w != nil {
		return strings.TrimRight(": "+w.Reason+": "+w.Message, ": ")
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
			return ": " + c.Message
		}
	}
	return ""
}

// probe is a pod that may run where Pod Security is restricted.
func probe(o PodOptions, address string) *corev1.Pod {
	seconds := int64(o.Within.Seconds()) + 1
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.Namespace, GenerateName: "khronicle-doctor-",
			Labels: map[string]string{"app.kubernetes.io/name": "khronicle", "app.kubernetes.io/component": "doctor"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, ActiveDeadlineSeconds: &seconds, AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "reach", Image: o.Image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{"reach", address},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// ledgerGrace is how long a record may be behind the end of its run.
const ledgerGrace = 2 * time.Minute

// ledger asks the report API whether it can read the ledger, and whether the newest run is in it.
func (x *examination) ledger(ctx context.Context) {
	const name = "ledger"
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	api, err := apiclient.NewClient(x.Reports.Base+"/api/v1", apiclient.WithHTTPClient(x.Reports.Client))
	if err != nil {
		x.unknown(name, "make client of the report API", err)
		return
	}
	summary, err := apiclient.Decode[apiclient.Summary](api.GetSummary(ctx, nil))
	switch {
	case err != nil:
		x.unknown(name, "read the summary", err)
		return
	case summary.Ledger == apiclient.LedgerStateNone:
		x.add(name, Skipped, "", "the report API reads no ledger")
		return
	case summary.Ledger != apiclient.LedgerStateAvailable:
		x.add(name, Fail, x.lookAtLog("reportapi"), "the report API cannot read the ledger")
		return
	}
	behind, err := x.behind(ctx, api)
	switch {
	case err != nil:
		x.unknown(name, "read the newest run", err)
	case behind != "":
		x.add(name, Warn, x.lookAtLog("worker"), "the ledger is behind: %s", behind)
	default:
		x.add(name, OK, "", "the report API reads the ledger, and it is not behind")
	}
}

// behind names the check with the newest outcome of some minutes ago, if the ledger has no record of that run.
func (x *examination) behind(ctx context.Context, api *apiclient.Client) (string, error) {
	var newest apiclient.Check
	var at time.Time
	for c, err := range api.Checks(ctx, apiclient.ListChecksParams{Limit: new(500)}) {
		if err != nil {
			return "", err
		}
		if c.LastRun == nil || c.LastRun.ConcludedAt == nil || x.Now().Sub(*c.LastRun.ConcludedAt) < ledgerGrace {
			continue
		}
		if c.LastRun.ConcludedAt.After(at) {
			newest, at = c, *c.LastRun.ConcludedAt
		}
	}
	if at.IsZero() {
		return "", nil
	}
	runs, err := apiclient.Decode[apiclient.RunList](api.ListRuns(ctx, newest.Namespace, newest.Name, &apiclient.ListRunsParams{Kind: &newest.Kind, Limit: new(20)}))
	if err != nil {
		return "", err
	}
	for _, run := range runs.Items {
		if run.ConcludedAt != nil && run.ConcludedAt.Sub(at).Abs() < time.Second {
			return "", nil
		}
	}
	return fmt.Sprintf("it has no record of the run of %s/%s that ended at %s", newest.Namespace, newest.Name, at.UTC().Format(time.RFC3339)), nil
}

// isTimeout is true for the end of the time of a question.
func isTimeout(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
