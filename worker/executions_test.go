package worker

import (
	"context"
	"errors"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
)

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
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: f.status},
	}, nil
}

func TestExecutions(t *testing.T) {
	tests := []struct {
		name       string
		temporal   fakeTemporal
		open, fail bool
	}{
		{"running", fakeTemporal{status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}, true, false},
		{"paused", fakeTemporal{status: enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED}, true, false},
		{"completed", fakeTemporal{status: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED}, false, false},
		{"terminated", fakeTemporal{status: enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED}, false, false},
		{"no record", fakeTemporal{err: serviceerror.NewNotFound("workflow not found")}, false, false},
		{"no such namespace", fakeTemporal{err: serviceerror.NewNamespaceNotFound("elsewhere")}, false, true},
		{"unavailable", fakeTemporal{err: serviceerror.NewUnavailable("shard is moving")}, false, true},
		{"time is up", fakeTemporal{err: context.DeadlineExceeded}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			open, err := executions{tt.temporal}.Open(t.Context(), "w")
			if open != tt.open || (err != nil) != tt.fail {
				t.Errorf("open: %t, error %v", open, err)
			}
		})
	}
}
