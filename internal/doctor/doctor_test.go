package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/deploy"
	"github.com/khronicle/khronicle/internal/doctor"
	"github.com/khronicle/khronicle/kube"
)

// now is the clock of this machine.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// installation is a cluster with Khronicle, which tests break.
type installation struct {
	version      error
	date         time.Time
	definitions  map[string]map[string]any
	refused      func(who string, right kube.Right) bool
	reviewError  error
	accounts     map[string]bool
	deployments  []appsv1.Deployment
	listError    error
	settings     map[string]string
	checks       []khv1.KuberhealthyCheck
	pod          *corev1.Pod
	endpoints    map[string]int
	ranPod       *corev1.Pod
	podEnds      corev1.ContainerState
	ready        map[string]string
	reportsError error
	ledgerState  string
	runs         string
	options      doctor.Options
}

// inOrder is an installation with nothing wrong, whose checks are in all namespaces.
func inOrder(t *testing.T) *installation {
	t.Helper()
	i := &installation{
		date: now, definitions: map[string]map[string]any{}, refused: func(string, kube.Right) bool { return false },
		accounts:  map[string]bool{"khronicle-worker": true, "khronicle-starter": true, "khronicle-reportapi": true},
		settings:  map[string]string{"TEMPORAL_ADDRESS": "temporal-frontend.temporal.svc.cluster.local:7233"},
		endpoints: map[string]int{"kuberhealthy/kuberhealthy": 2},
		ready:     map[string]string{"informers": "ok", "kubernetes": "ok", "temporal": "ok"}, ledgerState: "available", runs: `{"items":[]}`,
	}
	for _, document := range deploy.Documents(deploy.PartCRDs, "") {
		definition := map[string]any{}
		if err := yaml.Unmarshal([]byte(document), &definition); err != nil {
			t.Fatal(err)
		}
		definition["spec"].(map[string]any)["conversion"] = map[string]any{"strategy": "None"} // a default
		definition["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}}
		i.definitions[definition["metadata"].(map[string]any)["name"].(string)] = definition
	}
	for _, role := range []string{"worker", "starter", "reportapi"} {
		i.deployments = append(i.deployments, appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "khronicle-" + role, Labels: map[string]string{"app.kubernetes.io/component": role}},
			Spec:       appsv1.DeploymentSpec{Replicas: new(int32(2)), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{ServiceAccountName: "khronicle-" + role}}},
			Status:     appsv1.DeploymentStatus{ReadyReplicas: 2},
		})
	}
	i.checks = []khv1.KuberhealthyCheck{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", Generation: 2, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Status:     khv1.CheckStatus{ObservedGeneration: 2},
	}}
	i.options = doctor.Options{Namespace: "kuberhealthy", Kubectl: "kubectl", Now: func() time.Time { return now }}
	return i
}

// examine runs the doctor and returns the findings by their names.
func (i *installation) examine(t *testing.T) map[string]doctor.Finding {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(i.serve))
	defer server.Close()
	i.options.Cluster, i.options.Reports = i, doctor.ReportAPI{Client: i, Base: server.URL}
	found := map[string]doctor.Finding{}
	for _, f := range doctor.Examine(t.Context(), i.options) {
		if _, twice := found[f.Name]; twice {
			t.Errorf("two findings have the name %s", f.Name)
		}
		found[f.Name] = f
	}
	return found
}

func (i *installation) Do(r *http.Request) (*http.Response, error) {
	if i.reportsError != nil {
		return nil, i.reportsError
	}
	return http.DefaultClient.Do(r)
}

func (i *installation) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", now.Format(http.TimeFormat))
	switch r.URL.Path {
	case "/readyz":
		_ = json.NewEncoder(w).Encode(i.ready)
	case "/api/v1/summary":
		_, _ = w.Write([]byte(`{"ok":true,"ledger":"` + i.ledgerState + `"}`))
	case "/api/v1/checks":
		_, _ = w.Write([]byte(`{"total":1,"items":[{"kind":"check","namespace":"shop","name":"cart","lastRun":{"outcome":"succeeded","concludedAt":"2026-03-01T11:50:00Z"}}]}`))
	default:
		_, _ = w.Write([]byte(i.runs))
	}
}

func (i *installation) Version(context.Context) (string, string, error) {
	return "v1.37.0", i.date.Format(http.TimeFormat), i.version
}

func (i *installation) Definition(_ context.Context, name string) (map[string]any, error) {
	if found, ok := i.definitions[name]; ok {
		return found, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "customresourcedefinitions"}, name)
}

func (i *installation) MayI(_ context.Context, right kube.Right) (bool, error) {
	return !i.refused("you", right), i.reviewError
}

func (i *installation) MayAccount(_ context.Context, _, account string, right kube.Right) (bool, error) {
	return !i.refused(account, right), i.reviewError
}

func (i *installation) HasAccount(_ context.Context, _, name string) (bool, error) {
	return i.accounts[name], nil
}

func (i *installation) Deployments(context.Context, string) ([]appsv1.Deployment, error) {
	return i.deployments, i.listError
}

func (i *installation) ConfigMap(context.Context, string, string) (map[string]string, error) {
	return i.settings, nil
}

func (i *installation) Checks(context.Context, []string) ([]khv1.KuberhealthyCheck, error) {
	return i.checks, i.listError
}

func (i *installation) NewestCheckerPod(context.Context, []string) (*corev1.Pod, error) {
	return i.pod, i.listError
}

func (i *installation) ReadyEndpoints(_ context.Context, namespace, name string) (int, bool, error) {
	ready, exists := i.endpoints[namespace+"/"+name]
	return ready, exists, nil
}

func (i *installation) RunPod(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	i.ranPod = pod.DeepCopy()
	i.ranPod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: i.podEnds}}
	return i.ranPod, nil
}

// aPod is a checker pod that reports to a URL.
func aPod(url string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-1"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Env: []corev1.EnvVar{{Name: "KH_REPORTING_URL", Value: url}}}}},
	}
}

func ended(code int32, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message}}
}

func TestNothingIsWrongWithAnInstallationInOrder(t *testing.T) {
	i := inOrder(t)
	i.options.Pod = doctor.PodOptions{Namespace: "shop", Image: "example/khcheck:1", Within: time.Minute}
	i.podEnds = ended(0, "")
	i.runs = `{"items":[{"outcome":"succeeded","concludedAt":"2026-03-01T11:50:00.1Z"}]}`
	found := i.examine(t)
	for name, f := range found {
		if want := map[bool]doctor.Status{true: doctor.Skipped, false: doctor.OK}[name == "temporal"]; f.Status != want {
			t.Errorf("%+v, want %s", f, want)
		}
	}
	for _, name := range []string{
		"kubernetes", "crds/khchecks", "crds/khjobs", "crds/khstates", "rights/you/run", "roles/worker", "rights/worker", "rights/starter", "rights/reportapi",
		"report-api", "checks", "reporting-url", "reporting-url/pod", "ledger", "temporal", "clocks",
	} {
		if _, ok := found[name]; !ok {
			t.Errorf("nobody looked at %s", name)
		}
	}
	if mend := found["temporal"].Mend; !strings.Contains(mend, "kubectl port-forward -n temporal service/temporal-frontend 7233:7233") {
		t.Errorf("to look at Temporal: %s", mend)
	}
	if got := i.ranPod.Spec.Containers[0].Args; len(got) != 2 || got[0] != "reach" || got[1] != "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus" {
		t.Errorf("the pod has the arguments %q", got)
	}
	if got := doctor.Worst(values(found)); got != doctor.OK {
		t.Errorf("all together: %s", got)
	}
}

func values(found map[string]doctor.Finding) []doctor.Finding {
	var all []doctor.Finding
	for f := range maps.Values(found) {
		all = append(all, f)
	}
	return all
}

// spec returns an object in a definition.
func (i *installation) spec(plural string) map[string]any {
	return i.definitions[plural+".comcast.github.io"]["spec"].(map[string]any)
}

func (i *installation) versionOf(plural string) map[string]any {
	return i.spec(plural)["versions"].([]any)[0].(map[string]any)
}

func TestEachFaultIsNamedWithWhatMendsIt(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "", errors.New("no"))
	tests := []struct {
		name string
		do   func(i *installation)
		// what is the name of the finding, and detail and mend are parts of its texts.
		what, detail, mend string
		status             doctor.Status
	}{
		{
			"the API server does not answer", func(i *installation) { i.version = errors.New("connection refused") },
			"kubernetes", "connection refused", "kubectl version", doctor.Unknown,
		},
		{
			"a definition is missing", func(i *installation) { delete(i.definitions, "khjobs.comcast.github.io") },
			"crds/khjobs", "khjobs.comcast.github.io does not exist", "khronicle manifests crds | kubectl apply --server-side --force-conflicts -f -", doctor.Fail,
		},
		{
			"a column is missing", func(i *installation) {
				version := i.versionOf("khchecks")
				version["additionalPrinterColumns"] = version["additionalPrinterColumns"].([]any)[1:]
			},
			"crds/khchecks", "spec.versions.v1.additionalPrinterColumns.Healthy is missing", "khronicle manifests crds", doctor.Fail,
		},
		{
			"the version is not served", func(i *installation) { i.versionOf("khchecks")["served"] = false },
			"crds/khchecks", "spec.versions.v1.served differs", "khronicle manifests crds", doctor.Fail,
		},
		{
			"a field is there besides", func(i *installation) {
				i.versionOf("khstates")["deprecated"] = true
			},
			"crds/khstates", "spec.versions.v1.deprecated", "khronicle manifests crds", doctor.Warn,
		},
		{
			"a definition has a name that others have", func(i *installation) { i.definitions["khstates.comcast.github.io"]["status"] = nil },
			"crds/khstates", "not established", "kubectl describe crd khstates.comcast.github.io", doctor.Fail,
		},
		{
			"the caller may not patch", func(i *installation) {
				i.refused = func(who string, r kube.Right) bool { return who == "you" && r.Verb == "patch" }
			},
			"rights/you/run", "you may not use run: the right patch khchecks is missing", "kubectl create clusterrole khronicle-khchecks-patch --verb=patch --resource=khchecks.comcast.github.io", doctor.Warn,
		},
		{
			"the caller may not read through the proxy", func(i *installation) {
				i.refused = func(who string, r kube.Right) bool { return who == "you" && r.Subresource == "proxy" }
			},
			"rights/you/get-describe-history-wait", "the right get services/proxy in kuberhealthy is missing", "kubectl create role khronicle-services-proxy-get -n kuberhealthy --verb=get --resource=services/proxy", doctor.Warn,
		},
		{
			"the worker may not create pods", func(i *installation) {
				i.refused = func(who string, r kube.Right) bool { return who == "khronicle-worker" && r.String() == "create pods" }
			},
			"rights/worker", "ServiceAccount khronicle-worker lacks the right create pods", "khronicle manifests roles bindings | kubectl apply", doctor.Fail,
		},
		{
			"the worker may not read logs", func(i *installation) {
				i.refused = func(_ string, r kube.Right) bool { return r.String() == "get pods/log" }
			},
			"rights/worker", "lacks the right get pods/log", "khronicle manifests roles bindings", doctor.Warn,
		},
		{
			"the starter lacks a right in a target namespace", func(i *installation) {
				i.settings["TARGET_NAMESPACE"] = "shop, net"
				i.refused = func(_ string, r kube.Right) bool {
					return r.String() == "patch khchecks/status in net" || r.Namespace == "" && r.Group != ""
				}
			},
			"rights/starter", "lacks the right patch khchecks/status in net",
			"kubectl create rolebinding khronicle-starter -n net --clusterrole=khronicle-starter --serviceaccount=kuberhealthy:khronicle-starter", doctor.Fail,
		},
		{
			"an account is missing", func(i *installation) { delete(i.accounts, "khronicle-starter") },
			"rights/starter", "there is no ServiceAccount khronicle-starter", "khronicle manifests serviceaccounts | kubectl apply", doctor.Fail,
		},
		{
			"the caller may not ask for the rights of others", func(i *installation) { i.reviewError = forbidden },
			"rights/worker", "you have not the right", "", doctor.Unknown,
		},
		{
			"a role has no replicas", func(i *installation) { i.deployments[0].Spec.Replicas = new(int32(0)) },
			"roles/worker", "has 0 replicas", "kubectl scale -n kuberhealthy deployment/khronicle-worker --replicas=2", doctor.Fail,
		},
		{
			"a role has no ready pod", func(i *installation) {
				i.deployments[1].Status = appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionFalse, Message: "too few replicas"}}}
			},
			"roles/starter", "no pod of Deployment khronicle-starter is ready: too few replicas", "kubectl describe pods -n kuberhealthy -l app.kubernetes.io/component=starter", doctor.Fail,
		},
		{
			"one pod of a role is not ready", func(i *installation) { i.deployments[2].Status.ReadyReplicas = 1 },
			"roles/reportapi", "1 of 2 pods", "kubectl describe pods", doctor.Warn,
		},
		{
			"a role is not deployed", func(i *installation) { i.deployments = i.deployments[:2] },
			"roles/reportapi", "there is no Deployment of the reportapi", "kubectl apply --server-side -k deploy/manifests", doctor.Fail,
		},
		{
			"the roles run elsewhere", func(i *installation) { i.deployments, i.accounts = nil, nil },
			"roles", "it runs elsewhere", "", doctor.Skipped,
		},
		{
			"the caller may not list Deployments", func(i *installation) { i.listError = forbidden },
			"roles", "you have not the right", "", doctor.Unknown,
		},
		{
			"the report API does not reach Temporal", func(i *installation) { i.ready["temporal"] = "no route" },
			"report-api", "temporal: no route", "kubectl logs -n kuberhealthy deployment/khronicle-reportapi", doctor.Fail,
		},
		{
			"nobody answers behind the Service", func(i *installation) { i.reportsError = apierrors.NewServiceUnavailable("no endpoints available") },
			"report-api", "no endpoints available", "kubectl rollout restart -n kuberhealthy deployment/khronicle-reportapi", doctor.Fail,
		},
		{
			"there is no Service", func(i *installation) {
				i.reportsError = apierrors.NewNotFound(schema.GroupResource{Resource: "services"}, "kuberhealthy")
			},
			"report-api", "there is no Service kuberhealthy", "deploy/manifests", doctor.Fail,
		},
		{
			"the caller may not reach the report API", func(i *installation) { i.reportsError = forbidden },
			"report-api", "you have not the right", "", doctor.Unknown,
		},
		{
			"no starter has seen an edit", func(i *installation) { i.checks[0].Generation = 3 },
			"checks", "no starter has seen the present spec of shop/cart", "kubectl rollout restart -n kuberhealthy deployment/khronicle-starter", doctor.Fail,
		},
		{
			"checks report to a Service that is not there", func(i *installation) { i.pod = aPod("http://kuberhealthy.monitoring.svc/externalCheckStatus") },
			"reporting-url", "of pod shop/cart-1: there is no Service kuberhealthy in the namespace monitoring",
			"kubectl set env -n kuberhealthy deployment/khronicle-worker KH_EXTERNAL_REPORTING_URL=http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus", doctor.Fail,
		},
		{
			"no pod is ready behind the reporting URL", func(i *installation) { i.endpoints["kuberhealthy/kuberhealthy"] = 0 },
			"reporting-url", "no pod behind Service kuberhealthy/kuberhealthy is ready", "kubectl rollout restart", doctor.Fail,
		},
		{
			"checks report to another machine, with a password", func(i *installation) { i.pod = aPod("http://me:secret@192.0.2.1/check") },
			"reporting-url", "http://me:xxxxx@192.0.2.1/check of pod shop/cart-1 is no Service", "", doctor.Skipped,
		},
		{
			"the reporting URL is none", func(i *installation) { i.options.ReportingURL = "secret" },
			"reporting-url", "the reporting URL of --reporting-url is not a URL", "kubectl set env", doctor.Fail,
		},
		{
			"a pod does not reach the reporting URL", func(i *installation) {
				i.options.Pod, i.podEnds = doctor.PodOptions{Image: "example/khcheck:1", Namespace: "shop"}, ended(1, "dial tcp: refused\n")
			},
			"reporting-url/pod", "does not reach http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus of the default: dial tcp: refused", "kubectl set env", doctor.Fail,
		},
		{
			"the pod has another image", func(i *installation) {
				i.options.Pod, i.podEnds = doctor.PodOptions{Image: "example/other:1", Namespace: "shop"}, ended(127, "")
			},
			"reporting-url/pod", "is it an image of khcheck?", "--pod-image", doctor.Unknown,
		},
		{
			"the image cannot be pulled", func(i *installation) {
				i.options.Pod = doctor.PodOptions{Image: "example/none:1", Namespace: "shop", Within: time.Minute}
				i.podEnds = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "not found"}}
			},
			"reporting-url/pod", "did not end within 1m0s: ErrImagePull: not found", "--pod-image", doctor.Unknown,
		},
		{
			"the ledger cannot be read", func(i *installation) { i.ledgerState = "unavailable" },
			"ledger", "cannot read the ledger", "kubectl logs", doctor.Fail,
		},
		{"there is no ledger", func(i *installation) { i.ledgerState = "none" }, "ledger", "reads no ledger", "", doctor.Skipped},
		{
			"the ledger lacks the last run", func(*installation) {},
			"ledger", "it has no record of the run of shop/cart that ended at 2026-03-01T11:50:00Z", "kubectl logs -n kuberhealthy deployment/khronicle-worker", doctor.Warn,
		},
		{
			"the clock of the API server is ahead", func(i *installation) { i.date = now.Add(20 * time.Second) },
			"clocks", "the clock of the API server is at least 20s ahead of that of", "timedatectl", doctor.Warn,
		},
		{
			"the clock of this machine is ahead", func(i *installation) { i.date = now.Add(-time.Hour) },
			"clocks", "ahead of that of the API server", "timedatectl", doctor.Fail,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := inOrder(t)
			tt.do(i)
			got, ok := i.examine(t)[tt.what]
			if !ok || got.Status != tt.status || !strings.Contains(got.Detail, tt.detail) || !strings.Contains(got.Mend, tt.mend) {
				t.Errorf("got  %+v\nwant %s: %s; %s", got, tt.status, tt.detail, tt.mend)
			}
			if strings.Contains(got.Detail+got.Mend, "secret") {
				t.Errorf("a secret is shown: %+v", got)
			}
		})
	}
}

func TestTheWorstFindingDecides(t *testing.T) {
	tests := []struct {
		statuses []doctor.Status
		want     doctor.Status
	}{
		{nil, doctor.OK},
		{[]doctor.Status{doctor.Warn, doctor.Skipped, doctor.OK}, doctor.OK},
		{[]doctor.Status{doctor.OK, doctor.Unknown, doctor.Warn}, doctor.Unknown},
		{[]doctor.Status{doctor.Unknown, doctor.Fail, doctor.Unknown}, doctor.Fail},
	}
	for _, tt := range tests {
		var findings []doctor.Finding
		for _, s := range tt.statuses {
			findings = append(findings, doctor.Finding{Status: s})
		}
		if got := doctor.Worst(findings); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.statuses, got, tt.want)
		}
	}
}
