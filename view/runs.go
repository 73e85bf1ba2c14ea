package view

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Ledger is the part of the ledger that is read.
type Ledger interface {
	Overview(ctx context.Context, now time.Time) ([]ledger.Summary, error)
	CountsSince(ctx context.Context, from time.Time) (map[string]ledger.Counts, error)
	Durations(ctx context.Context, checkUIDs []string, records int) (map[string][]time.Duration, error)
	Runs(ctx context.Context, ref check.Ref, q ledger.RunsQuery) ([]ledger.Record, error)
	Recent(ctx context.Context, refs []check.Ref, limit int) ([][]ledger.RecentRun, error)
	RunOfTick(ctx context.Context, ref check.Ref, tick time.Time, trigger check.Trigger) (ledger.Record, bool, error)
	RunOf(ctx context.Context, ref check.Ref, workflowID string) (ledger.Record, bool, error)
	Evidence(ctx context.Context, key ledger.Key) ([]ledger.Evidence, error)
}

// ErrNoRun is the error of a run that is not known.
var ErrNoRun = errors.New("there is no such run")

// RunsQuery chooses runs of one check or job. The zero value chooses none: Limit is needed.
type RunsQuery struct {
	// Since and Until bound the ticks: not before Since, and before Until. The zero time is no bound.
	Since, Until time.Time
	// Outcomes are the outcomes to find. Empty means all. check.Unfinished finds runs that are open.
	Outcomes []check.Outcome
	// WithEvidence is true to find only runs with evidence. Without a ledger there are none.
	WithEvidence bool
	// After is the last run of the page before. The zero value begins with the newest run.
	After RunID
	Limit int
}

// RunsPage is a part of the runs of a check, the newest first.
type RunsPage struct {
	Runs []Run
	// Next is the After of the next page. It is nil on the last page.
	Next *RunID
}

// Runs returns runs of a check or job. ref needs kind, namespace and name. Records of a deleted check of that name are
// included. Without a ledger, it returns the runs that the KHState lists.
func (v *View) Runs(ctx context.Context, ref check.Ref, q RunsQuery) (RunsPage, error) {
	limit := max(q.Limit, 0)
	var page RunsPage
	if v.Ledger == nil {
		page.Runs = v.runsOfState(ref, q, limit+1)
	} else {
		records, err := v.Ledger.Runs(ctx, ref, ledger.RunsQuery{
			Since: q.Since, Until: q.Until, Outcomes: q.Outcomes, WithEvidence: q.WithEvidence, Limit: limit + 1,
			After: ledger.Key{Tick: q.After.Tick, Trigger: q.After.Trigger},
		})
		if err != nil {
			return RunsPage{}, err
		}
		for _, r := range records {
			page.Runs = append(page.Runs, RunOf(r))
		}
	}
	if len(page.Runs) > limit && limit > 0 {
		page.Runs = page.Runs[:limit]
		page.Next = &page.Runs[limit-1].RunID
	}
	return page, nil
}

// runsOfState returns runs that the KHState of a check lists, the newest first.
func (v *View) runsOfState(ref check.Ref, q RunsQuery, limit int) (runs []Run) {
	if q.WithEvidence {
		return nil
	}
	for _, run := range slices.Backward(v.listed(ref)) {
		after := !q.After.Tick.IsZero() && !run.Tick.Before(q.After.Tick)
		early := !q.Since.IsZero() && run.Tick.Before(q.Since)
		late := !q.Until.IsZero() && !run.Tick.Before(q.Until)
		other := len(q.Outcomes) > 0 && !slices.Contains(q.Outcomes, run.Outcome)
		if !after && !early && !late && !other && len(runs) < limit {
			runs = append(runs, run)
		}
	}
	return runs
}

// listed returns the runs that the KHState of a check lists, in the order of their ticks.
func (v *View) listed(ref check.Ref) []Run {
	for _, state := range v.Snapshot().Recorded {
		if state.Kind == ref.Kind && state.Namespace == ref.Namespace && state.Name == check.StateName(ref.Name) {
			return runsOf(ref, state)
		}
	}
	return nil
}

// runsOf returns the runs of a check that its KHState lists, in the order of their ticks.
func runsOf(ref check.Ref, state Recorded) []Run {
	runs := make([]Run, len(state.Runs))
	for i, r := range state.Runs {
		var last *LastRun
		if i == len(state.Runs)-1 {
			last = lastRun(state)
		}
		runs[i] = runOfState(ref, r, last)
	}
	slices.SortStableFunc(runs, func(a, b Run) int { return a.Tick.Compare(b.Tick) })
	return runs
}

// FindRun returns the run of a check or job that has this ID, as RunID.ID returns it, or this run UUID. The error is ErrNoRun if
// there is none. A run that is open has no UUID.
func (v *View) FindRun(ctx context.Context, ref check.Ref, id string) (Run, error) {
	parsed, err := ParseRunID(id)
	switch {
	case v.Ledger == nil && err == nil:
		for _, run := range v.listed(ref) {
			if run.RunID.ID() == parsed.ID() {
				return run, nil
			}
		}
		return Run{}, ErrNoRun
	case v.Ledger == nil:
		return Run{}, ErrNoRun
	case err == nil:
		r, ok, err := v.Ledger.RunOfTick(ctx, ref, parsed.Tick, parsed.Trigger)
		return found(r, ok, err)
	}
	r, ok, err := v.Ledger.RunOf(ctx, ref, strings.ToLower(id))
	return found(r, ok && r.Outcome != check.Unfinished, err)
}

func found(r ledger.Record, ok bool, err error) (Run, error) {
	switch {
	case err != nil:
		return Run{}, err
	case !ok:
		return Run{}, ErrNoRun
	}
	return RunOf(r), nil
}
