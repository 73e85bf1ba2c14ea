package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"k8s.io/apimachinery/pkg/types"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Heartbeat beats the heart of the worker that runs it.
func (a *Activities) Heartbeat(ctx context.Context) error {
	if a.Heart != nil {
		a.Heart.Beat(ctx)
	}
	return nil
}

// OpenAccountsInput says which open accounts are looked for.
type OpenAccountsInput struct {
	// Before is when their runs had begun.
	Before time.Time
	// Limit is how many are returned at most: the oldest, but for so many that are left out.
	Limit int
	Skip  int `json:",omitempty"`
}

// OpenAccounts returns the open accounts of runs in the namespaces whose checks are run, as far as they are known: they
// have no outcome.
func (a *Activities) OpenAccounts(ctx context.Context, in OpenAccountsInput) ([]AccountInput, error) {
	if a.Ledger == nil {
		return nil, nil
	}
	runs, err := a.Ledger.OpenRuns(ctx)
	if err != nil {
		return nil, fmt.Errorf("list open accounts: %w", err)
	}
	var open []AccountInput
	skip := in.Skip
	for _, run := range runs {
		// The runs of other namespaces may be in another Temporal.
		if !run.Started.Before(in.Before) || !a.Cluster.Watches(run.Namespace) {
			continue
		}
		if skip--; skip >= 0 {
			continue
		}
		if open = append(open, inputOf(run)); len(open) == in.Limit {
			break
		}
	}
	return open, nil
}

// ClosedWorkflows returns those of the workflows that are known to have ended, or of which Temporal has no record. One
// that cannot be asked for is not among them.
func (a *Activities) ClosedWorkflows(ctx context.Context, workflowIDs []string) ([]string, error) {
	var closed []string
	for _, id := range workflowIDs {
		execution, err := a.Executions.Execution(ctx, id)
		switch {
		case err != nil:
			activity.GetLogger(ctx).Warn("workflow is not known to have ended", "workflow", id, "error", err)
		case !execution.Open:
			closed = append(closed, id)
		}
		activity.RecordHeartbeat(ctx)
	}
	return closed, nil
}

// inputOf is the inverse of what RecordAccount and begin make of a run that is open.
func inputOf(account ledger.Account) AccountInput {
	ref := check.Ref{
		Kind: account.Kind, Namespace: account.Namespace, Name: account.Name, UID: types.UID(account.CheckUID),
	}
	in := AccountInput{
		Due: Due{Ref: ref, At: account.Nominal}, UUID: account.WorkflowID, RunID: account.RunID, Attempts: account.Attempts,
		Outcome: check.Outcome{Started: account.Started},
	}
	for trigger, word := range triggers {
		if word == account.Trigger {
			in.Trigger = trigger
		}
	}
	return in
}
