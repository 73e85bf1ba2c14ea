//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// v2State is a state as Kuberhealthy v2 writes it: without owner, annotation or workload.
func v2State(namespace, name string, lastRun time.Time, errs ...string) *khv1.KuberhealthyState {
	return &khv1.KuberhealthyState{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: khv1.WorkloadDetails{
			OK: len(errs) == 0, Errors: append([]string{}, errs...), RunDuration: "3.2s", Namespace: namespace, Node: "node-1",
			LastRun: &metav1.Time{Time: lastRun.Truncate(time.Second)}, AuthoritativePod: "kuberhealthy-5d4f8-x", CurrentUUID: "0b5bd8d0-3d35-4b6c-8d5c-6c1ed8f8a111",
		},
	}
}

// TestMoveFromKuberhealthy: a cluster has checks, jobs and states of Kuberhealthy v2. The last states are shown until there
// are newer ones, and no state is lost. A job that v2 left Running ends, with the state that it had.
func TestMoveFromKuberhealthy(t *testing.T) {
	restart(t, "starter")
	namespace, lastRun := newNamespace(t), time.Now().Add(-time.Minute)
	under.stop("starter") // Khronicle is not there yet
	for name, errs := range map[string][]string{"healthy": nil, "broken": {"was broken before"}, "suspended": nil, "left-behind": {"Job execution error: x: timed out"}} {
		state := v2State(namespace, name, lastRun, errs...)
		if _, err := under.kube.states(namespace).Create(t.Context(), state, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, demoCheck(namespace, "healthy", env{"REPORT_DELAY": "4s"}))
	apply(t, demoCheck(namespace, "broken", env{"REPORT_DELAY": "4s"}))
	suspended := demoCheck(namespace, "suspended", nil)
	suspended.Spec.Suspend = true
	apply(t, suspended)
	job := demoJob(namespace, "left-behind", nil)
	job.Spec.Phase = khv1.JobRunning
	applyJob(t, job)
	// The job is older than its state, as it is after a run.
	later := v2State(namespace, "left-behind", time.Now().Add(2*time.Second), "Job execution error: x: timed out")
	present, err := under.kube.states(namespace).Get(t.Context(), "left-behind", getOptions)
	if err != nil {
		t.Fatal(err)
	}
	present.Spec = later.Spec
	if _, err := under.kube.states(namespace).Update(t.Context(), present, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}

	if err := under.start("starter"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the last states are on the page", func() (bool, string) {
		page := statusPage(t, "?namespace="+namespace)
		broken := page.CheckDetails[namespace+"/broken"]
		return !page.OK && len(page.CheckDetails) == 3 && len(page.JobDetails) == 1 && cmp.Equal(broken.Errors, []string{"was broken before"}), fmt.Sprintf("%+v", page)
	})
	for _, name := range []string{"healthy", "broken"} {
		state := awaitState(t, namespace, name, 30*time.Second, "a newer outcome", func(s khv1.WorkloadDetails) bool { return s.AuthoritativePod == "worker" })
		if !state.OK {
			t.Errorf("%s: %q", name, state.Errors)
		}
		owned, err := under.kube.states(namespace).Get(t.Context(), name, getOptions)
		if err != nil || len(owned.OwnerReferences) != 1 {
			t.Errorf("%s: owners %v, error %v; want its check", name, owned.OwnerReferences, err)
		}
	}
	awaitCompleted(t, namespace, "left-behind")
	for name, want := range map[string][]string{"left-behind": {"Job execution error: x: timed out"}, "suspended": {}} {
		state := awaitState(t, namespace, name, time.Second, "the state it had", anyState)
		if diff := cmp.Diff(want, state.Errors); diff != "" || state.AuthoritativePod != "kuberhealthy-5d4f8-x" {
			t.Errorf("%s: by %s, errors (-want +got):\n%s", name, state.AuthoritativePod, diff)
		}
		if n := len(podsOf(t, namespace, name)); n != 0 {
			t.Errorf("%s has %d pods, want none", name, n)
		}
	}
}
