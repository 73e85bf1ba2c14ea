package starter

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

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
	// pause has the schedule run nothing any more, and lets a run in flight end: the check is suspended.
	pause
	// stop ends the schedule, and lets a run in flight end: the check is suspended, and nothing says when it would be due.
	stop
	// wait looks again later: the check has changed, but a run of the old spec is in flight.
	wait
	// fault has the schedule run nothing any more, and starts one run, which records what is wrong with the spec.
	fault
	// start begins the schedule anew, with a first run at once.
	start
)

// schedule is what is known of a check's cron workflow.
type schedule struct {
	running bool
	// first is the run ID of the first execution, which all of its ticks share.
	first    string
	revision workflows.Revision
	// grid says when its ticks are due. It is nil where that is not known.
	grid *workflows.Grid
	// children are the workflow IDs of the runs that the schedule began; some may have ended.
	children []string
	// inFlight are the workflow IDs of the open runs that the schedule, or its start, began.
	inFlight []string
}

// plan compares a check (nil when it is gone) with its schedule.
func plan(c *khv1.KuberhealthyCheck, s schedule) action {
	if c == nil {
		if s.running {
			return end
		}
		return nothing
	}
	valid := check.FromCheck(c).Validate() == nil
	if s.running && s.inStep(c, valid) {
		return nothing
	}
	_, known := quietSchedule(c, s)
	switch {
	case c.Spec.Suspend && known:
		return pause
	case c.Spec.Suspend && s.running:
		return stop
	case c.Spec.Suspend:
		return nothing
	case len(s.inFlight) > 0:
		return wait
	case !valid:
		return fault
	default:
		return start
	}
}

// inStep is true when the schedule is that of the check's present spec, or of a later one that the cache does not know
// yet.
func (s schedule) inStep(c *khv1.KuberhealthyCheck, valid bool) bool {
	paused, quiet := s.grid != nil && s.grid.Paused, c.Spec.Suspend || !valid
	return s.revision.UID == string(c.UID) &&
		(s.revision.Generation > c.Generation || s.revision.Generation == c.Generation && paused == quiet)
}

// quietSchedule says when a check would be due that does not run: by its spec, or, where that cannot be read, by its last
// schedule.
func quietSchedule(c *khv1.KuberhealthyCheck, last schedule) (spec check.ScheduleSpec, known bool) {
	spec = check.ScheduleOf(c.Spec)
	if _, err := check.ParseSchedule(spec); err == nil {
		return spec, true
	}
	if last.grid != nil && last.revision.UID == string(c.UID) {
		return last.grid.Schedule, true
	}
	return check.ScheduleSpec{}, false
}

// gap is what accounts for the ticks that the schedules of a check left open before the one that begins now; nil when none
// can have been due. Where nothing is known of the last schedule, the present spec and the newest account stand for it.
func gap(c *khv1.KuberhealthyCheck, last schedule, now time.Time) *workflows.TicksInput {
	ref := check.FromCheck(c).Ref
	if last.grid != nil && last.revision.UID == string(ref.UID) {
		return openTicks(ref, last, now)
	}
	return ticksSince(c.CreationTimestamp.Time, &workflows.TicksInput{
		Ref: ref, Schedule: check.ScheduleOf(c.Spec), Before: now, Runs: scheduledOf(last.inFlight),
	})
}

// gapOfGone is what accounts for the ticks before a time that the schedule with an ID left open, whose check is gone; nil as for
// gap, and where nothing is known of that check.
func gapOfGone(id string, last schedule, before time.Time) *workflows.TicksInput {
	namespace, name, ok := workflows.CheckOfSchedule(id)
	if !ok || last.grid == nil || last.revision.UID == "" {
		return nil
	}
	return openTicks(check.Ref{
		Kind: khv1.KHCheck, Namespace: namespace, Name: name, UID: types.UID(last.revision.UID), Generation: last.revision.Generation,
	}, last, before)
}

// openTicks are those of a schedule from its newest account on.
func openTicks(ref check.Ref, last schedule, before time.Time) *workflows.TicksInput {
	return ticksSince(last.grid.Anchor, &workflows.TicksInput{
		Ref: ref, Schedule: last.grid.Schedule, Anchor: last.grid.Anchor, After: last.grid.Anchor, Before: before,
		Paused: last.grid.Paused, Runs: scheduledOf(last.inFlight),
	})
}

// ticksSince is nil where no tick can have been due since a time.
func ticksSince(since time.Time, in *workflows.TicksInput) *workflows.TicksInput {
	parsed, err := check.ParseSchedule(in.Schedule)
	if err != nil || !parsed.Next(since, since).Before(in.Before) {
		return nil
	}
	in.Trigger, in.SinceLast = workflows.TriggerSchedule, true
	return in
}

// scheduledOf leaves out the run at once, which is told by its trigger.
func scheduledOf(inFlight []string) (runs []string) {
	for _, run := range inFlight {
		if !strings.Contains(run, "/") {
			runs = append(runs, run)
		}
	}
	return runs
}

// input is that of a check's ticks.
func input(c *khv1.KuberhealthyCheck, anchor time.Time) workflows.ScheduledCheckInput {
	w := check.FromCheck(c)
	return workflows.ScheduledCheckInput{
		Ref: w.Ref, Trigger: workflows.TriggerSchedule, Timeout: timeoutOf(w),
		FirstRun: workflows.FirstRunID(w.Ref), Schedule: check.ScheduleOf(c.Spec), Anchor: anchor,
	}
}

// pausedInput is that of the ticks of a check that does not run: it is suspended, or its spec is not valid.
func pausedInput(c *khv1.KuberhealthyCheck, spec check.ScheduleSpec, anchor time.Time) workflows.ScheduledCheckInput {
	in := input(c, anchor)
	in.FirstRun, in.Schedule, in.Paused = "", spec, true
	return in
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
