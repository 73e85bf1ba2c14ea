package workflows_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/internal/telemetry"
	"github.com/khronicle/khronicle/workflows"
)

// runUUID is the workflow ID of a CheckRun, and tickRunID the run ID of a ScheduledCheck or ManualRun.
const (
	runUUID   = "6f6cf0a5-2d3a-4c9b-8f4e-1f5f0f6f7a11"
	tickRunID = "0b7e7a52-6c3a-4f0e-9d43-7f1a6c1f2b33"
)

var (
	checkRef = check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: "u-1", Generation: 1}
	jobRef   = check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "cart", UID: "u-2", Generation: 1}
	tick     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// anything matches any argument of a mocked activity.
var anything = mock.Anything

// errUnanswered ends an activity without a further try, as its timeouts would.
var errUnanswered = temporal.NewNonRetryableApplicationError("no answer", "Unanswered", nil)

// newEnv makes an environment with all workflows and activities. It writes what runs into steps, in order. A local activity
// is written as "local NAME".
func newEnv(t *testing.T, metrics client.MetricsHandler) (env *testsuite.TestWorkflowEnvironment, steps *[]string) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	if metrics != nil {
		suite.SetMetricsHandler(metrics)
	}
	env, steps = suite.NewTestWorkflowEnvironment(), new([]string)
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(workerOptions(&completing{}))
	workflows.Register(env)
	env.RegisterActivity(&activities.Activities{})
	env.SetOnLocalActivityStartedListener(func(info *activity.Info, _ context.Context, _ []any) {
		*steps = append(*steps, "local "+info.ActivityType.Name)
	})
	env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		*steps = append(*steps, info.ActivityType.Name)
	})
	return env, steps
}

// workerOptions regard a workflow as hung only after some seconds. On a busy machine, it may not get the processor for one
// second.
func workerOptions(interceptors ...interceptor.WorkerInterceptor) worker.Options {
	return worker.Options{Interceptors: interceptors, DeadlockDetectionTimeout: time.Minute}
}

// completing does what the test environment does not: it gives a workflow its OriginalRunID, and shows how children start.
type completing struct {
	interceptor.WorkerInterceptorBase
	started func(workflow.ChildWorkflowOptions)
}

func (c *completing) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &completingIn{interceptor.WorkflowInboundInterceptorBase{Next: next}, c}
}

type completingIn struct {
	interceptor.WorkflowInboundInterceptorBase
	*completing
}

func (i *completingIn) Init(next interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&completingOut{interceptor.WorkflowOutboundInterceptorBase{Next: next}, i.completing})
}

type completingOut struct {
	interceptor.WorkflowOutboundInterceptorBase
	*completing
}

func (o *completingOut) GetInfo(ctx workflow.Context) *workflow.Info {
	info := *o.Next.GetInfo(ctx)
	info.OriginalRunID = tickRunID
	return &info
}

func (o *completingOut) ExecuteChildWorkflow(ctx workflow.Context, name string, args ...any) workflow.ChildWorkflowFuture {
	if o.started != nil {
		o.started(workflow.GetChildWorkflowOptions(ctx))
	}
	return o.Next.ExecuteChildWorkflow(ctx, name, args...)
}

func newMetrics(t *testing.T) telemetry.Metrics {
	t.Helper()
	metrics := telemetry.NewMetrics()
	return metrics
}

// counted returns a counter by workload, check, namespace and outcome.
func counted(t *testing.T, metrics telemetry.Metrics, name string) map[string]float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			values[labels["workload"]+" "+labels["check"]+" "+labels["check_namespace"]+" "+labels["outcome"]] = metric.GetCounter().GetValue()
		}
	}
	return values
}

// world simulates the cluster and the ledger. It answers the activities of one run and remembers what they did.
type world struct {
	env   *testsuite.TestWorkflowEnvironment
	steps *[]string

	create func(activities.Attempt) (activities.CreatePodResult, error)
	// watch is what WatchPod sees, and when. afterReport is what it sees after the report, if the pod has several containers.
	watch, afterReport           func() (check.Observation, error)
	watchTakes, afterReportTakes time.Duration
	// look is how LookAtPod finds a pod that was not deleted.
	look func() (check.Observation, error)
	// stuck pods stay when they are deleted.
	stuck bool
	// deleteTakes is how long DeletePod takes, and evidenceTakes KeepEvidence.
	deleteTakes, evidenceTakes time.Duration
	// queue is how long AwaitStart takes, and queueNotes what it notes.
	queue      time.Duration
	queueNotes []string
	// recordErrors are returned by RecordOutcome before it succeeds.
	recordErrors []error
	// phaseErrors is how often SetJobPhase fails before it succeeds.
	phaseErrors int
	// hasRun is the answer of JobHasRun.
	hasRun bool
	// deleted is true when RecordOutcome finds the check deleted.
	deleted bool
	// ledger is the ledger's answer to a record.
	ledger func(activities.RecordInput) error
	// evidence is what KeepEvidence answers.
	evidence func(activities.EvidenceInput) (activities.EvidenceResult, error)
	// atTheEnd happens when the record of the run is entered for the first time, and whileDeleting when a pod is deleted.
	atTheEnd, whileDeleting func()

	// mu guards what follows: each activity runs in a goroutine of its own, and two of them may run at the same time.
	mu       sync.Mutex
	created  []activities.Attempt
	watched  []activities.WatchInput
	outcomes []activities.RecordOutcomeInput
	records  []activities.RecordInput
	kept     []activities.EvidenceInput
	removed  []string
	phases   []khv1.JobPhase
	// attributes are the search attributes at the end.
	attributes temporal.SearchAttributes
}

func running() (check.Observation, error) {
	return check.Observation{Started: true, Node: "node-1"}, nil
}

func exited() (check.Observation, error) {
	return check.Observation{Started: true, Ended: true, Node: "node-1", Detail: "all containers exited with code 0"}, nil
}

func crashed() (check.Observation, error) {
	return check.Observation{Started: true, Ended: true, Detail: "container main exited with code 1 (Error)"}, nil
}

func hopeless(reason string) func() (check.Observation, error) {
	return func() (check.Observation, error) { return check.Observation{Hopeless: reason}, nil }
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newMeasuredWorld(t, nil)
}

// newMeasuredWorld makes a world whose pod exits after 11 seconds.
func newMeasuredWorld(t *testing.T, metrics client.MetricsHandler) *world {
	t.Helper()
	w := &world{
		watch: exited, afterReport: running, look: running, watchTakes: 11 * time.Second, afterReportTakes: time.Second,
		create: func(activities.Attempt) (activities.CreatePodResult, error) { return activities.CreatePodResult{}, nil },
		ledger: func(activities.RecordInput) error { return nil },
		evidence: func(activities.EvidenceInput) (activities.EvidenceResult, error) {
			return activities.EvidenceResult{}, nil
		},
	}
	w.env, w.steps = newEnv(t, metrics)
	w.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: runUUID})
	w.mockPods()
	w.mockRecords()
	return w
}

// remember appends a value to what a world has seen.
func remember[T any](w *world, list *[]T, value T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, value)
}

func (w *world) isRemoved(pod string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.removed, pod)
}

func (w *world) mockPods() {
	var a *activities.Activities
	w.env.OnActivity(a.CreatePod, anything, anything).Return(func(_ context.Context, in activities.Attempt) (activities.CreatePodResult, error) {
		remember(w, &w.created, in)
		return w.create(in)
	}).Maybe()
	w.env.OnActivity(a.AwaitStart, anything, anything).Return(func(context.Context, activities.Attempt) (activities.AwaitStartResult, error) {
		return activities.AwaitStartResult{Notes: w.queueNotes}, nil
	}).AfterFn(func() time.Duration { return w.queue }).Maybe()
	reporter := func(in activities.WatchInput) bool { return !in.Reported.IsZero() && in.Containers > 1 }
	watching := func(see func() (check.Observation, error)) func(context.Context, activities.WatchInput) (check.Observation, error) {
		return func(_ context.Context, in activities.WatchInput) (check.Observation, error) {
			remember(w, &w.watched, in)
			return see()
		}
	}
	w.env.OnActivity(a.WatchPod, anything, mock.MatchedBy(reporter)).
		Return(watching(func() (check.Observation, error) { return w.afterReport() })).
		AfterFn(func() time.Duration { return w.afterReportTakes }).Maybe()
	w.env.OnActivity(a.WatchPod, anything, mock.MatchedBy(func(in activities.WatchInput) bool { return !reporter(in) })).
		Return(watching(func() (check.Observation, error) { return w.watch() })).
		AfterFn(func() time.Duration { return w.watchTakes }).Maybe()
	w.env.OnActivity(a.LookAtPod, anything, anything).Return(func(_ context.Context, pod activities.Pod) (check.Observation, error) {
		if !w.stuck && w.isRemoved(pod.Name) {
			return check.Observation{Gone: true}, nil
		}
		return w.look()
	}).Maybe()
	w.env.OnActivity(a.DeletePod, anything, anything).Return(func(_ context.Context, pod activities.Pod) error {
		remember(w, &w.removed, pod.Name)
		if w.whileDeleting != nil {
			w.whileDeleting()
		}
		return nil
	}).AfterFn(func() time.Duration { return w.deleteTakes }).Maybe()
}

func (w *world) mockRecords() {
	var a *activities.Activities
	w.env.OnActivity(a.RecordOutcome, anything, anything).Return(func(_ context.Context, in activities.RecordOutcomeInput) (activities.RecordOutcomeResult, error) {
		if len(w.recordErrors) > 0 {
			err := w.recordErrors[0]
			w.recordErrors = w.recordErrors[1:]
			return activities.RecordOutcomeResult{}, err
		}
		remember(w, &w.outcomes, in)
		return activities.RecordOutcomeResult{CheckGone: w.deleted}, nil
	}).Maybe()
	w.env.OnActivity(a.RecordRun, anything, anything).Return(func(_ context.Context, in activities.RecordInput) error {
		if w.atTheEnd != nil {
			w.atTheEnd()
			w.atTheEnd = nil
		}
		err := w.ledger(in)
		if err == nil {
			remember(w, &w.records, in)
		}
		return err
	}).Maybe()
	w.env.OnActivity(a.KeepEvidence, anything, anything).Return(func(_ context.Context, in activities.EvidenceInput) (activities.EvidenceResult, error) {
		remember(w, &w.kept, in)
		return w.evidence(in)
	}).AfterFn(func() time.Duration { return w.evidenceTakes }).Maybe()
	w.env.OnActivity(a.SetJobPhase, anything, anything).Return(func(_ context.Context, in activities.SetJobPhaseInput) error {
		if w.phaseErrors--; w.phaseErrors >= 0 {
			return errors.New("connection refused")
		}
		remember(w, &w.phases, in.Phase)
		return nil
	}).Maybe()
	w.env.OnActivity(a.JobHasRun, anything, anything).Return(func(context.Context, activities.RecordKey) (bool, error) {
		return w.hasRun, nil
	}).Maybe()
	w.env.OnUpsertTypedSearchAttributes(mock.MatchedBy(func(attributes temporal.SearchAttributes) bool {
		w.attributes = attributes
		return true
	})).Return(nil).Maybe()
}

// reportAfter sends a report into the run.
func (w *world) reportAfter(delay time.Duration, errs ...string) {
	w.env.RegisterDelayedCallback(func() { w.report(errs...) }, delay)
}

func (w *world) report(errs ...string) {
	w.env.SignalWorkflow(workflows.ReportSignal, status.NewReport(errs))
}

// reportReceived sends a report that the report API received some time before.
func (w *world) reportReceived(before time.Duration, errs ...string) {
	w.reportStamped(w.env.Now().Add(-before), errs...)
}

// reportStamped sends a report with the stamp of the report API.
func (w *world) reportStamped(received time.Time, errs ...string) {
	w.env.SignalWorkflow(workflows.ReportSignal, workflows.Report{Report: status.NewReport(errs), Received: received})
}

// creates sets the answer of CreatePod.
func (w *world) creates(result activities.CreatePodResult) {
	w.create = func(activities.Attempt) (activities.CreatePodResult, error) { return result, nil }
}

// execute runs a CheckRun with a timeout of one minute to its end.
func (w *world) execute(t *testing.T, ref check.Ref) (workflows.CheckRunResult, error) {
	t.Helper()
	return w.executeInput(t, workflows.CheckRunInput{Ref: ref, Trigger: check.TriggerSchedule, Timeout: time.Minute, Tick: tick})
}

func (w *world) executeInput(t *testing.T, in workflows.CheckRunInput) (result workflows.CheckRunResult, err error) {
	t.Helper()
	w.env.ExecuteWorkflow(workflows.CheckRun, in)
	if !w.env.IsWorkflowCompleted() {
		t.Fatal("the run did not end")
	}
	if err := w.env.GetWorkflowError(); err != nil {
		return result, err
	}
	if err := w.env.GetWorkflowResult(&result); err != nil {
		t.Fatal(err)
	}
	return result, nil
}

// texts are the errors of each recorded outcome, in turn.
func (w *world) texts() [][]string {
	var all [][]string
	for _, in := range w.outcomes {
		all = append(all, in.Conclusion.Errors)
	}
	return all
}

// results are the results in the records that the ledger took, in turn.
func (w *world) results() []check.Outcome {
	var all []check.Outcome
	for _, record := range w.records {
		all = append(all, record.Conclusion.Outcome)
	}
	return all
}

// podOf is the name of the pod of an attempt.
func podOf(ref check.Ref, attempt int) string {
	return check.Attempt{UUID: runUUID, Attempt: attempt}.PodName(ref.Name)
}
