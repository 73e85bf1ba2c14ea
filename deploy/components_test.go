package deploy_test

import (
	"encoding/json"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/ledger"
)

// component has the patches and resources that a component adds to the manifests.
type component struct {
	APIVersion, Kind string
	Resources        []string
	Patches          []struct {
		Target struct{ Group, Version, Kind, Name, LabelSelector string }
		Patch  string
	}
}

func readComponent(t *testing.T, name string) (component, []runtime.Object) {
	t.Helper()
	folder := filepath.Join("components", name)
	var c component
	if err := yaml.UnmarshalStrict([]byte(read(t, filepath.Join(folder, "kustomization.yaml"))), &c); err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	for _, file := range c.Resources {
		for _, document := range separator.Split(read(t, filepath.Join(folder, file)), -1) {
			object, _, err := decoder.Decode([]byte(document), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			objects = append(objects, object)
		}
	}
	return c, objects
}

func TestComponentsListEveryFile(t *testing.T) {
	folders, err := filepath.Glob("components/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("%d components, error %v", len(folders), err)
	}
	for _, folder := range folders {
		c, _ := readComponent(t, filepath.Base(folder))
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		listed := []string{filepath.Join(folder, "kustomization.yaml")}
		for _, resource := range c.Resources {
			listed = append(listed, filepath.Join(folder, resource))
		}
		if slices.Sort(listed); !slices.Equal(listed, files) {
			t.Errorf("%s: lists %q, holds %q", folder, listed, files)
		}
		if c.Kind != "Component" || c.APIVersion != "kustomize.config.k8s.io/v1alpha1" {
			t.Errorf("%s: is a %s of %s", folder, c.Kind, c.APIVersion)
		}
	}
}

// The patch adds an argument to the only container of the report API.
func TestSourceIPComponentAddsItsFlag(t *testing.T) {
	c, objects := readComponent(t, "source-ip")
	var steps []struct{ Op, Path, Value string }
	if err := yaml.UnmarshalStrict([]byte(c.Patches[0].Patch), &steps); err != nil {
		t.Fatal(err)
	}
	if len(c.Patches) != 1 || len(steps) != 1 || steps[0].Op != "add" || steps[0].Value != "--accept-reports-by-source-ip" {
		t.Fatalf("patches are %+v", c.Patches)
	}
	target := c.Patches[0].Target
	deployments := of[*appsv1.Deployment](manifests(t))
	i := slices.IndexFunc(deployments, func(d *appsv1.Deployment) bool { return d.Name == target.Name })
	if i < 0 || target.Kind != "Deployment" || target.Group+"/"+target.Version != deployments[i].APIVersion {
		t.Fatalf("no such target: %+v", target)
	}
	args, ok := at(t, deployments[i], strings.TrimSuffix(steps[0].Path, "/-")).([]any)
	if !ok || len(args) == 0 || args[0] != "reportapi" {
		t.Errorf("%s is of %v", steps[0].Path, args)
	}
	binding := of[*rbacv1.ClusterRoleBinding](objects)[0]
	if account := deployments[i].Spec.Template.Spec.ServiceAccountName; binding.Subjects[0].Name != account ||
		binding.Subjects[0].Namespace != deployments[i].Namespace || binding.RoleRef.Name != of[*rbacv1.ClusterRole](objects)[0].Name {
		t.Errorf("binds %v to %s, want %s", binding.RoleRef, binding.Subjects, account)
	}
}

// The component makes the worker one pod that writes a file on a volume, and changes nothing else.
func TestLedgerFileComponentGivesOneWorkerAVolume(t *testing.T) {
	c, objects := readComponent(t, "ledger-file")
	deployments := of[*appsv1.Deployment](manifests(t))
	i := slices.IndexFunc(deployments, func(d *appsv1.Deployment) bool { return d.Name == c.Patches[0].Target.Name })
	if i < 0 || len(c.Patches) != 1 {
		t.Fatalf("no such target: %+v", c.Patches)
	}
	d := patched(t, deployments[i], c.Patches[0].Patch)
	if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("%d workers by %s, want one that ends before the next", *d.Spec.Replicas, d.Spec.Strategy.Type)
	}
	pod, claim := d.Spec.Template.Spec, of[*corev1.PersistentVolumeClaim](objects)[0]
	container := pod.Containers[0]
	volume := pod.Volumes[slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil })]
	mount := container.VolumeMounts[slices.IndexFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume.Name })]
	if volume.PersistentVolumeClaim.ClaimName != claim.Name || claim.Namespace != d.Namespace || mount.ReadOnly {
		t.Errorf("mounts %+v of %+v, want the claim %s/%s for writing", mount, volume, claim.Namespace, claim.Name)
	}
	variable := container.Env[slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == "KHRONICLE_LEDGER" })]
	file, isFile, err := ledger.SQLitePath(variable.Value)
	if err != nil || !isFile || path.Dir(file) != mount.MountPath {
		t.Errorf("the ledger is %q, %v, want a file in %s", variable.Value, err, mount.MountPath)
	}
	if group := pod.SecurityContext.FSGroup; group == nil || *group != *pod.SecurityContext.RunAsGroup {
		t.Errorf("the volume is of group %v, want that of the worker", group)
	}
	if len(pod.Containers) != 1 || len(pod.Volumes) != 2 || container.Args[0] != "worker" {
		t.Errorf("%d containers, %d volumes, runs %q", len(pod.Containers), len(pod.Volumes), container.Args)
	}
	checkHardening(t, pod)
	checkProbes(t, container)
}

// patched applies a strategic merge patch. An unknown field is an error.
func patched(t *testing.T, original *appsv1.Deployment, patch string) *appsv1.Deployment {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(patch), &appsv1.Deployment{}); err != nil {
		t.Fatal(err)
	}
	before, err := json.Marshal(original)
	if err != nil {
		t.Fatal(err)
	}
	change, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	merged, err := strategicpatch.StrategicMergePatch(before, change, appsv1.Deployment{})
	if err != nil {
		t.Fatal(err)
	}
	var after appsv1.Deployment
	if err := yaml.UnmarshalStrict(merged, &after); err != nil {
		t.Fatal(err)
	}
	return &after
}

// secretCommand matches the command of docs/install.md that creates a Secret.
var secretCommand = regexp.MustCompile(`(?m)^kubectl create secret generic (\S+) -n (\S+)((?:[^\n]*\\\n)*[^\n]*)$`)

// literal matches a value of that Secret.
var literal = regexp.MustCompile(`--from-literal=([A-Z_]+)='?([^'\s]+)`)

// Workers and the report API read their environment from the Secret that docs/install.md creates, if it is there.
func TestWorkersAndReadersHaveTheSecretOfTheLedger(t *testing.T) {
	commands := secretCommand.FindAllStringSubmatch(read(t, "../docs/install.md"), -1)
	if len(commands) != 1 {
		t.Fatalf("docs/install.md creates %d Secrets, want 1", len(commands))
	}
	name, namespace, values := commands[0][1], commands[0][2], literal.FindAllStringSubmatch(commands[0][3], -1)
	for _, d := range of[*appsv1.Deployment](manifests(t)) {
		sources := d.Spec.Template.Spec.Containers[0].EnvFrom
		i := slices.IndexFunc(sources, func(s corev1.EnvFromSource) bool { return s.SecretRef != nil && s.SecretRef.Name == name })
		if (i >= 0) != (d.Name != "khronicle-starter") || i >= 0 && !*sources[i].SecretRef.Optional {
			t.Errorf("%s: environment is from %+v", d.Name, sources)
		}
		if d.Namespace != namespace {
			t.Errorf("%s is in namespace %s, its Secret in %s", d.Name, d.Namespace, namespace)
		}
	}
	i := slices.IndexFunc(values, func(v []string) bool { return v[1] == "KHRONICLE_LEDGER" })
	if i < 0 {
		t.Fatalf("the Secret has %q, want KHRONICLE_LEDGER", values)
	}
	if _, err := ledger.New(values[i][2], ledger.Options{}); err != nil {
		t.Errorf("the ledger of the Secret: %v", err)
	}
}

// at follows a JSON pointer.
func at(t *testing.T, object any, pointer string) any {
	t.Helper()
	encoded, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(encoded, &value); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Split(pointer, "/")[1:] {
		switch inside := value.(type) {
		case map[string]any:
			value = inside[key]
		case []any:
			if key != "0" || len(inside) != 1 {
				t.Fatalf("%s: %q of %d", pointer, key, len(inside))
			}
			value = inside[0]
		}
	}
	return value
}
