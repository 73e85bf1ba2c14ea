package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// CompleteJob sets the phase of a job whose one run has ended. If nothing is known of that run, it was lost, and CompleteJob
// records the loss. The job does not run again, because nobody knows how far it came.
func CompleteJob(ctx workflow.Context, in CompleteJobInput) error {
	c := completion{Ref: in.Ref, key: activities.RecordKey{Ref: in.Ref, Trigger: check.TriggerJob, Tick: in.Since.Truncate(time.Microsecond)}}
	hasRun := in.Ended
	if !hasRun {
		if err := c.step(ctx, "look for the run", a.JobHasRun, c.key, &hasRun); err != nil {
			return err
		}
	}
	if hasRun {
		return c.setPhase(ctx)
	}
	return c.recordLoss(ctx, in.Since)
}

// completion is the work of one CompleteJob.
type completion struct {
	check.Ref
	key activities.RecordKey
}

func (c completion) recordLoss(ctx workflow.Context, since time.Time) error {
	conclusion := check.Lost().Conclude(c.Ref)
	conclusion.Started, conclusion.Concluded = since, workflow.Now(ctx) // an outcome that was recorded meanwhile stays
	err := c.step(ctx, "record the outcome", a.RecordOutcome, activities.RecordOutcomeInput{Ref: c.Ref, Conclusion: conclusion}, nil)
	if err != nil {
		return err
	}
	if err := c.setPhase(ctx); err != nil {
		return err
	}
	execution := workflow.GetInfo(ctx).WorkflowExecution
	err = c.step(ctx, "record the run", a.RecordRun, activities.RecordInput{
		RecordKey: c.key, UUID: execution.ID, RunID: execution.RunID, Conclusion: conclusion, Recorded: workflow.Now(ctx),
	}, nil)
	if err != nil {
		return err
	}
	measureRun(ctx, c.Ref, conclusion, check.Attempts{})
	return nil
}

func (c completion) setPhase(ctx workflow.Context) error {
	return c.step(ctx, "set the phase", a.SetJobPhase, activities.SetJobPhaseInput{Ref: c.Ref, Phase: khv1.JobCompleted}, nil)
}

// step runs a short activity until it succeeds, or is refused for good.
func (c completion) step(ctx workflow.Context, what string, do, in, result any) error {
	err := shortly(ctx, step{what + " — " + c.String(), do}, persistently(0), in, result)
	if err != nil && !refused(err) {
		return fmt.Errorf("complete job %s: %w", c.Ref, err)
	}
	return nil
}
