package workflows

import (
	"cmp"
	"errors"
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

// reportGrace is how long after the end of its pod a report may still arrive.
const reportGrace = time.Second

// changeReporterExit is the change by which sidecars no longer hold up a run.
const changeReporterExit = "reporter-exit"

// a gives the activities their names; its methods are never called here.
var a *activities.Activities

// CheckRun is one run of a check or job, from the creation of its pod to the clean-up. Its workflow ID is the run UUID.
// A check that fails is an outcome, not an error.
func CheckRun(ctx workflow.Context, in CheckRunInput) (check.Outcome, error) {
	r := newCheckRun(ctx, in)
	return r.run(ctx)
}

type checkRun struct {
	in       CheckRunInput
	uuid     string
	started  time.Time
	deadline time.Time
	// timer ends at the deadline.
	timer   workflow.Future
	reports workflow.ReceiveChannel

	// pod is the pod of the present attempt; it is empty before it exists.
	pod     activities.Pod
	attempt int
	// tries are the attempts so far, and avoid the nodes where the platform spoiled some.
	tries check.Attempts
	avoid []string
	// before are the attempts without the last one, and attemptStarted when that began.
	before         check.Attempts
	attemptStarted time.Time
	// specHash is that of the first attempt, and specChanged is true when there is no attempt because of an edit.
	specHash    string
	specChanged bool
	// created is what is known of the pod's creation.
	created activities.CreatePodResult
	// seen is the last that is known of the pod.
	seen check.Observation
	// exit is the end of the pod, from its start on.
	exit workflow.Future
	// reported is true once a report was taken as the verdict of the present attempt, whatever came of that later.
	reported bool
	// report is that report, and further is true once one that came after it was kept as evidence.
	report  status.Report
	further bool
	// kept and keptReport are the attempts whose pod and report are kept as evidence already, and waits counts what waits for the
	// ledger of it.
	kept, keptReport, waits int
	// reportedAt and recordedAt are when the report was taken and the outcome first written.
	reportedAt, recordedAt time.Time
	notes                  []string
	// gone is true when the check was deleted before its outcome could be recorded: see told.
	gone bool
	// accounts counts what was said to the ledger.
	accounts int
}

func newCheckRun(ctx workflow.Context, in CheckRunInput) *checkRun {
	now := workflow.Now(ctx)
	r := &checkRun{
		in: in, uuid: workflow.GetInfo(ctx).WorkflowExecution.ID,
		started: now, deadline: now.Add(in.Timeout),
		timer: workflow.NewTimerWithOptions(ctx, in.Timeout, workflow.TimerOptions{Summary: "deadline of the run"}),
		// Asking for the channel before anything else keeps a report that comes early.
		reports: workflow.GetSignalChannel(ctx, ReportSignal),
	}
	if in.LostSince != nil {
		r.started = *in.LostSince // so that an outcome which was recorded after it stands
	}
	return r
}

func (r *checkRun) run(ctx workflow.Context) (check.Outcome, error) {
	r.begin(ctx)
	outcome := r.verdict(ctx)
	// From here on the run ends in order, even when it was cancelled meanwhile.
	after, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	return r.conclude(ctx, after, outcome)
}

// tryPod creates a pod and waits for what comes first: a report, the pod's end, the deadline, or the end of the check.
func (r *checkRun) tryPod(ctx workflow.Context) check.Outcome {
	workflow.SetCurrentDetails(ctx, "creating the pod")
	// The name is known before the pod: a creation whose answer is lost is cleaned up too.
	name := check.Run{UUID: r.uuid, Attempt: r.attempt}.PodName(r.in.Ref.Name)
	r.pod = activities.Pod{Namespace: r.in.Ref.Namespace, Name: name, Deadline: r.deadline}
	r.seen, r.exit = check.Observation{}, nil
	r.reported, r.reportedAt, r.attemptStarted = false, time.Time{}, workflow.Now(ctx)
	created, err := r.createPod(ctx)
	switch {
	case ctx.Err() != nil:
		return check.Outcome{Result: check.Canceled}
	case err != nil:
		failure := check.CreateFailed(reason(err))
		failure.Final = true // it was tried until the deadline
		return failure.Outcome(r.in.Ref)
	case created.CheckGone:
		r.pod.Name = ""
		return check.Outcome{Result: check.Canceled}
	case created.SpecChanged:
		r.pod.Name, r.specChanged = "", true
		return check.Outcome{}
	case created.Failure != nil:
		r.pod.Name = ""
		return created.Failure.Outcome(r.in.Ref)
	}
	r.created, r.specHash = created, created.SpecHash
	return r.awaitVerdict(ctx)
}

func (r *checkRun) awaitVerdict(ctx workflow.Context) check.Outcome {
	var verdict *check.Outcome
	decide := func(o check.Outcome) { verdict = &o }
	start := workflow.ExecuteActivity(r.waitOptions(ctx, "wait for the pod to start"), a.WaitForPodStart, r.pod)
	r.details(ctx, "waiting for pod %s to start", r.pod.Name)

	// The order matters: of what is ready at the same moment, the report comes first.
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(r.reports, func(reports workflow.ReceiveChannel, _ bool) {
		var report status.Report
		if reports.ReceiveAsync(&report) { // false for a signal that is no report
			decide(r.take(ctx, report))
		}
	})
	selector.AddFuture(start, func(workflow.Future) {
		if r.observe(ctx, start); r.over() || r.seen.Hopeless != "" {
			decide(r.withoutReport(ctx))
			return
		}
		selector.AddFuture(r.watchExit(ctx), func(exit workflow.Future) {
			if r.observe(ctx, exit); r.over() {
				decide(r.withoutReport(ctx))
			}
		})
	})
	selector.AddFuture(r.timer, func(workflow.Future) {
		if ctx.Err() != nil { // the timer ends with the run
			decide(check.Outcome{Result: check.Canceled})
			return
		}
		decide(r.atDeadline(ctx))
	})
	selector.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { decide(check.Outcome{Result: check.Canceled}) })
	for verdict == nil {
		selector.Select(ctx)
	}
	return *verdict
}

// take makes a report the verdict of the run.
func (r *checkRun) take(ctx workflow.Context, report status.Report) check.Outcome {
	r.reported, r.report, r.reportedAt = true, report, workflow.Now(ctx)
	return check.FromReport(report)
}

// watchExit waits for the end of the pod, once an attempt.
func (r *checkRun) watchExit(ctx workflow.Context) workflow.Future {
	if r.exit == nil {
		r.exit = workflow.ExecuteActivity(r.waitOptions(ctx, "wait for the pod to exit"), a.WaitForPodExit, r.pod)
		r.details(ctx, "waiting for the report of pod %s until %s", r.pod.Name, r.deadline.UTC().Format(time.TimeOnly))
	}
	return r.exit
}

// observe takes over what a waiting activity saw. An activity that never answered adds nothing; the deadline decides.
func (r *checkRun) observe(ctx workflow.Context, waited workflow.Future) {
	var seen check.Observation
	if err := waited.Get(ctx, &seen); err != nil {
		return
	}
	if seen.Node == "" {
		seen.Node = r.seen.Node
	}
	seen.Started = seen.Started || r.seen.Started
	seen.Disrupted = seen.Disrupted || r.seen.Disrupted && seen.Gone // its last object is not there to say so
	if len(seen.Logs) == 0 {
		seen.Logs = r.seen.Logs
	}
	r.seen = seen
}

// over is true when the pod can send no further report.
func (r *checkRun) over() bool { return r.seen.Ended || r.seen.Gone }

// withoutReport is the outcome of a pod that ended, went or cannot start, unless a report still arrives.
func (r *checkRun) withoutReport(ctx workflow.Context) check.Outcome {
	if r.over() {
		var report status.Report
		if ok, _ := r.reports.ReceiveWithTimeout(ctx, reportGrace, &report); ok {
			return r.take(ctx, report)
		}
	}
	failure := check.EndedSilently(r.seen)
	switch {
	case r.seen.Removed():
		failure = check.Removed(r.seen)
	case r.seen.Hopeless != "":
		failure = check.CannotStart(r.seen)
	}
	return failure.Outcome(r.in.Ref)
}

// atDeadline is the outcome of a run without a report at its deadline. The pod is looked at once more: what a waiting
// activity should have seen may have been missed, when no worker was there.
func (r *checkRun) atDeadline(ctx workflow.Context) check.Outcome {
	r.look(ctx)
	switch {
	case r.over() || r.seen.AllEnded || r.seen.Hopeless != "":
		return r.withoutReport(ctx)
	case r.seen.Started:
		return check.NoReport(r.seen).Outcome(r.in.Ref)
	default:
		return check.NotStarted(r.seen).Outcome(r.in.Ref)
	}
}

// conclude records the outcome, sees the pod off, and takes in what still arrived until the end of the run. The run may be
// cancelled meanwhile: then nobody waits for its pod.
func (r *checkRun) conclude(cancellable, ctx workflow.Context, outcome check.Outcome) (check.Outcome, error) {
	outcome = r.complete(ctx, outcome)
	gone, err := r.record(ctx, outcome)
	if err != nil {
		return outcome, err
	}
	if r.gone = gone && r.in.Given == nil; r.gone { // a program's run is its own, whatever there is of that name
		r.note(fmt.Sprintf("the check was deleted; without that: %s: %s", outcome.Result, strings.Join(outcome.Errors, "; ")))
	}
	if r.reported && !r.exits(cancellable) && cancellable.Err() == nil {
		// Cut short: quoted, the largest report would be larger than Temporal takes.
		said := fmt.Sprintf("%.1000s", fmt.Sprintf("%q", outcome.Errors))
		r.note(fmt.Sprintf("before the deadline the check reported: %s %s", outcome.Result, said))
		outcome = r.complete(ctx, check.NoExit().Outcome(r.in.Ref))
		if _, err := r.record(ctx, outcome); err != nil {
			return outcome, err
		}
	}
	r.keepEvidence(ctx, outcome)
	r.cleanUp(ctx)
	if err := r.setJobPhase(ctx, khv1.JobCompleted); err != nil {
		return outcome, err
	}
	if err := r.account(ctx, outcome); err != nil {
		return outcome, err
	}
	return r.takeLateReports(ctx, outcome)
}

func (r *checkRun) complete(ctx workflow.Context, outcome check.Outcome) check.Outcome {
	outcome.Started, outcome.Judged, outcome.Node = r.started, workflow.Now(ctx), r.seen.Node
	outcome.Reported = outcome.Reported && r.reported // else the UUID could still be used to report
	return outcome
}

// told is the outcome that account, metrics and Temporal are told. A run whose check was deleted is cancelled, also when nobody was
// there to cancel it: what it found may be the deletion of its pod. No step depends on it, so that runs in flight replay.
func (r *checkRun) told(outcome check.Outcome) check.Outcome {
	if !r.gone {
		return outcome
	}
	return check.Outcome{Result: check.Canceled, Started: outcome.Started, Judged: outcome.Judged, Node: outcome.Node}
}

// exits waits for the end of a pod that has reported, until the deadline. In a pod of several containers, those that go on
// after the first has ended are sidecars: nobody waits for them.
func (r *checkRun) exits(ctx workflow.Context) bool {
	r.details(ctx, "reported; waiting for pod %s to exit", r.pod.Name)
	exit := r.watchExit(ctx)
	if r.created.Containers > 1 && workflow.GetVersion(ctx, changeReporterExit, workflow.DefaultVersion, 1) > workflow.DefaultVersion {
		exit = workflow.ExecuteActivity(r.waitOptions(ctx, "wait for the container that reported"), a.WaitForReporterExit, r.pod)
	}
	if r.observe(ctx, exit); !r.over() && !r.seen.PartlyEnded {
		r.look(ctx)
	}
	return r.over() || r.seen.PartlyEnded
}

// takeLateReports reads what arrived after the verdict. A report that was answered with success is never lost: the first
// one of a run without any becomes the outcome, every other is noted.
func (r *checkRun) takeLateReports(ctx workflow.Context, outcome check.Outcome) (check.Outcome, error) {
	var report status.Report
	for r.reports.ReceiveAsync(&report) {
		if r.reported || outcome.Result == check.Canceled {
			r.noteFurther(ctx, report)
			continue
		}
		r.note("the report came late; before it: " + strings.Join(outcome.Errors, "; "))
		r.tries = r.before // it is the verdict of the last attempt
		outcome = r.complete(ctx, r.tries.Verdict(r.take(ctx, report), false))
		_, recorded := r.record(ctx, outcome)
		r.keepEvidence(ctx, outcome)
		if err := errors.Join(recorded, r.account(ctx, outcome)); err != nil {
			return outcome, err
		}
	}
	return r.close(ctx, outcome)
}

// close ends the workflow. A cancelled run ends as cancelled.
func (r *checkRun) close(ctx workflow.Context, outcome check.Outcome) (check.Outcome, error) {
	outcome = r.told(outcome)
	outcome.Notes, outcome.Node = r.notes, cmp.Or(outcome.Node, r.seen.Node)
	workflow.SetCurrentDetails(ctx, summary(outcome))
	if err := workflow.UpsertTypedSearchAttributes(ctx, SearchAttributeOutcome.ValueSet(string(outcome.Result))); err != nil {
		return outcome, fmt.Errorf("set search attribute: %w", err)
	}
	r.measure(ctx, outcome)
	if outcome.Result == check.Canceled {
		return outcome, temporal.NewCanceledError("the check is gone")
	}
	return outcome, nil
}

// summary is made at once: of the many texts that a report may have, one after the other would take so long that the SDK
// takes the workflow for hung, again and again.
func summary(outcome check.Outcome) string {
	return strings.Join(slices.Concat([]string{string(outcome.Result)}, outcome.Errors, outcome.Notes), "\n")
}

// reason is the innermost text of an activity's error: what the API server said.
func reason(err error) string {
	var application *temporal.ApplicationError
	if errors.As(err, &application) {
		return application.Message()
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		if last := timeout.Unwrap(); last != nil {
			return reason(last)
		}
		return "no answer before the deadline"
	}
	return err.Error()
}
