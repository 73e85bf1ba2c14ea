package starter_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// execution is one execution of a workflow in the fake Temporal.
type execution struct {
	client.StartWorkflowOptions
	workflowType, runID            string
	input                          any
	result                         any
	last                           *workflows.ScheduledCheckResult
	status                         enumspb.WorkflowExecutionStatus
	started, executionTime, closed time.Time
	cancelled                      bool
}

func (e execution) open() bool { return workflows.Open(e.status) }

// fakeTemporal keeps the newest execution of each workflow and does with them what Temporal and a worker do.
type fakeTemporal struct {
	mu        sync.Mutex
	workflows map[string]*execution
	runs      int // counts run IDs
	// did are the changes that the starter made, and described the workflows that it described.
	did, described []string
	// errors are the answers to the next calls, by "method" or "method ID".
	errors map[string][]error
	// before is called before each start, and beforeEnd before each termination.
	before, beforeEnd func(id string)
	// idle is true while no worker is there: no tick decides.
	idle bool
}

func newTemporal() *fakeTemporal {
	return &fakeTemporal{workflows: map[string]*execution{}, errors: map[string][]error{}}
}

// failNext makes the next calls fail, by "method" or "method ID".
func (f *fakeTemporal) failNext(call string, errs ...error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors[call] = append(f.errors[call], errs...)
}

// prepared returns the errors that no call has had yet.
func (f *fakeTemporal) prepared(call string) []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errors[call]
}

// forget forgets what was asked for.
func (f *fakeTemporal) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = nil
}

func (f *fakeTemporal) setIdle(idle bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = idle
}

func (f *fakeTemporal) setBefore(before func(id string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

func (f *fakeTemporal) setBeforeEnd(beforeEnd func(id string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beforeEnd = beforeEnd
}

// hooks returns before and beforeEnd.
func (f *fakeTemporal) hooks() (before, beforeEnd func(id string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.before, f.beforeEnd
}

// fail returns the error that was prepared for a call, and removes it.
func (f *fakeTemporal) fail(method, id string) error {
	for _, key := range []string{method, method + " " + id} {
		if prepared := f.errors[key]; len(prepared) > 0 {
			f.errors[key] = prepared[1:]
			return prepared[0]
		}
	}
	return nil
}

// started is the answer to a start.
type started struct {
	client.WorkflowRun
	runID string
}

func (s started) GetRunID() string { return s.runID }

func (f *fakeTemporal) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	if before, _ := f.hooks(); before != nil {
		before(o.ID)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := f.fail("execute", o.ID); err != nil {
		return nil, err
	}
	if present, ok := f.workflows[o.ID]; ok && (present.open() || o.WorkflowIDReusePolicy == enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE) {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("already started", "", present.runID)
	}
	var input any
	if len(args) > 0 {
		input = args[0]
	}
	w := f.put(o, nameOf(workflow), input)
	switch {
	case o.ID == workflows.HousekeepingID:
	case w.workflowType == "RecordTicks":
		f.did = append(f.did, "record ticks")
	case w.workflowType == workflows.NoRunType:
		f.did = append(f.did, refused)
	default:
		f.did = append(f.did, "start "+o.ID)
	}
	if in, ok := input.(workflows.ScheduledCheckInput); ok && o.CronSchedule == "" && !f.idle {
		f.decide(w, in)
	}
	return started{runID: w.runID}, nil
}

// refused is how a change is listed that prevents a tick from starting its run.
const refused = "refuse run"

// nameOf is the type of a workflow, as Temporal derives it from the function.
func nameOf(workflow any) string {
	if name, ok := workflow.(string); ok {
		return name
	}
	name := runtime.FuncForPC(reflect.ValueOf(workflow).Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}

func (f *fakeTemporal) put(o client.StartWorkflowOptions, workflowType string, input any) *execution {
	f.runs++
	w := &execution{
		StartWorkflowOptions: o, workflowType: workflowType, runID: fmt.Sprintf("run-%d", f.runs), input: input,
		status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, started: time.Now(), executionTime: time.Now(),
	}
	if in, ok := input.(workflows.ScheduledCheckInput); ok && o.CronSchedule != "" {
		w.executionTime = next(in)
	}
	f.workflows[o.ID] = w
	return w
}

// next is when a cron workflow ticks next.
func next(in workflows.ScheduledCheckInput) time.Time {
	schedule, err := check.ParseSchedule(in.Schedule)
	if err != nil || in.Paused {
		return time.Now().Add(24 * time.Hour)
	}
	return schedule.Next(time.Now(), time.Now())
}

// decide makes a worker start the run of a single tick.
func (f *fakeTemporal) decide(w *execution, in workflows.ScheduledCheckInput) {
	f.close(w, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	f.putRun(w.runID, in.Ref, in.Trigger)
}

func (f *fakeTemporal) putRun(uuid string, ref check.Ref, trigger check.Trigger) {
	in := workflows.CheckRunInput{Ref: ref, Trigger: trigger}
	f.put(workflows.RunOptions(uuid, in), "CheckRun", in)
}

// tick makes the cron workflow of a check tick, and start a run unless the tick is skipped. It returns the run UUID.
func (f *fakeTemporal) tick(t *testing.T, id string, skipped bool) (uuid string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.workflows[id]
	in, ok := w.input.(workflows.ScheduledCheckInput)
	if !ok || !w.open() {
		t.Fatalf("%s is no open schedule", id)
	}
	result := workflows.ScheduledCheckResult{Start: w.started.Truncate(time.Second), Tick: w.executionTime, Run: w.runID}
	if w.last != nil {
		result.Start = w.last.Start
	}
	if skipped {
		result.Run, result.Outcome = in.Previous, check.Skipped
	} else {
		f.putRun(w.runID, in.Ref, in.Trigger)
	}
	f.put(w.StartWorkflowOptions, w.workflowType, in).last = &result
	return w.runID
}

// begin adds an open workflow.
func (f *fakeTemporal) begin(id, workflowType string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(client.StartWorkflowOptions{ID: id}, workflowType, nil)
}

// complete ends a workflow.
func (f *fakeTemporal) complete(id string) { f.end(id, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED) }

// completeWith ends a workflow with a result.
func (f *fakeTemporal) completeWith(id string, result any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workflows[id].result = result
	f.close(f.workflows[id], enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
}

// terminate ends a workflow, as somebody does by hand.
func (f *fakeTemporal) terminate(id string) { f.end(id, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED) }

func (f *fakeTemporal) end(id string, status enumspb.WorkflowExecutionStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.close(f.workflows[id], status)
}

func (f *fakeTemporal) close(w *execution, status enumspb.WorkflowExecutionStatus) {
	w.status, w.closed = status, time.Now()
}

// lose deletes all of Temporal's data.
func (f *fakeTemporal) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.workflows)
}

func (f *fakeTemporal) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.described = append(f.described, id)
	if err := f.fail("describe", id); err != nil {
		return nil, err
	}
	found, ok := f.workflows[id]
	if !ok {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	info, err := found.info()
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, err
}

func (e execution) info() (*workflowpb.WorkflowExecutionInfo, error) {
	info := &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: e.ID, RunId: e.runID}, Status: e.status,
		Type: &commonpb.WorkflowType{Name: e.workflowType}, StartTime: timestamppb.New(e.started),
		ExecutionTime: timestamppb.New(e.executionTime), Memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{}},
	}
	if !e.closed.IsZero() {
		info.CloseTime = timestamppb.New(e.closed)
	}
	for key, value := range e.Memo {
		payload, err := converter.GetDefaultDataConverter().ToPayload(value)
		if err != nil {
			return nil, err
		}
		info.Memo.Fields[key] = payload
	}
	return info, nil
}

// history is the first or the last event of a workflow.
type history struct {
	event *historypb.HistoryEvent
	err   error
}

func (h *history) HasNext() bool                          { return h.event != nil || h.err != nil }
func (h *history) Next() (*historypb.HistoryEvent, error) { return h.event, h.err }

func (f *fakeTemporal) GetWorkflowHistory(_ context.Context, id, runID string, _ bool, filter enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("history", id); err != nil {
		return &history{err: err}
	}
	w, ok := f.workflows[id]
	if !ok || runID != "" && runID != w.runID {
		return &history{err: serviceerror.NewNotFound("no such execution")}
	}
	if filter == enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT {
		return w.lastEvent()
	}
	attributes := &historypb.WorkflowExecutionStartedEventAttributes{}
	var err error
	if attributes.Input, err = converter.GetDefaultDataConverter().ToPayloads(w.input); err != nil {
		return &history{err: err}
	}
	if w.last != nil {
		if attributes.LastCompletionResult, err = converter.GetDefaultDataConverter().ToPayloads(*w.last); err != nil {
			return &history{err: err}
		}
	}
	return &history{event: &historypb.HistoryEvent{
		EventTime:  timestamppb.New(w.started),
		Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{WorkflowExecutionStartedEventAttributes: attributes},
	}}
}

// lastEvent is the last event of a workflow that has completed.
func (e execution) lastEvent() *history {
	result, err := converter.GetDefaultDataConverter().ToPayloads(e.result)
	if err != nil {
		return &history{err: err}
	}
	return &history{event: &historypb.HistoryEvent{
		EventTime: timestamppb.New(e.closed),
		Attributes: &historypb.HistoryEvent_WorkflowExecutionCompletedEventAttributes{
			WorkflowExecutionCompletedEventAttributes: &historypb.WorkflowExecutionCompletedEventAttributes{Result: result},
		},
	}}
}

func (f *fakeTemporal) TerminateWorkflow(_ context.Context, id, runID, why string, _ ...any) error {
	if _, beforeEnd := f.hooks(); beforeEnd != nil {
		beforeEnd(id)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("terminate", id); err != nil {
		return err
	}
	w, ok := f.workflows[id]
	if !ok || !w.open() || w.runID != runID {
		return serviceerror.NewNotFound("workflow execution already completed")
	}
	f.close(w, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED)
	if w.workflowType != workflows.NoRunType {
		f.did = append(f.did, "terminate "+id+": "+why)
	}
	return nil
}

// CancelWorkflow only notes the request: the run stays open until the test ends it.
func (f *fakeTemporal) CancelWorkflow(_ context.Context, id, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("cancel", id); err != nil {
		return err
	}
	w, ok := f.workflows[id]
	switch {
	case !ok || !w.open():
		return serviceerror.NewNotFound("workflow execution already completed")
	case w.cancelled:
		return serviceerror.NewCancellationAlreadyRequested("cancellation already requested")
	}
	w.cancelled = true
	f.did = append(f.did, "cancel "+id)
	return nil
}

// pageSize is how many workflows the fake lists at once.
const pageSize = 7

// ListWorkflow returns the workflows of the queries of the starter, in pages.
func (f *fakeTemporal) ListWorkflow(_ context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("list", ""); err != nil {
		return nil, err
	}
	var open []string
	for _, id := range slices.Sorted(maps.Keys(f.workflows)) {
		matches, err := f.workflows[id].matches(request.GetQuery())
		if err != nil {
			return nil, err
		}
		if matches && id > string(request.GetNextPageToken()) {
			open = append(open, id)
		}
	}
	page := &workflowservice.ListWorkflowExecutionsResponse{}
	if len(open) == 0 {
		return page, nil
	}
	here := open[:min(len(open), pageSize)]
	for _, id := range here {
		info, err := f.workflows[id].info()
		if err != nil {
			return nil, err
		}
		page.Executions = append(page.Executions, info)
	}
	if len(open) > len(here) {
		page.NextPageToken = []byte(here[len(here)-1])
	}
	return page, nil
}

func (e execution) matches(query string) (bool, error) {
	name, _ := e.TypedSearchAttributes.GetKeyword(workflows.SearchAttributeCheck)
	namespace, _ := e.TypedSearchAttributes.GetKeyword(workflows.SearchAttributeNamespace)
	switch query {
	case "WorkflowType = 'ScheduledCheck' AND CloseTime IS NULL":
		return e.open() && e.workflowType == "ScheduledCheck", nil
	case "WorkflowType = 'CheckRun' AND CloseTime IS NULL":
		return e.open() && e.workflowType == "CheckRun", nil
	case "WorkflowType = 'CheckRun' AND CloseTime IS NULL AND KhNamespace = 'shop' AND KhCheck = 'smoke'":
		return e.open() && e.workflowType == "CheckRun" && name == "smoke" && namespace == "shop", nil
	case "KhNamespace = 'shop' AND KhCheck = 'cart' AND CloseTime IS NULL":
		return e.open() && name == "cart" && namespace == "shop", nil
	}
	return false, fmt.Errorf("query %q is none of the starter", query)
}

// get returns the newest execution of a workflow.
func (f *fakeTemporal) get(t *testing.T, id string) execution {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	found, ok := f.workflows[id]
	if !ok {
		t.Fatalf("there is no workflow %s", id)
	}
	return *found
}

// uuid returns the run UUID of the run that a tick has started.
func (f *fakeTemporal) uuid(t *testing.T, tick string) string {
	t.Helper()
	return f.get(t, tick).runID
}

// scheduled returns the input of a schedule or single tick.
func (e execution) scheduled(t *testing.T) workflows.ScheduledCheckInput {
	t.Helper()
	in, ok := e.input.(workflows.ScheduledCheckInput)
	if !ok {
		t.Fatalf("%s has the input %T", e.ID, e.input)
	}
	return in
}

// recorded returns the inputs of the workflows that record ticks, the oldest first.
func (f *fakeTemporal) recorded() (inputs []activities.TicksInput) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workflows {
		if in, ok := w.input.(activities.TicksInput); ok {
			inputs = append(inputs, in)
		}
	}
	slices.SortFunc(inputs, func(a, b activities.TicksInput) int { return a.Before.Compare(b.Before) })
	return inputs
}

// asked returns the workflows that were described since the last call.
func (f *fakeTemporal) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	described := f.described
	f.described = nil
	return described
}
