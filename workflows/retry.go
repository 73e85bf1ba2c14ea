package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/check"
)

// another counts an attempt that has ended. It returns true if another attempt follows, and prepares for it. The conclusion
// changes if the report of the check arrives meanwhile, or if the run is cancelled.
func (r *run) another(ctx workflow.Context, t *attempt) bool {
	if t.conclusion.Outcome != check.Failed && t.conclusion.Outcome != check.InfraFailed {
		return false
	}
	r.tries.Wanted = t.created.Attempts
	pause, again := r.tries.Next(t.conclusion, r.left(ctx))
	if !again {
		return false
	}
	r.details(ctx, "attempt %d: %s; the next one follows", t.number, t.conclusion.Outcome)
	again = r.makeRoom(ctx, t, pause)
	report, late := r.lateReport(ctx)
	switch {
	case ctx.Err() != nil:
		if late {
			r.noteFurther(ctx, report) // as takeLateReports does for a cancelled run
		}
		t.conclusion = check.Conclusion{Outcome: check.Canceled}
		return false
	case late && t.report == nil: // the report was accepted, so it decides the outcome of this attempt
		r.tries, t.conclusion = t.before, t.take(report)
		return r.another(ctx, t)
	case late:
		r.noteFurther(ctx, report)
	}
	if again {
		r.noteAttempt(t)
	}
	return again
}

// makeRoom removes the pod of an attempt and waits for the time of the next one. It returns false if the next one cannot
// start. That is so if the deadline has come, or the pod has not ended: a run never has two pods at a time.
func (r *run) makeRoom(ctx workflow.Context, t *attempt, pause time.Duration) bool {
	// A refused pod is shown at once. A pod that the platform removed is shown only if no other attempt succeeds.
	if t.conclusion.Refused && !r.shown {
		if _, err := r.record(ctx, t, r.complete(ctx, t, t.conclusion), true); err != nil {
			return false // the call is retried until the run is cancelled
		}
	}
	if t.report != nil && !t.over() {
		r.awaitExit(ctx, t)
	}
	if t.number <= evidenceOfFirst { // conclude stores the evidence of the last attempt too
		r.keepEvidence(ctx, t, t.conclusion)
	}
	r.removePod(ctx, t)
	if !t.ended() {
		r.look(ctx, t)
	}
	if !t.ended() {
		if ctx.Err() == nil {
			r.note("not repeated, because pod " + t.pod.Name + " has not ended")
		}
		return false
	}
	return workflow.Sleep(ctx, max(pause, reportGrace)) == nil && workflow.Now(ctx).Before(r.deadline)
}

// awaitExit waits a moment for the exit of a pod that has reported.
func (r *run) awaitExit(ctx workflow.Context, t *attempt) {
	waiting, stop := workflow.WithCancel(ctx)
	defer stop()
	selector := workflow.NewSelector(ctx)
	selector.AddFuture(t.watch, func(watch workflow.Future) { t.observe(ctx, watch) })
	selector.AddFuture(workflow.NewTimer(waiting, reporterLeave), func(workflow.Future) {})
	selector.Select(ctx)
}

// noteAttempt notes how an attempt ended before another one follows. It remembers a node on which the platform ended it.
func (r *run) noteAttempt(t *attempt) {
	text, node := check.Cut(r.hide(t.conclusion.Text()), maxNoteBytes/2), t.seen.Node
	if node != "" {
		text += " (on " + node + ")"
	}
	r.note(fmt.Sprintf("attempt %d was repeated: %s: %s", t.number, t.conclusion.Outcome, text))
	if t.conclusion.Outcome == check.InfraFailed && node != "" && !slices.Contains(r.avoid, node) {
		r.avoid = append(r.avoid, node)
	}
}
