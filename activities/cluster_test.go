package activities_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

const (
	runUUID      = "6f6cf0a5-2d3a-4c9b-8f4e-1f5f0f6f7a11"
	recorder     = "worker-1"
	reportingURL = "http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus"
)

var (
	checkRef = check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: "u-1", Generation: 2}
	jobRef   = check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "smoke", UID: "u-2", Generation: 1}
)

// fakeCluster answers the calls that a test expects. Any other call panics, which fails the activity.
type fakeCluster struct {
	workload    func(check.Ref) (check.Workload, bool, error)
	createPod   func(*corev1.Pod) (*corev1.Pod, error)
	livePod     func(namespace, name string) (*corev1.Pod, error)
	awaitPod    func(ctx context.Context, until func(check.Observation) bool) (check.Observation, error)
	deletePod   func(name string) error
	writeState  func(namespace, name string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error
	setJobPhase func(check.Ref, khv1.JobPhase) error
	pod         *corev1.Pod
	podEvents   func(ctx context.Context) ([]corev1.Event, error)
	podLog      func(ctx context.Context, container string) (check.LogTail, error)
	followLog   func(ctx context.Context, container string) (check.LogTail, error)
	nodeRuntime func(node string) (string, error)
	// pods are the cached pods of all checks.
	pods []*corev1.Pod
	node func(name string) (*corev1.Node, error)
	// states are the cached states by their names, and withoutState the checks and jobs that have none.
	states       map[string]*khv1.KuberhealthyState
	withoutState []check.Ref
	// requested is the value for which the check may have an open run.
	requested string
}

func (f *fakeCluster) Requested(check.Ref) (string, bool) { return f.requested, f.requested != "" }

func (f *fakeCluster) Workload(_ context.Context, ref check.Ref) (check.Workload, bool, error) {
	return f.workload(ref)
}

func (f *fakeCluster) PodsOf(_, _ string) []*corev1.Pod { return f.pods }

func (f *fakeCluster) Node(_ context.Context, name string) (*corev1.Node, error) { return f.node(name) }

func (f *fakeCluster) State(_, name string) (*khv1.KuberhealthyState, bool) {
	state, ok := f.states[name]
	return state, ok
}

func (f *fakeCluster) WithoutState() []check.Ref { return f.withoutState }

func (f *fakeCluster) Watches(namespace string) bool { return namespace == "shop" }

func (f *fakeCluster) CreatePod(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return f.createPod(pod)
}

func (f *fakeCluster) LivePod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	if f.livePod == nil {
		return nil, nil
	}
	return f.livePod(namespace, name)
}

func (f *fakeCluster) AwaitPod(ctx context.Context, _, _ string, until func(check.Observation) bool) (check.Observation, error) {
	return f.awaitPod(ctx, until)
}

func (f *fakeCluster) DeletePod(_ context.Context, _, name string) error { return f.deletePod(name) }

func (f *fakeCluster) WriteState(_ context.Context, namespace, name string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
	return f.writeState(namespace, name, build)
}

func (f *fakeCluster) SetJobPhase(_ context.Context, ref check.Ref, phase khv1.JobPhase) error {
	return f.setJobPhase(ref, phase)
}

func (f *fakeCluster) Pod(_, name string) (*corev1.Pod, bool) {
	return f.pod, f.pod != nil && f.pod.Name == name
}

func (f *fakeCluster) PodEvents(ctx context.Context, _, _ string) ([]corev1.Event, error) {
	return f.podEvents(ctx)
}

func (f *fakeCluster) PodLog(ctx context.Context, _, _, container string) (check.LogTail, error) {
	return f.podLog(ctx, container)
}

func (f *fakeCluster) FollowPodLog(ctx context.Context, _, _, container string) (check.LogTail, error) {
	return f.followLog(ctx, container)
}

func (f *fakeCluster) NodeRuntime(_ context.Context, node string) (string, error) {
	if f.nodeRuntime == nil {
		return "containerd://1.7.24", nil
	}
	return f.nodeRuntime(node)
}

// worker returns the activities of a worker on that cluster, and an environment that runs them.
func worker(cluster activities.Cluster) (*activities.Activities, *testsuite.TestActivityEnvironment) {
	a := &activities.Activities{
		Cluster: cluster, ReportingURL: func() string { return reportingURL }, Recorder: recorder,
		Runs: &fakeRuns{},
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	return a, env
}

// value reads the result of an activity that succeeded.
func value[T any](t *testing.T, encoded converter.EncodedValue, err error) (v T) {
	t.Helper()
	if err != nil {
		t.Fatalf("activity: %v", err)
	}
	if err := encoded.Get(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// present is a cluster in which the workload exists.
func present(w check.Workload) func(check.Ref) (check.Workload, bool, error) {
	return func(check.Ref) (check.Workload, bool, error) { return w, true, nil }
}

func absent(check.Ref) (check.Workload, bool, error) { return check.Workload{}, false, nil }

func validCheck() check.Workload {
	return check.Workload{
		Ref: checkRef, Timeout: "1m", Schedule: &check.ScheduleSpec{RunInterval: "5m"},
		PodSpec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example/check:1"}}},
	}
}

var tick = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func attempt(n int) activities.Attempt {
	return activities.Attempt{
		Key: activities.RecordKey{Ref: checkRef, Trigger: check.TriggerSchedule, Tick: tick}, UUID: runUUID, Number: n,
		Started: tick.Add(1), Deadline: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}
