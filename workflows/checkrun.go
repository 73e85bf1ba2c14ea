package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
)

// CheckRun is one run of a check or job, from the creation of its pod to its record. Its workflow ID is the run UUID. A check
// that fails is an outcome, not an error.
func CheckRun(ctx workflow.Context, in CheckRunInput) (CheckRunResult, error) {
	r := newRun(ctx, in)
	r.showRunning(ctx)
	last := r.attempts(ctx)
	// From here on the run ends in order, even when it was cancelled meanwhile.
	after, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	outcome, err := r.conclude(ctx, after, last)
	if err != nil {
		return CheckRunResult{Outcome: outcome.Bounded()}, err
	}
	return r.close(after, last, outcome)
}

// run is what all attempts of a run share.
type run struct {
	in      CheckRunInput
	uuid    string
	started time.Time
	reports workflow.ReceiveChannel

	// deadline is the end of the run, at which timer ends. queued is how long the run waited until its pod might start.
	deadline  time.Time
	timer     workflow.Future
	stopTimer workflow.CancelFunc
	queued    time.Duration

	// tries counts the attempts, avoid are the nodes where the platform ended some, and specHash is that of the first.
	tries    check.Attempts
	avoid    []string
	specHash string

	// shown is true once an outcome was recorded, and deleted when there was no check to record the first final one for. One
	// that was recorded stands, whatever becomes of the check after it.
	shown, deleted bool
	// furtherKept is true once a report was kept as evidence that came after the one that counts.
	furtherKept bool
	notes       []string
	// revision counts the records of the run, and unrecorded is what the ledger has not taken.
	revision   int
	unrecorded activities.Unrecorded
}

func newRun(ctx workflow.Context, in CheckRunInput) *run {
	r := &run{
		in: in, uuid: workflow.GetInfo(ctx).WorkflowExecution.ID, started: workflow.Now(ctx),
		// Asking for the channel before anything else keeps a report that comes early.
		reports: workflow.GetSignalChannel(ctx, ReportSignal),
	}
	r.unrecorded.Due = r.due()
	r.setDeadline(ctx)
	return r
}

// due is the key of the record of the run.
func (r *run) due() activities.Due {
	return activities.Due{Ref: r.in.Ref, Trigger: r.in.Trigger, At: r.in.Due}
}

// setDeadline gives the run all of its time, from now on.
func (r *run) setDeadline(ctx workflow.Context) {
	if r.stopTimer != nil {
		r.stopTimer()
	}
	r.deadline = workflow.Now(ctx).Add(r.in.Timeout)
	ctx, r.stopTimer = workflow.WithCancel(ctx)
	r.timer = workflow.NewTimerWithOptions(ctx, r.in.Timeout, workflow.TimerOptions{Summary: "deadline of the run"})
}

func (r *run) left(ctx workflow.Context) time.Duration {
	return max(r.deadline.Sub(workflow.Now(ctx)), 0)
}

// attempts makes attempts, one after another, until the outcome of the run is known. It returns the last one, with that outcome.
func (r *run) attempts(ctx workflow.Context) *attempt {
	var last *attempt
	for number := 1; ; number++ {
		next := r.try(ctx, number)
		if next.specChanged {
			r.note("not repeated, because the spec has changed")
			break
		}
		if last = next; !r.another(ctx, last) {
			break
		}
	}
	last.outcome = r.tries.Verdict(last.outcome, r.deadline.Sub(last.started) < r.in.Timeout/2)
	for _, text := range last.outcome.Notes {
		r.note(text)
	}
	return last
}

// conclude records the outcome, waits for the exit of a pod that has reported, removes one that goes on, and takes in what
// still arrived. The run may be cancelled meanwhile: then nobody waits for its pod.
func (r *run) conclude(cancellable, ctx workflow.Context, last *attempt) (outcome check.Outcome, err error) {
	outcome = r.complete(ctx, last, last.outcome)
	if r.deleted, err = r.record(ctx, last, outcome, false); err != nil {
		return outcome, err
	}
	if r.deleted {
		r.note(fmt.Sprintf("the check was deleted; without that: %s: %s", outcome.Result, strings.Join(outcome.Errors, "; ")))
	}
	if last.report != nil && !r.exits(cancellable, last) && cancellable.Err() == nil {
		// Cut short: quoted, the largest report would be larger than Temporal takes.
		said := fmt.Sprintf("%.1000s", fmt.Sprintf("%q", outcome.Errors))
		r.note(fmt.Sprintf("before the deadline the check reported: %s %s", outcome.Result, said))
		outcome = r.complete(ctx, last, check.NoExit().Outcome(r.in.Ref))
		if _, err := r.record(ctx, last, outcome, false); err != nil {
			return outcome, err
		}
	}
	r.keepEvidence(ctx, last, outcome)
	r.removePod(ctx, last)
	if err := r.setJobPhase(ctx, khv1.JobCompleted, 0); err != nil {
		return outcome, err
	}
	r.recordRun(ctx, last, outcome)
	return r.takeLateReports(ctx, last, outcome)
}

func (r *run) complete(ctx workflow.Context, last *attempt, outcome check.Outcome) check.Outcome {
	outcome.Started, outcome.Judged, outcome.Node = r.started, workflow.Now(ctx), last.seen.Node
	// A pod's last words may have the run UUID, with which anybody could report while the run is open.
	outcome.Errors = slices.Clone(outcome.Errors)
	for i, text := range outcome.Errors {
		outcome.Errors[i] = r.hide(text)
	}
	outcome.Reported = outcome.Reported && last.report != nil // else the UUID could still be used to report
	return outcome
}

// final is the outcome for record, metrics and Temporal. A run whose check was deleted is cancelled, also when nobody was there
// to cancel it: what it found may be the deletion of its pod.
func (r *run) final(last *attempt, outcome check.Outcome) check.Outcome {
	if r.deleted {
		outcome = check.Outcome{Result: check.Canceled, Started: outcome.Started, Judged: outcome.Judged, Node: outcome.Node}
	}
	outcome = outcome.Bounded()
	outcome.Notes = r.notes
	if outcome.Node == "" { // a report may be faster than the news that the pod runs
		outcome.Node = last.seen.Node
	}
	return outcome
}

// takeLateReports reads what arrived after the outcome was known. A report that was answered with success is never lost: the
// first one of a run without any becomes the outcome, every other is noted. The record has both.
func (r *run) takeLateReports(ctx workflow.Context, last *attempt, outcome check.Outcome) (check.Outcome, error) {
	for r.reports.Len() > 0 {
		var report status.Report
		for r.reports.ReceiveAsync(&report) {
			if last.report != nil || outcome.Result == check.Canceled {
				r.noteFurther(ctx, report)
				continue
			}
			r.note("the report came late; before it: " + strings.Join(outcome.Errors, "; "))
			r.tries = last.before // it is the outcome of the last attempt
			outcome = r.complete(ctx, last, r.tries.Verdict(last.take(ctx, report), false))
			if _, err := r.record(ctx, last, outcome, false); err != nil {
				return outcome, err
			}
			r.keepEvidence(ctx, last, outcome)
		}
		r.recordRun(ctx, last, outcome)
	}
	return outcome, nil
}

// close ends the workflow. A cancelled run ends as cancelled.
func (r *run) close(ctx workflow.Context, last *attempt, outcome check.Outcome) (CheckRunResult, error) {
	outcome = r.final(last, outcome)
	workflow.SetCurrentDetails(ctx, summary(outcome))
	result := CheckRunResult{Outcome: outcome}
	attributes := []temporal.SearchAttributeUpdate{SearchAttributeOutcome.ValueSet(string(outcome.Result))}
	if last.report != nil {
		attributes = append(attributes, SearchAttributeReported.ValueSet("true"))
	}
	if r.unrecorded.Record != nil || len(r.unrecorded.Evidence) > 0 {
		result.Unrecorded = &r.unrecorded
		attributes = append(attributes, SearchAttributeRecord.ValueSet(RecordWaiting))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, attributes...); err != nil {
		return result, fmt.Errorf("set search attributes: %w", err)
	}
	r.measure(ctx, outcome)
	if outcome.Result == check.Canceled && result.Unrecorded == nil { // an error has no result
		return result, temporal.NewCanceledError("the check was deleted, or its run cancelled")
	}
	return result, nil
}

func (r *run) measure(ctx workflow.Context, outcome check.Outcome) {
	measureRun(ctx, r.in.Ref, outcome, r.tries)
	durations := workflow.GetMetricsHandler(ctx)
	durations.Timer("khronicle_run_verdict").Record(outcome.Judged.Sub(outcome.Started))
	durations.Timer("khronicle_run").Record(workflow.Now(ctx).Sub(r.started))
	durations.Timer("khronicle_run_queued").Record(r.queued)
}

// summary is made at once: of the many texts that a report may have, one after the other would take so long that the SDK
// takes the workflow for hung, again and again.
func summary(outcome check.Outcome) string {
	return strings.Join(slices.Concat([]string{string(outcome.Result)}, outcome.Errors, outcome.Notes), "\n")
}

// Bounds of the notes of a run.
const (
	maxNotes     = 32
	maxNoteBytes = 1000
)

// note adds a note. Of very many, the first half and the newest stay.
func (r *run) note(text string) {
	if len(r.notes) == maxNotes {
		r.notes = slices.Delete(r.notes, maxNotes/2, maxNotes/2+1)
	}
	r.notes = append(r.notes, check.Cut(r.hide(text), maxNoteBytes))
}

// hide replaces the run UUID in a text.
func (r *run) hide(text string) string { return string(check.HideRun([]byte(text), r.uuid)) }

// label is the line that the Temporal UI shows for a step.
func (r *run) label(what string) string { return what + " — " + r.in.Ref.String() }

func (r *run) details(ctx workflow.Context, format string, args ...any) {
	workflow.SetCurrentDetails(ctx, fmt.Sprintf(format, args...))
}
