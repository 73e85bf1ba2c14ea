package worker

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/khronicle/khronicle/activities"
)

// describer is what executions needs of Temporal's client.
type describer interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// executions tells of workflows in Temporal. To describe one leaves no trace in it, as a signal would.
type executions struct{ describer }

// Execution implements activities.Executions.
func (e executions) Execution(ctx context.Context, workflowID string) (activities.Execution, error) {
	described, err := e.DescribeWorkflowExecution(ctx, workflowID, "")
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
		return activities.Execution{}, nil
	case err != nil:
		return activities.Execution{}, fmt.Errorf("describe workflow %s: %w", workflowID, err)
	}
	info := described.GetWorkflowExecutionInfo()
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED:
		return activities.Execution{Open: true}, nil
	default:
		return activities.Execution{Closed: info.GetCloseTime().AsTime()}, nil
	}
}
