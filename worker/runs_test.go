package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

const runUUID = "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"

// fakeTemporal answers the calls that a test expects. Any other call panics.
type fakeTemporal struct {
	temporalClient //nolint:unused // it makes the other calls panic
	start          error
	started        []client.StartWorkflowOptions
	inputs         []any
	describe       map[string]*workflowpb.WorkflowExecutionInfo
	down           error
	pages          [][]*workflowpb.WorkflowExecutionInfo
	queries        []string
	result         *workflows.CheckRunResult
	unread         error
	asked          []string
	sent           []any
}

func (f *fakeTemporal) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	f.started, f.inputs = append(f.started, o), append(f.inputs, append([]any{workflow}, args...)...)
	return nil, f.start
}

func (f *fakeTemporal) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if f.down != nil {
		return nil, f.down
	}
	info, ok := f.describe[id]
	if !ok {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, nil
}

func (f *fakeTemporal) ListWorkflow(_ context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	if f.down != nil {
		return nil, f.down
	}
	f.queries = append(f.queries, request.GetQuery())
	page := len(request.GetNextPageToken())
	response := &workflowservice.ListWorkflowExecutionsResponse{Executions: f.pages[page]}
	if page+1 < len(f.pages) {
		response.NextPageToken = make([]byte, page+1)
	}
	return response, nil
}

func (f *fakeTemporal) GetWorkflow(_ context.Context, id, runID string) client.WorkflowRun {
	f.asked = append(f.asked, id+" "+runID)
	return fakeRun{result: f.result, err: f.unread}
}

func (f *fakeTemporal) RecordActivityHeartbeat(_ context.Context, token []byte, details ...any) error {
	f.sent = append(append(f.sent, string(token)), details...)
	return f.down
}

type fakeRun struct {
	client.WorkflowRun
	result *workflows.CheckRunResult
	err    error
}

func (f fakeRun) Get(_ context.Context, into any) error {
	if f.err == nil {
		*into.(*workflows.CheckRunResult) = *f.result
	}
	return f.err
}

var tick = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func runToStart() activities.Run {
	ref := check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: "u-1", Generation: 2}
	return activities.Run{UUID: runUUID, Timeout: time.Minute, Key: activities.RecordKey{Ref: ref, Trigger: check.TriggerSchedule, Tick: tick}}
}

// memoOf is the memo of a run that was due then.
func memoOf(t *testing.T, tick time.Time) *commonpb.Memo {
	t.Helper()
	payload, err := converter.GetDefaultDataConverter().ToPayload(activities.RecordKey{Tick: tick})
	if err != nil {
		t.Fatal(err)
	}
	return &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoRecordKey: payload}}
}

func TestStartOfARun(t *testing.T) {
	f := &fakeTemporal{}
	due, err := runs{temporalClient: f}.Start(t.Context(), runToStart())
	if err != nil || !due.Equal(tick) {
		t.Errorf("due at %s, error %v", due, err)
	}
	in := workflows.CheckRunInput{Ref: runToStart().Key.Ref, Trigger: check.TriggerSchedule, Timeout: time.Minute, Tick: tick}
	if diff := cmp.Diff([]any{workflows.CheckRunType, in}, f.inputs); diff != "" || f.started[0].ID != runUUID {
		t.Errorf("started %s with (-want +got):\n%s", f.started[0].ID, diff)
	}
	if diff := cmp.Diff(map[string]any{workflows.MemoRecordKey: runToStart().Key}, f.started[0].Memo); diff != "" {
		t.Errorf("memo (-want +got):\n%s", diff)
	}
}

// TestStartOfARunSetsTheBuildAsTemporalDoes: Temporal would set it at the end of the first task, which costs one more write
// to the list of workflows.
func TestStartOfARunSetsTheBuildAsTemporalDoes(t *testing.T) {
	f := &fakeTemporal{}
	if _, err := (runs{temporalClient: f, build: "v1"}).Start(t.Context(), runToStart()); err != nil {
		t.Fatal(err)
	}
	attributes := f.started[0].TypedSearchAttributes
	builds, _ := attributes.GetKeywordList(temporal.NewSearchAttributeKeyKeywordList("BuildIds"))
	if diff := cmp.Diff([]string{"unversioned", "unversioned:v1"}, builds); diff != "" {
		t.Errorf("builds (-want +got):\n%s", diff)
	}
	if name, _ := attributes.GetKeyword(workflows.SearchAttributeCheck); name != runToStart().Key.Ref.Name {
		t.Errorf("check %q, want the attributes of the check beside the builds", name)
	}
}

func TestStartOfARunThatWasStartedBeforeHasItsTick(t *testing.T) {
	before := tick.Add(-time.Hour)
	already := serviceerror.NewWorkflowExecutionAlreadyStarted("already started", "", "")
	info := func(memo *commonpb.Memo) map[string]*workflowpb.WorkflowExecutionInfo {
		return map[string]*workflowpb.WorkflowExecutionInfo{runUUID: {Memo: memo}}
	}
	tests := []struct {
		name string
		f    fakeTemporal
		want time.Time
		err  string
	}{
		{"from its memo", fakeTemporal{start: already, describe: info(memoOf(t, before))}, before, ""},
		{"or this one when Temporal has no record of it", fakeTemporal{start: already}, tick, ""},
		{"and Temporal cannot be asked", fakeTemporal{start: already, down: errors.New("unavailable")}, time.Time{}, "describe a run: unavailable"},
		{"is not known when Temporal refuses it", fakeTemporal{start: errors.New("rate limit")}, time.Time{}, "start workflow CheckRun of shop/cart: rate limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			due, err := runs{temporalClient: &tt.f}.Start(t.Context(), runToStart())
			if !due.Equal(tt.want) || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("due at %s, error %v, want %s and %q", due, err, tt.want, tt.err)
			}
		})
	}
}

func TestOpenRuns(t *testing.T) {
	f := &fakeTemporal{describe: map[string]*workflowpb.WorkflowExecutionInfo{}}
	for status, want := range map[enumspb.WorkflowExecutionStatus]bool{
		enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING: true, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED: true,
		enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED: false, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED: false,
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED: false, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED: false,
		enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: false,
	} {
		f.describe[runUUID] = &workflowpb.WorkflowExecutionInfo{Status: status}
		if open, err := (runs{temporalClient: f}).Open(t.Context(), runUUID, ""); err != nil || open != want {
			t.Errorf("%s: open is %t, error %v", status, open, err)
		}
	}
	if open, err := (runs{temporalClient: f}).Open(t.Context(), "unknown", ""); err != nil || open {
		t.Errorf("unknown: open is %t, error %v, want it not to be open", open, err)
	}
	f.down = errors.New("unavailable")
	if _, err := (runs{temporalClient: f}).Open(t.Context(), runUUID, ""); err == nil {
		t.Error("no error, though Temporal cannot be asked")
	}
}

// When no worker was there at first, the first tick and the next one begin at the same moment. At that moment the first run
// is not open yet.
func TestARunThatTheFirstTickHasStillToStartIsOpen(t *testing.T) {
	running := &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}
	ended := &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED}
	const first = "khcheck/shop/cart/first/1"
	tests := []struct {
		name  string
		known map[string]*workflowpb.WorkflowExecutionInfo
		want  bool
	}{
		{"the first tick is open", map[string]*workflowpb.WorkflowExecutionInfo{first: running}, true},
		{"the first tick has ended", map[string]*workflowpb.WorkflowExecutionInfo{first: ended}, false},
		{"the run has ended", map[string]*workflowpb.WorkflowExecutionInfo{first: running, runUUID: ended}, false},
		{"Temporal has no record of either", nil, false},
	}
	for _, tt := range tests {
		if open, err := (runs{temporalClient: &fakeTemporal{describe: tt.known}}).Open(t.Context(), runUUID, first); err != nil || open != tt.want {
			t.Errorf("%s: open is %t, error %v, want %t", tt.name, open, err, tt.want)
		}
	}
}

// closedRun is a run that was closed so many seconds later.
func closedRun(id string, seconds int) *workflowpb.WorkflowExecutionInfo {
	return &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: "execution of " + id}, Status: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED,
		CloseTime: timestamppb.New(tick.Add(time.Duration(seconds) * time.Second)),
	}
}

func TestWaitingRunsAreThoseOfAllPagesTheOldestFirst(t *testing.T) {
	open := closedRun("open", 0)
	open.Status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING // its attribute is set before it ends
	f := &fakeTemporal{pages: [][]*workflowpb.WorkflowExecutionInfo{{closedRun("c", 3), open}, {closedRun("b", 2)}, {closedRun("a", 1)}}}
	got, all, err := runs{temporalClient: f}.Waiting(t.Context(), tick.Add(123456789), tick.Add(time.Minute))
	var want []activities.WaitingRun
	for n, id := range []string{"a", "b", "c"} {
		want = append(want, activities.WaitingRun{UUID: id, RunID: "execution of " + id, Closed: tick.Add(time.Duration(n+1) * time.Second)})
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || !all {
		t.Errorf("error %v, all: %t, runs (-want +got):\n%s", err, all, diff)
	}
	query := "WorkflowType = 'CheckRun' AND KhRecord = 'waiting' AND CloseTime > '2026-03-01T12:00:00.123456789Z' AND CloseTime <= '2026-03-01T12:01:00Z'"
	if diff := cmp.Diff([]string{query, query, query}, f.queries); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
}

func TestOfVeryManyRunsSomeAreListed(t *testing.T) {
	page := slices.Repeat([]*workflowpb.WorkflowExecutionInfo{closedRun("a", 1)}, 1000)
	f := &fakeTemporal{pages: [][]*workflowpb.WorkflowExecutionInfo{page, page, page, page}}
	if got, all, err := (runs{temporalClient: f}).Waiting(t.Context(), tick, tick.Add(time.Hour)); err != nil || len(got) != 3000 || all {
		t.Errorf("error %v, %d runs, all: %t, want 3000 and more to come", err, len(got), all)
	}
	f.down = errors.New("unavailable")
	if _, _, err := (runs{temporalClient: f}).Waiting(t.Context(), tick, tick.Add(time.Hour)); err == nil {
		t.Error("no error, though Temporal cannot be asked")
	}
}

func TestUnrecordedIsThatOfTheResult(t *testing.T) {
	left := activities.Unrecorded{Key: runToStart().Key, Record: &activities.RecordInput{UUID: runUUID}}
	terminated := &temporal.WorkflowExecutionError{}
	tests := []struct {
		name string
		f    fakeTemporal
		want activities.Unrecorded
		err  bool
	}{
		{"something waits", fakeTemporal{result: &workflows.CheckRunResult{Unrecorded: &left}}, left, false},
		{"nothing waits", fakeTemporal{result: &workflows.CheckRunResult{}}, activities.Unrecorded{}, false},
		// Such a run must not prevent the recording of those that ended after it.
		{"the run was terminated and has no result", fakeTemporal{unread: terminated}, activities.Unrecorded{}, false},
		{"Temporal has no record of the run any more", fakeTemporal{unread: serviceerror.NewNotFound("")}, activities.Unrecorded{}, false},
		{"Temporal cannot be asked", fakeTemporal{unread: serviceerror.NewUnavailable("")}, activities.Unrecorded{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := runs{temporalClient: &tt.f}.Unrecorded(t.Context(), activities.WaitingRun{UUID: runUUID, RunID: "execution"})
			if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.err || tt.f.asked[0] != runUUID+" execution" {
				t.Errorf("calls %v, error %v, unrecorded (-want +got):\n%s", tt.f.asked, err, diff)
			}
		})
	}
}

// A run that was cancelled, or that belongs to a deleted check of the same name, is not the last outcome of a check.
func TestLastOutcome(t *testing.T) {
	ref := runToStart().Key.Ref
	ofNamesake := ref
	ofNamesake.UID = "uid-of-another"
	run := func(id string, ref check.Ref) *workflowpb.WorkflowExecutionInfo {
		info := closedRun(id, 1)
		memo, err := converter.GetDefaultDataConverter().ToPayload(activities.RecordKey{Ref: ref, Trigger: check.TriggerSchedule, Tick: tick})
		if err != nil {
			t.Fatal(err)
		}
		info.Memo = &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoRecordKey: memo}}
		return info
	}
	for name, tt := range map[string]struct {
		found  []*workflowpb.WorkflowExecutionInfo
		result check.Outcome
		want   string
	}{
		"newest":                              {[]*workflowpb.WorkflowExecutionInfo{run("b", ref), run("a", ref)}, check.Failed, "b"},
		"none":                                {nil, check.Failed, ""},
		"of a deleted check of the same name": {[]*workflowpb.WorkflowExecutionInfo{run("a", ofNamesake)}, check.Failed, ""},
		"cancelled":                           {[]*workflowpb.WorkflowExecutionInfo{run("a", ref)}, check.Canceled, ""},
		"that is not a run of ours":           {[]*workflowpb.WorkflowExecutionInfo{closedRun("a", 1)}, check.Failed, ""},
	} {
		f := &fakeTemporal{
			pages:  [][]*workflowpb.WorkflowExecutionInfo{tt.found},
			result: &workflows.CheckRunResult{Conclusion: check.Conclusion{Outcome: tt.result}},
		}
		last, ok, err := runs{temporalClient: f}.LastOutcome(t.Context(), ref)
		if err != nil || ok != (tt.want != "") || last.UUID != tt.want || ok && (last.Conclusion.Outcome != tt.result || !last.Tick.Equal(tick)) {
			t.Errorf("%s: %+v, found %t, error %v, want run %q", name, last, ok, err, tt.want)
		}
		query := fmt.Sprintf("WorkflowType = 'CheckRun' AND KhNamespace = '%s' AND KhCheck = '%s' AND ExecutionStatus = 'Completed'", ref.Namespace, ref.Name)
		if diff := cmp.Diff([]string{query}, f.queries); diff != "" {
			t.Errorf("%s: queries (-want +got):\n%s", name, diff)
		}
	}
}

func TestHeartbeatIsSent(t *testing.T) {
	f := &fakeTemporal{}
	if err := (runs{temporalClient: f}).Heartbeat(t.Context(), []byte("token"), "details"); err != nil || !cmp.Equal(f.sent, []any{"token", "details"}) {
		t.Errorf("error %v, sent %v", err, f.sent)
	}
}

func TestOpenRequestIsThatOfTheValueAndTheCheck(t *testing.T) {
	ref := check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: "uid-1"}
	open := &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}
	f := runs{temporalClient: &fakeTemporal{describe: map[string]*workflowpb.WorkflowExecutionInfo{workflows.RequestedRunID(ref, "1"): open}}}
	anew := ref
	anew.UID = "uid-2"
	for _, tt := range []struct {
		ref   check.Ref
		value string
		want  bool
	}{{ref, "1", true}, {ref, "2", false}, {anew, "1", false}} {
		if got, err := f.OpenRequest(t.Context(), tt.ref, tt.value); got != tt.want || err != nil {
			t.Errorf("%s of %s: open %t, error %v, want %t", tt.value, tt.ref.UID, got, err, tt.want)
		}
	}
	down := runs{temporalClient: &fakeTemporal{down: errors.New("down")}}
	if _, err := down.OpenRequest(t.Context(), ref, "1"); err == nil {
		t.Error("no error while Temporal is down")
	}
}
