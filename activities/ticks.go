package activities

import (
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
	// during the newest run, or the one at once, were skipped.
	SinceLast bool `json:",omitempty"`
	// Runs are those that were in flight before the due times end: with SinceLast, their accounts are waited for.
	Runs []string `json:",omitempty"`
}

// errRunIsOpen is the error of ticks after a run that has not ended: until when it keeps the check busy is not known.
var errRunIsOpen = errors.New("the run before them is not over yet")

// span is the time of a run.
type span struct{ From, To time.Time }

// contains allows for the whole seconds of a cron workflow: a run that ended just before a due time has hindered its tick.
func (s span) contains(t time.Time) bool {
	return !t.Before(s.From) && !t.After(s.To.Add(check.TickTolerance)) && !s.To.IsZero()
}

// lastRun returns the account of the newest run of a check with a trigger that was due before the due times end, and the time of
// that run. The ticks themselves, some of which may be entered already, change nothing of it.
func (a *Activities) lastRun(ctx context.Context, in TicksInput, trigger ledger.Trigger) (last ledger.Account, busy span, ok bool, err error) {
	last, ok, err = a.Ledger.LastRun(ctx, uidOf(in.Ref), trigger, in.Before)
	switch {
	case err != nil:
		return last, busy, ok, fmt.Errorf("read the account of the last run of %s: %w", in.Ref, err)
	case !ok:
		return last, busy, ok, nil
	case last.Outcome == ledger.Unfinished:
		return last, busy, ok, fmt.Errorf("ticks of %s after %s: %w", in.Ref, last.Nominal.Format(time.RFC3339), errRunIsOpen)
	}
	execution, err := a.Executions.Execution(ctx, last.WorkflowID)
	switch {
	case err != nil:
		return last, busy, ok, fmt.Errorf("ask for the last run of %s: %w", in.Ref, err)
	case execution.Open: // its account is not the last that it does
		return last, busy, ok, fmt.Errorf("ticks of %s after %s: %w", in.Ref, last.Nominal.Format(time.RFC3339), errRunIsOpen)
	case !execution.Closed.IsZero():
		return last, span{last.Nominal, execution.Closed}, ok, nil
	case last.Judged.IsZero(): // a lost run: when its account was closed says nothing of when it ended
		return last, span{last.Nominal, last.Started}, ok, nil
	}
	return last, span{last.Nominal, slices.MaxFunc([]time.Time{last.Judged, last.Exited, last.Recorded}, time.Time.Compare)}, ok, nil
}

// accountWithin bounds the wait for the account of a run that must have one, and lookEvery says how often it is looked for. A
// ledger that was down gets its accounts within a minute. Tests change them.
var (
	accountWithin = 90 * time.Second
	lookEvery     = time.Second
)

// await looks until there is what is looked for, or until the account of a run must have come.
func await(ctx context.Context, look func() (ok bool, err error)) error {
	until := time.Now().Add(accountWithin)
	for {
		if ok, err := look(); ok || err != nil || time.Now().After(until) {
			return err
		}
		keepAlive(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// keepAlive says that the activity goes on, and keeps what it said before.
func keepAlive(ctx context.Context) {
	activity.RecordHeartbeat(ctx, progressOf(ctx))
}

// awaitRuns waits for the closed accounts of runs that were in flight: one that could not be opened shows nothing of the run.
func (a *Activities) awaitRuns(ctx context.Context, in TicksInput) error {
	for _, run := range in.Runs {
		open := false
		err := await(ctx, func() (bool, error) {
			account, ok, err := a.Ledger.RunOf(ctx, in.Ref, run)
			open = ok && account.Outcome == ledger.Unfinished
			return ok && !open, err
		})
		switch {
		case err != nil:
			return fmt.Errorf("read the account of a run of %s: %w", in.Ref, err)
		case open:
			return fmt.Errorf("ticks of %s: %w", in.Ref, errRunIsOpen)
		}
	}
	return nil
}

// busy returns when runs kept the check from another. With SinceLast it fills in what the newest tick says; ok is false when
// there is nothing to go by.
func (a *Activities) busy(ctx context.Context, in *TicksInput) (spans []span, ok bool, err error) {
	before := span{in.After, in.Busy}
	switch {
	case !in.SinceFirst && !in.SinceLast:
		return []span{before}, true, nil
	case a.Ledger == nil:
		return nil, false, nil
	}
	if err := a.awaitRuns(ctx, *in); err != nil {
		return nil, false, err
	}
	first, err := a.firstRun(ctx, *in)
	if err != nil || in.SinceFirst {
		return []span{before, first}, true, err
	}
	last, found, err := a.Ledger.Last(ctx, uidOf(in.Ref), ledger.Scheduled, in.Before)
	if err != nil {
		return nil, false, fmt.Errorf("read the newest tick of %s: %w", in.Ref, err)
	}
	_, run, _, err := a.lastRun(ctx, *in, ledger.Scheduled)
	if err != nil {
		return nil, false, err
	}
	if found && last.Nominal.After(in.After) {
		in.After = last.Nominal
	}
	if in.Anchor.IsZero() {
		in.Anchor = last.Nominal
	}
	return []span{before, first, run}, !in.Anchor.IsZero(), nil
}

// firstRun returns the time of the check's run at once.
func (a *Activities) firstRun(ctx context.Context, in TicksInput) (span, error) {
	var busy span
	err := await(ctx, func() (bool, error) {
		last, run, found, err := a.lastRun(ctx, in, ledger.First)
		busy = run
		// The newest may be that of the spec before, as long as this one's waits for the ledger.
		return !in.SinceFirst || found && !last.Nominal.Before(in.Anchor.Add(-check.TickTolerance)), err
	})
	return busy, err
}

// TicksResult says at how many due times no run started, by what became of them.
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

// maxTicks is how many accounts are written at a time: what a transaction of the ledger takes.
const maxTicks = 256

// ticksProgress is how far the ticks are entered, and between what. To a further try, those that an earlier one entered would
// be the newest tick: it would not count them.
type ticksProgress struct {
	Upto, Anchor time.Time
	Busy         []span
	Result       TicksResult
}

// progressOf returns how far an earlier call came; it is zero where there was none.
func progressOf(ctx context.Context) (done ticksProgress) {
	if !activity.HasHeartbeatDetails(ctx) || activity.GetHeartbeatDetails(ctx, &done) != nil {
		return ticksProgress{}
	}
	return done
}

// RecordTicks makes accounts of due times at which no run started, and counts them; without a ledger, those for which that need
// not be asked. It may be called again, and goes on where it was.
func (a *Activities) RecordTicks(ctx context.Context, in TicksInput) (TicksResult, error) {
	schedule, err := check.ParseSchedule(in.Schedule)
	if err != nil {
		return TicksResult{}, temporal.NewNonRetryableApplicationError("the schedule of "+in.Ref.String()+" cannot be read", AccountRefused, err)
	}
	done := progressOf(ctx)
	if done.Busy == nil {
		busy, ok, err := a.busy(ctx, &in)
		if err != nil || !ok {
			return TicksResult{}, err
		}
		done = ticksProgress{Upto: in.After, Anchor: in.Anchor, Busy: busy}
		activity.RecordHeartbeat(ctx, done)
	}
	var accounts []ledger.Account
	for due := range schedule.Between(done.Anchor, done.Upto, in.Before) {
		account := accountOf(Due{Ref: in.Ref, Trigger: in.Trigger, At: due})
		switch account.Outcome = ledger.Missed; {
		case slices.ContainsFunc(done.Busy, func(s span) bool { return s.contains(due) }):
			account.Outcome = ledger.Skipped
		case in.Paused:
			account.Outcome = ledger.Paused
		}
		if accounts = append(accounts, account); len(accounts) < maxTicks {
			continue
		}
		if err := a.enterTicks(ctx, in.Ref, accounts, &done.Result); err != nil {
			return TicksResult{}, err
		}
		done.Upto = due
		activity.RecordHeartbeat(ctx, done)
		accounts = accounts[:0]
	}
	err = a.enterTicks(ctx, in.Ref, accounts, &done.Result)
	return done.Result, err
}

// enterTicks writes accounts into the ledger, if there is one, and counts those which stand: a run that nobody remembers may
// have an account all the same.
func (a *Activities) enterTicks(ctx context.Context, ref check.Ref, accounts []ledger.Account, result *TicksResult) (err error) {
	if a.Ledger != nil {
		accounts, err = a.Ledger.RecordTicks(ctx, accounts)
	}
	switch {
	case errors.Is(err, ledger.ErrInvalid):
		return temporal.NewNonRetryableApplicationError("the ledger refuses the ticks of "+ref.String(), AccountRefused, err)
	case err != nil:
		return fmt.Errorf("record ticks of %s: %w", ref, err)
	}
	for _, account := range accounts {
		result.count(account.Outcome)
	}
	return nil
}
