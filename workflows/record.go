package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Bounds of what a run waits for at its end.
const (
	// evidenceTimeout bounds one try to store evidence, and evidenceGivenUpAt all tries. The outcome is recorded by then.
	evidenceTimeout   = 20 * time.Second
	evidenceGivenUpAt = 30 * time.Second
	// evidenceOfFirst is how many attempts besides the last have their evidence stored. The number of pieces of a record is
	// limited.
	evidenceOfFirst = 4
	// maxWaitingEvidence is how much evidence of a run may wait for the ledger, in bytes. It goes through Temporal.
	maxWaitingEvidence = 512 << 10
	// removeTimeout bounds one wait for the end of a deleted pod, and removeGivenUpAt all of them.
	removeTimeout   = 2 * time.Minute
	removeGivenUpAt = 15 * time.Minute
)

// record writes the conclusion to the KHState, and retries until it is written. A cancelled run writes nothing. Further
// attempts may change a provisional conclusion. deleted is true when the check no longer exists.
func (r *run) record(ctx workflow.Context, t *attempt, conclusion check.Conclusion, provisional bool) (deleted bool, err error) {
	if conclusion.Outcome == check.Canceled {
		return false, nil
	}
	var result activities.RecordOutcomeResult
	err = shortly(ctx, step{r.label("record: " + string(conclusion.Outcome)), a.RecordOutcome}, persistently(0), activities.RecordOutcomeInput{
		Ref: r.in.Ref, UUID: r.uuid, Conclusion: conclusion, Pod: t.pod.Name, Tick: r.in.Tick, Provisional: provisional,
	}, &result)
	if err != nil {
		return false, fmt.Errorf("record outcome of %s: %w", r.in.Ref, err)
	}
	r.shown = true
	return result.CheckGone && r.in.Given == nil, nil // a program's run does not depend on a check of the same name
}

// recordRun closes the record of the run. If the ledger does not take it, the record waits in the result of the run. Logs
// are not in it: keepEvidence comes before.
func (r *run) recordRun(ctx workflow.Context, t *attempt, conclusion check.Conclusion) {
	conclusion = r.final(t, conclusion)
	// A repeated workflow task may send another record. Its history is longer then, and so its revision is higher.
	r.revision = max(r.revision+1, workflow.GetInfo(ctx).GetCurrentHistoryLength())
	in := activities.RecordInput{
		RecordKey: r.key(), UUID: r.uuid, RunID: workflow.GetInfo(ctx).WorkflowExecution.RunID, Conclusion: conclusion, Revision: r.revision,
		Attempts: t.number, InfraFailures: r.tries.InfraFailures, Queued: r.queued, Created: t.created.At, Reported: t.reportedAt,
		Recorded: workflow.Now(ctx), Deadline: r.deadline, Seen: t.seen, SpecHash: r.specHash,
	}
	err := locally(ctx, step{r.label("record the run: " + string(conclusion.Outcome)), a.RecordRun}, 2, in, nil)
	var application *temporal.ApplicationError
	switch {
	case err == nil:
		r.unrecorded.Record = nil
	case refused(err) && errors.As(err, &application):
		workflow.GetLogger(ctx).Error("the ledger refuses the record", "namespace", r.in.Ref.Namespace, "check", r.in.Ref.Name, "error", err)
		r.note(application.Message())
	default:
		workflow.GetLogger(ctx).Debug("the ledger does not answer; the record waits", "namespace", r.in.Ref.Namespace, "check", r.in.Ref.Name, "error", err)
		r.unrecorded.Record = &in
	}
}

// keepEvidence stores the evidence of an attempt, once. An attempt that succeeded, was cancelled or had no pod has none.
// The evidence is stored before the pod is deleted. A report that became the outcome since is stored too. If storing fails,
// only a note says so.
func (r *run) keepEvidence(ctx workflow.Context, t *attempt, conclusion check.Conclusion) {
	logs := t.seen.Logs
	t.seen.Logs = nil // the observation is passed on without its logs
	if conclusion.Outcome == check.Succeeded || conclusion.Outcome == check.Canceled || t.pod.Name == "" {
		return
	}
	in := activities.EvidenceInput{Attempt: t.number}
	if !t.podKept {
		in.Pod, in.Logs, t.podKept = t.pod, logs, true
	}
	if t.report != nil && !t.reportKept {
		report := check.Received(*t.report)
		in.Report, t.reportKept = &report, true
	}
	if in.Pod.Name != "" || in.Report != nil {
		r.keep(ctx, in)
	}
}

func (r *run) keep(ctx workflow.Context, in activities.EvidenceInput) {
	in.RecordKey, in.UUID = r.key(), r.uuid
	var result activities.EvidenceResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                r.label("keep evidence"),
		StartToCloseTimeout:    evidenceTimeout,
		ScheduleToCloseTimeout: evidenceGivenUpAt,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retryPolicy(time.Second, 5*time.Second),
	}), a.KeepEvidence, in).Get(ctx, &result)
	if err != nil && ctx.Err() == nil {
		workflow.GetLogger(ctx).Warn("evidence was not kept", "namespace", r.in.Ref.Namespace, "check", r.in.Ref.Name, "error", err)
		r.note("evidence was not kept: " + reason(err))
	}
	r.wait(result.Waiting)
}

// wait adds pieces of evidence to the result of the run, as many as fit. They wait there for the ledger.
func (r *run) wait(pieces []check.Piece) {
	size := 0
	for _, piece := range r.unrecorded.Evidence {
		size += len(piece.Content)
	}
	for _, piece := range pieces {
		if size += len(piece.Content); size > maxWaitingEvidence {
			r.note("evidence was not kept: there is too much of it to wait for the ledger")
			return
		}
		r.unrecorded.Evidence = append(r.unrecorded.Evidence, piece)
	}
}

// showRunning shows that a job runs. If this fails, the job runs nevertheless.
func (r *run) showRunning(ctx workflow.Context) {
	if err := r.setJobPhase(ctx, khv1.JobRunning, requestTimeout); err != nil && ctx.Err() == nil {
		r.note("phase " + string(khv1.JobRunning) + " was not set")
	}
}

func (r *run) setJobPhase(ctx workflow.Context, phase khv1.JobPhase, within time.Duration) error {
	if r.in.Ref.Kind != khv1.KHJob || r.in.Given != nil { // a program's run is not the job's one run
		return nil
	}
	err := shortly(ctx, step{r.label("set phase " + string(phase)), a.SetJobPhase}, persistently(within),
		activities.SetJobPhaseInput{Ref: r.in.Ref, Phase: phase}, nil)
	if err != nil {
		return fmt.Errorf("set phase of %s: %w", r.in.Ref, err)
	}
	return nil
}

// removePod deletes a pod that has not ended. A pod that cannot be removed in time is left to the worker's reaper and the
// pod's own deadline.
func (r *run) removePod(ctx workflow.Context, t *attempt) {
	if t.ended() {
		return
	}
	r.lookForReports(ctx) // the pod may take long to end, and may report until then
	for _, container := range t.seen.Running {
		r.note("container " + container + " still ran when its pod was removed")
	}
	pod := t.pod
	pod.Deadline = time.Time{}
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                r.label("delete the pod"),
		StartToCloseTimeout:    removeTimeout,
		ScheduleToCloseTimeout: removeGivenUpAt,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retryPolicy(time.Second, 30*time.Second),
	}), a.DeletePod, pod).Get(ctx, nil)
	if err != nil && ctx.Err() == nil {
		workflow.GetLogger(ctx).Warn("pod was not deleted", "namespace", r.in.Ref.Namespace, "check", r.in.Ref.Name, "pod", pod.Name, "error", err)
		r.note("pod " + pod.Name + " was not deleted")
	}
}
