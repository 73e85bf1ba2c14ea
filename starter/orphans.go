package starter

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// openRuns is the query for all open runs.
const openRuns = "WorkflowType = '" + workflows.CheckRunType + "' AND CloseTime IS NULL"

// openRunsOf returns the query for the open runs of a check or job.
func openRunsOf(k key) string {
	return fmt.Sprintf("%s AND %s = '%s' AND %s = '%s'", openRuns,
		workflows.SearchAttributeNamespace.GetName(), k.namespace, workflows.SearchAttributeCheck.GetName(), k.name)
}

// cancelOrphans cancels those open runs of a query whose check or job was deleted, or is being deleted. A cancelled run
// deletes its pod.
func (s *starter) cancelOrphans(ctx context.Context, query string) error {
	var errs []error
	err := s.list(ctx, query, func(info *workflowpb.WorkflowExecutionInfo) {
		key, isRun := workflows.RecordKeyOf(info.GetMemo())
		if !isRun || workflows.OutlivesCheck(key, info.GetMemo()) || !s.Cluster.Watches(key.Ref.Namespace) {
			return
		}
		_, lives, err := s.Cluster.Workload(ctx, key.Ref)
		if err == nil && !lives {
			_, err = s.cancelRun(ctx, key.Ref, info.GetExecution().GetWorkflowId())
		}
		errs = append(errs, err)
	})
	return errors.Join(append(errs, err)...)
}

// cancelRun asks a run to end. open is true if the run was open.
func (s *starter) cancelRun(ctx context.Context, ref check.Ref, workflowID string) (open bool, err error) {
	err = s.Temporal.CancelWorkflow(ctx, workflowID, "")
	var before *serviceerror.CancellationAlreadyRequested
	switch {
	case workflows.NotFound(err):
		return false, nil
	case err != nil && !errors.As(err, &before):
		return false, fmt.Errorf("cancel a run of %s: %w", ref, err)
	}
	return true, nil
}
