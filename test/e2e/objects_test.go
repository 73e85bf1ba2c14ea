//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// heldBy is a finalizer of the tests.
const heldBy = "e2e.example.com/hold"

// release removes the finalizers of an object.
func release(t *testing.T, patch func(data []byte) error) {
	t.Helper()
	if err := patch([]byte(`{"metadata":{"finalizers":null}}`)); err != nil && !gone(err) {
		t.Error(err)
	}
}

func deletionOf(policy metav1.DeletionPropagation) metav1.DeleteOptions {
	return metav1.DeleteOptions{PropagationPolicy: &policy}
}

// TestDeletedObjectsRunNoMore: from its deletion on, a check or job has no new pod, and its run is cancelled within seconds.
// It does not matter whether the object stays because of a finalizer, or loses its dependents.
func TestDeletedObjectsRunNoMore(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	checks, jobs := under.kube.checks(namespace), under.kube.jobs(namespace)
	for name, options := range map[string]metav1.DeleteOptions{
		"held": {}, "held-foreground": deletionOf(metav1.DeletePropagationForeground), "orphaning": deletionOf(metav1.DeletePropagationOrphan),
	} {
		c, j := demoCheck(namespace, name, env{"REPORT_DELAY": "5m"}), demoJob(namespace, name+"-job", env{"REPORT_DELAY": "5m"})
		c.Spec.RunInterval = "5s"
		if name != "orphaning" {
			c.Finalizers, j.Finalizers = []string{heldBy}, []string{heldBy}
		}
		apply(t, c)
		applyJob(t, j)
		t.Cleanup(func() {
			release(t, func(data []byte) error {
				_, err := checks.Patch(context.Background(), name, types.MergePatchType, data, metav1.PatchOptions{})
				return err
			})
			release(t, func(data []byte) error {
				_, err := jobs.Patch(context.Background(), name+"-job", types.MergePatchType, data, metav1.PatchOptions{})
				return err
			})
		})
		awaitPod(t, namespace, name, corev1.PodRunning)
		awaitPod(t, namespace, name+"-job", corev1.PodRunning)
		if err := checks.Delete(t.Context(), name, options); err != nil {
			t.Fatal(err)
		}
		if err := jobs.Delete(t.Context(), name+"-job", options); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 10*time.Second, "the runs are cancelled and have no pods", func() (bool, string) {
		open, pods := openWorkflows(t, namespace), allPods(t, namespace)
		return len(open) == 0 && len(pods) == 0, fmt.Sprintf("open %v, pods %v", open, pods)
	})
	// By the time at which another check has run twice, the deleted ones would have run too.
	witness := demoCheck(namespace, "witness", nil)
	witness.Spec.RunInterval = "5s"
	apply(t, witness)
	first := awaitState(t, namespace, "witness", 20*time.Second, "a run", anyState)
	awaitState(t, namespace, "witness", 20*time.Second, "another run", func(s khv1.WorkloadDetails) bool { return s.CurrentUUID != first.CurrentUUID })
	for _, name := range allPods(t, namespace) {
		if !strings.HasPrefix(name, "witness") {
			t.Errorf("pod %s was made after the deletion of its check", name)
		}
	}
}

// allPods returns the names of the checker pods of a namespace.
func allPods(t *testing.T, namespace string) (names []string) {
	t.Helper()
	list, err := under.kube.core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		names = append(names, p.Name)
	}
	return names
}

// TestStatesWithoutACheckGo: whoever wrote a state, and whatever owns it, it goes with its check.
func TestStatesWithoutACheckGo(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "orphaned", env{"REPORT_ERRORS": "out of stock"}))
	awaitState(t, namespace, "orphaned", 20*time.Second, "failed", func(s khv1.WorkloadDetails) bool { return !s.OK })
	if err := under.kube.checks(namespace).Delete(t.Context(), "orphaned", deletionOf(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	owner, err := under.kube.core.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	adopted := v2State(namespace, "adopted", time.Now(), "out of stock")
	adopted.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}
	restored := v2State(namespace, "restored", time.Now(), "out of stock") // from a backup of a state that Khronicle wrote
	restored.Annotations = map[string]string{check.AnnotationRunStarted: time.Now().Format(time.RFC3339Nano)}
	for _, state := range []*khv1.KuberhealthyState{adopted, restored} {
		if _, err := under.kube.states(namespace).Create(t.Context(), state, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 5*time.Minute/patience, "nothing is left of the states", func() (bool, string) {
		shown := statusPage(t, "?namespace="+namespace).CheckDetails
		_, metrics := get(t, reportBase+"/metrics")
		return len(shown) == 0 && !strings.Contains(metrics, `namespace="`+namespace+`"`), fmt.Sprint(shown)
	})
	for _, name := range []string{"orphaned", "adopted", "restored"} {
		if _, err := under.kube.states(namespace).Get(t.Context(), name, getOptions); !gone(err) {
			t.Errorf("state %s: error %v, want it gone", name, err)
		}
	}
}

// TestJobWhosePhaseIsLost: kubectl replace and Argo CD's Replace=true remove the phase, again and again.
func TestJobWhosePhaseIsLost(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	applyJob(t, demoJob(namespace, "replaced", nil))
	awaitCompleted(t, namespace, "replaced")
	before := awaitState(t, namespace, "replaced", time.Second, "the outcome", anyState)
	for _, lost := range []khv1.JobPhase{"", "", khv1.JobRunning} {
		job := present(t, namespace, "replaced")
		job.Spec.Phase = lost
		if _, err := under.kube.jobs(namespace).Update(t.Context(), job, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, 40*time.Second, "the job is Completed again", func() (bool, string) {
			phase := present(t, namespace, "replaced").Spec.Phase
			return phase == khv1.JobCompleted, string(phase)
		})
	}
	if n := len(podsOf(t, namespace, "replaced")); n != 1 {
		t.Errorf("%d pods, want 1: the job ran again", n)
	}
	after := awaitState(t, namespace, "replaced", time.Second, "the outcome", anyState)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the outcome has changed (-before +after):\n%s", diff)
	}
}

// TestDeletedStateComesBack: the state of a check and of a job is restored, and the page shows it all the time. So is a state
// that somebody replaced by an empty one.
func TestDeletedStateComesBack(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply(t, demoCheck(namespace, "state-deleted", nil))
	applyJob(t, demoJob(namespace, "job-state-deleted", env{"REPORT_ERRORS": "out of stock"}))
	awaitCompleted(t, namespace, "job-state-deleted")
	wipedIn := newNamespace(t)
	apply(t, demoCheck(wipedIn, "state-wiped", nil))
	full := awaitState(t, wipedIn, "state-wiped", 20*time.Second, "an outcome", anyState)
	names := []string{"state-deleted", "job-state-deleted"}
	before := map[string]khv1.WorkloadDetails{}
	for _, name := range names {
		before[name] = awaitState(t, namespace, name, 20*time.Second, "an outcome", anyState)
	}
	awaitRecords(t, openLedger(t), khv1.KHCheck, namespace, "state-deleted", 20*time.Second, "one, closed", func(found []ledger.Record) bool {
		return len(found) == 1 && found[0].Outcome != check.Unfinished
	})
	eventually(t, 5*time.Second, "the page shows both", func() (bool, string) {
		page := statusPage(t, "?namespace="+namespace)
		return len(page.CheckDetails) == 1 && len(page.JobDetails) == 1, fmt.Sprint(page)
	})
	wiped, err := under.kube.states(wipedIn).Get(t.Context(), "state-wiped", getOptions)
	if err != nil {
		t.Fatal(err)
	}
	wiped.Annotations, wiped.Spec = nil, khv1.WorkloadDetails{Errors: []string{}}
	if _, err := under.kube.states(wipedIn).Update(t.Context(), wiped, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	page := shownOutcomes(t, namespace)
	for _, name := range names {
		if err := under.kube.states(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, "the states are back", func() (bool, string) {
		if diff := cmp.Diff(page, shownOutcomes(t, namespace)); diff != "" {
			t.Fatalf("the page has changed (-before +after):\n%s", diff)
		}
		for _, name := range names {
			if _, err := under.kube.states(namespace).Get(t.Context(), name, getOptions); err != nil {
				return false, err.Error()
			}
		}
		return true, ""
	})
	awaitState(t, wipedIn, "state-wiped", time.Minute, "the outcome that was wiped", func(s khv1.WorkloadDetails) bool {
		return cmp.Equal(withoutTimes(full), withoutTimes(s))
	})
	for _, name := range names {
		after := awaitState(t, namespace, name, time.Second, "an outcome", anyState)
		if diff := cmp.Diff(withoutTimes(before[name]), withoutTimes(after)); diff != "" {
			t.Errorf("state %s has changed (-before +after):\n%s", name, diff)
		}
		if moved := after.LastRun.Sub(before[name].LastRun.Time); moved.Abs() > time.Second {
			t.Errorf("the last run of %s has moved by %s", name, moved)
		}
	}
}

// shownOutcomes are the checks and jobs of a namespace on the status page, by their names.
func shownOutcomes(t *testing.T, namespace string) map[string]khv1.WorkloadDetails {
	t.Helper()
	page, shown := statusPage(t, "?namespace="+namespace), map[string]khv1.WorkloadDetails{}
	for _, details := range []map[string]khv1.WorkloadDetails{page.CheckDetails, page.JobDetails} {
		for name, d := range details {
			shown[name] = withoutTimes(d)
		}
	}
	return shown
}

// withoutTimes leaves out times: a ledger rounds them otherwise than a state.
func withoutTimes(d khv1.WorkloadDetails) khv1.WorkloadDetails {
	d.LastRun, d.RunDuration = nil, ""
	return d
}

// slowToGo makes a pod that takes this long to go.
func slowToGo(spec *corev1.PodSpec, seconds int64) {
	grace := 2 * seconds
	spec.TerminationGracePeriodSeconds = &grace
	spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}}
}

// TestPodsOfACheckNeverOverlap: the next pod of a check waits for as long as the containers of the last one run.
func TestPodsOfACheckNeverOverlap(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for _, name := range []string{"slow-to-go", "made-anew", "terminated"} {
		c := demoCheck(namespace, name, env{"REPORT_DELAY": "10m"})
		c.Spec.RunInterval, c.Spec.Timeout = "5s", "10s"
		if name == "terminated" {
			c.Spec.Timeout = "10m"
		} else {
			slowToGo(&c.Spec.PodSpec, 68) // the run itself waits for 60 s
		}
		apply(t, c)
	}
	for _, name := range []string{"made-anew", "terminated"} {
		first := awaitPod(t, namespace, name, corev1.PodRunning)
		if name == "terminated" { // by hand, so its run cannot delete its pod
			if err := temporal(t).TerminateWorkflow(t.Context(), first.Labels["kuberhealthy-run-id"], "", "a test"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := under.kube.checks(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		apply(t, demoCheck(namespace, name, nil))
	}
	made := map[string]map[string]bool{}
	eventually(t, 120*time.Second, "each check has a second pod", func() (bool, string) {
		done := true
		for _, name := range []string{"slow-to-go", "made-anew", "terminated"} {
			if made[name] == nil {
				made[name] = map[string]bool{}
			}
			unfinished := 0
			for _, p := range podsOf(t, namespace, name) {
				made[name][p.Name] = true
				if p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
					unfinished++
				}
			}
			if unfinished > 1 {
				t.Fatalf("%d pods of %s run at the same time", unfinished, name)
			}
			done = done && len(made[name]) > 1
		}
		return done, fmt.Sprint(made)
	})
}

// TestLogOfANamespaceThatIsDeleted: what ends with its namespace is no fault, so nobody has to read about it again and again.
func TestLogOfANamespaceThatIsDeleted(t *testing.T) {
	t.Parallel()
	began := len(workerLog(t))
	namespace := newNamespace(t)
	var runs []string
	for _, name := range []string{"a", "b"} {
		c := demoCheck(namespace, name, env{"REPORT_DELAY": "5m"})
		c.Spec.RunInterval, c.Finalizers = "2s", []string{heldBy}
		apply(t, c)
		runs = append(runs, check.ShortHash(awaitPod(t, namespace, name, corev1.PodRunning).Labels["kuberhealthy-run-id"]))
	}
	apply(t, demoCheck(namespace, "quick", nil))
	awaitState(t, namespace, "quick", 20*time.Second, "an outcome", anyState)
	if err := under.kube.core.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "no run is open", func() (bool, string) {
		open := openWorkflows(t, namespace)
		return len(open) == 0, strings.Join(open, " ")
	})
	for _, name := range []string{"a", "b"} {
		release(t, func(data []byte) error {
			_, err := under.kube.checks(namespace).Patch(t.Context(), name, types.MergePatchType, data, metav1.PatchOptions{})
			return err
		})
	}
	lines := map[string]int{}
	for line := range strings.Lines(workerLog(t)[began:]) {
		for _, what := range append(runs, namespace) {
			if strings.Contains(line, what) && (strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")) {
				if lines[what]++; lines[what] > 1 {
					t.Errorf("more than one line about %s: %s", what, line)
				}
			}
		}
	}
}

func workerLog(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(under.state, "worker.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
