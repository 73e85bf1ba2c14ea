package doctor_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/doctor"
	"github.com/khronicle/khronicle/workflows"
)

// server is a Temporal server with the workflows of an installation, which tests break.
type server struct {
	workflowservice.UnimplementedWorkflowServiceServer
	operatorservice.UnimplementedOperatorServiceServer

	namespace  string
	retention  time.Duration
	attributes map[string]enumspb.IndexedValueType
	polled     map[enumspb.TaskQueueType]time.Time
	silent     bool
	ahead      time.Duration
	open       []string
	unlisted   bool // the list is behind
	waiting    int64

	mu       sync.Mutex
	identity string
}

func newServer() *server {
	s := &server{
		namespace: "default", retention: 72 * time.Hour, attributes: map[string]enumspb.IndexedValueType{},
		polled: map[enumspb.TaskQueueType]time.Time{enumspb.TASK_QUEUE_TYPE_WORKFLOW: now, enumspb.TASK_QUEUE_TYPE_ACTIVITY: now},
		open:   []string{workflows.HousekeepingID, workflows.ScheduledCheckID("shop", "cart")},
	}
	for _, key := range workflows.SearchAttributeKeys() {
		s.attributes[key.GetName()] = key.GetValueType()
	}
	return s
}

// listen returns the address of the server.
func (s *server) listen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		answer, err := handle(ctx, request)
		if err != nil {
			err = serviceerror.ToStatus(err).Err()
		}
		return answer, err
	}))
	workflowservice.RegisterWorkflowServiceServer(g, s)
	operatorservice.RegisterOperatorServiceServer(g, s)
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	return listener.Addr().String()
}

func (s *server) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{ServerVersion: "1.32.1"}, nil
}

func (s *server) DescribeNamespace(_ context.Context, r *workflowservice.DescribeNamespaceRequest) (*workflowservice.DescribeNamespaceResponse, error) {
	if r.GetNamespace() != s.namespace {
		return nil, serviceerror.NewNamespaceNotFound(r.GetNamespace())
	}
	return &workflowservice.DescribeNamespaceResponse{Config: &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(s.retention)}}, nil
}

func (s *server) ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: s.attributes}, nil
}

func (s *server) DescribeTaskQueue(_ context.Context, r *workflowservice.DescribeTaskQueueRequest) (*workflowservice.DescribeTaskQueueResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	poller := &taskqueuepb.PollerInfo{Identity: s.identity, LastAccessTime: timestamppb.New(now.Add(s.ahead))}
	if r.GetTaskQueue().GetName() == workflows.TaskQueue {
		poller = &taskqueuepb.PollerInfo{LastAccessTime: timestamppb.New(s.polled[r.GetTaskQueueType()])}
	}
	return &workflowservice.DescribeTaskQueueResponse{Pollers: []*taskqueuepb.PollerInfo{poller}}, nil
}

func (s *server) PollActivityTaskQueue(ctx context.Context, r *workflowservice.PollActivityTaskQueueRequest) (*workflowservice.PollActivityTaskQueueResponse, error) {
	s.mu.Lock()
	s.identity = r.GetIdentity()
	s.mu.Unlock()
	<-ctx.Done()
	return &workflowservice.PollActivityTaskQueueResponse{}, nil
}

func (s *server) QueryWorkflow(context.Context, *workflowservice.QueryWorkflowRequest) (*workflowservice.QueryWorkflowResponse, error) {
	if s.silent {
		return nil, serviceerror.NewFailedPrecondition("no poller seen for task queue recently, worker may be down")
	}
	return &workflowservice.QueryWorkflowResponse{}, nil
}

func (s *server) ListWorkflowExecutions(_ context.Context, _ *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	var answer workflowservice.ListWorkflowExecutionsResponse
	for _, id := range s.open {
		if !s.unlisted || id == workflows.HousekeepingID {
			answer.Executions = append(answer.Executions, &workflowpb.WorkflowExecutionInfo{Execution: &commonpb.WorkflowExecution{WorkflowId: id}})
		}
	}
	return &answer, nil
}

func (s *server) DescribeWorkflowExecution(_ context.Context, r *workflowservice.DescribeWorkflowExecutionRequest) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if !slices.Contains(s.open, r.GetExecution().GetWorkflowId()) {
		return nil, serviceerror.NewNotFound("workflow not found")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING},
	}, nil
}

func (s *server) CountWorkflowExecutions(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	return &workflowservice.CountWorkflowExecutionsResponse{Count: s.waiting}, nil
}

func TestTemporalInOrder(t *testing.T) {
	for _, unlisted := range []bool{false, true} {
		i, s := inOrder(t), newServer()
		s.unlisted = unlisted
		i.options.Temporal.Address = s.listen(t)
		found := i.examine(t)
		for _, name := range []string{"server", "namespace", "search-attributes", "workers", "housekeeping", "schedules", "records"} {
			if got := found["temporal/"+name]; got.Status != doctor.OK {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if got := found["clocks"]; got.Status != doctor.OK || !strings.Contains(got.Detail, "4 clocks") {
			t.Errorf("%+v, want those of this machine, the API server, the report API and Temporal", got)
		}
	}
}

func TestEachFaultOfTemporalIsNamedWithWhatMendsIt(t *testing.T) {
	tests := []struct {
		name               string
		do                 func(i *installation, s *server)
		what, detail, mend string
		status             doctor.Status
	}{
		{
			"the namespace is missing", func(i *installation, _ *server) { i.options.Temporal.Namespace = "checks" },
			"temporal/namespace", "there is no namespace checks", "temporal operator namespace create --namespace checks --retention 72h --address ", doctor.Fail,
		},
		{
			"the retention is short", func(_ *installation, s *server) { s.retention = time.Hour },
			"temporal/namespace", "is 1h0m0s", "temporal operator namespace update --namespace default --retention 72h", doctor.Warn,
		},
		{
			"a search attribute is missing", func(_ *installation, s *server) { delete(s.attributes, "KhOutcome") },
			"temporal/search-attributes", "lacks the search attributes KhOutcome", "search-attribute create --namespace default --name KhOutcome --type Keyword", doctor.Fail,
		},
		{
			"a search attribute is of another type", func(_ *installation, s *server) { s.attributes["KhCheck"] = enumspb.INDEXED_VALUE_TYPE_INT },
			"temporal/search-attributes", "KhCheck is of type Int, not Keyword", "", doctor.Fail,
		},
		{
			"no worker polls for activities", func(_ *installation, s *server) {
				s.polled[enumspb.TASK_QUEUE_TYPE_ACTIVITY] = now.Add(-2 * time.Minute)
			},
			"temporal/workers", "no worker polls the task queue khronicle for activity tasks", "kubectl rollout restart -n kuberhealthy deployment/khronicle-worker", doctor.Fail,
		},
		{
			"there is no worker in the cluster", func(i *installation, s *server) {
				i.deployments, s.polled = nil, nil
			},
			"temporal/workers", "no worker polls", " TEMPORAL_NAMESPACE=default khronicle worker", doctor.Fail,
		},
		{
			"a worker polls and does not answer", func(_ *installation, s *server) { s.silent = true },
			"temporal/workers", "none answers", "kubectl rollout restart", doctor.Fail,
		},
		{
			"housekeeping is missing", func(_ *installation, s *server) { s.open = s.open[1:] },
			"temporal/housekeeping", "is not open", "kubectl rollout restart -n kuberhealthy deployment/khronicle-starter", doctor.Fail,
		},
		{
			"a schedule is missing", func(_ *installation, s *server) { s.open = s.open[:1] },
			"temporal/schedules", "no schedule in Temporal of shop/cart", "kubectl rollout restart -n kuberhealthy deployment/khronicle-starter", doctor.Fail,
		},
		{
			"the checks are not known", func(i *installation, _ *server) { i.listError = context.DeadlineExceeded },
			"temporal/schedules", "the checks are not known", "", doctor.Unknown,
		},
		{
			"records wait", func(_ *installation, s *server) { s.waiting = 3 },
			"temporal/records", "3 records wait in Temporal for the ledger; they are lost after 72h", "kubectl logs -n kuberhealthy deployment/khronicle-worker", doctor.Warn,
		},
		{
			"the clock of Temporal is behind", func(_ *installation, s *server) { s.ahead = -40 * time.Second },
			"clocks", "ahead of that of Temporal", "timedatectl", doctor.Fail,
		},
		{
			"nobody reaches Temporal", func(i *installation, _ *server) {
				i.options.Temporal.Address, i.ready["temporal"] = "127.0.0.1:1", "refused"
			},
			"temporal/server", "Temporal does not answer at 127.0.0.1:1", "temporal operator cluster health --address 127.0.0.1:1", doctor.Fail,
		},
		{
			"this machine does not reach Temporal", func(i *installation, _ *server) { i.options.Temporal.Address = "127.0.0.1:1" },
			"temporal/server", "but the report API does", "temporal operator cluster health", doctor.Unknown,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i, s := inOrder(t), newServer()
			i.options.Temporal.Address = s.listen(t)
			tt.do(i, s)
			got := i.examine(t)[tt.what]
			if got.Status != tt.status || !strings.Contains(got.Detail, tt.detail) || !strings.Contains(got.Mend, tt.mend) {
				t.Errorf("got  %+v\nwant %s: %s; %s", got, tt.status, tt.detail, tt.mend)
			}
		})
	}
}

// A check that was created a moment ago has no schedule yet.
func TestAFreshCheckNeedsNoSchedule(t *testing.T) {
	i, s := inOrder(t), newServer()
	i.options.Temporal.Address = s.listen(t)
	s.open = s.open[:1]
	i.checks[0].CreationTimestamp.Time = now.Add(-time.Second)
	if got := i.examine(t)["temporal/schedules"]; got.Status != doctor.OK {
		t.Errorf("%+v", got)
	}
	i.checks[0].Status.Conditions = []metav1.Condition{{Type: khv1.ConditionReady, Status: metav1.ConditionTrue}}
	if got := i.examine(t)["temporal/schedules"]; got.Status != doctor.Fail {
		t.Errorf("its schedule had begun: %+v", got)
	}
}
