package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// restoreWithin bounds the time in which one housekeeping restores states. The next one does the rest.
const restoreWithin = 10 * time.Second

// restoreStates writes the states of checks and jobs that have an outcome and no state: somebody deleted or wiped the state.
func (a *Activities) restoreStates(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restoreWithin)
	defer cancel()
	var errs []error
	for _, ref := range a.Cluster.WithoutState() {
		if ctx.Err() != nil {
			break
		}
		if err := a.restoreState(ctx, ref); err != nil {
			errs = append(errs, fmt.Errorf("restore the state of %s: %w", ref, err))
		}
	}
	return errors.Join(errs...)
}

func (a *Activities) restoreState(ctx context.Context, ref check.Ref) error {
	runs, err := a.endedRuns(ctx, ref)
	if err != nil || len(runs) == 0 {
		return err
	}
	if _, ok, err := a.Cluster.Workload(ctx, ref); err != nil || !ok {
		return err
	}
	err = a.Cluster.WriteState(ctx, ref.Namespace, check.StateName(ref.Name),
		func(present *khv1.KuberhealthyState) *khv1.KuberhealthyState {
			if present != nil && check.ShowsRun(present) {
				return nil
			}
			return a.restored(present, ref, runs)
		})
	if namespaceGoes(err) {
		return nil
	}
	if err == nil {
		activity.GetLogger(ctx).Info("state is restored", "namespace", ref.Namespace, "check", ref.Name)
	}
	return err
}

// restored returns the state after these runs, the newest of which is the last. present is the wiped state, if there is one.
func (a *Activities) restored(present *khv1.KuberhealthyState, ref check.Ref, runs []EndedRun) *khv1.KuberhealthyState {
	last := runs[len(runs)-1]
	ref.Generation = 0 // that of the run is not known
	state := check.NewState(present, ref, last.UUID, a.Recorder, last.Conclusion)
	for _, run := range runs {
		check.AddRecentRun(state, check.NewRecentRun(run.Tick, run.Conclusion))
	}
	return state
}

// endedRuns returns the last runs of a check or job with an outcome, the newest last. They come from the ledger, or from
// Temporal if there is no ledger or it does not answer.
func (a *Activities) endedRuns(ctx context.Context, ref check.Ref) ([]EndedRun, error) {
	if a.Ledger != nil {
		records, err := a.Ledger.LastOutcomes(ctx, uidOf(ref), check.MaxRecentRuns)
		if err == nil {
			return endedRuns(records), nil
		}
	}
	last, ok, err := a.Runs.LastOutcome(ctx, ref)
	if err != nil || !ok {
		return nil, err
	}
	return []EndedRun{last}, nil
}

// endedRuns returns the runs of records, in the order of their starts.
func endedRuns(records []ledger.Record) []EndedRun {
	var runs []EndedRun
	for _, r := range records {
		runs = append(runs, EndedRun{UUID: r.WorkflowID, Tick: r.Tick, Conclusion: check.Conclusion{
			Outcome: r.Outcome, Errors: r.Errors, Reported: !r.Reported.IsZero(), Node: r.Node, Started: r.Started, Concluded: r.Concluded,
		}})
	}
	slices.SortFunc(runs, func(a, b EndedRun) int { return a.Conclusion.Started.Compare(b.Conclusion.Started) })
	return runs
}
