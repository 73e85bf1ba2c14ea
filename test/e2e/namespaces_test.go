//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

var khronicleRoles = []string{"worker", "starter", "reportapi"}

// TestRightsInTheTargetNamespacesAreEnough runs the three roles for two namespaces, as a ServiceAccount that may do there what
// the ClusterRoles of the manifests say, and nothing elsewhere.
func TestRightsInTheTargetNamespacesAreEnough(t *testing.T) {
	restart(t, khronicleRoles...)
	account, one, two, other := newNamespace(t), newNamespace(t), newNamespace(t), newNamespace(t)
	for _, role := range khronicleRoles {
		clusterRole(t, role)
		for _, namespace := range []string{one, two} {
			bind(t, namespace, role, account)
		}
	}
	makeTemporalNamespace(t, account)
	for _, role := range khronicleRoles {
		under.stop(role)
	}
	t.Cleanup(func() { // before the roles are started again
		for _, role := range khronicleRoles {
			under.stop(role)
		}
		under.roleKubeconfig, under.roleEnv = under.kubeconfig, nil
	})
	under.roleKubeconfig = kubeconfigOf(t, account)
	under.roleEnv = []string{"TARGET_NAMESPACE=" + one + "," + two, "TEMPORAL_NAMESPACE=" + account}
	for _, role := range khronicleRoles {
		if err := under.start(role); err != nil {
			t.Fatal(err)
		}
	}
	if err := under.ready(time.Minute, khronicleRoles...); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{one, two, other} {
		apply(t, demoCheck(namespace, "scoped", nil))
		applyJob(t, demoJob(namespace, "scoped-job", nil))
	}
	for _, namespace := range []string{one, two} {
		awaitState(t, namespace, "scoped", 30*time.Second, "OK", func(s khv1.WorkloadDetails) bool { return s.OK })
		awaitCompleted(t, namespace, "scoped-job")
		edit(t, namespace, "scoped", func(c *khv1.KuberhealthyCheck) { c.Spec.RunInterval = "2h" })
		eventually(t, 20*time.Second, "a run of the edited check", func() (bool, string) {
			n := len(podsOf(t, namespace, "scoped"))
			return n == 2, strconv.Itoa(n)
		})
	}
	if n := len(podsOf(t, other, "scoped")) + len(podsOf(t, other, "scoped-job")); n != 0 {
		t.Errorf("%d pods in a namespace that is not among the targets", n)
	}
	if page := statusPage(t, ""); len(page.CheckDetails) != 2 || len(page.JobDetails) != 2 {
		t.Errorf("the page shows %d checks and %d jobs, want those of the two namespaces", len(page.CheckDetails), len(page.JobDetails))
	}
}

// clusterRole makes a role's ClusterRole as the manifests have it.
func clusterRole(t *testing.T, role string) {
	t.Helper()
	rules := rulesOf(t, role)
	roles := under.kube.core.RbacV1().ClusterRoles()
	wanted := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "khronicle-" + role}, Rules: rules}
	if _, err := roles.Create(t.Context(), wanted, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := roles.Delete(context.Background(), wanted.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// rulesOf reads the rules of a role's ClusterRole.
func rulesOf(t *testing.T, role string) []rbacv1.PolicyRule {
	t.Helper()
	text, err := os.ReadFile("../../deploy/manifests/" + role + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var found rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(document), &found); err == nil && found.Kind == "ClusterRole" {
			return found.Rules
		}
	}
	t.Fatalf("the manifest of %s has no ClusterRole", role)
	return nil
}

func bind(t *testing.T, namespace, role, account string) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "khronicle-" + role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account, Name: "default"}},
	}
	if _, err := under.kube.core.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// kubeconfigOf is the kubeconfig of a namespace's default ServiceAccount.
func kubeconfigOf(t *testing.T, namespace string) string {
	t.Helper()
	token, err := under.kube.core.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(under.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	user := config.Contexts[config.CurrentContext].AuthInfo
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func makeTemporalNamespace(t *testing.T, name string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(under.bin, "temporal"), "operator", "namespace", "create", "--address", "127.0.0.1:"+strconv.Itoa(temporalPort), "-n", name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("create Temporal namespace: %v\n%s", err, out)
	}
}
