package check

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// Times that are allowed between the end of one run and the outcome of the next. See "Unknown" in docs/protocol.md.
const (
	// settling is how long after its outcome a run may block the next tick. Its pod exits or is removed in that time;
	// Kubernetes gives it 30 seconds.
	settling = 30 * time.Second
	// leastGrace covers a late start, a worker that takes over from a dead one (10 seconds), and clocks that differ by
	// seconds. It also covers a second try to write an outcome.
	leastGrace = 30 * time.Second
	// mostGrace bounds the tenth of the interval that a restart or update of Khronicle may take. A run seldom uses its
	// whole timeout, so there is more time in practice.
	mostGrace = 10 * time.Minute
	// WidestSpread is the longest delay of the first run of a check, when many checks appear together.
	WidestSpread = 10 * time.Minute
)

// Awaited is the next outcome that a check or job must have.
type Awaited struct {
	Ref
	// Since is when its last run had ended at the latest. If no run is known, it is when the check was created.
	Since time.Time
	// First is true when no run is known: none has ended, or the state was deleted.
	First bool
	// By is when the outcome should be there. It is zero when no outcome is expected: the check is suspended, or the job
	// has run.
	By time.Time
}

// Unknown is true when the outcome should have been there before now. The last outcome says nothing about the present then.
func (a Awaited) Unknown(now time.Time) bool { return !a.By.IsZero() && now.After(a.By) }

// Text is what people see of a check or job that is unknown. It does not change while the check stays unknown.
func (a Awaited) Text() string {
	what := "no run has ended since "
	if a.First { // a run may have ended whose state was deleted
		what = "no outcome is known since its creation at "
	}
	return fmt.Sprintf("unknown: %s: %s%s; one was due by %s", a.Ref, what, a.Since.UTC().Format(time.RFC3339), a.By.UTC().Format(time.RFC3339))
}

// AwaitedOfCheck returns the next outcome of a check, from its spec and its state (nil if there is none). That is the
// outcome of the first tick after the end of the last run. When no run has ended, it is the outcome of the run that a new
// check gets at once. The last run ended when its outcome was recorded, and no later than its timeout: recording it late
// does not make it younger.
func AwaitedOfCheck(c *khv1.KuberhealthyCheck, state *khv1.KuberhealthyState) Awaited {
	w, created := FromCheck(c), c.CreationTimestamp.Time
	timeout := w.timeout()
	ended, ok := lastEnd(state, timeout)
	switch {
	case c.Spec.Suspend, ok && !state.Spec.OK && w.Validate() != nil: // a spec that is not valid runs once, to say so
		return Awaited{Ref: w.Ref}
	case !ok:
		return Awaited{Ref: w.Ref, Since: created, First: true, By: w.schedule().firstBy(created, timeout)}
	}
	schedule := w.schedule()
	awaited := Awaited{Ref: w.Ref, Since: ended, By: schedule.nextBy(ended, timeout)}
	if ended.Before(created) { // the state is that of an earlier check of this name
		if first := schedule.firstBy(created, timeout); awaited.By.Before(first) {
			awaited.By = first
		}
	}
	return awaited
}

// AwaitedOfJob returns the next outcome of a job, from its spec and its state (nil if there is none). That is the outcome
// of its one run. None is expected when the state has it or the job is Completed.
func AwaitedOfJob(j *khv1.KuberhealthyJob, state *khv1.KuberhealthyState) Awaited {
	w, created := FromJob(j), j.CreationTimestamp.Time
	timeout := w.timeout()
	ended, ok := lastEnd(state, timeout)
	// A clock that is behind must not hide the outcome of a job. The state names its owner.
	accounted := ok && (!ended.Before(created) || metav1.IsControlledBy(state, j))
	if j.Spec.Phase == khv1.JobCompleted || accounted { // Completed follows when the pod is deleted
		return Awaited{Ref: w.Ref}
	}
	return Awaited{Ref: w.Ref, Since: created, First: true, By: created.Add(timeout).Add(leastGrace)}
}

// timeout is how long a run may take. A value that cannot be read counts as missing, also for the schedule.
func (w Workload) timeout() time.Duration {
	timeout, err := ParseTimeout(w.Timeout)
	if err != nil {
		return DefaultTimeout
	}
	return timeout
}

func (w Workload) schedule() Schedule {
	schedule, err := ParseSchedule(*w.Schedule)
	if err != nil {
		return Schedule{interval: DefaultInterval}
	}
	return schedule
}

// lastEnd returns the latest time at which the run that a state shows had ended. ok is false when the state shows no run. A
// state of Kuberhealthy does not say when its run began.
func lastEnd(state *khv1.KuberhealthyState, timeout time.Duration) (end time.Time, ok bool) {
	if state == nil || state.Spec.AuthoritativePod == "" || state.Spec.LastRun.IsZero() {
		return time.Time{}, false
	}
	end = state.Spec.LastRun.Time
	started, err := time.Parse(time.RFC3339Nano, state.Annotations[AnnotationRunStarted])
	if deadline := started.Add(timeout); err == nil && deadline.Before(end) {
		end = deadline
	}
	return end, true
}

// nextBy returns when the outcome after an ended run should be there.
func (s Schedule) nextBy(ended time.Time, timeout time.Duration) time.Time {
	free := ended.Add(settling)
	// The start of an interval is not known here, only that its next tick is within one.
	return s.Next(free, free).Add(timeout).Add(s.grace(free))
}

// firstBy returns when the first outcome of a check should be there.
func (s Schedule) firstBy(created time.Time, timeout time.Duration) time.Time {
	spread := min(s.Interval(created), WidestSpread)
	return created.Add(spread).Add(timeout).Add(s.grace(created))
}

func (s Schedule) grace(t time.Time) time.Duration {
	return min(max(s.Interval(t)/10, leastGrace), mostGrace)
}
