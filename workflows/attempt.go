package workflows

import (
	"cmp"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
)

// Bounds of an attempt.
const (
	// reporterLeave is how long a pod may take to exit when its report was answered. It counts before the next attempt, and
	// if the answer came about the deadline.
	reporterLeave = 10 * time.Second
	// lastLook is how long after the deadline WatchPod may still return what it saw. It is well above the least time of a
	// watch, so that a watch that begins late still counts.
	lastLook = 15 * time.Second
	// lookGivenUpAt bounds all tries to read the pod at the deadline, if the API server does not answer.
	lookGivenUpAt = 30 * time.Second
	// createAtLeast is the least time for creating a pod, also just before the deadline.
	createAtLeast = time.Second
)

// attempt is one pod of a run, and how it ended.
type attempt struct {
	number  int
	started time.Time
	// pod has no name if there is none.
	pod     activities.Pod
	created activities.CreatePodResult
	// specChanged is true when there is no pod because of an edit.
	specChanged bool
	// watch is the current or last WatchPod, and stopWatch ends it. seen is the last observation of the pod.
	watch     workflow.Future
	stopWatch workflow.CancelFunc
	seen      check.Observation
	// overAt is when the end of the pod was seen. It is zero while the pod may report.
	overAt time.Time
	// report is the report that counts, if one came, and reportedAt is when it was received. lastReportAt is when the newest
	// report was received.
	report       *status.Report
	reportedAt   time.Time
	lastReportAt time.Time
	conclusion   check.Conclusion
	// before are the attempts of the run without this one.
	before check.Attempts
	// podKept and reportKept are true once the evidence of the pod, or of the report, is stored.
	podKept, reportKept bool
}

// ended is true when no container of the pod runs.
func (t *attempt) ended() bool { return t.pod.Name == "" || t.seen.Ended || t.seen.Gone }

// over is true when the pod can send no further report.
func (t *attempt) over() bool { return t.ended() || t.seen.OnlySidecars }

// reporterEnded is true when the container that reported has ended, as far as anybody knows.
func (t *attempt) reporterEnded() bool {
	return t.over() || t.seen.AllEnded || t.seen.ReporterEnded || t.seen.PartlyEnded && t.seen.EndedSince(t.lastReportAt)
}

// take makes a report the outcome of the attempt.
func (t *attempt) take(report Report) check.Conclusion {
	t.report, t.reportedAt, t.lastReportAt = &report.Report, report.Received, report.Received
	return check.FromReport(report.Report)
}

// try creates a pod and waits for the first of these: a report, the pod's end, the deadline, the deletion of the check.
func (r *run) try(ctx workflow.Context, number int) *attempt {
	t := &attempt{number: number, started: workflow.Now(ctx), before: r.tries}
	r.details(ctx, "creating the pod")
	// The name is known before the pod exists, so a pod whose creation got no answer is removed too.
	t.pod = activities.Pod{Namespace: r.in.Ref.Namespace, Name: check.Attempt{UUID: r.uuid, Attempt: number}.PodName(r.in.Ref.Name)}
	err := r.createPod(ctx, t)
	if err != nil || !t.created.Refused() { // without an answer there may be a pod
		r.newest = t
	}
	switch {
	case ctx.Err() != nil:
		t.conclusion = check.Conclusion{Outcome: check.Canceled}
	case err != nil:
		failure := check.CreateFailed(reason(err))
		failure.Final = true // the creation was retried until the deadline
		t.conclusion = failure.Conclude(r.in.Ref)
	case t.created.CheckGone:
		t.pod.Name, t.conclusion = "", check.Conclusion{Outcome: check.Canceled}
	case t.created.SpecChanged:
		t.pod.Name, t.specChanged = "", true
	case t.created.Failure != nil:
		t.pod.Name, t.conclusion = "", t.created.Failure.Conclude(r.in.Ref)
	default:
		r.specHash = t.created.SpecHash
		t.conclusion = r.awaitOutcome(ctx, t)
	}
	return t
}

// createPod creates the pod of an attempt. The first attempt may have to queue. The timeout of its run begins after that. A
// further attempt replaces a pod that has ended, and does not queue.
func (r *run) createPod(ctx workflow.Context, t *attempt) error {
	err := r.createPodOnce(ctx, t, t.number > 1)
	if err != nil || !t.created.Queued {
		return err
	}
	r.showQueued(ctx, t.created.Behind)
	var waited activities.AwaitStartResult
	err = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:             r.label("wait until the pod may start"),
		StartToCloseTimeout: 24 * time.Hour,
		HeartbeatTimeout:    heartbeatTimeout,
		RetryPolicy:         retryPolicy(200*time.Millisecond, 5*time.Second),
	}), a.AwaitStart, r.attempt(t, false)).Get(ctx, &waited)
	if err != nil {
		return err
	}
	for _, text := range waited.Notes {
		r.note(text)
	}
	r.queued = workflow.Now(ctx).Sub(r.started)
	r.setDeadline(ctx)
	return r.createPodOnce(ctx, t, true)
}

func (r *run) createPodOnce(ctx workflow.Context, t *attempt, admitted bool) error {
	t.pod.Deadline, t.created = r.deadline, activities.CreatePodResult{}
	options := persistently(max(r.left(ctx), createAtLeast))
	options.StartToCloseTimeout = min(options.ScheduleToCloseTimeout, requestTimeout)
	return shortly(ctx, step{r.label("create the pod"), a.CreatePod}, options, r.attempt(t, admitted), &t.created)
}

// attempt is the input of the activities that start the pod of an attempt.
func (r *run) attempt(t *attempt, admitted bool) activities.Attempt {
	return activities.Attempt{
		Key: r.key(), UUID: r.uuid, Number: t.number, Started: r.started, Deadline: r.deadline, Admitted: admitted,
		SpecHash: r.specHash, Avoid: r.avoid, Given: r.in.Given,
	}
}

// showQueued shows why the run waits: a pod of an earlier run, if there is one, or the limits of all pods.
func (r *run) showQueued(ctx workflow.Context, behind string) {
	if behind == "" {
		r.details(ctx, "queued: too many pods start or run")
		return
	}
	r.details(ctx, "queued: pod %s of an earlier run has not ended", behind)
	r.note("the run waited for the end of pod " + behind + " of an earlier run")
}

func (r *run) awaitOutcome(ctx workflow.Context, t *attempt) check.Conclusion {
	var conclusion *check.Conclusion
	decide := func(o check.Conclusion) { conclusion = &o }
	r.watch(ctx, t)
	r.details(ctx, "waiting for the report of pod %s until %s", t.pod.Name, r.deadline.UTC().Format(time.TimeOnly))

	// The order matters: of several things that are ready at the same moment, the report comes first.
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(r.reports, func(workflow.ReceiveChannel, bool) {
		if report, ok := r.decidingReport(ctx); ok {
			decide(t.take(report))
		}
	})
	selector.AddFuture(t.watch, func(watch workflow.Future) {
		if t.observe(ctx, watch); t.over() || t.hopeless() {
			decide(r.withoutReport(ctx, t))
		}
	})
	selector.AddFuture(r.timer, func(workflow.Future) {
		if ctx.Err() != nil { // the timer ends with the run
			decide(check.Conclusion{Outcome: check.Canceled})
			return
		}
		decide(r.atDeadline(ctx, t))
	})
	selector.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { decide(check.Conclusion{Outcome: check.Canceled}) })
	for conclusion == nil {
		selector.Select(ctx)
	}
	return *conclusion
}

// hopeless is true for a pod that cannot start without a change.
func (t *attempt) hopeless() bool { return t.seen.Hopeless != "" && !t.seen.Started }

// watch watches the pod until the deadline. If its worker dies, another worker continues.
func (r *run) watch(ctx workflow.Context, t *attempt) {
	if t.stopWatch != nil {
		t.stopWatch()
	}
	ctx, t.stopWatch = workflow.WithCancel(ctx)
	within := r.left(ctx) + lastLook
	t.watch = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                r.label("watch the pod"),
		StartToCloseTimeout:    within,
		ScheduleToCloseTimeout: within,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retryPolicy(200*time.Millisecond, 5*time.Second),
	}), a.WatchPod, activities.WatchInput{Pod: t.pod, Reported: t.lastReportAt, Containers: t.created.Containers})
}

// observe stores what an activity saw. An activity that never answered adds nothing.
func (t *attempt) observe(ctx workflow.Context, watch workflow.Future) {
	var seen check.Observation
	if watch.Get(ctx, &seen) == nil {
		t.see(ctx, seen)
	}
}

func (t *attempt) see(ctx workflow.Context, seen check.Observation) {
	if seen.Node == "" {
		seen.Node = t.seen.Node
	}
	seen.Started = seen.Started || t.seen.Started
	if t.seen.Disrupted && seen.Gone { // the pod object, which says so, is deleted
		seen.Disrupted, seen.Detail = true, cmp.Or(seen.Detail, t.seen.Detail)
	}
	if len(seen.Logs) == 0 {
		seen.Logs = t.seen.Logs
	}
	t.seen = seen
	if t.over() && t.overAt.IsZero() {
		t.overAt = workflow.Now(ctx)
	}
}

// look reads from the API server how the pod is now. If the API server does not answer, the last observation stays, and
// look returns false.
func (r *run) look(ctx workflow.Context, t *attempt) bool {
	var seen check.Observation
	if shortly(ctx, step{r.label("look at the pod"), a.LookAtPod}, persistently(lookGivenUpAt), t.pod, &seen) != nil {
		return false
	}
	t.see(ctx, seen)
	return true
}

// withoutReport is the conclusion for a pod that ended, was deleted or cannot start, unless a report still arrives.
func (r *run) withoutReport(ctx workflow.Context, t *attempt) check.Conclusion {
	if t.over() {
		if report, ok := r.awaitReport(ctx, t.seen.ExitedAt); ok {
			return t.take(report)
		}
	}
	failure := check.EndedSilently(t.seen)
	switch {
	case t.seen.Removed():
		failure = check.Removed(t.seen)
	case t.seen.Hopeless != "":
		failure = check.CannotStart(t.seen)
	case t.seen.ExitedAt.After(r.deadline): // it may have reported, but too late
		failure = check.NoReport(t.seen)
	}
	return failure.Conclude(r.in.Ref)
}

// atDeadline is the conclusion of a run without a report at its deadline. The API server is asked once more for the pod:
// the watch may have missed something while no worker was there. If the API server does not answer, the last observation
// counts. A report that was received before the deadline may still be on its way.
func (r *run) atDeadline(ctx workflow.Context, t *attempt) check.Conclusion {
	if !r.look(ctx, t) {
		t.observe(ctx, t.watch)
	}
	if !t.over() {
		if report, ok := r.awaitReport(ctx, r.deadline); ok {
			return t.take(report)
		}
	}
	switch {
	case t.over() || t.seen.AllEnded || t.seen.Hopeless != "":
		return r.withoutReport(ctx, t)
	case t.seen.Started:
		return check.NoReport(t.seen).Conclude(r.in.Ref)
	default:
		return check.NotStarted(t.seen).Conclude(r.in.Ref)
	}
}

// exits waits until the deadline for the end of a pod that has reported. Of several containers, one that ends after the
// report is enough: the others may never end. A report that comes meanwhile ends the wait.
func (r *run) exits(ctx workflow.Context, t *attempt) (exited bool, further *Report) {
	if !t.over() {
		r.details(ctx, "reported; waiting for pod %s to exit", t.pod.Name)
		r.watchExit(ctx, t)
	}
	if further = r.reportBeforeEnd(ctx, t); further != nil || t.over() { // over also without a pod: the report is that of the attempt before
		return t.over(), further
	}
	if t.observe(ctx, t.watch); !t.reporterEnded() {
		r.look(ctx, t)
	}
	return t.reporterEnded(), nil
}

// watchExit watches a pod that has reported. A client whose report was held about the deadline has a moment more: its pod
// could not exit before the answer.
func (r *run) watchExit(ctx workflow.Context, t *attempt) {
	answered := workflow.Now(ctx)
	held := answered.Sub(t.lastReportAt) > longerThan && r.left(ctx) < reporterLeave
	if held {
		t.pod.Deadline = answered.Add(reporterLeave)
	}
	if t.watch.IsReady() {
		t.observe(ctx, t.watch)
	}
	if !t.over() && (held || t.watch.IsReady() || t.created.Containers > 1) {
		r.watch(ctx, t)
	}
}

// reportBeforeEnd returns the next report that can decide the outcome, unless the pod is over, or its watch ends, before one
// comes.
func (r *run) reportBeforeEnd(ctx workflow.Context, t *attempt) (further *Report) {
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(r.reports, func(workflow.ReceiveChannel, bool) {
		if report, ok := r.decidingReport(ctx); ok {
			further = &report
		}
	})
	if !t.over() {
		selector.AddFuture(t.watch, func(workflow.Future) {})
	}
	for further == nil && (r.reports.Len() > 0 || !t.over() && !t.watch.IsReady()) {
		selector.Select(ctx)
	}
	return further
}
