package lint_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/lint"
)

// judge is an API server that answers as the test says, and accepts everything else.
type judge struct {
	// missing is the namespace that the cluster does not have. The ServiceAccounts that it has are in existing.
	missing  string
	existing string
	object   error
	pod      func(pod *corev1.Pod) error
	warnings []string
	// asked are the objects and pods, with their namespace.
	asked []string
}

func (j *judge) answer(kind string, o metav1.Object, err error) error {
	j.asked = append(j.asked, kind+" "+o.GetNamespace()+"/"+o.GetName()+o.GetGenerateName())
	if o.GetNamespace() == j.missing {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, j.missing)
	}
	return err
}

func (j *judge) TryCheck(_ context.Context, c *khv1.KuberhealthyCheck) ([]string, error) {
	return nil, j.answer("check", c, j.object)
}

func (j *judge) TryJob(_ context.Context, job *khv1.KuberhealthyJob) ([]string, error) {
	return nil, j.answer("job", job, j.object)
}

func (j *judge) TryPod(_ context.Context, pod *corev1.Pod) ([]string, error) {
	var err error
	switch account := pod.Spec.ServiceAccountName; {
	case account != "" && !strings.Contains(j.existing, account):
		err = forbidden("error looking up service account shop/" + account + ": serviceaccount \"" + account + "\" not found")
	case j.pod != nil:
		err = j.pod(pod)
	}
	return j.warnings, j.answer("pod", pod, err)
}

func forbidden(text string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "once-4b36", errors.New(text))
}

func invalid(faults ...*field.Error) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "once-4b36", faults)
}

func at(path string) *field.Path { return field.NewPath(path) }

// asked lints a job whose pod spec has these fields, and lets the server judge it.
func asked(t *testing.T, server lint.Server, fields, others string) (string, error) {
	t.Helper()
	linter := lint.New(now)
	linter.Add("a.yaml", []byte(`apiVersion: comcast.github.io/v1
kind: KuberhealthyJob
metadata: {name: once, namespace: shop}
spec: {timeout: 1m, extraLabels: {team: a}, podSpec: {
  `+fields+`
  containers: [{name: check, image: "shop/check:1",
    env: [{name: KH_RUN_UUID, value: mine},
      {name: A, value: a}]}]}}
`+others))
	err := linter.Ask(t.Context(), server, "default", time.Now())
	var lines []string
	for _, finding := range linter.Report().Findings {
		if !strings.Contains(finding.Text, "KH_RUN_UUID is replaced") {
			lines = append(lines, finding.String())
		}
	}
	return strings.Join(lines, "\n"), err
}

func TestAskShowsTheWordsOfTheServerAtTheFieldOfTheManifest(t *testing.T) {
	refusing := func(err error) *judge { return &judge{pod: func(*corev1.Pod) error { return err }} }
	tests := []struct {
		name           string
		server         *judge
		fields, others string
		want           string
	}{
		{"nothing to say", &judge{}, "", "", ""},
		{
			"two fields", refusing(invalid(
				field.Invalid(at("spec.containers[0].securityContext.runAsUser"), -1, "must be between 0 and 2147483647, inclusive"),
				field.Required(at("spec.affinity.nodeAffinity"), "want one"),
			)), "affinity: {},", "",
			"a.yaml:5: khjob shop/once: spec.podSpec.affinity.nodeAffinity: Required value: want one\n" +
				"a.yaml:6: khjob shop/once: spec.podSpec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
		},
		{
			"struct", refusing(invalid(field.Invalid(at("spec.containers[0].resources"), corev1.ResourceRequirements{}, "cannot be"))), "", "",
			"a.yaml:6: khjob shop/once: spec.podSpec.containers[0].resources: Invalid value: cannot be",
		},
		{
			"variable behind one that is replaced", refusing(invalid(field.Invalid(at("spec.containers[0].env[0].name"), "A", "no"))), "", "",
			`a.yaml:8: khjob shop/once: spec.podSpec.containers[0].env[1].name: Invalid value: "A": no`,
		},
		{
			"container that a webhook added", refusing(invalid(field.Invalid(at("spec.containers[7].env[0].name"), "A", "no"))), "", "",
			`a.yaml:6: khjob shop/once: spec.podSpec.containers[7].env[0].name: Invalid value: "A": no`,
		},
		{
			"labels", refusing(invalid(field.Invalid(at("metadata.labels"), "a b", "no"))), "", "",
			`a.yaml:4: khjob shop/once: spec.extraLabels: Invalid value: "a b": no`,
		},
		{
			"policy", refusing(forbidden(`violates PodSecurity "restricted:latest": runAsNonRoot != true`)), "", "",
			`a.yaml:4: khjob shop/once: spec.podSpec: is refused: violates PodSecurity "restricted:latest": runAsNonRoot != true`,
		},
		{
			"quota that is used up", refusing(forbidden("exceeded quota: small, requested: pods=1, used: pods=5, limited: pods=5")), "", "",
			"a.yaml:4: warning: khjob shop/once: spec.podSpec: is refused now: exceeded quota: small, requested: pods=1, used: pods=5, limited: pods=5",
		},
		{
			"no rights", refusing(apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New(
				`User "ci" cannot create resource "pods" in API group "" in the namespace "shop"`))), "", "",
			`a.yaml:4: khjob shop/once: spec.podSpec: was not validated: User "ci" cannot create resource "pods" in API group "" in the namespace "shop"`,
		},
		{
			"webhook without an answer", refusing(apierrors.NewInternalError(errors.New("failed calling webhook \"a.b\""))), "", "",
			`a.yaml:4: khjob shop/once: spec.podSpec: was not validated: Internal error occurred: failed calling webhook "a.b"`,
		},
		{
			"there is one of that name", &judge{object: apierrors.NewAlreadyExists(schema.GroupResource{Resource: "khjobs"}, "once")}, "", "", "",
		},
		{
			"old definitions", &judge{object: apierrors.NewBadRequest(`strict decoding error: unknown field "spec.extraLabels", unknown field "spec.timeout"`)}, "", "",
			"a.yaml:4: khjob shop/once: spec.extraLabels: unknown to the definition in the cluster; apply the definitions of this version first\n" +
				"a.yaml:4: khjob shop/once: spec.timeout: unknown to the definition in the cluster; apply the definitions of this version first",
		},
		{
			"no definitions", &judge{object: &apierrors.StatusError{ErrStatus: metav1.Status{
				Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound, Message: "the server could not find the requested resource",
				Details: &metav1.StatusDetails{},
			}}}, "", "",
			"a.yaml:1: khjob shop/once: apiVersion: the cluster has no definition of this kind; apply deploy/crds first",
		},
		{
			"what lint knows already", refusing(invalid(field.Invalid(at("spec.nodeSelector"), "a", "must be a map"))), "nodeSelector: a,", "",
			"a.yaml:5: khjob shop/once: spec.podSpec.nodeSelector: is the string \"a\", want an object",
		},
		{
			"warning", &judge{warnings: []string{`spec.containers[0].env[0]: hides previous definition of "A"`, "would violate PodSecurity"}}, "", "",
			"a.yaml:4: warning: khjob shop/once: spec.podSpec: would violate PodSecurity\n" +
				`a.yaml:8: warning: khjob shop/once: spec.podSpec.containers[0].env[1]: hides previous definition of "A"`,
		},
		{
			"namespace that does not exist yet", &judge{missing: "shop"}, "", "",
			`a.yaml:3: warning: khjob shop/once: metadata.namespace: namespace "shop" is not in the cluster, so the object was validated in namespace "default"`,
		},
		{
			"namespace of the same files", &judge{missing: "shop"}, "",
			"---\n{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n", "",
		},
		{
			"account that does not exist", &judge{}, "serviceAccountName: runner,", "",
			`a.yaml:5: khjob shop/once: spec.podSpec.serviceAccountName: namespace "shop" has no ServiceAccount "runner"`,
		},
		{
			"account of the same files", &judge{}, "serviceAccountName: runner,",
			"---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: runner, namespace: shop}}\n", "",
		},
		{"account of the cluster", &judge{existing: "runner"}, "serviceAccountName: runner,", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := asked(t, tt.server, tt.fields, tt.others)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings: want -, got +:\n%s", diff)
			}
		})
	}
}

// A server that does not answer is no finding about a manifest.
func TestAskFailsWithoutAServer(t *testing.T) {
	for _, err := range []error{errors.New("connection refused"), apierrors.NewUnauthorized("log in")} {
		_, got := asked(t, &judge{object: err}, "", "")
		if want := "judge khjob shop/once: " + err.Error(); got == nil || got.Error() != want {
			t.Errorf("error %v, want %s", got, want)
		}
	}
}

func TestAskJudgesEachObjectAndItsPod(t *testing.T) {
	linter, server := lint.New(now), &judge{}
	linter.Add("a.yaml", job("shop", "once"))
	linter.Add("b.yaml", []byte(`apiVersion: comcast.github.io/v1
kind: KuberhealthyCheck
metadata: {generateName: every-}
spec: {runInterval: 1m, timeout: 1m, podSpec: {containers: [{name: check, image: "shop/check:1"}]}}
---
apiVersion: v1
kind: Pod
`))
	if err := linter.Ask(t.Context(), server, "mine", time.Now()); err != nil {
		t.Fatal(err)
	}
	want := []string{"job shop/once", "pod shop/once", "check mine/every-", "pod mine/every-x"}
	if len(server.asked) != len(want) {
		t.Fatalf("asked %q, want %q", server.asked, want)
	}
	for i := range want {
		if !strings.HasPrefix(server.asked[i], want[i]) {
			t.Errorf("asked %q, want it to begin with %q", server.asked[i], want[i])
		}
	}
}
