package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Bounds of the activities of a run.
const (
	// heartbeatTimeout is how long after a worker's death another takes over what it was waiting for.
	heartbeatTimeout = 10 * time.Second
	// lastLook is how long after the deadline a waiting activity may still say what it saw. It is well above the least
	// time that such an activity looks, so that one which begins late is heard.
	lastLook = 15 * time.Second
	// lookGivenUpAt bounds a look at the pod at the deadline, when the API server does not answer.
	lookGivenUpAt = 30 * time.Second
	// requestTimeout bounds one call to the API server.
	requestTimeout = 10 * time.Second
	// cleanUpTimeout bounds the wait for the end of a deleted pod, and all of the clean-up.
	cleanUpTimeout    = 2 * time.Minute
	cleanUpGivenUpAt  = 15 * time.Minute
	minCreateDuration = time.Second
)

func (r *checkRun) createPod(ctx workflow.Context) (activities.CreatePodResult, error) {
	left := max(r.deadline.Sub(workflow.Now(ctx)), minCreateDuration)
	var created activities.CreatePodResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                r.summary("create the pod"),
		StartToCloseTimeout:    min(left, requestTimeout),
		ScheduleToCloseTimeout: left,
		RetryPolicy:            retryPolicy(200*time.Millisecond, 5*time.Second),
	}), a.CreatePod, activities.Run{
		Ref: r.in.Ref, UUID: r.uuid, Attempt: r.attempt, Deadline: r.deadline, Due: r.dueRun(), Started: r.started, Given: r.in.Given,
		Avoid: r.avoid, SpecHash: r.specHash,
	}).Get(ctx, &created)
	return created, err
}

// waitOptions are those of an activity that watches the pod until the deadline and moves to another worker when its own
// dies.
func (r *checkRun) waitOptions(ctx workflow.Context, what string) workflow.Context {
	left := max(r.deadline.Sub(workflow.Now(ctx)), 0) + lastLook
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                r.summary(what),
		StartToCloseTimeout:    left,
		ScheduleToCloseTimeout: left,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retryPolicy(200*time.Millisecond, 5*time.Second),
	})
}

// look sees how the pod is now. When it cannot, what was seen before stands.
func (r *checkRun) look(ctx workflow.Context) {
	r.observe(ctx, workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                r.summary("look at the pod"),
		StartToCloseTimeout:    requestTimeout,
		ScheduleToCloseTimeout: lookGivenUpAt,
		RetryPolicy:            retryPolicy(200*time.Millisecond, 5*time.Second),
	}), a.LookAtPod, r.pod))
}

// record writes the outcome, and tries until it is written. A cancelled run has no outcome to write. gone is true when the check
// was deleted, so that nothing was written.
func (r *checkRun) record(ctx workflow.Context, outcome check.Outcome) (gone bool, err error) {
	return r.recordAs(ctx, outcome, false)
}

// recordProvisional writes an outcome that further attempts may change.
func (r *checkRun) recordProvisional(ctx workflow.Context, outcome check.Outcome) error {
	_, err := r.recordAs(ctx, outcome, true)
	return err
}

func (r *checkRun) recordAs(ctx workflow.Context, outcome check.Outcome, provisional bool) (gone bool, err error) {
	if outcome.Result == check.Canceled {
		return false, nil
	}
	var result activities.RecordOutcomeResult // that of an earlier version is empty
	err = workflow.ExecuteActivity(
		persistently(ctx, r.summary("record: "+string(outcome.Result))), a.RecordOutcome,
		activities.RecordOutcomeInput{Ref: r.in.Ref, UUID: r.uuid, Outcome: outcome, Due: r.knownDue(), Provisional: provisional},
	).Get(ctx, &result)
	if err != nil {
		return false, fmt.Errorf("record outcome of %s: %w", r.in.Ref, err)
	}
	r.recordedAt = workflow.Now(ctx)
	return result.CheckGone, nil
}

// knownDue is when the run was due. It is zero for one that was lost: when that had started, nobody knows.
func (r *checkRun) knownDue() time.Time {
	if r.in.LostSince != nil {
		return time.Time{}
	}
	return r.in.Due
}

// begin shows that a job runs. That this cannot be shown in time is no reason not to run it.
func (r *checkRun) begin(ctx workflow.Context) {
	if r.in.LostSince != nil {
		return
	}
	bounded := workflow.WithScheduleToCloseTimeout(ctx, requestTimeout)
	if err := r.setJobPhase(bounded, khv1.JobRunning); err != nil && ctx.Err() == nil {
		r.note("phase " + string(khv1.JobRunning) + " was not set")
	}
}

func (r *checkRun) setJobPhase(ctx workflow.Context, phase khv1.JobPhase) error {
	if r.in.Ref.Kind != khv1.KHJob || r.in.Given != nil { // a program's run is not the job's one run
		return nil
	}
	err := workflow.ExecuteActivity(
		persistently(ctx, r.summary("set phase "+string(phase))), a.SetJobPhase,
		activities.SetJobPhaseInput{Ref: r.in.Ref, Phase: phase},
	).Get(ctx, nil)
	if err != nil {
		return fmt.Errorf("set phase of %s: %w", r.in.Ref, err)
	}
	return nil
}

// cleanUp removes a pod that has not ended and the finished pods that are no longer kept. What it cannot remove in time
// is left to the worker's reaper and the pod's own deadline.
func (r *checkRun) cleanUp(ctx workflow.Context) {
	pod := r.pod
	pod.Deadline = time.Time{}
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                r.summary("clean up"),
		StartToCloseTimeout:    cleanUpTimeout,
		ScheduleToCloseTimeout: cleanUpGivenUpAt,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retryPolicy(time.Second, 30*time.Second),
	}), a.CleanUp, activities.CleanUpInput{Ref: r.in.Ref, Pod: pod, Ended: r.over()}).Get(ctx, nil)
	if err != nil && ctx.Err() == nil {
		workflow.GetLogger(ctx).Warn("pod was not cleaned up", "check", r.in.Ref.String(), "pod", pod.Name, "error", err)
		r.note("pod " + pod.Name + " was not cleaned up")
	}
}

// persistently returns options of a short call that is tried until it succeeds, or until the schedule-to-close timeout
// that ctx may have.
func persistently(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                summary,
		StartToCloseTimeout:    requestTimeout,
		ScheduleToCloseTimeout: workflow.GetActivityOptions(ctx).ScheduleToCloseTimeout,
		RetryPolicy:            retryPolicy(200*time.Millisecond, 10*time.Second),
	})
}

func retryPolicy(initial, longest time.Duration) *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: initial, BackoffCoefficient: 2, MaximumInterval: longest}
}

// summary is the line that the Temporal UI shows for a step.
func (r *checkRun) summary(what string) string { return what + " — " + r.in.Ref.String() }

func (r *checkRun) details(ctx workflow.Context, format string, args ...any) {
	workflow.SetCurrentDetails(ctx, fmt.Sprintf(format, args...))
}

// measure counts the finished run and its duration, once: not when the workflow is replayed.
func (r *checkRun) measure(ctx workflow.Context, outcome check.Outcome) {
	metrics := metricsFor(ctx, r.in.Ref)
	metrics.WithTags(map[string]string{"outcome": string(outcome.Result)}).Counter("khronicle_runs").Inc(1)
	if outcome.Flaky {
		metrics.Counter("khronicle_flaky_runs").Inc(1)
	}
	if spoiled := r.tries.InfraFailures; spoiled > 0 {
		metrics.Counter("khronicle_infra_failed_attempts").Inc(int64(spoiled))
	}
	if r.in.LostSince != nil {
		return
	}
	durations := workflow.GetMetricsHandler(ctx)
	durations.Timer("khronicle_run_verdict").Record(outcome.Judged.Sub(outcome.Started))
	durations.Timer("khronicle_run").Record(workflow.Now(ctx).Sub(r.started))
}

// measureTicks counts due times at which no run started, once: not when the workflow is replayed.
func measureTicks(ctx workflow.Context, ref check.Ref, ticks activities.TicksResult) {
	for _, became := range []struct {
		outcome string
		count   int
	}{{"skipped", ticks.Skipped}, {"paused", ticks.Paused}, {"missed", ticks.Missed}} {
		if became.count > 0 {
			metricsFor(ctx, ref).WithTags(map[string]string{"outcome": became.outcome}).Counter("khronicle_ticks_without_run").Inc(int64(became.count))
		}
	}
}

// metricsFor returns metrics with the labels of a check, for counters: a histogram for each check would be too much. All
// jobs of a namespace share theirs. The label namespace is taken by Temporal's.
func metricsFor(ctx workflow.Context, ref check.Ref) client.MetricsHandler {
	return workflow.GetMetricsHandler(ctx).WithTags(map[string]string{
		"check": ref.CounterLabel(), "check_namespace": ref.Namespace, "workload": string(ref.Kind),
	})
}
