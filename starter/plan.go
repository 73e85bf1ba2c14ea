package starter

import (
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// action is what a check's workflows need.
type action int

const (
	nothing action = iota
	// end stops the schedule and cancels what is in flight: the check is gone.
	end
	// pause stops the schedule and lets a run in flight end: the check is suspended.
	pause
	// wait looks again later: the check has changed, but a run of the old spec is in flight.
	wait
	// fault stops the schedule and starts one run, which records what is wrong with the spec.
	fault
	// start begins the schedule anew, with a first run at once.
	start
)

// schedule is what is known of a check's cron workflow.
type schedule struct {
	running  bool
	revision workflows.Revision
	// children are the workflow IDs of the runs that the schedule began; some may have ended.
	children []string
	// inFlight are the workflow IDs of the open runs that the schedule, or its start, began.
	inFlight []string
}

// plan compares a check (nil when it is gone) with its schedule.
func plan(c *khv1.KuberhealthyCheck, s schedule) action {
	switch {
	case c == nil && s.running:
		return end
	case c == nil:
		return nothing
	case c.Spec.Suspend && s.running:
		return pause
	case c.Spec.Suspend, s.running && inStep(c, s.revision):
		return nothing
	case len(s.inFlight) > 0:
		return wait
	case check.FromCheck(c).Validate() != nil:
		return fault
	default:
		return start
	}
}

// inStep is true when the schedule is that of the check's present spec, or of a later one that the cache does not know
// yet.
func inStep(c *khv1.KuberhealthyCheck, revision workflows.Revision) bool {
	return revision.UID == string(c.UID) && revision.Generation >= c.Generation
}

// input is that of a check's ticks.
func input(c *khv1.KuberhealthyCheck, anchor time.Time) workflows.ScheduledCheckInput {
	w := check.FromCheck(c)
	return workflows.ScheduledCheckInput{
		Ref: w.Ref, Trigger: workflows.TriggerSchedule, Timeout: timeoutOf(w),
		FirstRun: workflows.FirstRunID(w.Ref), Schedule: check.ScheduleOf(c.Spec), Anchor: anchor,
	}
}

// firstInput is that of the single run of a new revision of a check, or of a job.
func firstInput(w check.Workload, trigger workflows.Trigger) workflows.ScheduledCheckInput {
	return workflows.ScheduledCheckInput{Ref: w.Ref, Trigger: trigger, Timeout: timeoutOf(w)}
}

// jobInput is that of the one run of a job, which is due from its creation on.
func jobInput(job *khv1.KuberhealthyJob) workflows.ScheduledCheckInput {
	in := firstInput(check.FromJob(job), workflows.TriggerJob)
	in.Due = job.CreationTimestamp.Time
	return in
}

// timeoutOf is the timeout of a run. One that cannot be read does not matter: the run will say so and end.
func timeoutOf(w check.Workload) time.Duration {
	timeout, err := check.ParseTimeout(w.Timeout)
	if err != nil {
		return check.DefaultTimeout
	}
	return timeout
}
