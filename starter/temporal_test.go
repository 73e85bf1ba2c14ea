package starter_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	"go.temporal.io/sdk/workflow"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/needs"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/starter"
	"github.com/khronicle/khronicle/workflows"
)

// patience is the time that a real server may take for something that an idle machine does at once.
const patience = time.Minute

// devServer starts a real Temporal server. It is the binary that `make temporal` builds.
func devServer(t *testing.T) client.Client {
	t.Helper()
	binary, err := filepath.Abs("../bin/temporal")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		needs.Missing(t, "this test needs a real Temporal server: %v (make temporal builds it)", err)
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

// A real server behaves as the fake of these tests does, and accepts the requests of the starter.
func TestOnARealServer(t *testing.T) {
	temporal := devServer(t)
	t.Run("namespace", func(t *testing.T) { testNamespace(t, temporal) })
	t.Run("search attributes", func(t *testing.T) { testSearchAttributes(t, temporal) })
	if t.Failed() {
		return
	}
	w := worker.New(temporal, workflows.TaskQueue, worker.Options{})
	w.RegisterWorkflow(workflows.ScheduledCheck)
	w.RegisterWorkflow(workflows.RecordTicks)
	w.RegisterWorkflow(workflows.ManualRun)
	w.RegisterWorkflowWithOptions(runUntilTold, workflow.RegisterOptions{Name: workflows.CheckRunType})
	w.RegisterActivity(&activities.Activities{Cluster: askingNothing{}, Runs: runs{temporal: temporal}})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	for name, test := range map[string]func(*testing.T, realWorld){
		"revision":      testRevision,
		"suspension":    testSuspension,
		"replacement":   testReplacement,
		"gap":           testGap,
		"unfinished":    testUnfinished,
		"created anew":  testCreatedAnew,
		"ended by hand": testEndedByHand,
		"job runs once": testJobRunsOnce,
		"late start":    testLateStart,
		"requested":     testRequested,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := realWorld{cluster: newCluster(), temporal: temporal, namespace: strings.ReplaceAll(name, " ", "-")}
			w.cluster.namespaces = []string{w.namespace} // or each would end the schedules of the others
			test(t, w)
		})
	}
}

// testLateStart: a run whose workflow ID is occupied never starts, however late its tick asks for it.
func testLateStart(t *testing.T, w realWorld) {
	const runUUID = "0d9f3c54-7a8e-4f0b-9a53-2f1f6a0a7a10"
	ref := check.Ref{Kind: khv1.KHCheck, Namespace: w.namespace, Name: "cart"}
	taken, err := w.temporal.ExecuteWorkflow(t.Context(), workflows.NoRunOptions(runUUID, ref), workflows.NoRunType, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := workflows.CheckRunInput{Ref: ref, Trigger: check.TriggerSchedule, Timeout: time.Minute}
	refused := func(when string) {
		t.Helper()
		_, err := w.temporal.ExecuteWorkflow(t.Context(), workflows.RunOptions(runUUID, in), workflows.CheckRunType, in)
		var started *serviceerror.WorkflowExecutionAlreadyStarted
		if !errors.As(err, &started) {
			t.Errorf("%s: error %v, want the start of the run refused", when, err)
		}
	}
	refused("before the NoRun has ended")
	if err := w.temporal.TerminateWorkflow(t.Context(), runUUID, taken.GetRunID(), "test"); err != nil {
		t.Fatal(err)
	}
	refused("after it")
}

// runUntilTold is a CheckRun that ends when the test says so, or when it is cancelled.
func runUntilTold(ctx workflow.Context, _ workflows.CheckRunInput) (workflows.CheckRunResult, error) {
	workflow.NewSelector(ctx).
		AddReceive(workflow.GetSignalChannel(ctx, "end"), func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) }).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {}).
		Select(ctx)
	return workflows.CheckRunResult{Conclusion: check.Conclusion{Outcome: check.Succeeded}}, ctx.Err()
}

// askingNothing is a cluster whose checks ask for no run.
type askingNothing struct{ activities.Cluster }

func (askingNothing) Requested(check.Ref) (string, bool) { return "", false }

// runs starts runs as a worker does.
type runs struct {
	activities.Runs
	temporal client.Client
}

func (r runs) Start(ctx context.Context, run activities.Run) (time.Time, error) {
	in := workflows.CheckRunInput{Ref: run.Key.Ref, Trigger: run.Key.Trigger, Timeout: run.Timeout, Tick: run.Key.Tick}
	_, err := r.temporal.ExecuteWorkflow(ctx, workflows.RunOptions(run.UUID, in), workflows.CheckRunType, in)
	return run.Key.Tick, err
}

func (r runs) Open(ctx context.Context, uuid, _ string) (bool, error) {
	described, err := r.temporal.DescribeWorkflowExecution(ctx, uuid, "")
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return false, nil
	}
	return workflows.Open(described.GetWorkflowExecutionInfo().GetStatus()), err
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
	for _, name := range []string{"KhCheck", "KhNamespace", "KhOutcome", "KhRecord", "KhReported"} {
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
	namespace string
}

// run runs a starter until the test ends, or until stop is called.
func (w realWorld) run(t *testing.T, temporal starter.Temporal) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		// With one worker, the first entry in the queue is reconciled first.
		err := starter.Run(ctx, starter.Options{
			Cluster: w.cluster, Temporal: temporal, Logger: slog.New(slog.DiscardHandler), Workers: 1, Resync: 2 * time.Second,
		})
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

// witness is another check. Once it has a schedule, the starter has seen all earlier changes.
func (w realWorld) witness(t *testing.T) {
	t.Helper()
	w.cluster.apply(w.check("witness", every("1h")))
	w.await(t, workflows.ScheduledCheckID(w.namespace, "witness"), open)
}

func (w realWorld) id() string { return workflows.ScheduledCheckID(w.namespace, "cart") }

// first returns the workflow ID of the tick that starts the first run of a revision.
func (w realWorld) first(uid string, generation int64) string {
	return workflows.FirstRunID(check.Ref{Kind: khv1.KHCheck, Namespace: w.namespace, Name: "cart", UID: types.UID(uid), Generation: generation})
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
	canceled   = enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
)

func (w realWorld) await(t *testing.T, id string, want enumspb.WorkflowExecutionStatus) {
	t.Helper()
	eventually(t, id+" is "+want.String(), func() bool { return w.status(t, id) == want })
}

// startedBy waits for the run that a tick starts, and returns its UUID.
func (w realWorld) startedBy(t *testing.T, tick string) (uuid string) {
	t.Helper()
	w.await(t, tick, completed)
	uuid = w.runID(t, tick)
	w.await(t, uuid, open)
	return uuid
}

// end ends a run.
func (w realWorld) end(t *testing.T, uuid string) {
	t.Helper()
	if err := w.temporal.SignalWorkflow(t.Context(), uuid, "", "end", nil); err != nil {
		t.Fatal(err)
	}
	w.await(t, uuid, completed)
}

// openRuns are the run UUIDs of the runs of cart that are open.
func (w realWorld) openRuns(t *testing.T) (uuids []string) {
	t.Helper()
	page, err := w.temporal.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Query: "WorkflowType = 'CheckRun' AND KhNamespace = '" + w.namespace + "' AND KhCheck = 'cart' AND CloseTime IS NULL",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range page.GetExecutions() {
		if uuid := info.GetExecution().GetWorkflowId(); w.status(t, uuid) == open { // the list is behind
			uuids = append(uuids, uuid)
		}
	}
	return uuids
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

// The revision of a schedule is read back from the server. So a restarted starter does not change the schedule.
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
	run := w.startedBy(t, w.first(cartUID, 1))
	stop()

	schedule := w.runID(t, w.id())
	w.run(t, w.temporal)
	w.witness(t)
	if w.runID(t, w.id()) != schedule || w.status(t, run) != open {
		t.Error("the second starter started the schedule or its first run again")
	}
	w.cluster.forget(w.namespace, "cart")
	w.await(t, w.id(), terminated)
	w.await(t, run, canceled)
}

// tick starts the check with an interval of a second and returns the run of a tick, which is open.
func (w realWorld) tick(t *testing.T) (run string) {
	t.Helper()
	w.cluster.apply(w.check("cart", every("1s")))
	eventually(t, "there is a first run", func() bool { return w.describe(t, w.first(cartUID, 1), "") != nil })
	w.end(t, w.startedBy(t, w.first(cartUID, 1)))
	eventually(t, "a tick starts a run", func() bool {
		open := w.openRuns(t)
		if len(open) > 0 {
			run = open[0]
		}
		return run != ""
	})
	return run
}

// Suspending a check does not change its open run. The resumed check waits for that run.
func testSuspension(t *testing.T, w realWorld) {
	w.run(t, w.temporal)
	run := w.tick(t)
	w.cluster.apply(w.check("cart", every("1s"), suspended))
	eventually(t, "the schedule is replaced by a paused one", func() bool {
		return w.describe(t, w.id(), "").GetWorkflowExecutionInfo().GetExecutionTime().AsTime().After(time.Now().Add(time.Hour))
	})
	if got := w.status(t, run); got != open {
		t.Fatalf("the run is %s, want it to go on", got)
	}
	w.cluster.apply(w.check("cart", every("1h")))
	eventually(t, "the starter has seen that the check is resumed", func() bool { return w.cluster.asked("cart") > 2 })
	if w.describe(t, w.first(cartUID, 3), "") != nil {
		t.Error("the resumed check has a second run beside the open one")
	}
	w.end(t, run)
	eventually(t, "there is a first run of the resumed check", func() bool { return w.describe(t, w.first(cartUID, 3), "") != nil })
	w.await(t, w.id(), open)
}

// An edit each second or two, and a tick each second: two runs are never open at the same time.
func testReplacement(t *testing.T, w realWorld) {
	w.run(t, w.temporal)
	w.end(t, w.tick(t))
	for edit := range 6 {
		w.cluster.apply(w.check("cart", every(strconv.Itoa(1+edit%2)+"s")))
		first := w.first(cartUID, int64(edit+2))
		eventually(t, "the edit has its first run", func() bool {
			runs := w.openRuns(t)
			if len(runs) > 1 {
				t.Fatalf("the runs %v are open at a time", runs)
			}
			if len(runs) == 1 && w.describe(t, first, "") == nil {
				_ = w.temporal.SignalWorkflow(t.Context(), runs[0], "", "end", nil) // it may have ended
			}
			return w.describe(t, first, "") != nil
		})
		run := w.startedBy(t, first)
		w.end(t, run)
	}
}

// The ticks of a suspended check are recorded in one step, once, although beginning its schedule fails several times.
func testGap(t *testing.T, w realWorld) {
	stop := w.run(t, w.temporal)
	w.cluster.apply(w.check("cart", every("1s"), suspended))
	w.await(t, w.id(), open)
	eventually(t, "some ticks were due", func() bool {
		return time.Since(w.describe(t, w.id(), "").GetWorkflowExecutionInfo().GetStartTime().AsTime()) > 3*time.Second
	})
	stop()
	w.run(t, &refusing{Client: w.temporal, id: w.first(cartUID, 2), times: 4})
	w.cluster.apply(w.check("cart", every("1h")))
	eventually(t, "the resumed check has its first run", func() bool { return w.describe(t, w.first(cartUID, 2), "") != nil })
	var spans []activities.Span
	eventually(t, "the ticks are recorded", func() bool { spans = w.recorded(t); return len(spans) > 0 })
	for i, span := range spans {
		if span.Outcome != check.Paused || i > 0 && !spans[i-1].Through.Equal(span.After) {
			t.Errorf("span %d of %+v is not paused, or does not follow the one before", i, spans)
		}
	}
}

// recorded returns the spans of the workflows that record ticks of cart, in their order.
func (w realWorld) recorded(t *testing.T) (spans []activities.Span) {
	t.Helper()
	page, err := w.temporal.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Query: "WorkflowType = 'RecordTicks' AND KhNamespace = '" + w.namespace + "'",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range page.GetExecutions() {
		events := w.temporal.GetWorkflowHistory(t.Context(), info.GetExecution().GetWorkflowId(), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		var in activities.TicksInput
		if err := converter.GetDefaultDataConverter().FromPayloads(event.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in); err != nil {
			t.Fatal(err)
		}
		spans = append(spans, in.Spans...)
	}
	slices.SortFunc(spans, func(a, b activities.Span) int { return a.After.Compare(b.After) })
	return spans
}

// refusing is a Temporal that refuses some starts of one workflow.
type refusing struct {
	client.Client
	id    string
	times int
}

func (r *refusing) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	if o.ID == r.id && r.times > 0 {
		r.times--
		return nil, errors.New("unavailable")
	}
	return r.Client.ExecuteWorkflow(ctx, o, workflow, args...)
}

// A starter dies after the first run of an edit, before it begins the schedule. Then the check is edited again. Temporal's
// list names the run.
func testUnfinished(t *testing.T, w realWorld) {
	stop := w.run(t, w.temporal)
	w.cluster.apply(w.check("cart", every("1h")))
	eventually(t, "there is a first run", func() bool { return w.describe(t, w.first(cartUID, 1), "") != nil })
	w.end(t, w.startedBy(t, w.first(cartUID, 1)))
	stop()
	stop = w.run(t, &refusing{Client: w.temporal, id: w.id(), times: 1000})
	w.cluster.apply(w.check("cart", every("2h")))
	eventually(t, "there is a second first run", func() bool { return w.describe(t, w.first(cartUID, 2), "") != nil })
	run := w.startedBy(t, w.first(cartUID, 2))
	eventually(t, "the list names the run", func() bool { return slices.Contains(w.openRuns(t), run) })
	stop()
	w.cluster.apply(w.check("cart", every("3h")))
	w.run(t, w.temporal)
	w.witness(t)
	if w.describe(t, w.first(cartUID, 3), "") != nil {
		t.Error("a run of the third revision starts beside that of the second")
	}
	w.end(t, run)
	w.await(t, w.id(), open)
	w.startedBy(t, w.first(cartUID, 3))
}

// A check that is deleted and created again under its name, while a run is open, begins when that run has ended.
func testCreatedAnew(t *testing.T, w realWorld) {
	w.run(t, w.temporal)
	run := w.tick(t)
	w.cluster.apply(w.check("cart", every("1h"), anew))
	w.await(t, run, canceled)
	eventually(t, "the new check has its first run", func() bool { return w.describe(t, w.first("uid-of-another-cart", 1), "") != nil })
	w.startedBy(t, w.first("uid-of-another-cart", 1))
	w.await(t, w.id(), open)
}

// By one list, the resync finds that somebody terminated a schedule.
func testEndedByHand(t *testing.T, w realWorld) {
	w.run(t, w.temporal)
	w.cluster.apply(w.check("cart", every("1h")))
	w.await(t, w.id(), open)
	w.end(t, w.startedBy(t, w.first(cartUID, 1)))
	before := w.runID(t, w.id())
	if err := w.temporal.TerminateWorkflow(t.Context(), w.id(), "", "by hand"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is another schedule", func() bool { return w.runID(t, w.id()) != before })
	w.await(t, w.id(), open)
}

func testJobRunsOnce(t *testing.T, w realWorld) {
	w.run(t, w.temporal)
	job := smoke("")
	job.Namespace, job.CreationTimestamp = w.namespace, metav1.Now()
	id := workflows.JobRunID(check.FromJob(job).Ref)
	w.cluster.apply(job)
	w.end(t, w.startedBy(t, id))
	before := w.runID(t, id)

	w.cluster.apply(job)
	w.witness(t)
	if w.runID(t, id) != before {
		t.Error("the job was started again")
	}
}

// testRequested: a value starts one run, which waits for the open one. Its outcome is read back, also after the status was
// lost.
func testRequested(t *testing.T, w realWorld) {
	c := w.check("cart", every("1h"))
	w.cluster.apply(c)
	stop := w.run(t, w.temporal)
	before := w.startedBy(t, w.first(cartUID, 1))
	w.await(t, w.id(), open)
	id := workflows.RequestedRunID(check.FromCheck(c).Ref, "1")
	w.cluster.annotate(w.namespace, "cart", protocol.AnnotationRequestedAt, "1")
	w.awaitRequest(t, khv1.RequestWaiting)
	w.end(t, before)
	uuid := w.runID(t, id)
	w.await(t, uuid, open)
	if shown := w.awaitRequest(t, khv1.RequestRunning); shown.RunUUID != "" {
		t.Error("the status shows the UUID of a run that is open")
	}
	stop()
	w.run(t, w.temporal)
	w.end(t, uuid)
	for _, when := range []string{"at first", "after its status was lost"} {
		if shown := w.awaitRequest(t, khv1.RequestEnded); shown.Outcome != string(check.Succeeded) || shown.RunUUID != uuid {
			t.Errorf("%s: request %+v, want the outcome of %s", when, shown, uuid)
		}
		w.cluster.mu.Lock()
		present := w.cluster.checks[w.namespace+"/cart"].DeepCopy()
		present.Status, present.ResourceVersion = khv1.CheckStatus{}, "lost"
		w.cluster.checks[w.namespace+"/cart"] = present
		w.cluster.mu.Unlock()
	}
	if again := w.runID(t, id); again != uuid {
		t.Errorf("the value has started another run, %s", again)
	}
}

// awaitRequest waits until the status of cart shows a request in a phase.
func (w realWorld) awaitRequest(t *testing.T, phase khv1.RunRequestPhase) (shown khv1.RunRequest) {
	t.Helper()
	eventually(t, "the request is "+string(phase), func() bool {
		w.cluster.mu.Lock()
		defer w.cluster.mu.Unlock()
		last := w.cluster.checks[w.namespace+"/cart"].Status.LastRequest
		if last != nil {
			shown = *last
		}
		return last != nil && last.Phase == phase
	})
	return shown
}

// A namespace that is missing is made, one that exists is left as it is, and several may ask at once.
func testNamespace(t *testing.T, temporal client.Client) {
	t.Helper()
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			end := time.Now().Add(patience)
			err := starter.EnsureNamespace(t.Context(), temporal, "made-here", 72*time.Hour)
			for ; err != nil && time.Now().Before(end); err = starter.EnsureNamespace(t.Context(), temporal, "made-here", 72*time.Hour) {
				time.Sleep(50 * time.Millisecond)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if err := starter.EnsureNamespace(t.Context(), temporal, "made-here", 24*time.Hour); err != nil {
		t.Error(err)
	}
	described, err := temporal.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "made-here"})
	if kept := described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); err != nil || kept != 72*time.Hour {
		t.Errorf("the namespace has a retention of %s, error %v, want 72h", kept, err)
	}
}
