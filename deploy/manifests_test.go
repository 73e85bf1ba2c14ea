// Package deploy_test reads what a cluster is given, as strictly as the API server does.
package deploy_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/khronicle/khronicle/internal/config"
	"github.com/khronicle/khronicle/internal/protocol"
)

// roles are the three parts of Khronicle, by the names of their sub-commands.
var roles = []string{"worker", "starter", "reportapi"}

var separator = regexp.MustCompile(`(?m)^---\n`)

// manifests returns the objects that the kustomization lists; an unknown field or kind fails the test.
func manifests(t *testing.T) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []runtime.Object
	for _, file := range kustomized(t, "manifests") {
		if file == "../crds" {
			continue
		}
		for _, document := range separator.Split(read(t, filepath.Join("manifests", file)), -1) {
			object, _, err := decoder.Decode([]byte(document), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all = append(all, object)
		}
	}
	return all
}

// of returns the objects of one type.
func of[T runtime.Object](objects []runtime.Object) []T {
	var some []T
	for _, object := range objects {
		if typed, ok := object.(T); ok {
			some = append(some, typed)
		}
	}
	return some
}

// kustomized returns the resources of a folder's kustomization.
func kustomized(t *testing.T, folder string) []string {
	t.Helper()
	var kustomization struct {
		APIVersion, Kind string
		Resources        []string
	}
	if err := yaml.UnmarshalStrict([]byte(read(t, filepath.Join(folder, "kustomization.yaml"))), &kustomization); err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	return kustomization.Resources
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestKustomizationsListEveryFile(t *testing.T) {
	for _, folder := range []string{"crds", "manifests"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		listed := []string{filepath.Join(folder, "kustomization.yaml")}
		for _, resource := range kustomized(t, folder) {
			if !strings.HasPrefix(resource, "..") {
				listed = append(listed, filepath.Join(folder, resource))
			}
		}
		slices.Sort(listed)
		if !slices.Equal(listed, files) {
			t.Errorf("%s: lists %q, holds %q", folder, listed, files)
		}
	}
	if !slices.Contains(kustomized(t, "manifests"), "../crds") {
		t.Error("manifests: does not include ../crds")
	}
}

func TestEveryRoleRunsTwiceAndUnprivileged(t *testing.T) {
	source := sources(t, "../cmd/khronicle")
	deployments := of[*appsv1.Deployment](manifests(t))
	if len(deployments) != len(roles) {
		t.Fatalf("got %d Deployments, want %d", len(deployments), len(roles))
	}
	for i, d := range deployments {
		t.Run(roles[i], func(t *testing.T) {
			pod := d.Spec.Template.Spec
			c := pod.Containers[0]
			if *d.Spec.Replicas != 2 {
				t.Errorf("got %d replicas, want 2", *d.Spec.Replicas)
			}
			if c.Args[0] != roles[i] || d.Name != "khronicle-"+roles[i] || pod.ServiceAccountName != d.Name {
				t.Errorf("runs %q as %q under %q", c.Args[0], d.Name, pod.ServiceAccountName)
			}
			for _, variable := range c.Env {
				if !strings.Contains(source, strconv.Quote(variable.Name)) {
					t.Errorf("cmd/khronicle does not know %s", variable.Name)
				}
			}
			checkHardening(t, pod)
			checkProbes(t, c)
		})
	}
}

// sources returns the Go files of a folder as one text.
func sources(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, error %v", folder, len(files), err)
	}
	var text strings.Builder
	for _, file := range files {
		text.WriteString(read(t, file))
	}
	return text.String()
}

func checkHardening(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	c := pod.Containers[0]
	switch s := c.SecurityContext; {
	case !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0:
		t.Error("may run as root")
	case pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
		t.Error("has no seccomp profile")
	case *s.AllowPrivilegeEscalation, !*s.ReadOnlyRootFilesystem, !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}):
		t.Errorf("security context is %+v", s)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("resources are %+v", c.Resources)
	}
}

func checkProbes(t *testing.T, c corev1.Container) {
	t.Helper()
	port := c.Ports[0].Name
	for path, probe := range map[string]*corev1.Probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil {
			t.Fatalf("no probe of %s", path)
		}
		got, _, _ := strings.Cut(probe.HTTPGet.Path, "?")
		if got != path || probe.HTTPGet.Port.String() != port {
			t.Errorf("probe of %s asks for %s at port %s", path, got, probe.HTTPGet.Port.String())
		}
	}
}

func TestSelectorsFindTheirPods(t *testing.T) {
	objects := manifests(t)
	pods := map[string]labels.Set{}
	for _, d := range of[*appsv1.Deployment](objects) {
		pods[d.Name] = d.Spec.Template.Labels
		matchesOnly(t, pods, d.Name, d.Spec.Selector)
	}
	budgets := of[*policyv1.PodDisruptionBudget](objects)
	for _, budget := range budgets {
		matchesOnly(t, pods, budget.Name, budget.Spec.Selector)
	}
	if len(budgets) != len(roles) {
		t.Errorf("got %d PodDisruptionBudgets, want %d", len(budgets), len(roles))
	}
}

// matchesOnly fails unless, of all pods, the selector finds those of the Deployment of this name.
func matchesOnly(t *testing.T, pods map[string]labels.Set, name string, selector *metav1.LabelSelector) {
	t.Helper()
	matcher, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	for pod, its := range pods {
		if matcher.Matches(its) != (pod == name) {
			t.Errorf("%s: selector %s and pods of %s: match is %t", name, matcher, pod, pod != name)
		}
	}
}

func TestDefaultReportingURLIsServed(t *testing.T) {
	objects := manifests(t)
	service := of[*corev1.Service](objects)[0]
	port := service.Spec.Ports[0]
	url := "http://" + service.Name + "." + service.Namespace + ".svc.cluster.local" + protocol.PathReport
	if url != protocol.ReportingURL("kuberhealthy") || port.Port != 80 {
		t.Errorf("serves %s on port %d, want %s on 80", url, port.Port, protocol.ReportingURL("kuberhealthy"))
	}
	for _, d := range of[*appsv1.Deployment](objects) {
		served := labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels))
		if served != (d.Name == "khronicle-reportapi") {
			t.Errorf("%s: served is %t", d.Name, served)
		}
		if served && port.TargetPort.String() != d.Spec.Template.Spec.Containers[0].Ports[0].Name {
			t.Errorf("target port %s is not the container's", port.TargetPort.String())
		}
	}
}

func TestConfigMapReachesTemporalsClient(t *testing.T) {
	settings := of[*corev1.ConfigMap](manifests(t))[0]
	t.Setenv("HOME", t.TempDir()) // no settings of the user's own
	for name, value := range settings.Data {
		t.Setenv(name, value)
	}
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		t.Fatal(err)
	}
	if options.HostPort != settings.Data["TEMPORAL_ADDRESS"] || options.Namespace != settings.Data["TEMPORAL_NAMESPACE"] {
		t.Errorf("client would dial %q and use namespace %q", options.HostPort, options.Namespace)
	}
}

// The whole folder is mounted: the kubelet never updates a single file. There need not be a ConfigMap, and ours must not
// take the place of one that Kuberhealthy's chart left.
func TestConfigurationFileIsMountedWhereItIsLookedFor(t *testing.T) {
	objects := manifests(t)
	for _, d := range of[*appsv1.Deployment](objects) {
		pod := d.Spec.Template.Spec
		if len(pod.Volumes) != 1 || len(pod.Containers[0].VolumeMounts) != 1 {
			t.Fatalf("%s: volumes %v, mounts %v, want one each", d.Name, pod.Volumes, pod.Containers[0].VolumeMounts)
		}
		want := corev1.VolumeMount{Name: pod.Volumes[0].Name, MountPath: path.Dir(config.DefaultPath), ReadOnly: true}
		if diff := cmp.Diff(want, pod.Containers[0].VolumeMounts[0]); diff != "" {
			t.Errorf("%s: mount differs (-want +got):\n%s", d.Name, diff)
		}
		if source := pod.Volumes[0].ConfigMap; source == nil || source.Name != "kuberhealthy" || source.Optional == nil || !*source.Optional {
			t.Errorf("%s: volume is of %v", d.Name, pod.Volumes[0].VolumeSource)
		}
	}
	for _, settings := range of[*corev1.ConfigMap](objects) {
		if settings.Name == "kuberhealthy" {
			t.Error("the ConfigMap of Kuberhealthy would be replaced")
		}
	}
}

func TestEveryRoleHasItsOwnAccount(t *testing.T) {
	objects := manifests(t)
	var accounts []string
	for _, account := range of[*corev1.ServiceAccount](objects) {
		accounts = append(accounts, account.Name)
	}
	bindings := of[*rbacv1.ClusterRoleBinding](objects)
	for i, binding := range bindings {
		name := "khronicle-" + roles[i]
		want := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: "kuberhealthy"}}
		if !slices.Equal(binding.Subjects, want) || binding.RoleRef.Name != name || !slices.Contains(accounts, name) {
			t.Errorf("%s: binds %s to %v", binding.Name, binding.RoleRef.Name, binding.Subjects)
		}
	}
	if len(bindings) != len(roles) || len(accounts) != len(roles) {
		t.Errorf("got %d bindings and %d accounts, want %d", len(bindings), len(accounts), len(roles))
	}
}
