package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Ledger keeps one account of each due run; package ledger has it.
type Ledger interface {
	Begin(ctx context.Context, account ledger.Account) error
	Finish(ctx context.Context, account ledger.Account) error
	RecordTicks(ctx context.Context, accounts []ledger.Account) (standing []ledger.Account, err error)
	Last(ctx context.Context, checkUID string, trigger ledger.Trigger, before time.Time) (account ledger.Account, ok bool, err error)
	LastRun(ctx context.Context, checkUID string, trigger ledger.Trigger, before time.Time) (account ledger.Account, ok bool, err error)
	RunOf(ctx context.Context, ref check.Ref, workflowID string) (account ledger.Account, ok bool, err error)
	PutEvidence(ctx context.Context, key ledger.Key, e ledger.Evidence) error
	OpenRuns(ctx context.Context) ([]ledger.Account, error)
}

// Due names a run that was due: there is one account for each.
type Due struct {
	Ref     check.Ref
	Trigger check.Trigger
	// At is when the run was due.
	At time.Time
}

// AccountInput is what is known of a run that has ended.
type AccountInput struct {
	Due
	UUID, RunID string
	Outcome     check.Outcome
	// Revision counts what the run says of itself: a late report makes another, which takes the place of the one before.
	Revision int
	// Attempts is how many pods the run had, and InfraFailures how many of them the platform spoiled.
	Attempts, InfraFailures int
	// Created is when the pod of the last attempt was made, Reported when the report was stored and Recorded when the run had
	// nothing more to do but this.
	Created  time.Time `json:",omitzero"`
	Reported time.Time `json:",omitzero"`
	Recorded time.Time `json:",omitzero"`
	// Seen is the last that was seen of that pod.
	Seen check.Observation
	// SpecHash tells specs apart.
	SpecHash string
}

// RecordAccount closes the account of a run. It may be called again.
func (a *Activities) RecordAccount(ctx context.Context, in AccountInput) error {
	if a.Ledger == nil {
		return nil
	}
	account := accountOf(in.Due)
	account.Outcome, account.Errors, account.Notes = ledger.Outcome(in.Outcome.Result), in.Outcome.Errors, in.Outcome.Notes
	account.WorkflowID, account.RunID, account.WorkerBuild = in.UUID, in.RunID, a.Build
	account.Started, account.PodCreated, account.Reported, account.Judged = in.Outcome.Started, in.Created, in.Reported, in.Outcome.Judged
	account.Revision, account.Recorded = in.Revision, in.Recorded
	account.Running, account.Exited = in.Seen.RunningSince, in.Seen.ExitedAt
	account.Flaky, account.InfraFailures = in.Outcome.Flaky, in.InfraFailures
	account.Attempts, account.Node, account.ImageDigest, account.SpecHash = in.Attempts, in.Outcome.Node, in.Seen.Image, in.SpecHash
	err := a.Ledger.Finish(ctx, account)
	if errors.Is(err, ledger.ErrOtherRun) || errors.Is(err, ledger.ErrInvalid) {
		return temporal.NewNonRetryableApplicationError("the ledger refuses the account of "+in.Ref.String(), AccountRefused, err)
	}
	if err != nil {
		return fmt.Errorf("record the account of %s: %w", in.Ref, err)
	}
	return nil
}

// AccountRefused is the type of the error of an account that the ledger will never take: another run has entered its own for
// that due time, or the account is not valid.
const AccountRefused = "AccountRefused"

// begin opens the account of a run. The run does not depend on it: its end makes up for it.
func (a *Activities) begin(ctx context.Context, run Run) {
	if a.Ledger == nil || run.Due == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	account := accountOf(*run.Due)
	account.WorkflowID, account.RunID, account.Attempts, account.WorkerBuild = run.UUID, activity.GetInfo(ctx).WorkflowExecution.RunID, run.Attempt, a.Build
	account.Started = run.Started
	if err := a.Ledger.Begin(ctx, account); err != nil {
		activity.GetLogger(ctx).Warn("account was not opened", "check", run.Ref.String(), "error", err)
	}
}

// beginTimeout bounds what a slow ledger may cost a run.
const beginTimeout = time.Second

// triggers are the ledger's words for why a run was due.
var triggers = map[check.Trigger]ledger.Trigger{
	check.TriggerSchedule: ledger.Scheduled, check.TriggerFirst: ledger.First, check.TriggerJob: ledger.Job,
	check.TriggerExternal: ledger.Manual,
}

func accountOf(due Due) ledger.Account {
	return ledger.Account{
		Key:  ledger.Key{CheckUID: uidOf(due.Ref), Trigger: triggers[due.Trigger], Nominal: due.At},
		Kind: due.Ref.Kind, Namespace: due.Ref.Namespace, Name: due.Ref.Name, Due: due.At,
	}
}

// uidOf names a check in the ledger. One that is not in the cluster has no UID, but its name.
func uidOf(ref check.Ref) string {
	return cmp.Or(string(ref.UID), string(ref.Kind)+"/"+ref.String())
}
