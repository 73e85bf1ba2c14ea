package view

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// State is the one word for how a check or job is.
type State string

// The states.
const (
	// Healthy: the last run succeeded.
	Healthy State = "healthy"
	// Failing: the last run did not succeed.
	Failing State = "failing"
	// Unknown: no outcome is known, or the next one is overdue. The last outcome says nothing about the present.
	Unknown State = "unknown"
	// Paused: the check is suspended.
	Paused State = "paused"
)

// States are all states, in the order in which they are shown.
var States = []State{Failing, Unknown, Paused, Healthy}

// Reason is why a check or job has its state.
type Reason string

// The reasons. A healthy or failing check may also have the outcome of its last run as its reason, such as "timed-out".
const (
	// ReasonSuspended is the reason of Paused: spec.suspend is true.
	ReasonSuspended Reason = "suspended"
	// ReasonWaiting is the reason of Unknown: no run has ended yet, and the first outcome is not overdue.
	ReasonWaiting Reason = "waiting"
	// ReasonOverdue is the reason of Unknown: an outcome should have been there before now.
	ReasonOverdue Reason = "overdue"
	// ReasonInvalid is the reason of Failing: the spec is not valid, so that no run can start.
	ReasonInvalid Reason = "invalid-spec"
	// ReasonSucceeded and ReasonFailed are those of a state that does not say more.
	ReasonSucceeded = Reason(check.Succeeded)
	ReasonFailed    = Reason(check.Failed)
)

// Check is one check or job as people see it. It must not be changed.
type Check struct {
	check.Ref
	Labels  map[string]string
	Created time.Time

	State  State
	Reason Reason
	// Message says in words why the check is unknown, who paused it and why, or that its spec is not valid. Otherwise it is
	// empty.
	Message string
	// Since is when the state began, as the last ten runs or the status of the KHCheck have it. It is zero where that is not
	// known.
	Since time.Time
	// SinceOrEarlier is true when the state may have begun before Since.
	SinceOrEarlier bool

	// Schedule says when a check runs. A job has none.
	Schedule check.ScheduleSpec
	// Interval is the time between the next two ticks. It is 0 for a job, and for a schedule that cannot be read.
	Interval time.Duration
	// Timeout is how long a run may take.
	Timeout time.Duration
	// Attempts is how many attempts must fail before the check has failed, at least 1.
	Attempts  int
	Suspended bool
	// Fault is why the spec is not valid. Otherwise it is empty.
	Fault string
	// Phase is the progress of a job.
	Phase khv1.JobPhase

	// LastRun is the last run that has an outcome. It is nil before the first one.
	LastRun *LastRun
	// NextRun is when the next run starts. It is zero when none is expected, or when it is not known. The ticks of an
	// interval are counted from the last tick, so a run that is not of the schedule may shift this time.
	NextRun time.Time
	// OutcomeBy is when the next outcome is overdue. It is zero when none is expected.
	OutcomeBy time.Time

	Statistics

	// from is what the check was made from, and search is the text in which Filter.Text is searched.
	from   *base
	search string
}

// LastRun is the last run of a check, as its KHState shows it.
type LastRun struct {
	Outcome check.Outcome
	// Tick is zero where the KHState does not say it.
	Tick, Started time.Time
	// Concluded is when the outcome was known, in whole seconds.
	Concluded time.Time
	// Duration is how long it took until its outcome. It is 0 where the check did not report.
	Duration time.Duration
	Node     string
	// Errors are what the run found wrong.
	Errors []string
}

// OK is true if the run succeeded.
func (r *LastRun) OK() bool { return r.Outcome == check.Succeeded }

// Errors returns what is wrong with the check: why it is unknown, and the errors of its last run.
func (c *Check) Errors() []string {
	var all []string
	if c.State == Unknown && c.Reason == ReasonOverdue {
		all = append(all, c.Message)
	}
	if c.LastRun != nil {
		all = append(all, c.LastRun.Errors...)
	}
	return all
}

// same is true if another check of the same name shows the same.
func (c *Check) same(other *Check) bool {
	return c.sameOutcome(other) && c.Statistics == other.Statistics
}

// sameOutcome is true if another check of the same name shows the same, but perhaps other statistics.
func (c *Check) sameOutcome(other *Check) bool {
	return c.from == other.from && c.State == other.State && c.Reason == other.Reason && c.NextRun.Equal(other.NextRun)
}

// base is what a check shows as long as neither it nor its state is changed, whatever the time is.
type base struct {
	Check
	awaited  check.Awaited
	schedule check.Schedule
	// ticks is true if schedule is valid and the check runs by it.
	ticks bool
	// lastTick is the newest tick that is known, and zero if none is.
	lastTick time.Time
	// began is when the first of the last runs with an equal outcome ended. earlier is true when it may not be the first.
	began   time.Time
	earlier bool
	// durations are those of the last runs that the state lists.
	durations Durations
	// paused says that the check is suspended, by whom and why. It is empty for another.
	paused string
	// last is the health that the last run shows.
	last check.Health
	// condition is Healthy as the status of the check has it, and else zero.
	condition metav1.Condition
}

func baseOfCheck(c *khv1.KuberhealthyCheck, state Recorded) *base {
	w := check.FromCheck(c)
	b := newBase(w, c.Labels, c.CreationTimestamp.Time, state)
	// A check and a job of one name write one state. What the job has written replaced an outcome of the check.
	b.awaited = check.AwaitedOfCheck(c, state.KuberhealthyState)
	if b.Schedule, b.Suspended = *w.Schedule, c.Spec.Suspend; b.Suspended {
		b.paused = check.PausedText(c)
	}
	if found := meta.FindStatusCondition(c.Status.Conditions, khv1.ConditionHealthy); found != nil {
		b.condition = *found
	}
	var err error
	if b.schedule, err = check.ParseSchedule(*w.Schedule); err == nil {
		b.Interval = b.schedule.Interval(c.CreationTimestamp.Time)
		b.ticks = !b.Suspended && b.Fault == ""
	}
	return b
}

func baseOfJob(j *khv1.KuberhealthyJob, state Recorded) *base {
	b := newBase(check.FromJob(j), j.Labels, j.CreationTimestamp.Time, state)
	own := state.KuberhealthyState
	if state.Kind != khv1.KHJob { // it is that of a check of the same name
		own = nil
	}
	b.awaited, b.Phase = check.AwaitedOfJob(j, own), j.Spec.Phase
	return b
}

// newBase returns what a check and a job have in common.
func newBase(w check.Workload, labels map[string]string, created time.Time, state Recorded) *base {
	b := &base{
		Check: Check{Ref: w.Ref, Labels: labels, Created: created, Attempts: max(w.Attempts, 1), Timeout: check.DefaultTimeout},
		last:  check.HealthOfRun(nil),
	}
	if timeout, err := check.ParseTimeout(w.Timeout); err == nil {
		b.Timeout = timeout
	}
	if err := w.Validate(); err != nil {
		b.Fault = err.Error()
	}
	if state.KuberhealthyState != nil && state.Kind == w.Kind && check.MayShowRunOf(state.KuberhealthyState, w.UID) {
		b.last, b.LastRun = check.HealthOfRun(state.KuberhealthyState), lastRun(state)
		b.began, b.earlier = streak(state.Runs, b.LastRun)
		b.durations = durationsOfRuns(state.Runs)
		if n := len(state.Runs); n > 0 {
			b.lastTick = state.Runs[n-1].Tick
		}
	}
	b.search = searchText(&b.Check)
	return b
}

func lastRun(state Recorded) *LastRun {
	shown := state.Spec
	last := &LastRun{Outcome: check.Failed, Node: shown.Node, Errors: shown.Errors}
	if shown.OK {
		last.Outcome = check.Succeeded
	}
	if shown.LastRun != nil {
		last.Concluded = shown.LastRun.Time
	}
	if duration, err := time.ParseDuration(shown.RunDuration); err == nil {
		last.Duration = duration
	}
	if n := len(state.Runs); n > 0 && (state.Runs[n-1].Outcome == check.Succeeded) == shown.OK {
		run := state.Runs[n-1] // otherwise Kuberhealthy has written the state since, which leaves the list as it is
		last.Outcome, last.Tick, last.Started = run.Outcome, run.Tick, run.Started
	}
	return last
}

// streak returns when the first of the last runs ended that are all fine, or all not fine, as the last one is. earlier is true
// when the runs before it are not known.
func streak(runs []check.RecentRun, last *LastRun) (began time.Time, earlier bool) {
	began, earlier = last.Concluded, true
	for i := len(runs) - 1; i >= 0; i-- {
		if (runs[i].Outcome == check.Succeeded) != last.OK() {
			return began, false
		}
		began = runs[i].Started.Add(time.Duration(runs[i].Seconds * float64(time.Second)))
	}
	return began, earlier
}

// searchText is in lower case.
func searchText(c *Check) string {
	texts := []string{c.String(), c.Fault}
	if c.LastRun != nil {
		texts = append(texts, c.LastRun.Errors...)
	}
	return strings.ToLower(strings.Join(texts, "\n"))
}

// at returns the check as it is at a time.
func (b *base) at(now time.Time, s Statistics, previous *Check) Check {
	c := b.Check
	c.from, c.Statistics, c.OutcomeBy = b, s, b.awaited.By
	if s.Sample == 0 {
		c.Statistics.Durations = b.durations
	}
	b.decide(&c, now)
	if previous != nil && previous.from == b && previous.NextRun.After(now) && previous.lastScheduled.Equal(c.lastScheduled) {
		c.NextRun = previous.NextRun // the search in a calendar is the most expensive part
	} else {
		c.NextRun = b.next(now, c.lastScheduled)
	}
	return c
}

// decide sets the state, and why and since when the check has it. The words are those of the condition Healthy.
func (b *base) decide(c *Check, now time.Time) {
	health := check.HealthOf(b.paused, b.awaited, b.last, now)
	switch health.Reason {
	case check.ReasonPaused:
		c.State, c.Reason, c.Message = Paused, ReasonSuspended, health.Message
	case check.ReasonOverdue:
		c.State, c.Reason, c.Message, c.Since = Unknown, ReasonOverdue, health.Message, b.awaited.By
		return
	case check.ReasonNoRun:
		c.State, c.Reason, c.Message, c.Since = Unknown, ReasonWaiting, health.Message, b.Created
		return
	case check.ReasonSucceeded:
		c.State, c.Reason, c.Since, c.SinceOrEarlier = Healthy, ReasonSucceeded, b.began, b.earlier
	default:
		c.State, c.Reason, c.Since, c.SinceOrEarlier = Failing, Reason(b.LastRun.Outcome), b.began, b.earlier
		if b.Fault != "" {
			c.Reason, c.Message = ReasonInvalid, b.Fault
		}
	}
	b.improveSince(c, health)
}

// improveSince uses the status of the check where the last runs do not say when the state began.
func (b *base) improveSince(c *Check, health check.Health) {
	at := b.condition.LastTransitionTime.Time
	same := b.condition.Status == health.Status && (health.Status != metav1.ConditionUnknown || b.condition.Reason == health.Reason)
	switch {
	case !same:
	case c.Since.IsZero(), c.SinceOrEarlier && at.Before(c.Since):
		c.Since, c.SinceOrEarlier = at.UTC(), false
	}
}

// next returns the first tick after a time. The ticks of an interval are counted from the last one of the schedule.
func (b *base) next(now, lastScheduled time.Time) time.Time {
	if !b.ticks {
		return time.Time{}
	}
	if b.schedule.FollowsCalendar() {
		return b.schedule.Next(now, now)
	}
	start := b.lastTick
	if !lastScheduled.IsZero() {
		start = lastScheduled
	}
	if start.IsZero() || start.After(now) {
		return start
	}
	return b.schedule.Next(start, now)
}
