package starter

import (
	"context"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// settled is how long after the end of its run the cache may still show a job as Running.
const settled = 30 * time.Second

// reconcileJob starts a job that has no phase yet, and ends a Running job that nothing runs.
func (s *starter) reconcileJob(ctx context.Context, k key) (after time.Duration, err error) {
	job, ok := s.Cluster.Job(k.namespace, k.name)
	switch {
	case !ok:
		return 0, nil
	case job.Spec.Phase == "":
		in := jobInput(job)
		_, err := s.start(ctx, workflows.SingleTickOptions(workflows.JobRunID(in.Ref), in), workflows.ScheduledCheck, in)
		if isStarted(err) { // its phase is about to be written, or was lost when the job was replaced
			return s.reconcileRunningJob(ctx, job)
		}
		return 0, err
	case job.Spec.Phase == khv1.JobRunning:
		return s.reconcileRunningJob(ctx, job)
	}
	return 0, nil
}

// reconcileRunningJob records the loss of a job's run: Temporal's data was lost, somebody terminated the run, or
// Kuberhealthy left the job. The job does not run again, because nobody knows how far it came.
func (s *starter) reconcileRunningJob(ctx context.Context, job *khv1.KuberhealthyJob) (after time.Duration, err error) {
	ref := check.FromJob(job).Ref
	ended, open, err := s.endOfJob(ctx, ref)
	switch {
	case err != nil || open: // the next resync looks again
		return 0, err
	case time.Since(ended) < settled:
		return settled, nil
	}
	in := workflows.LostJobInput{Ref: ref, Since: job.CreationTimestamp.Time}
	_, err = s.start(ctx, workflows.LostJobOptions(ref), workflows.LostJob, in)
	if isStarted(err) {
		return 0, nil
	}
	return 0, err
}

// endOfJob returns when the run of a job had ended, or the zero time if Temporal has no record of it. open is true while
// the run, or the tick that starts it, is open.
func (s *starter) endOfJob(ctx context.Context, ref check.Ref) (ended time.Time, open bool, err error) {
	tick, err := s.describe(ctx, workflows.JobRunID(ref))
	if err != nil || tick == nil || workflows.Open(tick.GetStatus()) {
		return ended, tick != nil, err
	}
	run, err := s.describe(ctx, tick.GetExecution().GetRunId())
	if run == nil {
		return tick.GetCloseTime().AsTime(), false, err
	}
	return run.GetCloseTime().AsTime(), workflows.Open(run.GetStatus()), err
}
