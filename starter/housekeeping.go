package starter

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/workflows"
)

// housekeeping stands in the queue for the one workflow that keeps the house.
var housekeeping = key{kind: khv1.KHWorkload("Housekeeping")}

// ensureHousekeeping starts the cron workflow that keeps the house, unless it runs. One that runs stays as it is, also when
// its schedule is an earlier version's.
func (s *starter) ensureHousekeeping(ctx context.Context) error {
	_, err := s.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: workflows.HousekeepingID, TaskQueue: workflows.TaskQueue, CronSchedule: workflows.HousekeepingSchedule,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            "heartbeat, and accounts that were left open",
	}, workflows.Housekeeping)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if err != nil && !errors.As(err, &started) {
		return fmt.Errorf("start workflow %s: %w", workflows.HousekeepingID, err)
	}
	return nil
}
