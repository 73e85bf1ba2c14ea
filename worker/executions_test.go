package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/khronicle/khronicle/activities"
)

var ended = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeTemporal describes the newest execution of one workflow.
type fakeTemporal struct {
	status enumspb.WorkflowExecutionStatus
	err    error
}

func (f fakeTemporal) DescribeWorkflowExecution(_ context.Context, id, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if id != "w" || runID != "" {
		return nil, errors.New("asked for another")
	}
	if f.err != nil {
		return nil, f.err
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: f.status, CloseTime: timestamppb.New(ended)},
	}, nil
}

func TestExecutions(t *testing.T) {
	tests := []struct {
		name               string
		temporal           fakeTemporal
		open, closed, fail bool
	}{
		{"running", fakeTemporal{status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}, true, false, false},
		{"paused", fakeTemporal{status: enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED}, true, false, false},
		{"completed", fakeTemporal{status: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED}, false, true, false},
		{"terminated", fakeTemporal{status: enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED}, false, true, false},
		{"no record", fakeTemporal{err: serviceerror.NewNotFound("workflow not found")}, false, false, false},
		{"no such namespace", fakeTemporal{err: serviceerror.NewNamespaceNotFound("elsewhere")}, false, false, true},
		{"unavailable", fakeTemporal{err: serviceerror.NewUnavailable("shard is moving")}, false, false, true},
		{"time is up", fakeTemporal{err: context.DeadlineExceeded}, false, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := executions{tt.temporal}.Execution(t.Context(), "w")
			want := activities.Execution{Open: tt.open}
			if tt.closed {
				want.Closed = ended
			}
			if got != want || (err != nil) != tt.fail {
				t.Errorf("got %+v, error %v; want %+v", got, err, want)
			}
		})
	}
}
