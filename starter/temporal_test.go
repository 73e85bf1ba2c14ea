package starter_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/starter"
	"github.com/khronicle/khronicle/workflows"
)

// patience is how long a real server may take for what it does at once on a machine with time to spare.
const patience = time.Minute

// devServer starts a real Temporal server. It is the binary that `make temporal` builds.
func devServer(t *testing.T) client.Client {
	t.Helper()
	binary, err := filepath.Abs("../bin/temporal")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("needs a real Temporal server, and there is none: %v (make temporal builds it)", err)
	}
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	server, err := testsuite.StartDevServer(t.Context(), testsuite.DevServerOptions{
		ExistingPath: binary, LogLevel: "error", Stdout: io.Discard, Stderr: io.Discard,
		ClientOptions: &client.Options{Logger: quiet},
	})
	if err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	t.Cleanup(func() {
		server.Client().Close()
		if err := server.Stop(); err != nil {
			t.Errorf("stop Temporal: %v", err)
		}
	})
	return server.Client()
}

// What the fake of these tests stands for is true of a real server, and a real server takes what the starter asks for.
func TestOnARealServer(t *testing.T) {
	temporal := devServer(t)
	t.Run("search attributes", func(t *testing.T) { testSearchAttributes(t, temporal) })
	if t.Failed() {
		return
	}
	pods := newPods()
	w := worker.New(temporal, workflows.TaskQueue, worker.Options{})
	workflows.Register(w)
	w.RegisterActivity(&activities.Activities{
		Cluster: pods, Recorder: "worker-1",
		ReportingURL: func() string { return "http://nowhere.invalid" }, Retention: check.DefaultRetention,
	})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	for name, test := range map[string]func(*testing.T, realWorld){
		"revision":      testRevision,
		"suspension":    testSuspension,
		"replacement":   testReplacement,
		"made anew":     testMadeAnew,
		"job runs once": testJobRunsOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := realWorld{cluster: newCluster(), temporal: temporal, pods: pods, namespace: strings.ReplaceAll(name, " ", "-")}
			w.cluster.namespaces = []string{w.namespace} // or each would end the schedules of the others
			test(t, w)
		})
	}
}

func testSearchAttributes(t *testing.T, temporal client.Client) {
	for range 2 {
		if err := starter.EnsureSearchAttributes(t.Context(), temporal, "default"); err != nil {
			t.Fatal(err)
		}
	}
	present, err := temporal.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"KhCheck", "KhNamespace", "KhOutcome"} {
		if got := present.GetCustomAttributes()[name]; got != enumspb.INDEXED_VALUE_TYPE_KEYWORD {
			t.Errorf("search attribute %s is of type %s, want Keyword", name, got)
		}
	}
	err = starter.EnsureSearchAttributes(t.Context(), temporal, "nowhere")
	if err == nil || !strings.Contains(err.Error(), "search attributes of Temporal namespace nowhere: ") {
		t.Errorf("error %v, want one that names the Temporal namespace", err)
	}
}

// realWorld is one test on the real server, with the check cart in a namespace of its own.
type realWorld struct {
	cluster   *fakeCluster
	temporal  client.Client
	pods      *pods
	namespace string
}

// run runs a starter until the test ends, or until stop is called.
func (w realWorld) run(t *testing.T, temporal starter.Temporal) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		// One worker: what was enqueued first is reconciled first.
		err := starter.Run(ctx, starter.Options{Cluster: w.cluster, Temporal: temporal, Logger: slog.New(slog.DiscardHandler), Workers: 1})
		if err != nil {
			t.Errorf("starter ended with %v", err)
		}
	})
	stop = func() { cancel(); ended.Wait() }
	t.Cleanup(stop)
	return stop
}

func (w realWorld) check(name string, changes ...func(*khv1.KuberhealthyCheck)) *khv1.KuberhealthyCheck {
	return cart(append(changes, func(c *khv1.KuberhealthyCheck) { c.Namespace, c.Name = w.namespace, name })...)
}

// witness is another check. Once it is scheduled, the starter has looked at what was changed before.
func (w realWorld) witness(t *testing.T) {
	t.Helper()
	w.cluster.apply(w.check("witness", every("1h")))
	w.await(t, workflows.ScheduledCheckID(w.namespace, "witness"), open)
}

func (w realWorld) id() string { return workflows.ScheduledCheckID(w.namespace, "cart") }

// first returns the workflow ID of the first run of a revision.
func (w realWorld) first(uid string, generation int64) string {
	return workflows.FirstRunOf(w.id(), workflows.Revision{UID: uid, Generation: generation})
}

// describe returns the newest workflow of that ID, nil if there is none.
func (w realWorld) describe(t *testing.T, id, runID string) *workflowservice.DescribeWorkflowExecutionResponse {
	t.Helper()
	described, err := w.temporal.DescribeWorkflowExecution(t.Context(), id, runID)
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return described
}

func (w realWorld) status(t *testing.T, id string) enumspb.WorkflowExecutionStatus {
	t.Helper()
	return w.describe(t, id, "").GetWorkflowExecutionInfo().GetStatus()
}

func (w realWorld) runID(t *testing.T, id string) string {
	t.Helper()
	return w.describe(t, id, "").GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

const (
	open       = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	completed  = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	terminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
)

func (w realWorld) await(t *testing.T, id string, want enumspb.WorkflowExecutionStatus) {
	t.Helper()
	eventually(t, id+" is "+want.String(), func() bool { return w.status(t, id) == want })
}

// child waits for the run of a workflow and returns its workflow ID.
func (w realWorld) child(t *testing.T, id string) (child string) {
	t.Helper()
	eventually(t, id+" has a run in flight", func() bool {
		for _, pending := range w.describe(t, id, "").GetPendingChildren() {
			if pending.GetWorkflowTypeName() == "CheckRun" && pending.GetRunId() != "" {
				child = pending.GetWorkflowId()
			}
		}
		return child != ""
	})
	return child
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// The revision that a schedule was started for is read back from the server: a starter that starts again leaves the
// schedule as it is.
func testRevision(t *testing.T, w realWorld) {
	w.cluster.apply(w.check("cart", every("1h")))
	stop := w.run(t, w.temporal)
	w.await(t, w.id(), open)
	described := w.describe(t, w.id(), "")
	var revision workflows.Revision
	memo := described.GetWorkflowExecutionInfo().GetMemo().GetFields()["khronicleRevision"]
	if err := converter.GetDefaultDataConverter().FromPayload(memo, &revision); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(workflows.Revision{UID: cartUID, Generation: 1}, revision); diff != "" {
		t.Errorf("revision differs (-want +got):\n%s", diff)
	}
	w.await(t, w.first(cartUID, 1), open)
	stop()

	schedule, run := w.runID(t, w.id()), w.runID(t, w.first(cartUID, 1))
	w.run(t, w.temporal)
	w.witness(t)
	if w.runID(t, w.id()) != schedule || w.runID(t, w.first(cartUID, 1)) != run {
		t.Error("the second starter started the schedule or its first run again")
	}
	w.cluster.forget(w.namespace, "cart")
	w.await(t, w.id(), terminated)
}

// A schedule that is ended leaves its run in flight alone; the resumed check waits for it.
func testSuspension(t *testing.T, w realWorld) {
	w.run(t, w.temporal)
	run := w.tick(t)
	ticking := w.runID(t, w.id())
	w.cluster.apply(w.check("cart", every("1s"), suspended))
	eventually(t, "the schedule is replaced by a paused one", func() bool { return w.runID(t, w.id()) != ticking })
	paused := w.runID(t, w.id())
	eventually(t, "the paused schedule ticks", func() bool { return w.runID(t, w.id()) != paused })
	if got := w.status(t, run); got != open {
		t.Fatalf("the run in flight is %s, want it to go on", got)
	}
	w.cluster.apply(w.check("cart", every("1h")))
	eventually(t, "the starter has seen that the check is resumed", func() bool { return w.cluster.asked("cart") > 2 })
	if w.describe(t, w.first(cartUID, 3), "") != nil {
		t.Error("the resumed check has a second run beside the one in flight")
	}
	w.pods.end(run)
	w.await(t, run, completed)
	w.await(t, w.first(cartUID, 3), open)
	w.await(t, w.id(), open)
}

// tick starts the check with an interval of a second and returns the run of a tick, in flight.
func (w realWorld) tick(t *testing.T) (run string) {
	t.Helper()
	w.cluster.apply(w.check("cart", every("1s")))
	w.await(t, w.first(cartUID, 1), open)
	w.pods.end(w.child(t, w.first(cartUID, 1)))
	w.await(t, w.first(cartUID, 1), completed)
	return w.child(t, w.id())
}

// blind sees no children, as if each run began after it was looked for.
type blind struct{ client.Client }

func (b blind) DescribeWorkflowExecution(ctx context.Context, id, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	described, err := b.Client.DescribeWorkflowExecution(ctx, id, runID)
	if described != nil {
		described.PendingChildren = nil
	}
	return described, err
}

// A run that begins in the moment in which its schedule is replaced goes on, under the spec that it began with.
func testReplacement(t *testing.T, w realWorld) {
	w.run(t, blind{w.temporal})
	run := w.tick(t)
	before := w.runID(t, w.id())
	w.cluster.apply(w.check("cart", every("1h")))
	eventually(t, "the schedule is replaced", func() bool { return w.runID(t, w.id()) != before })
	if got := w.describe(t, w.id(), before).GetWorkflowExecutionInfo().GetStatus(); got != terminated {
		t.Errorf("the schedule before is %s, want terminated", got)
	}
	w.await(t, w.id(), open)
	w.await(t, w.first(cartUID, 2), open)
	if got := w.status(t, run); got != open {
		t.Fatalf("the run in flight is %s, want it to go on", got)
	}
	w.pods.end(run)
	w.await(t, run, completed)
}

// A check that is deleted and made anew under its name while a run is in flight begins anew once that run has ended: the
// server names the children of an ended schedule for ever.
func testMadeAnew(t *testing.T, w realWorld) {
	w.run(t, w.temporal)
	run := w.tick(t)
	w.pods.hold(run)
	w.cluster.forget(w.namespace, "cart")
	w.await(t, w.id(), terminated)
	eventually(t, "the run in flight is told to end", func() bool { return w.pods.told(run) })
	w.cluster.apply(w.check("cart", every("1h"), anew))
	w.pods.end(run)
	w.await(t, w.first("uid-of-another-cart", 1), open)
	w.await(t, w.id(), open)
	if got := w.status(t, run); got == open {
		t.Error("the new check runs beside the run of the old one")
	}
	if children := w.describe(t, w.id(), "").GetPendingChildren(); len(children) != 0 {
		t.Errorf("the new schedule has the children %v", children)
	}
}

func testJobRunsOnce(t *testing.T, w realWorld) {
	w.run(t, w.temporal)
	job := smoke("")
	job.Namespace = w.namespace
	id := workflows.JobRunID(check.FromJob(job).Ref)
	w.cluster.apply(job)
	w.await(t, id, open)
	w.pods.end(w.child(t, id))
	w.await(t, id, completed)
	before := w.runID(t, id)

	w.cluster.apply(job)
	w.witness(t)
	if w.runID(t, id) != before {
		t.Error("the job was started again")
	}
}

// pods plays the cluster of the worker: each pod runs until the test ends it, or until it is deleted.
type pods struct {
	mu      sync.Mutex
	over    map[string]bool // the pods that have ended
	held    map[string]bool // the pods that do not end when they are deleted
	deleted map[string]bool
	changed chan struct{}
}

func newPods() *pods {
	return &pods{over: map[string]bool{}, held: map[string]bool{}, deleted: map[string]bool{}, changed: make(chan struct{})}
}

// end ends the pod of a run; the others run on.
func (p *pods) Watches(string) bool { return true }

func (p *pods) end(run string) { p.set(p.over, run) }

// hold keeps the pod of a run until it is ended.
func (p *pods) hold(run string) { p.set(p.held, run) }

// told is true when the pod of a run was deleted.
func (p *pods) told(run string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deleted[check.ID(run)]
}

func (p *pods) set(what map[string]bool, run string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what[check.ID(run)] = true
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pods) AwaitPod(ctx context.Context, _, name string, until func(check.Observation) bool) (check.Observation, error) {
	for {
		p.mu.Lock()
		observed, changed := check.Observation{Started: true, Ended: p.over[runOf(name)]}, p.changed
		p.mu.Unlock()
		if until(observed) {
			return observed, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return check.Observation{}, context.Cause(ctx)
		}
	}
}

// runOf returns the ID of a pod's run, which is the end of its name.
func runOf(pod string) string { return pod[strings.LastIndex(pod, "-")+1:] }

func (p *pods) DeletePod(_ context.Context, _, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deleted[runOf(name)] = true
	if !p.held[runOf(name)] {
		p.over[runOf(name)] = true
	}
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

func (p *pods) Workload(_ context.Context, ref check.Ref) (check.Workload, bool, error) {
	return check.Workload{Ref: ref, Timeout: "5m", PodSpec: podSpec()}, true, nil
}

func (p *pods) CreatePod(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) { return pod, nil }

func (p *pods) LivePod(context.Context, string, string) (*corev1.Pod, error) { return nil, nil }

func (p *pods) PodsOf(string, string) []*corev1.Pod { return nil }

func (p *pods) WriteState(context.Context, string, string, func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
	return nil
}

func (p *pods) SetJobPhase(context.Context, check.Ref, khv1.JobPhase) error { return nil }

// There is no ledger, so nothing of a pod that failed is asked for.

func (p *pods) Pod(string, string) (*corev1.Pod, bool) { return nil, false }

func (p *pods) PodEvents(context.Context, string, string) ([]corev1.Event, error) { return nil, nil }

func (p *pods) PodLog(context.Context, string, string, string) (check.LogTail, error) {
	return check.LogTail{}, nil
}

func (p *pods) FollowPodLog(context.Context, string, string, string) (check.LogTail, error) {
	return check.LogTail{}, nil
}
