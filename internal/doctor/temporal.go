package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	querypb "go.temporal.io/api/query/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	"k8s.io/apimachinery/pkg/api/meta"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/workflows"
)

// TemporalOptions say how Temporal is reached. The variables TEMPORAL_* of the SDK say the rest, such as TLS and keys.
type TemporalOptions struct{ Address, Namespace string }

// TemporalFromEnvironment returns the address and namespace of the variables TEMPORAL_*. The address is empty if none is set.
func TemporalFromEnvironment() (TemporalOptions, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return TemporalOptions{}, fmt.Errorf("read the TEMPORAL_* settings: %w", err)
	}
	return TemporalOptions{Address: options.HostPort, Namespace: options.Namespace}, nil
}

func (o TemporalOptions) namespace() string { return cmp.Or(o.Namespace, client.DefaultNamespace) }

func (o TemporalOptions) dial() (client.Client, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, fmt.Errorf("read the TEMPORAL_* settings: %w", err)
	}
	options.HostPort, options.Namespace = o.Address, o.namespace()
	options.Logger, options.Identity = log.NewStructuredLogger(slog.New(slog.DiscardHandler)), "khronicle doctor"
	return client.NewLazyClient(options)
}

// minRetention is the least retention of the Temporal namespace. Records of a ledger that does not answer wait that long.
const minRetention = 24 * time.Hour

// temporal looks at the server, the namespace, the workers and the schedules.
func (x *examination) temporal(ctx context.Context) {
	if x.Temporal.Address == "" {
		x.withoutTemporal()
		return
	}
	c, err := x.Temporal.dial()
	if err != nil {
		x.unknown("temporal", "make client of Temporal", err)
		return
	}
	defer c.Close()
	t := &temporal{examination: x, client: c, service: c.WorkflowService(), namespace: x.Temporal.namespace()}
	if !t.server(ctx) || !t.hasNamespace(ctx) {
		return
	}
	t.searchAttributes(ctx)
	t.workers(ctx)
	t.clock(ctx)
	t.housekeeping(ctx)
	t.schedules(ctx)
	t.waitingRecords(ctx)
}

// withoutTemporal says what the report API says of Temporal, and how to look at Temporal itself.
func (x *examination) withoutTemporal() {
	says := ""
	if x.reachesTemporal != "" {
		says = ", but for what the report API says: " + x.reachesTemporal
	}
	address := x.settings["TEMPORAL_ADDRESS"]
	mend := "khronicle doctor --temporal-address HOST:7233"
	host, port, err := net.SplitHostPort(address)
	if name, namespace, ok := serviceOf(host); err == nil && ok {
		mend = fmt.Sprintf("%s port-forward -n %s service/%s 7233:%s & sleep 3; khronicle doctor --temporal-address localhost:7233", x.Kubectl, namespace, name, port)
	} else if address != "" {
		mend = "khronicle doctor --temporal-address " + address
	}
	x.add("temporal", Skipped, mend, "Temporal, its workers and its schedules were not looked at: --temporal-address is not set%s", says)
}

// temporal looks at a Temporal server.
type temporal struct {
	*examination
	client    client.Client
	service   workflowservice.WorkflowServiceClient
	namespace string
	retention time.Duration
}

// cli is the command of Temporal's command line for this server.
func (t *temporal) cli(command string) string {
	return "temporal " + command + " --address " + t.Temporal.Address
}

func (t *temporal) server(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	info, err := t.service.GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
	if err == nil {
		t.add("temporal/server", OK, "", "Temporal answers at %s, version %s", t.Temporal.Address, info.GetServerVersion())
		return true
	}
	mend := t.cli("operator cluster health")
	if t.reachesTemporal == "ok" {
		t.add("temporal/server", Unknown, mend, "this machine does not reach Temporal at %s, but the report API does: %s", t.Temporal.Address, short(err))
	} else {
		t.add("temporal/server", Fail, mend, "Temporal does not answer at %s: %s", t.Temporal.Address, short(err))
	}
	return false
}

// short is the text of an error without what gRPC says of itself.
func short(err error) string {
	if isTimeout(err) {
		return "no answer within " + within.String()
	}
	return err.Error()
}

func (t *temporal) hasNamespace(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	const name = "temporal/namespace"
	found, err := t.service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: t.namespace})
	if missing := (*serviceerror.NamespaceNotFound)(nil); errors.As(err, &missing) {
		t.add(name, Fail, t.cli("operator namespace create --namespace "+t.namespace+" --retention 72h"), "there is no namespace %s in Temporal", t.namespace)
		return false
	}
	if err != nil {
		t.unknown(name, "describe namespace "+t.namespace, err)
		return false
	}
	t.retention = found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
	if t.retention < minRetention {
		t.add(name, Warn, t.cli("operator namespace update --namespace "+t.namespace+" --retention 72h"),
			"the retention of namespace %s is %s: records are lost when the ledger does not answer for longer", t.namespace, t.retention)
		return true
	}
	t.add(name, OK, "", "namespace %s exists, its retention is %s", t.namespace, t.retention)
	return true
}

func (t *temporal) searchAttributes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	const name = "temporal/search-attributes"
	present, err := t.client.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: t.namespace})
	if err != nil {
		t.unknown(name, "list search attributes of namespace "+t.namespace, err)
		return
	}
	var missing, wrong []string
	for _, key := range workflows.SearchAttributeKeys() {
		kind, ok := present.GetCustomAttributes()[key.GetName()]
		switch {
		case !ok:
			missing = append(missing, key.GetName())
		case kind != key.GetValueType():
			wrong = append(wrong, fmt.Sprintf("%s is of type %s, not %s", key.GetName(), kind, key.GetValueType()))
		}
	}
	switch {
	case len(wrong) > 0:
		t.add(name, Fail, "", "another program uses the search attributes of Khronicle: %s; take another namespace", strings.Join(wrong, ", "))
	case len(missing) > 0:
		command := "operator search-attribute create --namespace " + t.namespace
		for _, attribute := range missing {
			command += " --name " + attribute + " --type Keyword"
		}
		t.add(name, Fail, t.cli(command), "namespace %s lacks the search attributes %s", t.namespace, strings.Join(missing, ", "))
	default:
		t.add(name, OK, "", "namespace %s has the search attributes", t.namespace)
	}
}

// polls is how long after its last poll a worker may be alive: a poll lasts a minute.
const polls = 75 * time.Second

// workers looks who polls the task queue, and whether one of them answers.
func (t *temporal) workers(ctx context.Context) {
	const name = "temporal/workers"
	for _, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_WORKFLOW, enumspb.TASK_QUEUE_TYPE_ACTIVITY} {
		what := strings.ToLower(kind.String())
		alive, err := t.pollers(ctx, workflows.TaskQueue, kind)
		if err != nil {
			t.unknown(name, "describe task queue "+workflows.TaskQueue, err)
			return
		}
		if len(alive) == 0 {
			t.add(name, Fail, t.startRole("worker"), "no worker polls the task queue %s for %s tasks", workflows.TaskQueue, what)
			return
		}
	}
	answered, err := t.askWorker(ctx)
	switch {
	case err != nil:
		t.unknown(name, "ask a worker", err)
	case !answered:
		t.add(name, Fail, t.startRole("worker"), "workers polled the task queue %s a short time ago, but none answers within %s", workflows.TaskQueue, within)
	default:
		t.add(name, OK, "", "workers poll the task queue %s and answer", workflows.TaskQueue)
	}
}

// pollers returns those who polled a short time ago, the last one first.
func (t *temporal) pollers(ctx context.Context, queue string, kind enumspb.TaskQueueType) ([]*taskqueuepb.PollerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	found, err := t.service.DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace: t.namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: queue}, TaskQueueType: kind,
	})
	if err != nil {
		return nil, err
	}
	alive := slices.DeleteFunc(found.GetPollers(), func(p *taskqueuepb.PollerInfo) bool { return t.Now().Sub(p.GetLastAccessTime().AsTime()) > polls })
	slices.SortFunc(alive, func(a, b *taskqueuepb.PollerInfo) int {
		return b.GetLastAccessTime().AsTime().Compare(a.GetLastAccessTime().AsTime())
	})
	return alive, nil
}

// askWorker asks any worker for the stack of a housekeeping that has ended. Every worker can answer that. Without such a
// housekeeping nobody is asked, and what polls counts as alive.
func (t *temporal) askWorker(ctx context.Context) (answered bool, err error) {
	ended, err := t.list(ctx, fmt.Sprintf("WorkflowId = '%s' AND ExecutionStatus IN ('Completed', 'ContinuedAsNew')", workflows.HousekeepingID), 1)
	if err != nil || len(ended) == 0 {
		return err == nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err = t.service.QueryWorkflow(ctx, &workflowservice.QueryWorkflowRequest{
		Namespace: t.namespace, Execution: ended[0].GetExecution(), Query: &querypb.WorkflowQuery{QueryType: client.QueryTypeStackTrace},
	})
	var failed *serviceerror.QueryFailed
	var nobody *serviceerror.FailedPrecondition
	var late *serviceerror.DeadlineExceeded
	switch {
	case err == nil, errors.As(err, &failed): // a worker said so
		return true, nil
	case isTimeout(err), errors.As(err, &late), errors.As(err, &nobody):
		return false, nil
	}
	return false, err
}

// list returns the first executions that a query finds.
func (t *temporal) list(ctx context.Context, query string, most int) (all []*workflowpb.WorkflowExecutionInfo, err error) {
	var next []byte
	for {
		page, err := t.listPage(ctx, query, min(most-len(all), 1000), next)
		if err != nil {
			return nil, err
		}
		all, next = append(all, page.GetExecutions()...), page.GetNextPageToken()
		if len(next) == 0 || len(all) >= most {
			return all, nil
		}
	}
}

func (t *temporal) listPage(ctx context.Context, query string, size int, next []byte) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return t.service.ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: t.namespace, Query: query, PageSize: int32(size), NextPageToken: next,
	})
}

// clockQueue is a task queue that nobody else uses.
const clockQueue = "khronicle-doctor"

// clock reads the clock of Temporal: the time of a poll of the doctor itself, as the server notes it.
func (t *temporal) clock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	sent := t.Now()
	go func() {
		// The poll ends with ctx. There is no task.
		_, _ = t.service.PollActivityTaskQueue(ctx, &workflowservice.PollActivityTaskQueueRequest{
			Namespace: t.namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: clockQueue, Kind: enumspb.TASK_QUEUE_KIND_NORMAL},
			Identity: fmt.Sprintf("khronicle doctor %d", sent.UnixNano()),
		})
	}()
	for ctx.Err() == nil {
		found, err := t.pollers(ctx, clockQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
		if err != nil {
			return // without the clock of Temporal the others are compared
		}
		for _, p := range found {
			if strings.HasSuffix(p.GetIdentity(), fmt.Sprint(" ", sent.UnixNano())) {
				t.noteClock("Temporal", p.GetLastAccessTime().AsTime(), 0, sent)
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// housekeeping looks whether the workflow that repairs records is there.
func (t *temporal) housekeeping(ctx context.Context) {
	const name = "temporal/housekeeping"
	open, err := t.isOpen(ctx, workflows.HousekeepingID)
	switch {
	case err != nil:
		t.unknown(name, "describe workflow "+workflows.HousekeepingID, err)
	case !open:
		t.add(name, Fail, t.startRole("starter"), "the workflow %s is not open; a starter starts it within a minute", workflows.HousekeepingID)
	default:
		t.add(name, OK, "", "the workflow %s is open", workflows.HousekeepingID)
	}
}

func (t *temporal) isOpen(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	found, err := t.service.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: t.namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: id},
	})
	if err != nil && workflows.NotFound(err) {
		return false, nil
	}
	return err == nil && workflows.Open(found.GetWorkflowExecutionInfo().GetStatus()), err
}

// schedules looks for checks without a cron workflow. Temporal's list may be a moment old, so each that is missing there is asked for.
func (t *temporal) schedules(ctx context.Context) {
	const name = "temporal/schedules"
	if !t.knowsChecks {
		t.add(name, Unknown, "", "the checks are not known, so nobody knows which schedules there should be")
		return
	}
	found, err := t.list(ctx, "WorkflowType = '"+workflows.ScheduledCheckType+"' AND CloseTime IS NULL", 1_000_000)
	if err != nil {
		t.unknown(name, "list the schedules", err)
		return
	}
	scheduled := map[string]bool{}
	for _, info := range found {
		scheduled[info.GetExecution().GetWorkflowId()] = true
	}
	var missing []string
	for _, c := range t.checks {
		id := workflows.ScheduledCheckID(c.Namespace, c.Name)
		if scheduled[id] || t.fresh(c) {
			continue
		}
		open, err := t.isOpen(ctx, id)
		if err != nil {
			t.unknown(name, "describe workflow "+id, err)
			return
		}
		if !open {
			missing = append(missing, c.Namespace+"/"+c.Name)
		}
	}
	if len(missing) > 0 {
		t.add(name, Fail, t.startRole("starter"), "there is no schedule in Temporal of %s; a starter starts it within a minute", some(missing))
		return
	}
	t.add(name, OK, "", "each of the %d checks has its schedule", len(t.checks))
}

// fresh is true for a check whose schedule may not have begun yet, and for one that is being deleted. The condition Ready is about
// the schedule.
func (t *temporal) fresh(c khv1.KuberhealthyCheck) bool {
	if c.DeletionTimestamp != nil {
		return true
	}
	return t.Now().Sub(c.CreationTimestamp.Time) < starterGrace && !meta.IsStatusConditionTrue(c.Status.Conditions, khv1.ConditionReady)
}

// waitingRecords looks for runs whose record the ledger has not taken.
func (t *temporal) waitingRecords(ctx context.Context) {
	const name = "temporal/records"
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	query := fmt.Sprintf("%s = '%s' AND CloseTime < '%s'", workflows.SearchAttributeRecord.GetName(), workflows.RecordWaiting, t.Now().Add(-ledgerGrace).UTC().Format(time.RFC3339))
	found, err := t.service.CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: t.namespace, Query: query})
	switch {
	case err != nil:
		t.unknown(name, "count the records that wait", err)
	case found.GetCount() > 0:
		t.add(name, Warn, t.lookAtLog("worker"), "%d records wait in Temporal for the ledger; they are lost after %s", found.GetCount(), t.retention)
	default:
		t.add(name, OK, "", "no record waits for the ledger")
	}
}
