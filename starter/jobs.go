package starter

import (
	"context"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// settled is how long after the end of its run the cache may still show a job as Running.
const settled = 30 * time.Second

// reconcileJob starts a job that has no phase yet, completes one whose run has ended, and cancels the run of a deleted one.
func (s *starter) reconcileJob(ctx context.Context, k key) (after time.Duration, err error) {
	job, ok := s.Cluster.Job(k.namespace, k.name)
	switch {
	case !ok:
		return 0, s.cancelOrphans(ctx, openRunsOf(k))
	case job.Spec.Phase == "":
		in := jobInput(job)
		_, err := s.start(ctx, workflows.SingleTickOptions(workflows.JobRunID(in.Ref), in), workflows.ScheduledCheck, in)
		if isStarted(err) { // its phase is about to be written, or was lost when the job was replaced
			return s.reconcileStartedJob(ctx, job)
		}
		return 0, err
	case job.Spec.Phase == khv1.JobRunning:
		return s.reconcileStartedJob(ctx, job)
	}
	return 0, nil
}

// reconcileStartedJob completes a job that is not Completed although nothing runs it. Somebody replaced its phase after its
// run had ended. Or the run was lost: Temporal's data was lost, somebody terminated the run, or Kuberhealthy left the job.
func (s *starter) reconcileStartedJob(ctx context.Context, job *khv1.KuberhealthyJob) (after time.Duration, err error) {
	ref := check.FromJob(job).Ref
	run, err := s.runOfJob(ctx, ref)
	switch {
	case err != nil || run.open: // the next resync looks again
		return 0, err
	case time.Since(run.ended) < settled:
		return settled, nil
	}
	in := workflows.CompleteJobInput{Ref: ref, Since: job.CreationTimestamp.Time, Ended: run.inOrder}
	_, err = s.start(ctx, workflows.CompleteJobOptions(ref), workflows.CompleteJob, in)
	if isStarted(err) {
		return 0, nil
	}
	return 0, err
}

// jobRun is what Temporal knows of the one run of a job.
type jobRun struct {
	// open is true while the run, or the tick that starts it, is open.
	open bool
	// ended is when the run had ended. It is zero if Temporal has no record of it.
	ended time.Time
	// inOrder is true if the run itself recorded how it ended.
	inOrder bool
}

func (s *starter) runOfJob(ctx context.Context, ref check.Ref) (jobRun, error) {
	tick, err := s.describe(ctx, workflows.JobRunID(ref))
	if err != nil || tick == nil || workflows.Open(tick.GetStatus()) {
		return jobRun{open: tick != nil}, err
	}
	run, err := s.describe(ctx, tick.GetExecution().GetRunId())
	if run == nil {
		return jobRun{ended: tick.GetCloseTime().AsTime()}, err
	}
	status := run.GetStatus()
	return jobRun{
		open: workflows.Open(status), ended: run.GetCloseTime().AsTime(),
		inOrder: status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED || status == enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED,
	}, err
}
