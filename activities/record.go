package activities

import (
	"context"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// RecordOutcomeInput is the outcome of one run.
type RecordOutcomeInput struct {
	Ref     check.Ref
	UUID    string
	Outcome check.Outcome
}

// RecordOutcome writes the outcome of a run to the state of its check. It writes nothing when the check is gone, or when
// the state shows a later run.
func (a *Activities) RecordOutcome(ctx context.Context, in RecordOutcomeInput) error {
	if _, ok, err := a.Cluster.Workload(ctx, in.Ref); err != nil || !ok {
		return err
	}
	return a.Cluster.WriteState(ctx, in.Ref.Namespace, check.StateName(in.Ref.Name),
		func(present *khv1.KuberhealthyState) *khv1.KuberhealthyState {
			if present != nil && !check.Supersedes(present, in.Outcome) {
				return nil
			}
			return check.NewState(present, in.Ref, in.UUID, a.Recorder, in.Outcome, time.Now())
		})
}

// SetJobPhaseInput is the progress of a job.
type SetJobPhaseInput struct {
	Ref   check.Ref
	Phase khv1.JobPhase
}

// SetJobPhase writes the phase of a job.
func (a *Activities) SetJobPhase(ctx context.Context, in SetJobPhaseInput) error {
	return a.Cluster.SetJobPhase(ctx, in.Ref, in.Phase)
}
