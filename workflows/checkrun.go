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
)

// CheckRun is one run of a check or job, from the creation of its pod to its record. Its workflow ID is the run UUID. A check
// that fails is an outcome, not an error.
func CheckRun(ctx workflow.Context, in CheckRunInput) (CheckRunResult, error) {
	r := newRun(ctx, in)
	r.showRunning(ctx)
	last := r.attempts(ctx)
	// From here on the run ends in order, even if it is cancelled meanwhile.
	after, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	conclusion, err := r.conclude(ctx, after, last)
	if err != nil {
		return CheckRunResult{Conclusion: conclusion.Bounded()}, err
	}
	return r.close(after, last, conclusion)
}

// run is what all attempts of a run share.
type run struct {
	in      CheckRunInput
	uuid    string
	started time.Time
	reports workflow.ReceiveChannel
	// stamps are those of the reports that were read, and noneAt is when none waited last.
	stamps []time.Time
	noneAt time.Time

	// deadline is the end of the run, at which timer ends. queued is how long the run waited before it might start its pod.
	deadline  time.Time
	timer     workflow.Future
	stopTimer workflow.CancelFunc
	queued    time.Duration

	// tries counts the attempts. avoid are the nodes on which the platform ended some. specHash is the hash of the first
	// attempt's spec.
	tries    check.Attempts
	avoid    []string
	specHash string

	// newest is the newest attempt that may have a pod.
	newest *attempt
	// shown is true once a conclusion was recorded. deleted is true if the check no longer existed when the first final
	// conclusion was to be recorded. A recorded conclusion stays, whatever happens to the check later.
	shown, deleted bool
	// ignored are the reports that changed nothing while the pod ran. They are not noted yet.
	ignored []Report
	// furtherKept is true once a report after the one that counts is stored as evidence.
	furtherKept bool
	// late is the first report that could not decide the outcome, and lateKept is true once it is stored as evidence.
	late     *Report
	lateKept bool
	notes    []string
	// revision counts the records of the run, and unrecorded is what the ledger has not taken.
	revision   int
	unrecorded activities.Unrecorded
}

func newRun(ctx workflow.Context, in CheckRunInput) *run {
	r := &run{
		in: in, uuid: workflow.GetInfo(ctx).WorkflowExecution.ID, started: workflow.Now(ctx),
		// Reading the channel before anything else ensures that an early report is not lost.
		reports: workflow.GetSignalChannel(ctx, ReportSignal),
	}
	r.unrecorded.Key = r.key()
	r.setDeadline(ctx)
	return r
}

// key is the key of the record of the run.
func (r *run) key() activities.RecordKey {
	return activities.RecordKey{Ref: r.in.Ref, Trigger: r.in.Trigger, Tick: r.in.Tick}
}

// setDeadline sets the deadline of the run to its whole timeout from now on.
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

// attempts makes attempts, one after another, until the outcome of the run is known. It returns the last attempt, which has
// the conclusion of the run.
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
	last.conclusion = r.tries.Conclude(last.conclusion, r.deadline.Sub(last.started) < r.in.Timeout/2)
	for _, text := range last.conclusion.Notes {
		r.note(text)
	}
	return last
}

// conclude records the conclusion and waits for the exit of a pod that has reported. It removes a pod that does not end,
// and reads late reports. If the run is cancelled meanwhile, conclude does not wait for the pod.
func (r *run) conclude(cancellable, ctx workflow.Context, last *attempt) (conclusion check.Conclusion, err error) {
	conclusion = r.complete(ctx, last, last.conclusion)
	if r.deleted, err = r.record(ctx, last, conclusion, false); err != nil {
		return conclusion, err
	}
	if r.deleted {
		r.note(fmt.Sprintf("the check was deleted; without that: %s: %s", conclusion.Outcome, strings.Join(conclusion.Errors, "; ")))
	}
	if last.report != nil {
		if conclusion, err = r.afterReport(cancellable, ctx, last, conclusion); err != nil {
			return conclusion, err
		}
	}
	r.keepEvidence(ctx, last, conclusion)
	r.removePod(ctx, last)
	r.keepLate(ctx)
	if err := r.setJobPhase(ctx, khv1.JobCompleted, 0); err != nil {
		return conclusion, err
	}
	r.recordRun(ctx, last, conclusion)
	return r.takeLateReports(ctx, last, conclusion)
}

// afterReport waits for the exit of a pod that has reported, and records what changes its conclusion meanwhile.
func (r *run) afterReport(cancellable, ctx workflow.Context, last *attempt, conclusion check.Conclusion) (check.Conclusion, error) {
	exited, further := r.exits(cancellable, last)
	for ; further != nil; exited, further = r.exits(cancellable, last) {
		var err error
		if conclusion, err = r.hear(ctx, last, conclusion, *further); err != nil {
			return conclusion, err
		}
	}
	if exited || cancellable.Err() != nil {
		return conclusion, nil
	}
	// Cut short: when quoted, the largest report would be larger than Temporal accepts.
	said := fmt.Sprintf("%.1000s", fmt.Sprintf("%q", conclusion.Errors))
	r.note(fmt.Sprintf("before the deadline the check reported: %s %s", conclusion.Outcome, said))
	noExit := check.NoExit(last.seen).Conclude(r.in.Ref)
	noExit.Errors = append(noExit.Errors, conclusion.Errors...)
	conclusion = r.complete(ctx, last, noExit)
	_, err := r.record(ctx, last, conclusion, false)
	return conclusion, err
}

// hear takes a report of a pod that has reported before and has not ended. A pod may have several checks, so a report of
// failure adds its errors. Any other report changes nothing, and is noted once the pod has ended.
func (r *run) hear(ctx workflow.Context, last *attempt, conclusion check.Conclusion, further Report) (check.Conclusion, error) {
	last.lastReportAt = further.Received
	report, adds := check.AddReport(*last.report, further.Report)
	if !adds || conclusion.Outcome == check.Canceled {
		r.ignored = append(r.ignored, further)
		return conclusion, nil
	}
	r.note(fmt.Sprintf("a further report added errors; before it: %s", conclusion.Outcome))
	last.report, last.reportedAt = &report, further.Received
	conclusion = r.complete(ctx, last, check.FromReport(report))
	_, err := r.record(ctx, last, conclusion, false)
	return conclusion, err
}

func (r *run) complete(ctx workflow.Context, last *attempt, conclusion check.Conclusion) check.Conclusion {
	conclusion.Started, conclusion.Concluded, conclusion.Node = r.started, workflow.Now(ctx), last.seen.Node
	// The output of a pod may contain the run UUID. While the run is open, anybody could report with it.
	conclusion.Errors = slices.Clone(conclusion.Errors)
	for i, text := range conclusion.Errors {
		conclusion.Errors[i] = r.hide(text)
	}
	conclusion.Reported = conclusion.Reported && last.report != nil // else the UUID could still be used to report
	if conclusion.Reported {
		conclusion.Concluded = last.reportedAt
	}
	return conclusion
}

// final returns the conclusion for record, metrics and Temporal. A run whose check was deleted counts as cancelled, even if
// nobody cancelled it: its outcome may be caused by the deletion of its pod.
func (r *run) final(last *attempt, conclusion check.Conclusion) check.Conclusion {
	if r.deleted {
		conclusion = check.Conclusion{Outcome: check.Canceled, Started: conclusion.Started, Concluded: conclusion.Concluded, Node: conclusion.Node}
	}
	conclusion = conclusion.Bounded()
	conclusion.Notes = r.notes
	if conclusion.Node == "" { // a report may arrive before the event that the pod runs
		conclusion.Node = last.seen.Node
	}
	return conclusion
}

// takeLateReports reads the reports that were stored after the outcome was known. The first one that can decide the outcome
// does so, if the run has no report. Every other is noted. The record has both.
func (r *run) takeLateReports(ctx workflow.Context, last *attempt, conclusion check.Conclusion) (check.Conclusion, error) {
	for r.reports.Len() > 0 || len(r.ignored) > 0 {
		for _, report := range r.ignored {
			r.noteFurther(ctx, report)
		}
		r.ignored = nil
		for report, ok := r.decidingReport(ctx); ok; report, ok = r.decidingReport(ctx) {
			if last.report != nil || conclusion.Outcome == check.Canceled {
				r.noteFurther(ctx, report)
				continue
			}
			r.note("the report came late; before it: " + strings.Join(conclusion.Errors, "; "))
			r.tries = last.before // it is the outcome of the last attempt
			conclusion = r.complete(ctx, last, r.tries.Conclude(last.take(report), false))
			if _, err := r.record(ctx, last, conclusion, false); err != nil {
				return conclusion, err
			}
			r.keepEvidence(ctx, last, conclusion)
		}
		r.keepLate(ctx)
		r.recordRun(ctx, last, conclusion)
	}
	return conclusion, nil
}

// close ends the workflow. A cancelled run ends as cancelled.
func (r *run) close(ctx workflow.Context, last *attempt, conclusion check.Conclusion) (CheckRunResult, error) {
	conclusion = r.final(last, conclusion)
	workflow.SetCurrentDetails(ctx, summary(conclusion))
	result := CheckRunResult{Conclusion: conclusion}
	attributes := []temporal.SearchAttributeUpdate{SearchAttributeOutcome.ValueSet(string(conclusion.Outcome))}
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
	r.measure(ctx, conclusion)
	if conclusion.Outcome == check.Canceled && result.Unrecorded == nil { // a workflow that ends with an error has no result
		return result, temporal.NewCanceledError("the check was deleted, or its run cancelled")
	}
	return result, nil
}

func (r *run) measure(ctx workflow.Context, conclusion check.Conclusion) {
	measureRun(ctx, r.in.Ref, conclusion, r.tries)
	durations := workflow.GetMetricsHandler(ctx)
	durations.Timer("khronicle_run_outcome").Record(conclusion.Concluded.Sub(conclusion.Started))
	durations.Timer("khronicle_run").Record(workflow.Now(ctx).Sub(r.started))
	durations.Timer("khronicle_run_queued").Record(r.queued)
}

// summary joins the texts of a conclusion, so that they are processed together. A report may have many texts. Processing
// them one after the other could take so long that the SDK regards the workflow as hung.
func summary(conclusion check.Conclusion) string {
	return strings.Join(slices.Concat([]string{string(conclusion.Outcome)}, conclusion.Errors, conclusion.Notes), "\n")
}

// Bounds of the notes of a run.
const (
	maxNotes     = 32
	maxNoteBytes = 1000
)

// note adds a note. If there are too many notes, the first half and the newest stay.
func (r *run) note(text string) {
	if len(r.notes) == maxNotes {
		r.notes = slices.Delete(r.notes, maxNotes/2, maxNotes/2+1)
	}
	r.notes = append(r.notes, check.Cut(r.hide(text), maxNoteBytes))
}

// hide replaces the run UUID in a text.
func (r *run) hide(text string) string { return check.HideRunIn(text, r.uuid) }

// label is the line that the Temporal UI shows for a step.
func (r *run) label(what string) string { return what + " — " + r.in.Ref.String() }

func (r *run) details(ctx workflow.Context, format string, args ...any) {
	workflow.SetCurrentDetails(ctx, fmt.Sprintf(format, args...))
}
