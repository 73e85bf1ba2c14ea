package starter

import (
	"slices"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// action is what must be done to the workflows of a check.
type action int

const (
	nothing action = iota
	// look means: look again in a moment. A tick is deciding whether a run starts.
	look
	// wait means: look again when the open run of the old spec has ended.
	wait
	// end ends the schedule and cancels its runs: the check was deleted.
	end
	// start begins the schedule anew, with a first run at once.
	start
	// pause begins a schedule that starts no run, and lets an open run end: the check is suspended.
	pause
	// fault begins a schedule that starts no run, and starts one run, which records what is wrong with the spec.
	fault
)

var actionNames = [...]string{
	nothing: "nothing", look: "look", wait: "wait", end: "end", start: "start", pause: "pause", fault: "fault",
}

// String names an action in logs.
func (a action) String() string { return actionNames[a] }

// plan compares a check, nil when it is deleted, with its schedule.
func plan(c *khv1.KuberhealthyCheck, last schedule, now time.Time) action {
	switch {
	case last.inStep(c):
		return nothing
	case last.deciding(now):
		return look
	case c == nil || last.open && last.ofPredecessor(c):
		return end
	case c.Spec.Suspend:
		return planPause(c, last)
	case last.openRun != run{}:
		return wait
	case !valid(c):
		return fault
	default:
		return start
	}
}

// planPause does nothing for a check without a schedule if nothing says when its ticks are.
func planPause(c *khv1.KuberhealthyCheck, last schedule) action {
	if _, known := pausedSchedule(c, last); !known && !last.open {
		return nothing
	}
	return pause
}

// inStep is true when the schedule is that of the check's present spec, or of a later one that the cache does not know yet.
// The schedule of a deleted check has ended.
func (l schedule) inStep(c *khv1.KuberhealthyCheck) bool {
	if c == nil {
		return !l.open
	}
	want := revisionOf(c)
	newer := l.revision.UID == want.UID && l.revision.Generation > want.Generation
	return l.open && (newer || l.revision == want)
}

// revisionOf returns the revision of a check.
func revisionOf(c *khv1.KuberhealthyCheck) workflows.Revision {
	revision := workflows.RevisionOf(check.FromCheck(c).Ref)
	revision.Paused = c.Spec.Suspend || !valid(c)
	return revision
}

// ofPredecessor is true for the schedule of a check that was deleted before this one was created under its name.
func (l schedule) ofPredecessor(c *khv1.KuberhealthyCheck) bool {
	return l.revision.UID != "" && l.revision.UID != string(c.UID)
}

// known is true when the ticks of the schedule are known, and the schedule is the check's own.
func (l schedule) known(c *khv1.KuberhealthyCheck) bool {
	return l.input.Ref.UID != "" && l.input.Ref.UID == c.UID
}

func valid(c *khv1.KuberhealthyCheck) bool { return check.FromCheck(c).Validate() == nil }

// pausedSchedule returns the schedule of a paused check: that of its spec or, if the spec cannot be read, its last
// schedule.
func pausedSchedule(c *khv1.KuberhealthyCheck, last schedule) (spec check.ScheduleSpec, known bool) {
	spec = check.ScheduleOf(c.Spec)
	if _, err := check.ParseSchedule(spec); err == nil {
		return spec, true
	}
	return last.input.Schedule, last.known(c)
}

// ticksBetween returns the ticks that the last schedule of a check left without a record, up to a time. If nothing is known
// of that schedule, the present spec and the newest record are used instead.
func ticksBetween(c *khv1.KuberhealthyCheck, last schedule, before time.Time) workflows.TicksInput {
	if last.known(c) {
		return ticksOf(last, before)
	}
	created := c.CreationTimestamp.Time
	return workflows.TicksInput{
		Ref: check.FromCheck(c).Ref, Schedule: check.ScheduleOf(c.Spec), Start: created, Before: before, SinceNewest: true,
		Spans: []workflows.Span{{After: created, Through: before.Add(-1), Outcome: check.Missed}},
	}
}

// ticksOf returns the ticks that a schedule left without a record, up to a time.
func ticksOf(last schedule, before time.Time) workflows.TicksInput {
	outcome := check.Missed
	if last.input.Paused {
		outcome = check.Paused
	}
	return workflows.TicksInput{
		Ref: last.input.Ref, Schedule: last.input.Schedule, Start: last.last.Start, Before: before,
		Spans: append(slices.Clone(last.last.Unrecorded), workflows.Span{
			After: last.last.Tick, Through: before.Add(-1), Outcome: outcome,
		}),
	}
}

// due returns the spans that have a tick. Without a valid schedule, there are none.
func due(in workflows.TicksInput) (spans []workflows.Span) {
	schedule, err := check.ParseSchedule(in.Schedule)
	if err != nil || in.Ref.UID == "" { // then nothing is known
		return nil
	}
	for _, span := range in.Spans {
		if !schedule.Next(in.Start, span.After).After(span.Through) {
			spans = append(spans, span)
		}
	}
	return spans
}

// scheduleInput is the input of the ticks of a check. The previous run may be open, and ticks before covered are recorded.
func scheduleInput(c *khv1.KuberhealthyCheck, previous run, covered time.Time) workflows.ScheduledCheckInput {
	w := check.FromCheck(c)
	in := workflows.ScheduledCheckInput{
		Ref: w.Ref, Trigger: check.TriggerSchedule, Timeout: timeoutOf(w), Schedule: check.ScheduleOf(c.Spec),
		Previous: previous.uuid, Covered: covered,
	}
	if previous.workflowID != previous.uuid {
		in.First = previous.workflowID
	}
	return in
}

// firstInput is the input of the tick that starts the first run of a revision of a check.
func firstInput(c *khv1.KuberhealthyCheck) workflows.ScheduledCheckInput {
	w := check.FromCheck(c)
	return workflows.ScheduledCheckInput{Ref: w.Ref, Trigger: check.TriggerFirst, Timeout: timeoutOf(w)}
}

// jobInput is the input of the tick that starts the one run of a job. Its scheduled time is the creation of the job.
func jobInput(job *khv1.KuberhealthyJob) workflows.ScheduledCheckInput {
	w := check.FromJob(job)
	return workflows.ScheduledCheckInput{
		Ref: w.Ref, Trigger: check.TriggerJob, Timeout: timeoutOf(w), Tick: job.CreationTimestamp.Time,
	}
}

// timeoutOf is the timeout of a run. An invalid timeout does not matter: the run will report it and end.
func timeoutOf(w check.Workload) time.Duration {
	timeout, err := check.ParseTimeout(w.Timeout)
	if err != nil {
		return check.DefaultTimeout
	}
	return timeout
}
