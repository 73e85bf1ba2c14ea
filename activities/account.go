package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	RecordTicks(ctx context.Context, accounts []ledger.Account) error
	Last(ctx context.Context, checkUID string, trigger ledger.Trigger) (account ledger.Account, ok bool, err error)
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
	// Created is when the pod of the last attempt was made, Reported when the report was stored and Recorded when the
	// KHState was written.
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

// TicksInput names due times at which no run started.
type TicksInput struct {
	Ref      check.Ref
	Trigger  check.Trigger
	Schedule check.ScheduleSpec
	Anchor   time.Time
	// The due times are those after After and before Before.
	After, Before time.Time
	// Busy is when the run before them ended: those up to it were skipped, and those after it were missed.
	Busy time.Time
	// Paused is true when the check was suspended: those after Busy were paused.
	Paused bool `json:",omitempty"`
	// SinceFirst is true when nothing but the check's run at once went before them: those during it were skipped.
	SinceFirst bool `json:",omitempty"`
	// SinceLast is true when the newest tick in the ledger stands for After, where it is later, and for a zero Anchor; those
	// during its run, or the one at once, were skipped.
	SinceLast bool `json:",omitempty"`
}

// errRunIsOpen is the error of ticks after a run whose account is not closed yet: when it ended is not known.
var errRunIsOpen = errors.New("the run before them has no outcome yet")

// span is the time of a run.
type span struct{ from, to time.Time }

// contains allows for the whole seconds of a cron workflow: a run that ended just before a due time has hindered its tick.
func (s span) contains(t time.Time) bool {
	return !t.Before(s.from) && !t.After(s.to.Add(check.TickTolerance)) && !s.to.IsZero()
}

// lastOf returns the newest account of a check with a trigger, and the time of its run.
func (a *Activities) lastOf(ctx context.Context, in TicksInput, trigger ledger.Trigger) (last ledger.Account, busy span, ok bool, err error) {
	last, ok, err = a.Ledger.Last(ctx, uidOf(in.Ref), trigger)
	switch {
	case err != nil:
		return last, busy, ok, fmt.Errorf("read the last account of %s: %w", in.Ref, err)
	case !ok || last.WorkflowID == "" || !last.Nominal.Before(in.Before):
		return last, busy, ok, nil
	case last.Outcome == ledger.Unfinished:
		return last, busy, ok, fmt.Errorf("ticks of %s after %s: %w", in.Ref, last.Nominal.Format(time.RFC3339), errRunIsOpen)
	}
	end := slices.MaxFunc([]time.Time{last.Judged, last.Exited, last.Recorded}, time.Time.Compare)
	return last, span{last.Nominal, end}, ok, nil
}

// firstWithin is how often it is tried to find the account of a check's run at once.
const firstWithin = 20

// busy returns when runs kept the check from another. With SinceLast it fills in what the newest tick says; ok is false when
// there is nothing to go by.
func (a *Activities) busy(ctx context.Context, in *TicksInput) (spans []span, ok bool, err error) {
	spans = []span{{in.After, in.Busy}}
	if !in.SinceFirst && !in.SinceLast {
		return spans, true, nil
	}
	if a.Ledger == nil {
		return nil, false, nil
	}
	at, first, found, err := a.lastOf(ctx, *in, ledger.First)
	// The newest may be that of the spec before, as long as this one's waits for the ledger.
	there := found && !at.Nominal.Before(in.Anchor.Add(-check.TickTolerance))
	if err == nil && in.SinceFirst && !there && activity.GetInfo(ctx).Attempt < firstWithin {
		err = fmt.Errorf("ticks of %s: the account of its first run is not there yet", in.Ref)
	}
	if err != nil || in.SinceFirst {
		return append(spans, first), true, err
	}
	last, run, found, err := a.lastOf(ctx, *in, ledger.Scheduled)
	if err != nil {
		return nil, false, err
	}
	if found && last.Nominal.After(in.After) {
		in.After = last.Nominal
	}
	if in.Anchor.IsZero() {
		in.Anchor = last.Nominal
	}
	return append(spans, first, run), !in.Anchor.IsZero(), nil
}

// TicksResult says how many due times there were, by what became of them.
type TicksResult struct {
	Skipped, Paused, Missed int
}

func (r *TicksResult) count(outcome ledger.Outcome) {
	switch outcome {
	case ledger.Skipped:
		r.Skipped++
	case ledger.Paused:
		r.Paused++
	case ledger.Missed:
		r.Missed++
	}
}

// maxTicks is how many accounts are written at a time.
const maxTicks = 1000

// RecordTicks makes accounts of due times at which no run started, and counts them, also without a ledger. It may be called
// again.
func (a *Activities) RecordTicks(ctx context.Context, in TicksInput) (TicksResult, error) {
	var result TicksResult
	schedule, err := check.ParseSchedule(in.Schedule)
	if err != nil {
		return result, fmt.Errorf("read the schedule of %s: %w", in.Ref, err)
	}
	busy, ok, err := a.busy(ctx, &in)
	if err != nil || !ok {
		return result, err
	}
	var accounts []ledger.Account
	write := func() error {
		if a.Ledger != nil {
			if err := a.Ledger.RecordTicks(ctx, accounts); err != nil {
				return fmt.Errorf("record ticks of %s: %w", in.Ref, err)
			}
		}
		accounts = accounts[:0]
		activity.RecordHeartbeat(ctx)
		return nil
	}
	for due := range schedule.Between(in.Anchor, in.After, in.Before) {
		account := accountOf(Due{Ref: in.Ref, Trigger: in.Trigger, At: due})
		switch account.Outcome = ledger.Missed; {
		case slices.ContainsFunc(busy, func(s span) bool { return s.contains(due) }):
			account.Outcome = ledger.Skipped
		case in.Paused:
			account.Outcome = ledger.Paused
		}
		result.count(account.Outcome)
		if accounts = append(accounts, account); len(accounts) == maxTicks {
			if err := write(); err != nil {
				return TicksResult{}, err
			}
		}
	}
	return result, write()
}

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
