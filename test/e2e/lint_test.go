//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/internal/lint"
)

// refusedPods are parts of pod specs that the API server refuses, each for another reason, and the field and text of its
// refusal. The definitions of the resources allow all of them.
var refusedPods = []struct{ name, pod, container, field, text string }{
	{
		"probe-of-init", `initContainers: [{name: prepare, image: "a/b:1", livenessProbe: {tcpSocket: {port: 80}}}]`, "",
		"spec.podSpec.initContainers[0].livenessProbe", "Forbidden: may not be set for init containers without restartPolicy=Always",
	},
	{
		"probe-without-handler", "", "readinessProbe: {periodSeconds: 5}",
		"spec.podSpec.containers[0].readinessProbe", "Required value: must specify a handler type",
	},
	{
		"in-nothing", "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: arch, operator: In}]}]}}}", "",
		"spec.podSpec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values",
		"Required value: must be specified when `operator` is 'In' or 'NotIn'",
	},
	{
		"user-below-0", "securityContext: {runAsUser: -1}", "",
		"spec.podSpec.securityContext.runAsUser", "Invalid value: -1: must be between 0 and 2147483647, inclusive",
	},
	{
		"prestop-above-grace", "terminationGracePeriodSeconds: 30", "lifecycle: {preStop: {sleep: {seconds: 60}}}",
		"spec.podSpec.containers[0].lifecycle.preStop.sleep", "Invalid value: 60: must be non-negative and less than terminationGracePeriodSeconds (30)",
	},
	{
		"privileged-without-escalation", "", "securityContext: {privileged: true, allowPrivilegeEscalation: false}",
		"spec.podSpec.containers[0].securityContext", "Invalid value: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
	},
	{"no-such-volume", "", "volumeMounts: [{name: data, mountPath: /data}]", "spec.podSpec.containers[0].volumeMounts[0].name", `Not found: "data"`},
	{
		"spread-by-nothing", "topologySpreadConstraints: [{maxSkew: 0, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]", "",
		"spec.podSpec.topologySpreadConstraints[0].maxSkew", "Invalid value: 0: must be greater than zero",
	},
	{
		"request-above-limit", "", "resources: {requests: {cpu: 2}, limits: {cpu: 1}}",
		"spec.podSpec.containers[0].resources.requests", "Invalid value: \"2\": must be less than or equal to cpu limit of 1",
	},
	{
		"behind-a-replaced-variable", "", "env: [{name: KH_RUN_UUID, value: mine}, {name: A, value: a, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
		"spec.podSpec.containers[0].env[1].valueFrom", "Invalid value: \"\": may not be specified when `value` is not empty",
	},
}

// TestLintLetsTheServerJudge lints pods that lint alone cannot judge. The API server refuses each, and lint shows its words at
// the field of the manifest. Nothing is created.
func TestLintLetsTheServerJudge(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	var manifest strings.Builder
	for _, refused := range refusedPods {
		manifest.WriteString(checkManifest(namespace, refused.name, refused.pod, refused.container))
	}
	manifest.WriteString(checkManifest(namespace, "right", "", ""))
	file := writeFile(t, manifest.String())

	if alone := errorsOf(runLint(t, file)); len(alone) > 0 {
		t.Errorf("lint alone reports %v, so the table below shows nothing of the API server", alone)
	}
	got := errorsOf(runLint(t, "--server", file))
	for _, refused := range refusedPods {
		object := "khcheck " + namespace + "/" + refused.name
		if found := got[object]; len(found) == 0 || found[0].Field != refused.field || !strings.HasPrefix(found[0].Text, refused.text) {
			t.Errorf("%s: findings are %+v, want one at %s: %s", object, found, refused.field, refused.text)
		}
		delete(got, object)
	}
	if len(got) > 0 {
		t.Errorf("further findings %+v, want none", got)
	}
	pods, err := under.kube.core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		t.Errorf("%d pods, error %v, want none", len(pods.Items), err)
	}
}

// TestLintShowsWhatAClusterAdds: policies, quotas, and what comes with the same files.
func TestLintShowsWhatAClusterAdds(t *testing.T) {
	t.Parallel()
	strict, small := newNamespace(t), newNamespace(t)
	label := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	if _, err := under.kube.core.CoreV1().Namespaces().Patch(t.Context(), strict, "application/merge-patch+json", label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "memory"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceLimitsMemory: resource.MustParse("64Mi")}},
	}
	if _, err := under.kube.core.CoreV1().ResourceQuotas(small).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, checkManifest(strict, "policy", "", "")+checkManifest(small, "quota", "", "")+
		checkManifest("e2e-not-yet", "namespace", "serviceAccountName: not-yet", "")+
		"---\n{apiVersion: v1, kind: Namespace, metadata: {name: e2e-not-yet}}\n"+
		"---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: not-yet, namespace: e2e-not-yet}}\n"+
		checkManifest(small, "account", "serviceAccountName: nobody", "resources: {limits: {memory: 32Mi}}"))
	got := map[string]string{}
	eventually(t, 20*time.Second, "the quota is in force", func() (bool, string) {
		got = map[string]string{}
		for object, findings := range errorsOf(runLint(t, "--server", file)) {
			got[object] = findings[0].Field + ": " + findings[0].Text
		}
		return len(got) == 3, fmt.Sprint(got)
	})
	for object, want := range map[string]string{
		strict + "/policy": `spec.podSpec: is refused: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false`,
		small + "/quota":   "spec.podSpec: is refused: failed quota: memory: must specify limits.memory for: check",
		small + "/account": fmt.Sprintf("spec.podSpec.serviceAccountName: namespace %q has no ServiceAccount \"nobody\"", small),
	} {
		if !strings.HasPrefix(got["khcheck "+object], want) {
			t.Errorf("%s: %q, want %q", object, got["khcheck "+object], want)
		}
	}
}

// TestLintSaysWhichServerValidated, or why none did.
func TestLintSaysWhichServerValidated(t *testing.T) {
	t.Parallel()
	file := writeFile(t, checkManifest(newNamespace(t), "right", "", ""))
	text, err := lintCommand(t, "--server", "--kubeconfig", under.kubeconfig, file)
	if want := "0 errors, 0 warnings; validated by the API server of context "; err != nil || !strings.Contains(text, want) {
		t.Errorf("error %v, output %s, want %s", err, text, want)
	}
	text, err = lintCommand(t, "--server", "--kubeconfig", unreachable(t), file)
	if want := "ask the API server of context nowhere, https://127.0.0.1:1: judge khcheck "; err == nil || !strings.Contains(text, want) {
		t.Errorf("error %v, output %s, want %s", err, text, want)
	}
}

func checkManifest(namespace, name, pod, container string) string {
	indented := func(indent, fields string) string {
		if fields == "" {
			return ""
		}
		return indent + fields + "\n"
	}
	return fmt.Sprintf(`---
apiVersion: comcast.github.io/v1
kind: KuberhealthyCheck
metadata: {name: %s, namespace: %s}
spec:
  runInterval: 5m
  timeout: 1m
  podSpec:
%s    containers:
      - name: check
        image: shop/check:1
%s`, name, namespace, indented("    ", pod), indented("        ", container))
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "checks.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func unreachable(t *testing.T) string {
	t.Helper()
	return writeFile(t, `apiVersion: v1
kind: Config
clusters: [{name: nowhere, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: nowhere, context: {cluster: nowhere}}]
current-context: nowhere
`)
}

// lintCommand runs khronicle lint and returns what it writes.
func lintCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(under.bin, "khronicle"), append([]string{"lint"}, args...)...)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// runLint returns the findings of khronicle lint on the cluster under test.
func runLint(t *testing.T, args ...string) []lint.Finding {
	t.Helper()
	args = append([]string{"lint", "--kubeconfig", under.kubeconfig, "--output", "json"}, args...)
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(under.bin, "khronicle"), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var findings []lint.Finding
	if err := json.Unmarshal(out.Bytes(), &findings); err != nil {
		t.Fatalf("%v: %s%s", err, out.String(), errs.String())
	}
	return findings
}

// errorsOf returns the errors of each object.
func errorsOf(findings []lint.Finding) map[string][]lint.Finding {
	all := map[string][]lint.Finding{}
	for _, finding := range findings {
		if finding.Severity == lint.Error {
			all[finding.Object] = append(all[finding.Object], finding)
		}
	}
	return all
}
