package starter

import (
	"context"
	"fmt"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/workflows"
)

// housekeeping is the entry for the housekeeping workflow in the queue.
var housekeeping = key{kind: khv1.KHWorkload("Housekeeping")}

// ensureHousekeeping starts the housekeeping workflow, unless it is open.
func (s *starter) ensureHousekeeping(ctx context.Context) error {
	_, err := s.Temporal.ExecuteWorkflow(ctx, workflows.HousekeepingOptions(), workflows.Housekeeping)
	if err != nil && !isStarted(err) {
		return fmt.Errorf("start workflow %s: %w", workflows.HousekeepingID, err)
	}
	return nil
}
