package deploy_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/internal/devserver"
)

// standalone returns the StatefulSet of the component, and the rest of it.
func standalone(t *testing.T) (*appsv1.StatefulSet, component) {
	t.Helper()
	c, objects := readComponent(t, "standalone")
	sets := of[*appsv1.StatefulSet](objects)
	if len(sets) != 1 {
		t.Fatalf("%d StatefulSets, want 1", len(sets))
	}
	return sets[0], c
}

func TestStandaloneIsOnePodWithOneVolume(t *testing.T) {
	set, _ := standalone(t)
	pod := set.Spec.Template.Spec
	if *set.Spec.Replicas != 1 || len(pod.Containers) != 1 || len(pod.InitContainers) != 1 || len(set.Spec.VolumeClaimTemplates) != 1 {
		t.Fatalf("%d replicas, %d containers, %d init containers, %d volumes, want 1 of each", *set.Spec.Replicas, len(pod.Containers),
			len(pod.InitContainers), len(set.Spec.VolumeClaimTemplates))
	}
	claim := set.Spec.VolumeClaimTemplates[0]
	if !slices.Equal(claim.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}) {
		t.Errorf("the volume may be mounted by several pods: %v", claim.Spec.AccessModes)
	}
	sidecar, container := pod.InitContainers[0], pod.Containers[0]
	if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Error("Temporal is no native sidecar, so it may end before Khronicle")
	}
	checkHardening(t, pod)
	checkProbes(t, container)
	checkHardening(t, corev1.PodSpec{SecurityContext: pod.SecurityContext, Containers: pod.InitContainers})
	if set.Spec.Template.Spec.SecurityContext.FSGroup == nil {
		t.Error("the volume belongs to root")
	}
	databases := []string{argument(t, sidecar, "--db-filename"), strings.TrimPrefix(argument(t, container, "--ledger"), "sqlite:")}
	for i, c := range []corev1.Container{sidecar, container} {
		mount := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == claim.Name })
		if mount < 0 || c.VolumeMounts[mount].MountPath != path.Dir(databases[i]) || c.VolumeMounts[mount].ReadOnly {
			t.Errorf("%s: %s is not on the volume: %+v", c.Name, databases[i], c.VolumeMounts)
		}
	}
}

func argument(t *testing.T, c corev1.Container, flag string) string {
	t.Helper()
	i := slices.Index(c.Args, flag)
	if i < 0 || i+1 == len(c.Args) {
		t.Fatalf("%s has no %s: %q", c.Name, flag, c.Args)
	}
	return c.Args[i+1]
}

// Temporal beside standalone runs as that of khronicle dev does.
func TestStandaloneHasTheTemporalOfDev(t *testing.T) {
	set, _ := standalone(t)
	want := devserver.Options{StateDir: "/var/lib/khronicle", Port: 7233, UIPort: 8233}.Args()
	if diff := cmp.Diff(want, set.Spec.Template.Spec.InitContainers[0].Args); diff != "" {
		t.Errorf("arguments (-dev +sidecar):\n%s", diff)
	}
	if got := argument(t, set.Spec.Template.Spec.Containers[0], "--temporal-address"); got != "127.0.0.1:7233" {
		t.Errorf("standalone asks %s", got)
	}
}

// The one pod has the rights of all three roles, and the Service leads to it.
func TestStandaloneTakesThePlaceOfTheRoles(t *testing.T) {
	set, c := standalone(t)
	_, objects := readComponent(t, "standalone")
	var bound []string
	for _, b := range of[*rbacv1.ClusterRoleBinding](objects) {
		bound = append(bound, strings.TrimPrefix(b.RoleRef.Name, "khronicle-"))
		want := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: set.Spec.Template.Spec.ServiceAccountName, Namespace: set.Namespace}}
		if !slices.Equal(b.Subjects, want) {
			t.Errorf("%s: binds %v, want %v", b.Name, b.Subjects, want)
		}
	}
	if !slices.Equal(bound, roles) {
		t.Errorf("bound roles are %q, want %q", bound, roles)
	}
	service := of[*corev1.Service](manifests(t))[0]
	var patch map[string]any
	i := slices.IndexFunc(c.Patches, func(p struct {
		Target struct{ Group, Version, Kind, Name, LabelSelector string }
		Patch  string
	},
	) bool {
		return p.Target.Kind == "Service"
	})
	if i < 0 || c.Patches[i].Target.Name != service.Name {
		t.Fatalf("the Service %s is not patched", service.Name)
	}
	if err := yaml.Unmarshal([]byte(c.Patches[i].Patch), &patch); err != nil {
		t.Fatal(err)
	}
	selector := patch["spec"].(map[string]any)["selector"].(map[string]any)
	merged := labels.Set{}
	for name, value := range service.Spec.Selector {
		merged[name] = value
	}
	for name, value := range selector {
		merged[name] = value.(string)
	}
	if !labels.SelectorFromSet(merged).Matches(labels.Set(set.Spec.Template.Labels)) {
		t.Errorf("the Service selects %s, and the pod has %v", merged, set.Spec.Template.Labels)
	}
}

// Each object of the manifests that belongs to a role alone is left out by a patch, but for its ClusterRole.
func TestStandaloneLeavesThePodsOfTheRolesOut(t *testing.T) {
	_, c := standalone(t)
	removed := map[string]bool{}
	for _, p := range c.Patches {
		if !strings.Contains(p.Patch, "$patch: delete") {
			continue
		}
		removed[p.Target.Kind] = true
		selector, err := labels.Parse(p.Target.LabelSelector)
		if err != nil {
			t.Fatal(err)
		}
		for _, role := range roles {
			if !selector.Matches(labels.Set{"app.kubernetes.io/component": role}) {
				t.Errorf("the %s of the %s stays", p.Target.Kind, role)
			}
		}
		if selector.Matches(labels.Set{"app.kubernetes.io/component": "standalone"}) {
			t.Errorf("the %s of standalone itself is left out", p.Target.Kind)
		}
	}
	for _, kind := range []string{"Deployment", "PodDisruptionBudget", "ServiceAccount", "ClusterRoleBinding"} {
		if !removed[kind] {
			t.Errorf("each %s of the roles stays", kind)
		}
	}
}
