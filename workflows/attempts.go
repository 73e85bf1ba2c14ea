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

// changeRefusals is the change by which pods that were taken away are not counted as refused ones.
const changeRefusals = "refusals"

// reporterLeave is how long a pod that reported a failure may take to exit before the next attempt.
const reporterLeave = 10 * time.Second

// evidenceOfFirst is of how many attempts evidence is kept besides the last: an account takes so many pieces.
const evidenceOfFirst = 4

// verdict runs pods, one after the other, until the outcome of the run is known.
func (r *checkRun) verdict(ctx workflow.Context) check.Outcome {
	if r.in.LostSince != nil {
		return check.Lost().Outcome(r.in.Ref)
	}
	var outcome check.Outcome
	for again := true; again; {
		r.attempt++
		next := r.tryPod(ctx)
		if r.specChanged {
			r.attempt--
			r.note("not repeated, because the spec has changed")
			break
		}
		outcome, again = r.repeats(ctx, next)
	}
	outcome = r.tries.Verdict(outcome, r.deadline.Sub(r.attemptStarted) < r.in.Timeout/2)
	for _, text := range outcome.Notes {
		r.note(text)
	}
	return outcome
}

// repeats counts the outcome of an attempt and, when another one follows, makes room for it. The outcome changes when the
// check's report arrives meanwhile, or the run is cancelled.
func (r *checkRun) repeats(ctx workflow.Context, outcome check.Outcome) (check.Outcome, bool) {
	r.before = r.tries
	switch {
	case outcome.Result != check.Failed && outcome.Result != check.InfraFailed:
		return outcome, false
	case workflow.GetVersion(ctx, changeAttempts, workflow.DefaultVersion, 1) == workflow.DefaultVersion:
		return outcome, r.repeatsOnce(ctx, outcome)
	}
	r.tries.Wanted = r.created.Attempts
	r.tries.CountTogether = workflow.GetVersion(ctx, changeRefusals, workflow.DefaultVersion, 1) == workflow.DefaultVersion
	pause, again := r.tries.Next(outcome, r.seen.Disrupted, r.deadline.Sub(workflow.Now(ctx)))
	if !again {
		return outcome, false
	}
	r.details(ctx, "attempt %d: %s; the next one follows", r.attempt, outcome.Result)
	again = r.prepareNext(ctx, outcome, pause)
	report, late := r.lateReport(ctx)
	switch {
	case ctx.Err() != nil:
		if late {
			r.noteFurther(ctx, report) // as what takeLateReports reads of a cancelled run
		}
		return check.Outcome{Result: check.Canceled}, false
	case late && !outcome.Reported: // it was answered with success, and is the verdict of that attempt
		r.tries = r.before
		return r.repeats(ctx, r.take(ctx, report))
	case late:
		r.noteFurther(ctx, report)
	}
	if again {
		r.noteAttempt(outcome)
	}
	return outcome, again
}

// prepareNext sees the pod of an attempt off and waits for the time of the next one. It returns false when there is none: the
// pod has not ended, or the deadline has come.
func (r *checkRun) prepareNext(ctx workflow.Context, outcome check.Outcome, pause time.Duration) bool {
	// A platform that refuses the pod is shown at once; one that takes a pod away, only if no other attempt succeeds.
	if outcome.Result == check.InfraFailed && !r.seen.Disrupted && r.recordedAt.IsZero() {
		if err := r.recordProvisional(ctx, r.complete(ctx, outcome)); err != nil {
			return false // it is tried until the run is cancelled
		}
	}
	if !r.makeRoom(ctx, outcome) {
		if ctx.Err() == nil {
			r.note("not repeated, because pod " + r.pod.Name + " has not ended")
		}
		return false
	}
	return workflow.Sleep(ctx, max(pause, reportGrace)) == nil && workflow.Now(ctx).Before(r.deadline)
}

// repeatsOnce is what runs do whose first failure came before changeAttempts.
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
	if r.attempt <= evidenceOfFirst { // and of the last: see conclude
		r.keepEvidence(ctx, outcome)
	}
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

// lateReport returns a report that came since the verdict of the attempt; of several, the first counts.
func (r *checkRun) lateReport(ctx workflow.Context) (report status.Report, ok bool) {
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

// Bounds of the notes of a run.
const (
	maxNotes     = 32
	maxNoteBytes = 1000
)

// note adds a note. Of very many, the first half and the newest are kept.
func (r *checkRun) note(text string) {
	if len(r.notes) == maxNotes {
		r.notes = slices.Delete(r.notes, maxNotes/2, maxNotes/2+1)
	}
	r.notes = append(r.notes, check.Cut(text, maxNoteBytes))
}

// noteAttempt notes how an attempt ended that is repeated, and remembers a node where the platform spoiled it.
func (r *checkRun) noteAttempt(outcome check.Outcome) {
	text, node := "no error was given", r.seen.Node
	if len(outcome.Errors) > 0 {
		text = check.Cut(outcome.Errors[0], maxNoteBytes/2)
	}
	if node != "" {
		text += " (on " + node + ")"
	}
	r.note(fmt.Sprintf("attempt %d was repeated: %s: %s", r.attempt, outcome.Result, text))
	if outcome.Result == check.InfraFailed && node != "" && !slices.Contains(r.avoid, node) {
		r.avoid = append(r.avoid, node)
	}
}
