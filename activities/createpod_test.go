package activities_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

var podResource = schema.GroupResource{Resource: "pods"}

func TestCreatePodReturnsTheFaultsOfAnInvalidSpec(t *testing.T) {
	tests := []struct {
		name   string
		change func(*check.Workload)
		want   string
	}{
		{"timeout", func(w *check.Workload) { w.Timeout = "soon" }, `spec.timeout: "soon" is not a duration above 0, such as "5m"`},
		{"attempts", func(w *check.Workload) { w.Attempts = 11 }, `spec.attempts: "11" is not a number from 1 to 10`},
		{"interval", func(w *check.Workload) { w.Schedule.RunInterval = "often" }, `spec.runInterval: "often" is not a duration of at least 1s, such as "10m"`},
		{"no container", func(w *check.Workload) { w.PodSpec.Containers = nil }, "no containers found in checks PodSpec"},
		{"no image", func(w *check.Workload) { w.PodSpec.Containers[0].Image = "" }, "no image found in check's PodSpec for container main."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := validCheck()
			tt.change(&w)
			a, env := worker(&fakeCluster{workload: present(w)}) // a request to create a pod would panic
			encoded, err := env.ExecuteActivity(a.CreatePod, attempt(1))
			want := activities.CreatePodResult{Failure: &check.Failure{Outcome: check.Failed, Text: tt.want, Bare: true, Final: true}}
			if diff := cmp.Diff(want, value[activities.CreatePodResult](t, encoded, err)); diff != "" {
				t.Errorf("result differs (-want +got):\n%s", diff)
			}
		})
	}
}

// A refusal that the API server will repeat is data. Anything else is an error, which is retried.
func TestCreatePodReturnsLastingRefusalsAsData(t *testing.T) {
	tests := []struct {
		name      string
		answer    error
		permanent bool
	}{
		{"forbidden", apierrors.NewForbidden(podResource, "cart", errors.New("exceeded quota")), true},
		{"invalid", apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "cart", nil), true},
		{"bad request", apierrors.NewBadRequest("strict decoding error"), true},
		{"namespace not found", apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop"), true},
		{"pod of another run", apierrors.NewAlreadyExists(podResource, "cart"), true},
		{"too large", apierrors.NewRequestEntityTooLargeError("limit is 3145728"), true},
		{"method not supported", apierrors.NewMethodNotSupported(podResource, "create"), true},
		{"wrapped", fmt.Errorf("create pod: %w", apierrors.NewForbidden(podResource, "cart", errors.New("no"))), true},
		{"webhook that does not answer", apierrors.NewInternalError(errors.New(`failed calling webhook "team.example.com": refused`)), true},

		{"conflict", apierrors.NewConflict(podResource, "cart", errors.New("again")), false},
		{"server timeout", apierrors.NewServerTimeout(podResource, "create", 1), false},
		{"timeout", apierrors.NewTimeoutError("too slow", 1), false},
		{"too many requests", apierrors.NewTooManyRequests("slow down", 1), false},
		{"internal error", apierrors.NewInternalError(errors.New("etcd")), false},
		{"unavailable", apierrors.NewServiceUnavailable("starting"), false},
		{"unauthorized", apierrors.NewUnauthorized("token expired"), false},
		{"connection refused", fmt.Errorf("dial tcp 10.96.0.1:443: %w", syscall.ECONNREFUSED), false},
		{"deadline of the request", context.DeadlineExceeded, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, env := worker(&fakeCluster{
				workload:  present(validCheck()),
				createPod: func(*corev1.Pod) (*corev1.Pod, error) { return nil, tt.answer },
			})
			encoded, err := env.ExecuteActivity(a.CreatePod, attempt(1))
			if !tt.permanent {
				if err == nil || !strings.Contains(err.Error(), tt.answer.Error()) {
					t.Errorf("error %v, want %v to be tried again", err, tt.answer)
				}
				return
			}
			failure, _ := check.RefusedPod(tt.answer)
			want := activities.CreatePodResult{SpecHash: validCheck().SpecHash(), Failure: &failure}
			if diff := cmp.Diff(want, value[activities.CreatePodResult](t, encoded, err)); diff != "" {
				t.Errorf("result differs (-want +got):\n%s", diff)
			}
		})
	}
}

// Everything in a namespace that is being deleted will be deleted, the check too.
func TestCreatePodInANamespaceThatIsBeingDeleted(t *testing.T) {
	terminating := apierrors.NewForbidden(podResource, "cart", errors.New("namespace shop is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	a, env := worker(&fakeCluster{
		workload:  present(validCheck()),
		createPod: func(*corev1.Pod) (*corev1.Pod, error) { return nil, terminating },
	})
	encoded, err := env.ExecuteActivity(a.CreatePod, attempt(1))
	if diff := cmp.Diff(activities.CreatePodResult{CheckGone: true}, value[activities.CreatePodResult](t, encoded, err)); diff != "" {
		t.Errorf("result differs (-want +got):\n%s", diff)
	}
}

func TestCreatePodFailsWhenTheCheckCannotBeRead(t *testing.T) {
	tests := []struct {
		name     string
		workload func(check.Ref) (check.Workload, bool, error)
		gone     bool
	}{
		// The cluster compares the UID, so it says the same of a check that was replaced by another of its name.
		{"gone", absent, true},
		{"API server is down", func(check.Ref) (check.Workload, bool, error) {
			return check.Workload{}, false, errors.New("connection refused")
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, env := worker(&fakeCluster{workload: tt.workload})
			encoded, err := env.ExecuteActivity(a.CreatePod, attempt(1))
			if !tt.gone {
				if err == nil || !strings.Contains(err.Error(), "connection refused") {
					t.Errorf("error %v, want one to be tried again", err)
				}
				return
			}
			if diff := cmp.Diff(activities.CreatePodResult{CheckGone: true}, value[activities.CreatePodResult](t, encoded, err)); diff != "" {
				t.Errorf("result differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCreatePodAsksForTheRevisionOfTheRun(t *testing.T) {
	var asked []check.Ref
	a, env := worker(&fakeCluster{workload: func(ref check.Ref) (check.Workload, bool, error) {
		asked = append(asked, ref)
		return check.Workload{}, false, nil
	}})
	if _, err := env.ExecuteActivity(a.CreatePod, attempt(1)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]check.Ref{checkRef}, asked); diff != "" {
		t.Errorf("requested pods differ (-want +got):\n%s", diff)
	}
}

// created runs CreatePod and returns the pods that were asked for.
func created(t *testing.T, runs ...activities.Attempt) []*corev1.Pod {
	t.Helper()
	var pods []*corev1.Pod
	a, env := worker(&fakeCluster{
		workload:  present(validCheck()),
		createPod: func(pod *corev1.Pod) (*corev1.Pod, error) { pods = append(pods, pod); return pod, nil },
	})
	for _, run := range runs {
		encoded, err := env.ExecuteActivity(a.CreatePod, run)
		if got := value[activities.CreatePodResult](t, encoded, err); got.Containers != 1 || got.Failure != nil || got.CheckGone {
			t.Fatalf("result is %+v, want one pod of one container", got)
		}
	}
	return pods
}

// A webhook may add a sidecar, which must not delay the run.
func TestContainersAreThoseOfThePodThatWasMade(t *testing.T) {
	a, env := worker(&fakeCluster{workload: present(validCheck()), createPod: func(pod *corev1.Pod) (*corev1.Pod, error) {
		made := pod.DeepCopy()
		made.Spec.Containers = append(made.Spec.Containers, corev1.Container{Name: "proxy"})
		return made, nil
	}})
	encoded, err := env.ExecuteActivity(a.CreatePod, attempt(1))
	if got := value[activities.CreatePodResult](t, encoded, err); got.Containers != 2 {
		t.Errorf("%d containers, want 2 with the one that was added", got.Containers)
	}
}

// An activity whose answer was lost is called again. Both calls ask for a pod of the same name.
func TestCreatePodTwiceAsksForTheSamePod(t *testing.T) {
	other := attempt(1)
	other.UUID = "f2a7f7d5-4b55-4c3b-a7a4-b9b1c1d4e222"
	pods := created(t, attempt(1), attempt(1), attempt(2), other)
	first := "shop/" + check.Attempt{UUID: runUUID, Attempt: 1}.PodName("cart")
	names := map[string]int{}
	for _, pod := range pods {
		names[pod.Namespace+"/"+pod.Name]++
	}
	if len(names) != 3 || names[first] != 2 {
		t.Errorf("pods %v, want %s twice, and one other for the second attempt and the other run each", names, first)
	}
}

// CreatePod is called again after its answer was lost. Meanwhile a quota or a webhook may refuse the pod, or somebody may
// edit or delete the check. The pod that exists is used all the same.
func TestCreatePodFindsThePodOfALostAnswer(t *testing.T) {
	confirmed := func() check.Workload { w := validCheck(); w.Attempts = 3; return w }
	hash := confirmed().SpecHash()
	made := func(pod *corev1.Pod) (*corev1.Pod, error) {
		pod = pod.DeepCopy()
		pod.CreationTimestamp = metav1.NewTime(began.Truncate(time.Second))
		return pod, nil
	}
	found := func(specHash string, attempts int) activities.CreatePodResult {
		return activities.CreatePodResult{Containers: 1, At: began.Truncate(time.Second), SpecHash: specHash, Attempts: attempts}
	}
	lost := func(*corev1.Pod) (*corev1.Pod, error) { return nil, nil }
	others := func(pod *corev1.Pod) (*corev1.Pod, error) {
		pod, _ = made(pod)
		pod.Labels[protocol.LabelRunID] = "another"
		return pod, nil
	}
	edited := func(change func(*check.Workload)) *check.Workload { w := confirmed(); change(&w); return &w }
	quota := apierrors.NewForbidden(podResource, "cart", errors.New("exceeded quota"))
	failed := func(f check.Failure) activities.CreatePodResult { return activities.CreatePodResult{Failure: &f} }
	refused := failed(check.CreateFailed(quota.Error()))
	refused.SpecHash, refused.Attempts = hash, 3
	same := edited(func(*check.Workload) {})
	another := edited(func(w *check.Workload) { w.PodSpec.Containers[0].Image = "registry.example/check:2" })
	invalid := edited(func(w *check.Workload) { w.Attempts = 11 })
	unread := apierrors.NewServiceUnavailable("down")
	tests := []struct {
		name string
		// specHash is that of the attempt before. second is the check at the second call, nil for none.
		specHash string
		second   *check.Workload
		// live is the pod that the first call created, as the API server has it at the second call.
		live func(*corev1.Pod) (*corev1.Pod, error)
		want activities.CreatePodResult
		err  string
	}{
		{name: "a quota that the pod fills", second: same, live: made, want: found(hash, 3)},
		{name: "an edit", specHash: hash, second: another, live: made, want: found(hash, 0)},
		{name: "an edit that is not valid", second: invalid, live: made, want: found("", 0)},
		{name: "a deletion", live: made, want: found("", 0)},

		{name: "a quota, and no pod was made", second: same, live: lost, want: refused},
		{name: "a quota, and the name is another run's", second: same, live: others, want: refused},
		{name: "an edit, and no pod was made", specHash: hash, second: another, live: lost, want: activities.CreatePodResult{SpecChanged: true}},
		{name: "an edit that is not valid, and no pod was made", second: invalid, live: lost, want: failed(check.InvalidSpec(invalid.Validate()))},
		{name: "a deletion, and no pod was made", live: lost, want: activities.CreatePodResult{CheckGone: true}},

		{name: "the pod cannot be read", second: same, live: func(*corev1.Pod) (*corev1.Pod, error) { return nil, unread }, err: "down"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked *corev1.Pod
			cluster := &fakeCluster{}
			cluster.workload = func(check.Ref) (check.Workload, bool, error) {
				switch {
				case asked == nil:
					return confirmed(), true, nil
				case tt.second == nil:
					return check.Workload{}, false, nil
				}
				return *tt.second, true, nil
			}
			cluster.createPod = func(pod *corev1.Pod) (*corev1.Pod, error) {
				if asked == nil {
					asked = pod
					return nil, errors.New("connection reset")
				}
				return nil, quota
			}
			cluster.livePod = func(namespace, name string) (*corev1.Pod, error) {
				if namespace != asked.Namespace || name != asked.Name {
					t.Errorf("looked for pod %s/%s, want %s/%s", namespace, name, asked.Namespace, asked.Name)
				}
				return tt.live(asked)
			}
			run := attempt(2)
			run.SpecHash = tt.specHash
			got, err := twice(t, cluster, run)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q, to be tried again", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("error %v, result differs (-want +got):\n%s", err, diff)
			}
		})
	}
}

// twice runs CreatePod as a run does, which calls it once more after an error.
func twice(t *testing.T, cluster activities.Cluster, run activities.Attempt) (result activities.CreatePodResult, err error) {
	t.Helper()
	a, _ := worker(cluster)
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(a)
	env.ExecuteWorkflow(func(ctx workflow.Context) (result activities.CreatePodResult, err error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 2},
		})
		err = workflow.ExecuteActivity(ctx, a.CreatePod, run).Get(ctx, &result)
		return result, err
	})
	if err := env.GetWorkflowError(); err != nil {
		return result, err
	}
	return result, env.GetWorkflowResult(&result)
}

func TestCreatePodTellsThePodItsRun(t *testing.T) {
	pod := created(t, attempt(1))[0]
	env := map[string]string{}
	for _, v := range pod.Spec.Containers[0].Env {
		env[v.Name] = v.Value
	}
	want := map[string]string{
		"KH_REPORTING_URL": reportingURL, "KH_RUN_UUID": runUUID, "KH_CHECK_RUN_DEADLINE": "1798859045", "KH_POD_NAMESPACE": "",
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Errorf("environment differs (-want +got):\n%s", diff)
	}
	if owner := pod.OwnerReferences[0]; owner.UID != checkRef.UID || owner.Kind != "KuberhealthyCheck" {
		t.Errorf("owner is %+v, want the check", owner)
	}
}

// A run that brings its workload needs none in the cluster, neither for its pod nor for its outcome.
func TestGivenWorkload(t *testing.T) {
	var pod *corev1.Pod
	var state *khv1.KuberhealthyState
	a, env := worker(&fakeCluster{ // without Workload: calling it fails the activity
		createPod: func(p *corev1.Pod) (*corev1.Pod, error) { pod = p; return p, nil },
		writeState: func(_, _ string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
			state = build(nil)
			return nil
		},
	})
	run := attempt(1)
	run.Key.Ref.UID = ""
	run.Given = &activities.Given{Workload: validCheck(), ReportingURL: "http://elsewhere/externalCheckStatus"}
	run.Given.Workload.Ref = run.Key.Ref
	encoded, err := env.ExecuteActivity(a.CreatePod, run)
	if got := value[activities.CreatePodResult](t, encoded, err); got.Failure != nil || got.CheckGone || pod == nil {
		t.Fatalf("result is %+v, want a pod", got)
	}
	if got := pod.Spec.Containers[0].Env[0].Value; got != run.Given.ReportingURL {
		t.Errorf("reporting URL is %q, want the one that was given", got)
	}
	if len(pod.OwnerReferences) != 0 {
		t.Errorf("owners are %+v, want none", pod.OwnerReferences)
	}
	if _, err := env.ExecuteActivity(a.RecordOutcome, activities.RecordOutcomeInput{Ref: run.Key.Ref, UUID: runUUID}); err != nil || state == nil {
		t.Errorf("state is %v, error %v, want the outcome recorded", state, err)
	}
}
