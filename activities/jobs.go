package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// SetJobPhaseInput is the progress of a job.
type SetJobPhaseInput struct {
	Ref   check.Ref
	Phase khv1.JobPhase
}

// SetJobPhase writes the phase of a job.
func (a *Activities) SetJobPhase(ctx context.Context, in SetJobPhaseInput) error {
	return a.Cluster.SetJobPhase(ctx, in.Ref, in.Phase)
}

// JobHasRun is true if the state or the ledger has the outcome of a job's one run. Both remember it for longer than Temporal.
func (a *Activities) JobHasRun(ctx context.Context, run RecordKey) (bool, error) {
	if state, ok := a.Cluster.State(run.Ref.Namespace, check.StateName(run.Ref.Name)); ok && check.ShowsRunOf(state, run.Ref) {
		return true, nil
	}
	if a.Ledger == nil {
		return false, nil
	}
	record, ok, err := a.Ledger.Last(ctx, uidOf(run.Ref), check.TriggerJob, run.Tick.Add(time.Second))
	if err != nil {
		return false, fmt.Errorf("read the record of job %s: %w", run.Ref, err)
	}
	return ok && record.Outcome != check.Unfinished, nil
}

// newFor is how long after its creation the first tick of a job may come without doubt. A later tick may be that of a job
// whose phase was lost after Temporal had deleted its run.
const newFor = 2 * time.Minute

// completedBefore is true for the tick of a job that has run before. It sets the phase of that job again. If the ledger does
// not answer, the job runs: a ledger that is down must not stop it.
func (a *Activities) completedBefore(ctx context.Context, in TickInput) (bool, error) {
	if in.Trigger != check.TriggerJob || in.Now.Sub(in.Tick) < newFor {
		return false, nil
	}
	hasRun, err := a.JobHasRun(ctx, RecordKey{Ref: in.Ref, Trigger: in.Trigger, Tick: in.Tick})
	if err != nil {
		activity.GetLogger(ctx).Warn("job runs, although its earlier runs are not known", "namespace", in.Ref.Namespace, "check", in.Ref.Name, "error", err)
	}
	if !hasRun {
		return false, nil
	}
	return true, a.Cluster.SetJobPhase(ctx, in.Ref, khv1.JobCompleted)
}
