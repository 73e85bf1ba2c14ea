package lint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Server is an API server that judges whether it would create an object, and creates nothing. Its error is the refusal, or why
// the server was not reached. Package kube implements it.
type Server interface {
	TryCheck(ctx context.Context, c *khv1.KuberhealthyCheck) (warnings []string, err error)
	TryJob(ctx context.Context, j *khv1.KuberhealthyJob) (warnings []string, err error)
	TryPod(ctx context.Context, pod *corev1.Pod) (warnings []string, err error)
}

// spareNamespace exists in each cluster. What is meant for a namespace that does not exist yet is validated there.
const spareNamespace = metav1.NamespaceDefault

// standInUUID is the run UUID of the pods that are validated. No run has it.
const standInUUID = "00000000-0000-4000-8000-000000000000"

// Ask lets an API server judge the checks and jobs of the files read so far, and the pods that Khronicle would create for them.
// An object without a namespace is validated in the namespace of the argument. The error says that the server could not be asked.
func (l *Linter) Ask(ctx context.Context, server Server, namespace string, now time.Time) error {
	for _, f := range l.files {
		for _, o := range f.objects {
			if o.subject == nil {
				continue
			}
			t := trial{Linter: l, object: o, before: o.findings, server: server, namespace: namespace, now: now}
			if o.namespace != "" {
				t.namespace = o.namespace
			}
			if err := t.run(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// trial is the judgement of one check or job.
type trial struct {
	*Linter
	object *object
	// before are the findings without the API server.
	before    []Finding
	server    Server
	namespace string
	now       time.Time
}

func (t trial) run(ctx context.Context) error {
	warnings, err := t.tryObject(ctx)
	if isMissingNamespace(err) {
		if !t.others[other("Namespace", "", t.namespace)] {
			t.object.warnf("metadata.namespace", "namespace %q is not in the cluster, so the object was validated in namespace %q", t.namespace, spareNamespace)
		}
		t.namespace = spareNamespace
		warnings, err = t.tryObject(ctx)
	}
	if err := t.judge(warnings, err, sameField); err != nil {
		return fmt.Errorf("judge %s: %w", t.object.label, err)
	}
	if err := t.runPod(ctx); err != nil {
		return fmt.Errorf("judge the pod of %s: %w", t.object.label, err)
	}
	return nil
}

func (t trial) tryObject(ctx context.Context) ([]string, error) {
	switch subject := t.object.subject.(type) {
	case *khv1.KuberhealthyJob:
		subject.Namespace = t.namespace
		return t.server.TryJob(ctx, subject)
	case *khv1.KuberhealthyCheck:
		subject.Namespace = t.namespace
		return t.server.TryCheck(ctx, subject)
	}
	return nil, nil
}

// runPod judges the pod that Khronicle would create. A ServiceAccount that is in the files, but not yet in the cluster, is right.
func (t trial) runPod(ctx context.Context) error {
	w := t.object.workload
	w.Namespace, w.Name = t.namespace, cmp.Or(w.Name, t.object.subject.GetGenerateName()+"x")
	timeout, err := check.ParseTimeout(w.Timeout)
	if err != nil {
		timeout = check.DefaultTimeout // the wrong one has a finding
	}
	w.ReportPath = "" // a wrong one has a finding
	pod := check.NewPod(w, check.Attempt{
		UUID: standInUUID, Attempt: 1, Deadline: t.now.Add(timeout), ReportingURL: t.ReportingURL,
	}, t.now)
	warnings, err := t.server.TryPod(ctx, pod)
	if account := pod.Spec.ServiceAccountName; isMissingAccount(err, account) {
		if !t.declaresAccount(account) {
			t.object.errorf(podSpec+".serviceAccountName", "namespace %q has no ServiceAccount %q", t.namespace, account)
		}
		pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = "", ""
		warnings, err = t.server.TryPod(ctx, pod)
	}
	return t.judge(warnings, err, t.fieldOfPod)
}

func (t trial) declaresAccount(name string) bool {
	return t.others[other("ServiceAccount", t.object.namespace, name)] || t.others[other("ServiceAccount", "", name)]
}

// judge turns the answer of the API server into findings. Its fields become those of the manifest. An error means that the API
// server could not be asked.
func (t trial) judge(warnings []string, err error, field func(string) string) error {
	for _, warning := range warnings {
		at, text := splitField(warning)
		t.add(refusal{Warning, field(at), text})
	}
	var answer apierrors.APIStatus
	switch {
	case err == nil || apierrors.IsAlreadyExists(err): // the API server looks for an object of that name last
		return nil
	case !errors.As(err, &answer) || apierrors.IsUnauthorized(err):
		return err
	}
	for _, r := range refusals(answer.Status()) {
		r.field = field(r.field)
		t.add(r)
	}
	return nil
}

// add reports a refusal, unless a finding from before says what is wrong there.
func (t trial) add(r refusal) {
	known := func(f Finding) bool {
		return f.Severity == Error && f.Field != "" && (within(f.Field, r.field) || within(r.field, f.Field))
	}
	if r.field != "" && slices.ContainsFunc(t.before, known) {
		return
	}
	t.object.add(r.severity, r.field, t.object.line(r.field), r.text)
}

func sameField(field string) string { return field }

// envField matches the path of a variable in a pod.
var envField = regexp.MustCompile(`^spec\.containers\[(\d+)\]\.env\[(\d+)\]`)

// fieldOfPod returns the field of the manifest that a field of the pod comes from.
func (t trial) fieldOfPod(field string) string {
	w := t.object.workload
	for _, extra := range []struct {
		ofPod, ofManifest string
		given             map[string]string
	}{
		{"metadata.labels", "spec.extraLabels", w.ExtraLabels},
		{"metadata.annotations", "spec.extraAnnotations", w.ExtraAnnotations},
	} {
		if within(field, extra.ofPod) && len(extra.given) > 0 {
			return extra.ofManifest + strings.TrimPrefix(field, extra.ofPod)
		}
	}
	switch {
	case within(field, "metadata"):
		return "metadata.name" // the rest of the metadata follows from the name
	case field == "":
		return podSpec
	}
	return podSpec + strings.TrimPrefix(givenEnv(w.PodSpec.Containers, field), "spec")
}

// givenEnv returns the path of a variable as it is in the manifest. Other paths, and those of containers that the cluster adds,
// stay as they are.
func givenEnv(containers []corev1.Container, path string) string {
	found := envField.FindStringSubmatch(path)
	if found == nil {
		return path
	}
	container, _ := strconv.Atoi(found[1]) // digits
	index, _ := strconv.Atoi(found[2])
	if container >= len(containers) {
		return path
	}
	return fmt.Sprintf("spec.containers[%d].env[%d]%s", container, givenIndex(containers[container].Env, index), path[len(found[0]):])
}

// givenIndex returns the index in a manifest of a variable of the pod. The pod does not have the variables that Khronicle replaces.
func givenIndex(given []corev1.EnvVar, ofPod int) int {
	for i, variable := range given {
		if slices.Contains(injected, variable.Name) {
			continue
		}
		if ofPod == 0 {
			return i
		}
		ofPod--
	}
	return len(given)
}
