//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external"
	"github.com/khronicle/khronicle/external/health"
	"github.com/khronicle/khronicle/external/khcheckcrd"
	"github.com/khronicle/khronicle/external/khjobcrd"
	"github.com/khronicle/khronicle/external/khstatecrd"
)

// goProgram is what a program that imports package external has at hand.
type goProgram struct {
	checks *khcheckcrd.KuberhealthyCheckClient
	jobs   *khjobcrd.KHJobV1Client
	states *khstatecrd.KuberhealthyStateClient
}

// atTemporal makes Checkers without a client find Temporal as programs do: by the environment.
func atTemporal(t *testing.T) {
	t.Helper()
	t.Setenv("TEMPORAL_ADDRESS", fmt.Sprintf("127.0.0.1:%d", temporalPort))
}

func newGoProgram(t *testing.T) goProgram {
	t.Helper()
	var p goProgram
	var err error
	if p.checks, err = khcheckcrd.Client(external.CRDGroup, external.CRDVersion, under.kubeconfig, ""); err != nil {
		t.Fatal(err)
	}
	if p.jobs, err = khjobcrd.Client(under.kubeconfig); err != nil {
		t.Fatal(err)
	}
	if p.states, err = khstatecrd.Client(external.CRDGroup, external.CRDVersion, under.kubeconfig, ""); err != nil {
		t.Fatal(err)
	}
	return p
}

// checker returns a Checker of a demo check that is in the cluster, suspended: the program alone runs it.
func (p goProgram) checker(t *testing.T, namespace, name string, behaviour env) *external.Checker {
	t.Helper()
	c := demoCheck(namespace, name, behaviour)
	c.Spec.Suspend = true
	config, err := p.checks.Create(c, khv1.CheckResource, namespace)
	if err != nil {
		t.Fatal(err)
	}
	ext := external.NewCheck(under.kube.core, config, p.checks, p.states, reportURL)
	ext.RunTimeout, ext.TemporalClient = time.Minute, temporal(t)
	return ext
}

// TestGoProgram uses every identifier of the documented API against the real cluster.
func TestGoProgram(t *testing.T) {
	atTemporal(t)
	p, namespace := newGoProgram(t), newNamespace(t)
	ext := p.checker(t, namespace, "from-go", env{"REPORT_ERRORS": "broken"})
	ext.RunInterval, ext.Debug, ext.TemporalClient = 5*time.Minute, true, nil
	ext.ExtraLabels["team"], ext.ExtraAnnotations["note"] = "payments", "kept"
	if ext.Name() != "from-go" || ext.CheckNamespace() != namespace || ext.Interval() != 5*time.Minute || ext.Timeout() != time.Minute {
		t.Errorf("accessors: %s %s %s %s", ext.Name(), ext.CheckNamespace(), ext.Interval(), ext.Timeout())
	}
	if ok, errs := ext.CurrentStatus(); !ok || len(errs) != 0 {
		t.Errorf("before the first run: %t %v, want up", ok, errs)
	}
	if err := ext.Run(t.Context(), under.kube.core); err != nil {
		t.Fatalf("Run of a check that reports errors: %v, want no error", err)
	}
	if ok, errs := ext.CurrentStatus(); ok || !cmp.Equal(errs, []string{"broken"}) {
		t.Errorf("after the run: %t %v, want what the check reported", ok, errs)
	}
	pod := podsOf(t, namespace, "from-go")[0]
	if pod.Labels["kuberhealthy-run-id"] != ext.RunID || pod.Labels["team"] != "payments" || pod.Annotations["note"] != "kept" ||
		pod.Annotations[external.KHCheckNameAnnotationKey] != ext.CheckName || len(pod.OwnerReferences) != 1 {
		t.Errorf("pod is %+v", pod.ObjectMeta)
	}
	for _, name := range []string{external.KHReportingURL, external.KHRunUUID, external.KHDeadline, external.KHPodNamespace} {
		if !hasEnv(pod.Spec, name) || !hasEnv(ext.PodSpec, name) || hasEnv(ext.OriginalPodSpec, name) {
			t.Errorf("variable %s: on the pod, in PodSpec, not in OriginalPodSpec; got %t %t %t", name,
				hasEnv(pod.Spec, name), hasEnv(ext.PodSpec, name), hasEnv(ext.OriginalPodSpec, name))
		}
	}
	if ext.KuberhealthyReportingURL == external.DefaultKuberhealthyReportingURL || ext.KHWorkload != health.KHCheck {
		t.Errorf("reporting URL %s, workload %s", ext.KuberhealthyReportingURL, ext.KHWorkload)
	}
	if err := ext.Shutdown(); err != nil {
		t.Errorf("Shutdown without a run: %v", err)
	}
}

func hasEnv(spec corev1.PodSpec, name string) bool {
	for _, v := range spec.Containers[0].Env {
		if v.Name == name {
			return true
		}
	}
	return false
}

func TestGoProgramRunsAJob(t *testing.T) {
	t.Parallel()
	p, namespace := newGoProgram(t), newNamespace(t)
	config := demoJob(namespace, "job-from-go", env{"SKIP_REPORT": "true"}) // not in the cluster at all
	ext := external.NewJob(under.kube.core, config, p.jobs, p.states, reportURL)
	ext.RunTimeout, ext.TemporalClient = time.Minute, temporal(t)
	want := named("NS/NAME: checker pod ended without reporting in: all containers exited with code 0", namespace, "job-from-go")
	if err := ext.RunOnce(t.Context()); err == nil || err.Error() != want {
		t.Errorf("RunOnce: %v, want %q", err, want)
	}
	if ok, errs := ext.CurrentStatus(); ok || !cmp.Equal(errs, []string{"Job execution error: " + want}) {
		t.Errorf("status %t %v", ok, errs)
	}
}

func TestGoProgramLearnsWhatBecameOfThePod(t *testing.T) {
	t.Parallel()
	p, namespace := newGoProgram(t), newNamespace(t)
	for _, tt := range []struct {
		name    string
		prepare func(*corev1.PodSpec)
		phase   corev1.PodPhase
		remove  func(testing.TB, corev1.Pod)
		want    error
	}{
		{"deleted", nil, corev1.PodRunning, deleteNow, external.ErrPodRemovedUnexpectedly},
		{"deleted-early", func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"no": "such-node"} }, corev1.PodPending, deleteNow, external.ErrPodDeletedBeforeRunning},
		{"evicted", nil, corev1.PodRunning, evict, external.ErrPodRemovedExpectedly},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ext := p.checker(t, namespace, tt.name, env{"REPORT_DELAY": "5m"})
			if tt.prepare != nil {
				tt.prepare(&ext.OriginalPodSpec)
			}
			ended := make(chan error, 1)
			go func() { ended <- ext.RunOnce(t.Context()) }()
			removed := map[string]bool{}
			var began time.Time
			for {
				select {
				case err := <-ended:
					if !errors.Is(err, tt.want) {
						t.Errorf("RunOnce: %v, want %v", err, tt.want)
					}
					return
				case <-time.After(100 * time.Millisecond): // an evicted pod is replaced once
					for _, pod := range podsOf(t, namespace, tt.name) {
						if began.IsZero() {
							began = pod.CreationTimestamp.Time
						}
						late := pod.CreationTimestamp.Sub(began) >= 32*time.Second // of 60: this one is left to the deadline
						if !late && pod.Status.Phase == tt.phase && !removed[pod.Name] {
							removed[pod.Name] = true
							tt.remove(t, pod)
						}
					}
				}
			}
		})
	}
}

func deleteNow(t testing.TB, pod corev1.Pod) {
	t.Helper()
	if err := under.kube.core.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestGoProgramShutsDown(t *testing.T) {
	t.Parallel()
	p, namespace := newGoProgram(t), newNamespace(t)
	for name, tt := range map[string]struct {
		stop func(*external.Checker, context.CancelFunc) error
		want error // of RunOnce
	}{
		"shutdown": {func(ext *external.Checker, _ context.CancelFunc) error { return ext.Shutdown() }, nil},
		"context":  {func(_ *external.Checker, cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			ext := p.checker(t, namespace, name, env{"REPORT_DELAY": "5m"})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- ext.RunOnce(ctx) }()
			pod := awaitPod(t, namespace, name, corev1.PodRunning)
			began := time.Now()
			if err := tt.stop(ext, cancel); err != nil {
				t.Errorf("stop: %v", err)
			}
			eventually(t, 10*time.Second, "the run is cancelled", func() (bool, string) {
				outcome := outcomeAttribute(t, pod.Labels["kuberhealthy-run-id"])
				return outcome == string(check.Canceled), outcome
			})
			if err := <-ended; !errors.Is(err, tt.want) {
				t.Errorf("RunOnce: %v, want %v", err, tt.want)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("stopped after %s, want 20s at most", took)
			}
			present, err := under.kube.core.CoreV1().Pods(namespace).Get(t.Context(), pod.Name, getOptions)
			if err == nil && (present.Status.Phase == corev1.PodRunning || present.DeletionTimestamp == nil) || err != nil && !gone(err) {
				t.Errorf("the pod is %s, error %v; want it ended and deleted", present.Status.Phase, err)
			}
		})
	}
}

// outcomeAttribute is what the search attribute of a run says of its end.
func outcomeAttribute(t *testing.T, runUUID string) string {
	t.Helper()
	described, err := temporal(t).DescribeWorkflowExecution(t.Context(), runUUID, "")
	if err != nil {
		t.Fatal(err)
	}
	payload := described.GetWorkflowExecutionInfo().GetSearchAttributes().GetIndexedFields()["KhOutcome"]
	return strings.Trim(string(payload.GetData()), `"`)
}

// TestGoProgramThatDies: a program is killed in the middle of a run; the next one is given that run, with its outcome.
func TestGoProgramThatDies(t *testing.T) {
	atTemporal(t)
	p, namespace := newGoProgram(t), newNamespace(t)
	ext := p.checker(t, namespace, "phoenix", env{"REPORT_DELAY": "9s"})
	binary := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", binary, "../../examples/program").CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	program := exec.Command(binary, under.kubeconfig, namespace, "phoenix", reportURL)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	pod := awaitPod(t, namespace, "phoenix", corev1.PodRunning)
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = program.Wait() // killed
	out, err := exec.Command(binary, under.kubeconfig, namespace, "phoenix", reportURL).CombinedOutput()
	if err != nil || string(out) != "phoenix OK: true []\n" {
		t.Fatalf("the second program says %q, error %v", out, err)
	}
	pods := podsOf(t, namespace, "phoenix")
	if len(pods) != 1 || pods[0].Name != pod.Name {
		t.Errorf("%d pods, want the first program's alone", len(pods))
	}
	if err := ext.RunOnce(t.Context()); err != nil {
		t.Errorf("a further run: %v", err)
	}
	if n := len(podsOf(t, namespace, "phoenix")); n != 2 {
		t.Errorf("%d pods after a further run, want 2", n)
	}
}
