package workflows

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// Bounds of the housekeeping.
const (
	// lostAfter is how long ago a run must have begun whose account may be closed for it.
	lostAfter = 2 * time.Minute
	// accountsAtATime is how many open accounts are looked at together, the oldest first, and mostPages how often.
	accountsAtATime = 100
	mostPages       = 50
	// beatTimeout is enough for both tries of a heartbeat to the outside.
	beatTimeout = 30 * time.Second
	// staleBeat is how long a beat may wait for a worker before it is dropped: the next one is due.
	staleBeat = time.Minute
)

// Housekeeping runs again and again by its cron schedule: it beats the heart, and closes the accounts of lost runs. When it
// fails, the next one does what is left.
func Housekeeping(ctx workflow.Context) error {
	beat := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                "heartbeat",
		StartToCloseTimeout:    beatTimeout,
		ScheduleToCloseTimeout: staleBeat,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
	}), a.Heartbeat)
	err := closeLostAccounts(ctx)
	return errors.Join(beat.Get(ctx, nil), err)
}

// closeLostAccounts closes the open accounts of runs that are over, but for those that wait to be entered. A run closes its
// account itself: it did not come to that when it was terminated, or when Temporal's data went.
func closeLostAccounts(ctx workflow.Context) error {
	in := activities.OpenAccountsInput{Before: workflow.Now(ctx).Add(-lostAfter), Limit: accountsAtATime}
	var errs []error
	for range mostPages {
		var open []activities.AccountInput
		if err := workflow.ExecuteActivity(housekeepingOptions(ctx, "look for open accounts"), a.OpenAccounts, in).Get(ctx, &open); err != nil {
			return errors.Join(append(errs, fmt.Errorf("look for open accounts: %w", err))...)
		}
		lost, err := lostOf(ctx, open)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		closed, refused, err := closeAll(ctx, lost)
		errs = append(errs, refused, err)
		if err != nil || len(open) < accountsAtATime {
			break
		}
		in.Skip += len(open) - closed
	}
	return errors.Join(errs...)
}

// lostOf returns those of the open accounts that nobody will close.
func lostOf(ctx workflow.Context, open []activities.AccountInput) (lost []activities.AccountInput, err error) {
	if len(open) == 0 {
		return nil, nil
	}
	var ids, closed []string
	for _, account := range open {
		ids = append(ids, account.UUID, accountID(account.Due, account.Revision))
	}
	if err := workflow.ExecuteActivity(housekeepingOptions(ctx, "ask for their runs"), a.ClosedWorkflows, ids).Get(ctx, &closed); err != nil {
		return nil, fmt.Errorf("ask for the runs of open accounts: %w", err)
	}
	for _, account := range open {
		if slices.Contains(closed, account.UUID) && slices.Contains(closed, accountID(account.Due, account.Revision)) {
			lost = append(lost, account)
		}
	}
	return lost, nil
}

// closeAll closes the accounts of lost runs and counts them. A ledger that takes none must not hold up the next beat, so that
// ends it; one that refuses an account takes others.
func closeAll(ctx workflow.Context, lost []activities.AccountInput) (closed int, refused, err error) {
	for _, account := range lost {
		err := closeLostAccount(ctx, account)
		var final *temporal.ApplicationError
		switch {
		case err == nil:
			closed++
		case errors.As(err, &final) && final.NonRetryable():
			refused = errors.Join(refused, err)
		default:
			return closed, refused, err
		}
	}
	return closed, refused, nil
}

func closeLostAccount(ctx workflow.Context, account activities.AccountInput) error {
	started := account.Outcome.Started
	account.Outcome = check.Lost().Outcome(account.Ref)
	account.Outcome.Started = started // when it ended is not known
	workflow.GetLogger(ctx).Warn("the account of a lost run is closed", "check", account.Ref.String(), "run", account.UUID)
	err := workflow.ExecuteActivity(housekeepingOptions(ctx, "close the account of a lost run — "+account.Ref.String()), a.RecordAccount, account).Get(ctx, nil)
	if err != nil {
		return fmt.Errorf("close the account of a lost run of %s: %w", account.Ref, err)
	}
	return nil
}

// housekeepingOptions are those of a step that the next housekeeping does again if need be.
func housekeepingOptions(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                summary,
		StartToCloseTimeout:    beatTimeout,
		ScheduleToCloseTimeout: staleBeat,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 2},
	})
}
