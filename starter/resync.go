package starter

import (
	"context"
	"errors"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// resync enqueues the housekeeping, and the checks and jobs that do not match their workflows, again and again. It cancels
// the runs of checks and jobs that were deleted while no starter was there. It looks at the status of each check, because a
// check becomes unknown without an event.
func (s *starter) resync(ctx context.Context) {
	ticker := time.NewTicker(s.Resync)
	defer ticker.Stop()
	for {
		s.queue.Add(housekeeping)
		s.enqueueJobs()
		s.touchAllStatuses()
		if err := errors.Join(s.enqueueChecks(ctx), s.cancelOrphans(ctx, openRuns)); err != nil && ctx.Err() == nil {
			s.Logger.Warn("compare the checks and jobs with their workflows", "error", check.HideUUIDs(err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// enqueueJobs enqueues the jobs that have not ended.
func (s *starter) enqueueJobs() {
	for _, job := range s.Cluster.Jobs() {
		if job.Spec.Phase != khv1.JobCompleted {
			s.enqueue(khv1.KHJob)(job.Namespace, job.Name)
		}
	}
}

func (s *starter) touchAllStatuses() {
	for _, c := range s.Cluster.Checks() {
		s.touchStatusOf(c.Namespace, c.Name)
	}
}

// enqueueChecks enqueues the checks without an open schedule of their revision, and the open schedules without a check. One
// list from Temporal shows both. It may be a second old, and then one more look at a check finds nothing to do.
func (s *starter) enqueueChecks(ctx context.Context) error {
	schedules, err := s.openSchedules(ctx)
	if err != nil {
		return err
	}
	for _, c := range s.Cluster.Checks() {
		k := key{kind: khv1.KHCheck, namespace: c.Namespace, name: c.Name}
		if found := schedules[k]; found.inStep(c) {
			s.noteSchedule(k, c, found.scheduling())
		} else {
			s.queue.Add(k)
		}
		delete(schedules, k)
	}
	for k := range schedules {
		if s.Cluster.Watches(k.namespace) {
			s.queue.Add(k)
		}
	}
	return nil
}

// openSchedules returns the open schedules by their checks. A schedule that somebody paused in Temporal is included, which
// the status Running would leave out.
func (s *starter) openSchedules(ctx context.Context) (map[key]schedule, error) {
	found := map[key]schedule{}
	query := "WorkflowType = '" + workflows.ScheduledCheckType + "' AND CloseTime IS NULL"
	err := s.list(ctx, query, func(info *workflowpb.WorkflowExecutionInfo) {
		if namespace, name, ok := workflows.CheckOfSchedule(info.GetExecution().GetWorkflowId()); ok {
			found[key{kind: khv1.KHCheck, namespace: namespace, name: name}] = scheduleOf(info)
		}
	})
	return found, err
}
