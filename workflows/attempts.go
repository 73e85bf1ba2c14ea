package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
)

// changeAttempts is the change by which a run confirms failures, and repeats what the platform spoiled more than once.
const changeAttempts = "attempts"

// reporterLeave is how long a pod that reported a failure may take to exit before the next attempt.
const reporterLeave = 10 * time.Second

// verdict runs pods, one after the other, until the outcome of the run is known.
func (r *checkRun) verdict(ctx workflow.Context) check.Outcome {
	if r.in.LostSince != nil {
		return check.Lost().Outcome(r.in.Ref)
	}
	for {
		r.attempt++
		outcome, again := r.repeats(ctx, r.tryPod(ctx))
		if !again {
			outcome = r.tries.Verdict(outcome)
			r.notes = append(r.notes, outcome.Notes...)
			return outcome
		}
	}
}

// repeats counts the outcome of an attempt and, when another one follows, makes room for it. The outcome changes when the
// check's report arrives meanwhile, or the run is cancelled.
func (r *checkRun) repeats(ctx workflow.Context, outcome check.Outcome) (check.Outcome, bool) {
	switch {
	case outcome.Result != check.Failed && outcome.Result != check.InfraFailed:
		return outcome, false
	case workflow.GetVersion(ctx, changeAttempts, workflow.DefaultVersion, 1) == workflow.DefaultVersion:
		return outcome, r.repeatsOnce(ctx, outcome)
	}
	before := r.tries
	r.tries.Wanted = r.created.Attempts
	pause, again := r.tries.Next(outcome, r.seen.Disrupted, r.deadline.Sub(workflow.Now(ctx)))
	if !again {
		return outcome, false
	}
	// A platform that refuses the pod is shown at once; one that takes a pod away, only if no other attempt succeeds.
	if outcome.Result == check.InfraFailed && !r.seen.Disrupted && r.recordedAt.IsZero() {
		if err := r.record(ctx, r.complete(ctx, outcome)); err != nil {
			return check.Outcome{Result: check.Canceled}, false // it is tried until the run is cancelled
		}
	}
	if !r.makeRoom(ctx, outcome) {
		r.notes = append(r.notes, fmt.Sprintf("not repeated, because pod %s has not ended", r.pod.Name))
		return outcome, false
	}
	r.details(ctx, "attempt %d: %s; the next one follows", r.attempt, outcome.Result)
	report, late := r.reportWithin(ctx, max(pause, reportGrace))
	switch {
	case ctx.Err() != nil:
		return check.Outcome{Result: check.Canceled}, false
	case late && !outcome.Reported: // it was answered with success, and is the verdict of that attempt
		r.tries = before
		return r.repeats(ctx, r.take(ctx, report))
	case late:
		r.noteFurther(ctx, report)
	}
	r.noteAttempt(outcome)
	return outcome, true
}

// repeatsOnce is what runs did that began before changeAttempts.
func (r *checkRun) repeatsOnce(ctx workflow.Context, outcome check.Outcome) bool {
	taken := outcome.Result == check.InfraFailed && r.seen.Disrupted
	if !taken || r.attempt > 1 || !workflow.Now(ctx).Before(r.deadline) {
		return false
	}
	r.keepEvidence(ctx, outcome)
	r.cleanUp(ctx)
	if ctx.Err() != nil || !workflow.Now(ctx).Before(r.deadline) {
		return false
	}
	r.noteAttempt(outcome)
	return true
}

// makeRoom sees the pod of an attempt off. It returns false when that has not ended: a run never has two pods at a time.
func (r *checkRun) makeRoom(ctx workflow.Context, outcome check.Outcome) bool {
	if r.reported && !r.over() {
		r.awaitExit(ctx)
	}
	r.keepEvidence(ctx, outcome)
	r.cleanUp(ctx)
	if r.pod.Name != "" && !r.over() {
		r.look(ctx)
	}
	return r.pod.Name == "" || r.over()
}

// awaitExit gives a pod that has reported a moment to exit by itself.
func (r *checkRun) awaitExit(ctx workflow.Context) {
	waiting, stop := workflow.WithCancel(ctx)
	defer stop()
	selector := workflow.NewSelector(ctx)
	selector.AddFuture(r.watchExit(ctx), func(exit workflow.Future) { r.observe(ctx, exit) })
	selector.AddFuture(workflow.NewTimer(waiting, reporterLeave), func(workflow.Future) {})
	selector.Select(ctx)
}

// reportWithin waits for a report that is still on its way; of several, the first counts.
func (r *checkRun) reportWithin(ctx workflow.Context, pause time.Duration) (report status.Report, ok bool) {
	if err := workflow.Sleep(ctx, pause); err != nil {
		return report, false
	}
	var further status.Report
	for r.reports.ReceiveAsync(&further) {
		if ok {
			r.noteFurther(ctx, further)
			continue
		}
		report, ok = further, true
	}
	return report, ok
}

// noteAttempt notes how an attempt ended that is repeated, and remembers a node where the platform spoiled it.
func (r *checkRun) noteAttempt(outcome check.Outcome) {
	text, node := "no error was given", r.seen.Node
	if len(outcome.Errors) > 0 {
		text = fmt.Sprintf("%.1000s", outcome.Errors[0])
	}
	if node != "" {
		text += " (on " + node + ")"
	}
	r.notes = append(r.notes, fmt.Sprintf("attempt %d was repeated: %s: %s", r.attempt, outcome.Result, text))
	if outcome.Result == check.InfraFailed && node != "" && !slices.Contains(r.avoid, node) {
		r.avoid = append(r.avoid, node)
	}
}
