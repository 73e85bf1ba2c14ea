package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/internal/devserver"
)

// update writes the file that this test reads: make generate.
var update = flag.Bool("update", false, "write chart/files/temporal.args anew")

// helm runs Helm, and returns what it wrote to stdout and stderr. The first call builds it.
func helm(t *testing.T, args ...string) (string, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "../tools/gotool.sh", append([]string{"helm"}, args...)...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	return stdout.String(), stderr.String(), err
}

// render returns the objects of a release `khronicle` in the namespace kuberhealthy. Those of Kubernetes are read strictly.
func render(t *testing.T, args ...string) []runtime.Object {
	t.Helper()
	out, stderr, err := helm(t, append([]string{"template", "khronicle", "chart", "--kube-version=1.30", "--namespace", "kuberhealthy"}, args...)...)
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []runtime.Object
	for _, document := range separator.Split(out, -1) {
		var content map[string]any
		if err := yaml.UnmarshalStrict([]byte(document), &content); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if content == nil {
			continue
		}
		object, _, err := decoder.Decode([]byte(document), nil, nil)
		if runtime.IsNotRegisteredError(err) {
			object, err = &unstructured.Unstructured{Object: content}, nil
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		all = append(all, object)
	}
	return all
}

// kinds returns the kinds of objects that are not of Kubernetes itself.
func kinds(objects []runtime.Object) []string {
	var names []string
	for _, object := range of[*unstructured.Unstructured](objects) {
		names = append(names, object.GetKind())
	}
	return names
}

const temporalAddress = "--set=temporal.address=temporal:7233"

var ha = []string{"--set=mode=ha", temporalAddress}

func TestHelmFindsNothingWrongWithTheChart(t *testing.T) {
	for _, args := range [][]string{nil, ha} {
		out, stderr, err := helm(t, append([]string{"lint", "--strict", "--kube-version=1.30", "chart"}, args...)...)
		if err != nil || strings.Contains(out, "[WARNING]") {
			t.Errorf("%q: %v\n%s%s", args, err, out, stderr)
		}
	}
}

func TestStandaloneIsOnePodWithAllRightsAndOneVolume(t *testing.T) {
	objects := render(t)
	sets := of[*appsv1.StatefulSet](objects)
	if len(sets) != 1 || len(of[*appsv1.Deployment](objects)) != 0 || len(of[*policyv1.PodDisruptionBudget](objects)) != 0 {
		t.Fatalf("got %d StatefulSets, and Deployments or budgets besides", len(sets))
	}
	pod := sets[0].Spec.Template.Spec
	if *sets[0].Spec.Replicas != 1 || len(sets[0].Spec.VolumeClaimTemplates) != 1 {
		t.Errorf("%d replicas, %d volumes, want one each", *sets[0].Spec.Replicas, len(sets[0].Spec.VolumeClaimTemplates))
	}
	if len(pod.Containers) != 1 || pod.Containers[0].Args[0] != "standalone" {
		t.Errorf("runs %d containers", len(pod.Containers))
	}
	checkHardening(t, pod)
	checkProbes(t, pod.Containers[0])
	var bound []string
	for _, binding := range of[*rbacv1.ClusterRoleBinding](objects) {
		if subject := binding.Subjects[0]; subject.Name != pod.ServiceAccountName || subject.Namespace != "kuberhealthy" {
			t.Errorf("%s: binds %v", binding.Name, subject)
		}
		bound = append(bound, binding.RoleRef.Name)
	}
	if slices.Sort(bound); !slices.Equal(bound, []string{"khronicle-reportapi", "khronicle-starter", "khronicle-worker"}) {
		t.Errorf("the account has the roles %q", bound)
	}
	service := of[*corev1.Service](objects)[0]
	for key, value := range service.Spec.Selector {
		if sets[0].Spec.Template.Labels[key] != value {
			t.Errorf("the Service looks for %s=%s", key, value)
		}
	}
}

// The bundled server is a sidecar with the settings that dev has, and nobody outside the pod reaches it.
func TestBundledTemporalHasTheSettingsOfDev(t *testing.T) {
	want := devserver.Options{StateDir: "/var/lib/khronicle", Port: 7233, UIPort: 8233}.Args()
	if *update {
		if err := os.WriteFile("chart/files/temporal.args", []byte(strings.Join(want, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pod := of[*appsv1.StatefulSet](render(t))[0].Spec.Template.Spec
	if len(pod.InitContainers) != 1 || *pod.InitContainers[0].RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Fatalf("init containers are %v, want one sidecar", pod.InitContainers)
	}
	if got := pod.InitContainers[0].Args; !slices.Equal(got, want) {
		t.Errorf("its arguments are\n%q, want those of internal/devserver:\n%q", got, want)
	}
	sidecar := pod
	sidecar.Containers = pod.InitContainers
	checkHardening(t, sidecar)
	if own := of[*appsv1.StatefulSet](render(t, temporalAddress))[0].Spec.Template.Spec; len(own.InitContainers) != 0 {
		t.Error("runs a Temporal beside the one that is named")
	}
}

func TestHelmUpgradesTheCustomResourcesAndKeepsThem(t *testing.T) {
	count := func(objects []runtime.Object, kept bool) int {
		n := 0
		for _, object := range of[*unstructured.Unstructured](objects) {
			if object.GetKind() == "CustomResourceDefinition" && (object.GetAnnotations()["helm.sh/resource-policy"] == "keep") == kept {
				n++
			}
		}
		return n
	}
	if n := count(render(t), true); n != 3 {
		t.Errorf("%d CRDs are kept, want 3", n)
	}
	if n := count(render(t, "--set=crds.keep=false"), false); n != 3 {
		t.Errorf("%d CRDs go with the release, want 3", n)
	}
	if none := render(t, "--set=crds.install=false"); count(none, true)+count(none, false) != 0 {
		t.Error("makes CRDs that were not wanted")
	}
}

// With namespaces there is no right outside of them.
func TestRightsInNamespacesAlone(t *testing.T) {
	objects := render(t, "--set=namespaces={shop,team-a}")
	if n := len(of[*rbacv1.ClusterRoleBinding](objects)); n != 0 {
		t.Errorf("%d ClusterRoleBindings", n)
	}
	in := map[string]int{}
	for _, binding := range of[*rbacv1.RoleBinding](objects) {
		if strings.HasPrefix(binding.RoleRef.Name, "khronicle-") && binding.RoleRef.Kind == "ClusterRole" {
			in[binding.Namespace]++
		}
	}
	if len(in) != 2 || in["shop"] != 3 || in["team-a"] != 3 {
		t.Errorf("role bindings by namespace: %v", in)
	}
	if got := of[*corev1.ConfigMap](objects)[0].Data["TARGET_NAMESPACE"]; got != "shop,team-a" {
		t.Errorf("TARGET_NAMESPACE is %q", got)
	}
}

// Each toggle makes its objects, in both modes, and Kubernetes' types know all fields.
func TestEveryToggleRenders(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want func(objects []runtime.Object) bool
	}{
		{"network policy", []string{"--set=networkPolicy.enabled=true"}, func(o []runtime.Object) bool { return len(of[*networkingv1.NetworkPolicy](o)) == 1 }},
		{"metrics for some", []string{"--set=networkPolicy.enabled=true", "--set-json=networkPolicy.metricsFrom=[{\"namespaceSelector\":{}}]"}, func(o []runtime.Object) bool {
			return len(of[*networkingv1.NetworkPolicy](o)[0].Spec.Ingress[1].From) == 1
		}},
		{"ingress", []string{"--set=ingress.enabled=true,ingress.host=a.example.com,ingress.tlsSecret=tls,ingress.className=nginx"}, func(o []runtime.Object) bool {
			return len(of[*networkingv1.Ingress](o)) == 1
		}},
		{"route", []string{"--set=httpRoute.enabled=true", "--set-json=httpRoute.parentRefs=[{\"name\":\"public\"}]"}, func(o []runtime.Object) bool { return slices.Contains(kinds(o), "HTTPRoute") }},
		{"pod monitor", []string{"--set=serviceMonitor.enabled=true"}, func(o []runtime.Object) bool { return slices.Contains(kinds(o), "PodMonitor") }},
		{"rules", []string{"--set=prometheusRule.enabled=true"}, func(o []runtime.Object) bool { return slices.Contains(kinds(o), "PrometheusRule") }},
		{"no rights", []string{"--set=rbac.create=false"}, func(o []runtime.Object) bool { return len(of[*rbacv1.ClusterRole](o)) == 0 }},
		{"reports by address", []string{"--set=reports.acceptBySourceIP=true"}, func(o []runtime.Object) bool {
			return strings.Contains(argumentsOf(o), "--accept-reports-by-source-ip")
		}},
		{"another service", []string{"--set=service.name=checks,service.port=8080"}, func(o []runtime.Object) bool {
			return of[*corev1.ConfigMap](o)[0].Data["KH_EXTERNAL_REPORTING_URL"] == "http://checks.kuberhealthy.svc.cluster.local:8080/externalCheckStatus"
		}},
		{"digest", []string{"--set=image.digest=sha256:" + strings.Repeat("a", 64)}, func(o []runtime.Object) bool {
			return imageOf(o) == "khronicle/khronicle@sha256:"+strings.Repeat("a", 64)
		}},
		{"scheduling", []string{
			"--set=nodeSelector.disk=ssd,priorityClassName=system-cluster-critical,imagePullSecrets[0].name=pull",
			"--set-json=tolerations=[{\"operator\":\"Exists\"}]", "--set-json=affinity={\"podAntiAffinity\":{}}",
			"--set-json=extraEnv=[{\"name\":\"GOMEMLIMIT\",\"value\":\"400MiB\"}]", "--set=podLabels.a=b,podAnnotations.c=d",
		}, func(o []runtime.Object) bool { return podOf(o).PriorityClassName == "system-cluster-critical" }},
		{"TLS", []string{"--set=temporal.address=t:7233,temporal.tls=true,temporal.serverName=t.example.com"}, func(o []runtime.Object) bool {
			return of[*corev1.ConfigMap](o)[0].Data["TEMPORAL_TLS"] == "true"
		}},
		{"no budgets", []string{"--set=podDisruptionBudget.enabled=false,topologySpread.enabled=false"}, func(o []runtime.Object) bool {
			return len(of[*policyv1.PodDisruptionBudget](o)) == 0 && len(podOf(o).TopologySpreadConstraints) == 0
		}},
	}
	for _, test := range tests {
		for mode, args := range map[string][]string{"standalone": nil, "ha": ha} {
			t.Run(test.name+" in "+mode, func(t *testing.T) {
				if objects := render(t, append(slices.Clone(args), test.args...)...); !test.want(objects) {
					t.Errorf("%q did not do what it should", test.args)
				}
			})
		}
	}
}

// podOf returns the pod that serves reports.
func podOf(objects []runtime.Object) corev1.PodSpec {
	if sets := of[*appsv1.StatefulSet](objects); len(sets) > 0 {
		return sets[0].Spec.Template.Spec
	}
	deployments := of[*appsv1.Deployment](objects)
	i := slices.IndexFunc(deployments, func(d *appsv1.Deployment) bool { return d.Name == "khronicle-reportapi" })
	return deployments[i].Spec.Template.Spec
}

func argumentsOf(objects []runtime.Object) string {
	return strings.Join(podOf(objects).Containers[0].Args, " ")
}

func imageOf(objects []runtime.Object) string { return podOf(objects).Containers[0].Image }

// A wrong value is refused before anything is applied, with its place.
func TestWrongValuesAreRefused(t *testing.T) {
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"--set=mode=cluster"}, []string{"/mode", "'standalone'", "'ha'"}},
		{[]string{"--set=mode=ha"}, []string{"temporal.address", "mode ha needs"}},
		{[]string{"--set=temporal.address=http://temporal"}, []string{"/temporal/address"}},
		{[]string{"--set=worker.replicas=0"}, []string{"/worker/replicas", "minimum"}},
		{[]string{"--set=replicaCount=3"}, []string{"replicaCount"}},
		{[]string{"--set=ledger.password=x"}, []string{"/ledger", "password"}},
		{[]string{"--set=ingress.enabled=true"}, []string{"ingress.host"}},
		{[]string{"--set=httpRoute.enabled=true"}, []string{"httpRoute.parentRefs"}},
		{[]string{"--set=namespaces={Shop}"}, []string{"/namespaces/0"}},
		{[]string{"--set-string=crds.keep=yes"}, []string{"/crds/keep", "boolean"}},
		{[]string{"--set=image.digest=sha256:1"}, []string{"/image/digest"}},
	}
	for _, test := range tests {
		_, stderr, err := helm(t, append([]string{"template", "khronicle", "chart", "--kube-version=1.30"}, test.args...)...)
		if err == nil {
			t.Errorf("%q is accepted", test.args)
		}
		for _, part := range test.want {
			if !strings.Contains(stderr, part) {
				t.Errorf("%q: the error does not name %q: %s", test.args, part, stderr)
			}
		}
	}
}

// Each value has a sentence in the schema, and no value is without one.
func TestEveryValueIsDescribed(t *testing.T) {
	type node struct {
		Description          string          `json:"description"`
		Type                 string          `json:"type"`
		Properties           map[string]node `json:"properties"`
		AdditionalProperties json.RawMessage `json:"additionalProperties"`
	}
	var schema node
	if err := json.Unmarshal([]byte(read(t, "chart/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict([]byte(read(t, "chart/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, n node, value any)
	walk = func(path string, n node, value any) {
		if !strings.HasSuffix(n.Description, ".") {
			t.Errorf("%s: has no sentence", path)
		}
		fields, ok := value.(map[string]any)
		if !ok || n.Properties == nil {
			return
		}
		for name, inner := range fields {
			child, ok := n.Properties[name]
			if !ok {
				t.Errorf("%s.%s: is not in the schema", path, name)
			}
			walk(path+"."+name, child, inner)
		}
		for name, child := range n.Properties {
			if _, ok := fields[name]; !ok && name != "global" && name != "claims" && name != "pullPolicy" {
				t.Errorf("%s.%s: has no default in values.yaml", path, name)
			}
			_ = child
		}
	}
	walk("values", schema, values)
}
