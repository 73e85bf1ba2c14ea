package view

import (
	"context"
	"slices"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Recent returns the last runs of each of some checks or jobs, the newest first, in the order of refs. It is one question to
// the ledger, whatever their number. The runs have a tick, an outcome and a duration, and little else. Records of a deleted
// check of the same name are included. Without a ledger, these are the runs that the KHStates list.
func (v *View) Recent(ctx context.Context, refs []check.Ref, limit int) ([][]Run, error) {
	if v.Ledger == nil {
		return v.recentOfStates(refs, limit), nil
	}
	lists, err := v.Ledger.Recent(ctx, refs, limit)
	if err != nil {
		return nil, err
	}
	all := make([][]Run, len(refs))
	for i, list := range lists {
		all[i] = make([]Run, len(list))
		for j, r := range list {
			all[i][j] = recentRun(refs[i], r)
		}
	}
	return all, nil
}

func recentRun(ref check.Ref, r ledger.RecentRun) Run {
	return Run{Ref: ref, RunID: RunID{r.Tick, r.Trigger}, Outcome: r.Outcome, Flaky: r.Flaky, Duration: r.Duration, Timed: r.Timed}
}

func (v *View) recentOfStates(refs []check.Ref, limit int) [][]Run {
	recorded := map[refKey]Recorded{}
	for _, state := range v.Snapshot().Recorded {
		recorded[refKey{state.Kind, state.Namespace, state.Name}] = state
	}
	all := make([][]Run, len(refs))
	for i, ref := range refs {
		state, ok := recorded[refKey{ref.Kind, ref.Namespace, check.StateName(ref.Name)}]
		if !ok {
			continue
		}
		runs := runsOf(ref, state)
		slices.Reverse(runs)
		all[i] = runs[:min(len(runs), max(limit, 0))]
	}
	return all
}
