package workflows

import (
	"cmp"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// Bounds of the entries into the ledger.
const (
	// accountAtOnce is how long a run waits for the ledger. What is not entered by then, KeepAccount enters.
	accountAtOnce = 5 * time.Second
	// ticksTimeout bounds one try to enter many ticks.
	ticksTimeout = 5 * time.Minute
)

// KeepAccount enters an account or evidence into the ledger, and tries until that is done: while the ledger is down, runs go on and their
// accounts wait here.
func KeepAccount(ctx workflow.Context, in KeepAccountInput) error {
	patient := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: ticksTimeout, HeartbeatTimeout: time.Minute, RetryPolicy: retryPolicy(time.Second, time.Minute),
	})
	switch {
	case in.Run != nil:
		return workflow.ExecuteActivity(patient, a.RecordAccount, *in.Run).Get(ctx, nil)
	case in.Evidence != nil:
		return workflow.ExecuteActivity(patient, a.PutEvidence, *in.Evidence).Get(ctx, nil)
	}
	var result activities.TicksResult
	if err := workflow.ExecuteActivity(patient, a.RecordTicks, *in.Ticks).Get(ctx, &result); err != nil {
		return err
	}
	measureTicks(ctx, in.Ticks.Ref, result)
	return nil
}

// keepAccount starts a KeepAccount that outlives the workflow.
func keepAccount(ctx workflow.Context, due activities.Due, in KeepAccountInput) error {
	var id string
	summary := "account of "
	switch {
	case in.Run != nil:
		id = accountID(due, in.Run.Revision)
	case in.Evidence != nil:
		id, summary = evidenceID(due, in.Evidence.Part), "evidence of "
	default:
		id = ticksIDOf(ctx, due)
	}
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            id,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		TypedSearchAttributes: SearchAttributesOf(due.Ref),
		StaticSummary:         summary + due.Ref.String(),
	}), KeepAccount, in)
	return child.GetChildWorkflowExecution().Get(ctx, nil)
}

// changeTicksID is the change by which ticks have workflow IDs of their own: the account of a run that waits has the same due time.
const changeTicksID = "ticks-id"

func ticksIDOf(ctx workflow.Context, due activities.Due) string {
	if workflow.GetVersion(ctx, changeTicksID, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return accountID(due, 0)
	}
	return ticksID(due.Ref, due.At)
}

// account closes the account of the run.
func (r *checkRun) account(ctx workflow.Context, outcome check.Outcome) error {
	if r.in.Due.IsZero() {
		return nil
	}
	outcome = r.told(outcome)
	// A report may be faster than the news that the pod runs; by now its node is known.
	outcome.Notes, outcome.Node = r.notes, cmp.Or(outcome.Node, r.seen.Node)
	in := activities.AccountInput{
		Due: r.due(), UUID: r.uuid, RunID: workflow.GetInfo(ctx).WorkflowExecution.RunID, Outcome: outcome, Revision: r.accounts, Attempts: r.attempt, InfraFailures: r.tries.InfraFailures,
		Created: r.created.At, Reported: r.reportedAt, Recorded: workflow.Now(ctx), Seen: r.seen, SpecHash: r.created.SpecHash,
	}
	r.accounts++
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                r.summary("account: " + string(outcome.Result)),
		StartToCloseTimeout:    accountAtOnce,
		ScheduleToCloseTimeout: accountAtOnce,
		RetryPolicy:            retryPolicy(200*time.Millisecond, time.Second),
	}), a.RecordAccount, in).Get(ctx, nil)
	if err == nil {
		return nil
	}
	var refused *temporal.ApplicationError
	if errors.As(err, &refused) && refused.NonRetryable() {
		workflow.GetLogger(ctx).Error("the ledger refuses the account", "check", r.in.Ref.String(), "error", err)
		r.note(refused.Message())
		return nil
	}
	workflow.GetLogger(ctx).Warn("the ledger was not reached; the account waits", "check", r.in.Ref.String(), "error", err)
	return keepAccount(ctx, in.Due, KeepAccountInput{Run: &in})
}

func (r *checkRun) due() activities.Due {
	return activities.Due{Ref: r.in.Ref, Trigger: r.in.Trigger, At: r.in.Due}
}

// dueRun is due, or nil for a run without an account.
func (r *checkRun) dueRun() *activities.Due {
	if r.in.Due.IsZero() {
		return nil
	}
	due := r.due()
	return &due
}
