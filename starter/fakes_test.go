package starter_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/starter"
	"github.com/khronicle/khronicle/workflows"
)

// fakeCluster holds checks and jobs, by namespace/name, and says when they change, as informers do.
type fakeCluster struct {
	mu         sync.Mutex
	checks     map[string]*khv1.KuberhealthyCheck
	jobs       map[string]*khv1.KuberhealthyJob
	onCheck    []func(namespace, name string)
	onJob      []func(namespace, name string)
	refuse     error                   // answer to OnCheckChange
	refuseJobs error                   // answer to OnJobChange
	live       *khv1.KuberhealthyCheck // what the API server has and the cache has not
	liveErrors []error
	namespaces []string // empty means all
	looks      map[string]int
}

func newCluster() *fakeCluster {
	return &fakeCluster{
		checks: map[string]*khv1.KuberhealthyCheck{}, jobs: map[string]*khv1.KuberhealthyJob{}, looks: map[string]int{},
	}
}

func (f *fakeCluster) Check(namespace, name string) (*khv1.KuberhealthyCheck, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks[name]++
	c, ok := f.checks[namespace+"/"+name]
	return c, ok
}

// asked returns how often a check was looked at since its last change.
func (f *fakeCluster) asked(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks[name]
}

func (f *fakeCluster) LiveCheck(_ context.Context, namespace, name string) (*khv1.KuberhealthyCheck, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.liveErrors) > 0 {
		err := f.liveErrors[0]
		f.liveErrors = f.liveErrors[1:]
		return nil, err
	}
	if f.live != nil {
		return f.live, nil
	}
	return f.checks[namespace+"/"+name], nil
}

// keepLive makes the API server have a check that the cache has not. nil makes the two agree.
func (f *fakeCluster) keepLive(c *khv1.KuberhealthyCheck) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = c
}

func (f *fakeCluster) Watches(namespace string) bool {
	return len(f.namespaces) == 0 || slices.Contains(f.namespaces, namespace)
}

func (f *fakeCluster) Checks() []*khv1.KuberhealthyCheck {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.checks))
}

func (f *fakeCluster) Job(namespace, name string) (*khv1.KuberhealthyJob, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, ok := f.jobs[namespace+"/"+name]
	return j, ok
}

func (f *fakeCluster) Jobs() []*khv1.KuberhealthyJob {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.jobs))
}

// OnCheckChange calls f for what is there already too, as an informer does.
func (f *fakeCluster) OnCheckChange(call func(namespace, name string)) error {
	if f.refuse != nil {
		return f.refuse
	}
	for _, c := range f.Checks() {
		call(c.Namespace, c.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onCheck = append(f.onCheck, call)
	return nil
}

func (f *fakeCluster) OnJobChange(call func(namespace, name string)) error {
	if f.refuseJobs != nil {
		return f.refuseJobs
	}
	for _, j := range f.Jobs() {
		call(j.Namespace, j.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onJob = append(f.onJob, call)
	return nil
}

// apply creates or changes a check or job, and says so. The generation counts up, as the API server does it.
func (f *fakeCluster) apply(object any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch o := object.(type) {
	case *khv1.KuberhealthyCheck:
		o.Generation = 1
		if present, ok := f.checks[o.Namespace+"/"+o.Name]; ok && present.UID == o.UID {
			o.Generation = present.Generation + 1
		}
		f.checks[o.Namespace+"/"+o.Name] = o
		f.looks[o.Name] = 0
		tell(f.onCheck, o.Namespace, o.Name)
	case *khv1.KuberhealthyJob:
		f.jobs[o.Namespace+"/"+o.Name] = o
		tell(f.onJob, o.Namespace, o.Name)
	}
}

// forget deletes a check, and says so.
func (f *fakeCluster) forget(namespace, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.checks, namespace+"/"+name)
	tell(f.onCheck, namespace, name)
}

func tell(all []func(namespace, name string), namespace, name string) {
	for _, call := range all {
		call(namespace, name)
	}
}

// execution is one workflow in the fake Temporal.
type execution struct {
	firstRun string // its run ID
	client.StartWorkflowOptions
	input    workflows.ScheduledCheckInput
	status   enumspb.WorkflowExecutionStatus
	closed   time.Time
	memo     *commonpb.Memo
	children []string
}

// fakeTemporal keeps the newest workflow of each ID and does with them what Temporal does.
type fakeTemporal struct {
	mu        sync.Mutex
	workflows map[string]*execution
	// did are the changes that were asked for, and accounts what they say to the ledger.
	did      []string
	accounts []workflows.KeepAccountInput
	// errors are the answers to the next calls, by "method" or "method ID".
	errors map[string][]error
	// before is called before each start.
	before func(id string)
	// housekeeping are the starts of the one workflow that is no check's, and housekept is true while it is open.
	housekeeping []client.StartWorkflowOptions
	housekept    bool
}

func newTemporal() *fakeTemporal {
	return &fakeTemporal{workflows: map[string]*execution{}, errors: map[string][]error{}}
}

// fail takes the answer that was prepared for a call.
func (f *fakeTemporal) fail(method, id string) error {
	for _, key := range []string{method, method + " " + id} {
		if prepared := f.errors[key]; len(prepared) > 0 {
			f.errors[key] = prepared[1:]
			return prepared[0]
		}
	}
	return nil
}

func (f *fakeTemporal) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	if f.before != nil {
		f.before(o.ID)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := f.fail("execute", o.ID); err != nil {
		return nil, err
	}
	if o.ID == workflows.HousekeepingID {
		return nil, f.keepHouse(o, workflow, args)
	}
	if account, ok := args[0].(workflows.KeepAccountInput); ok {
		if err := f.fail("account", o.ID); err != nil {
			return nil, err
		}
		f.accounts = append(f.accounts, account)
		f.did = append(f.did, "account")
		return nil, nil
	}
	if name := fmt.Sprintf("%T", workflow); !strings.Contains(name, "workflows.ScheduledCheckInput") {
		return nil, fmt.Errorf("%s is not a workflow of these tests", name)
	}
	if present, ok := f.workflows[o.ID]; ok {
		switch running := present.status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING; {
		case running && o.WorkflowIDConflictPolicy == enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING:
			present.status = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
		case running, o.WorkflowIDReusePolicy == enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE:
			if !o.WorkflowExecutionErrorWhenAlreadyStarted {
				return nil, nil
			}
			return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("already started", "", "")
		}
	}
	started := &execution{
		StartWorkflowOptions: o, input: args[0].(workflows.ScheduledCheckInput),
		status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{}},
	}
	for key, value := range o.Memo {
		payload, err := converter.GetDefaultDataConverter().ToPayload(value)
		if err != nil {
			return nil, err
		}
		started.memo.Fields[key] = payload
	}
	f.workflows[o.ID] = started
	f.did = append(f.did, "start "+o.ID)
	return nil, nil
}

func (f *fakeTemporal) keepHouse(o client.StartWorkflowOptions, workflow any, args []any) error {
	if fmt.Sprintf("%T", workflow) != fmt.Sprintf("%T", workflows.Housekeeping) || len(args) != 0 {
		return fmt.Errorf("%T with %d arguments is not the housekeeping", workflow, len(args))
	}
	f.housekeeping = append(f.housekeeping, o)
	if f.housekept {
		return serviceerror.NewWorkflowExecutionAlreadyStarted("already started", "", "")
	}
	f.housekept = true
	return nil
}

// replace puts another schedule of a revision in the place of one, as another starter does.
func (f *fakeTemporal) replace(t *testing.T, id string, revision workflows.Revision) {
	t.Helper()
	payload, err := converter.GetDefaultDataConverter().ToPayload(revision)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	other := *f.workflows[id]
	other.firstRun, other.memo = "another", &commonpb.Memo{Fields: maps.Clone(other.memo.GetFields())}
	other.memo.Fields[workflows.MemoRevision] = payload
	f.workflows[id] = &other
}

// DescribeWorkflowExecution names the children of a workflow's last moment for ever, as Temporal does.
func (f *fakeTemporal) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("describe", id); err != nil {
		return nil, err
	}
	found, ok := f.workflows[id]
	if !ok {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	described := &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Status: found.status, Memo: found.memo, FirstRunId: found.firstRun,
	}}
	if !found.closed.IsZero() {
		described.WorkflowExecutionInfo.CloseTime = timestamppb.New(found.closed)
	}
	for _, child := range found.children {
		described.PendingChildren = append(described.PendingChildren, &workflowpb.PendingChildExecutionInfo{WorkflowId: child, WorkflowTypeName: typeOf(child)})
	}
	return described, nil
}

// typeOf is the type of a workflow, which these tests tell by its ID.
func typeOf(id string) string {
	if strings.HasPrefix(id, "account/") {
		return "KeepAccount"
	}
	return "CheckRun"
}

func (f *fakeTemporal) TerminateWorkflow(_ context.Context, id, _, why string, _ ...any) error {
	return f.finish("terminate", id, ": "+why, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED)
}

// CancelWorkflow cancels a run at its own pace: here it stays open until the test ends it.
func (f *fakeTemporal) CancelWorkflow(_ context.Context, id, _ string) error {
	return f.finish("cancel", id, "", enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)
}

func (f *fakeTemporal) finish(method, id, why string, status enumspb.WorkflowExecutionStatus) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail(method, id); err != nil {
		return err
	}
	found, ok := f.workflows[id]
	if !ok || found.status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return serviceerror.NewNotFound("workflow execution already completed")
	}
	found.status = status
	f.did = append(f.did, method+" "+id+why)
	return nil
}

// ListWorkflow returns the open schedules, one a page.
func (f *fakeTemporal) ListWorkflow(_ context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail("list", ""); err != nil {
		return nil, err
	}
	if want := "WorkflowType = 'ScheduledCheck' AND ExecutionStatus = 'Running'"; request.GetQuery() != want {
		return nil, fmt.Errorf("query %q, want %q", request.GetQuery(), want)
	}
	var open []string
	for _, id := range slices.Sorted(maps.Keys(f.workflows)) {
		if f.workflows[id].status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING && id > string(request.GetNextPageToken()) {
			open = append(open, id)
		}
	}
	page := &workflowservice.ListWorkflowExecutionsResponse{}
	if len(open) > 0 {
		page.Executions = []*workflowpb.WorkflowExecutionInfo{{Execution: &commonpb.WorkflowExecution{WorkflowId: open[0]}}}
	}
	if len(open) > 1 {
		page.NextPageToken = []byte(open[0])
	}
	return page, nil
}

// begin puts an open workflow there, as a child of another if there is one.
func (f *fakeTemporal) begin(id string, parent ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workflows[id] = &execution{status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}
	for _, p := range parent {
		f.workflows[p].children = append(f.workflows[p].children, id)
	}
}

// complete closes a workflow. An open parent forgets it.
func (f *fakeTemporal) complete(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workflows[id].status, f.workflows[id].closed = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, time.Now()
	for _, w := range f.workflows {
		if w.status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			w.children = slices.DeleteFunc(w.children, func(child string) bool { return child == id })
		}
	}
}

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

// world is a cluster and a Temporal with a starter between them.
type world struct {
	cluster  *fakeCluster
	temporal *fakeTemporal
	stop     func()
}

// inWorld runs a test in a bubble of fake time. The cluster starts with these objects, and the starter is running.
func inWorld(t *testing.T, objects []any, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{cluster: newCluster(), temporal: newTemporal()}
		for _, object := range objects {
			w.cluster.apply(object)
		}
		w.start(t)
		test(t, w)
	})
}

// start starts a starter, which ends with the test, or when stop is called.
func (w *world) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- starter.Run(ctx, starter.Options{Cluster: w.cluster, Temporal: w.temporal, Logger: slog.New(slog.DiscardHandler)})
	}()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("starter ended with %v", err)
		}
		ended <- nil
	}
	t.Cleanup(func() { w.stop() })
}

// expect compares what was done since the last call, at once or within the time that may pass.
func (w *world) expect(t *testing.T, within time.Duration, want ...string) {
	t.Helper()
	time.Sleep(within) // of fake time
	synctest.Wait()
	w.temporal.mu.Lock()
	defer w.temporal.mu.Unlock()
	if diff := cmp.Diff(want, w.temporal.did); diff != "" {
		t.Errorf("what was done differs (-want +got):\n%s", diff)
	}
	w.temporal.did = nil
}

const (
	atOnce  = 0
	cartID  = "khcheck/shop/cart"
	jobUID  = "uid-of-smoke"
	cartUID = "uid-of-cart"
)

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example/check:1"}}}
}

// cart is the check of these tests, changed.
func cart(changes ...func(*khv1.KuberhealthyCheck)) *khv1.KuberhealthyCheck {
	c := &khv1.KuberhealthyCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: cartUID, CreationTimestamp: metav1.Now()},
		Spec:       khv1.CheckConfig{RunInterval: "2m", Timeout: "1m", PodSpec: podSpec()},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func every(interval string) func(*khv1.KuberhealthyCheck) {
	return func(c *khv1.KuberhealthyCheck) { c.Spec.RunInterval = interval }
}

func suspended(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true }

func anew(c *khv1.KuberhealthyCheck) { c.UID = "uid-of-another-cart" }

func smoke(phase khv1.JobPhase) *khv1.KuberhealthyJob {
	return &khv1.KuberhealthyJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "smoke", UID: jobUID, Generation: 1},
		Spec:       khv1.JobConfig{Phase: phase, Timeout: "1m", PodSpec: podSpec()},
	}
}

// firstRun is the workflow ID of the first run of a revision of the check cart.
func firstRun(uid string, generation int64) string {
	return workflows.FirstRunOf(cartID, workflows.Revision{UID: uid, Generation: generation})
}
