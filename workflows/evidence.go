package workflows

import (
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
)

// changeEvidence is the change by which evidence of failed runs is kept.
const changeEvidence = "evidence"

// Bounds of keeping evidence: a run waits for it, but only after its outcome was recorded.
const (
	evidenceTimeout   = 20 * time.Second
	evidenceGivenUpAt = 30 * time.Second
)

// keepEvidence keeps what there is of the present attempt, once, unless it succeeded or the run was cancelled, or has no account or
// no pod. It comes before the pod is deleted. A report that became the verdict since is kept too. That it cannot be kept is noted, and
// changes nothing else.
func (r *checkRun) keepEvidence(ctx workflow.Context, outcome check.Outcome) {
	logs := r.seen.Logs
	r.seen.Logs = nil // from here on they would only be in the way
	if outcome.Result == check.Succeeded || outcome.Result == check.Canceled || r.pod.Name == "" {
		return
	}
	in := activities.EvidenceInput{Attempt: r.attempt, Pod: r.pod, Logs: logs}
	if r.kept == r.attempt {
		in.Pod, in.Logs = activities.Pod{}, nil
	}
	r.kept = r.attempt
	if r.reported && r.keptReport != r.attempt {
		report := check.Received(r.report)
		in.Report, r.keptReport = &report, r.attempt
	}
	if in.Pod.Name != "" || in.Report != nil {
		r.keep(ctx, in)
	}
}

// noteFurther notes a report that came after the verdict, and keeps the first one.
func (r *checkRun) noteFurther(ctx workflow.Context, report status.Report) {
	r.note(fmt.Sprintf("a further report was ignored: OK=%t, %d errors", report.OK, len(report.Errors)))
	if r.further || ctx.Err() != nil {
		return
	}
	r.further = true
	further := check.Received(report)
	r.keep(ctx, activities.EvidenceInput{Further: &further})
}

func (r *checkRun) keep(ctx workflow.Context, in activities.EvidenceInput) {
	if r.in.Due.IsZero() || workflow.GetVersion(ctx, changeEvidence, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	in.Due, in.UUID = r.due(), r.uuid
	var result activities.EvidenceResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                r.summary("keep evidence"),
		StartToCloseTimeout:    evidenceTimeout,
		ScheduleToCloseTimeout: evidenceGivenUpAt,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retryPolicy(time.Second, 5*time.Second),
	}), a.KeepEvidence, in).Get(ctx, &result)
	if err == nil && len(result.Waiting) > 0 {
		r.waits++
		waiting := activities.WaitingEvidence{Due: in.Due, Part: r.waits, Packed: result.Waiting}
		err = keepAccount(ctx, in.Due, KeepAccountInput{Evidence: &waiting})
	}
	if err != nil && ctx.Err() == nil {
		workflow.GetLogger(ctx).Warn("evidence was not kept", "check", r.in.Ref.String(), "error", err)
		r.note("evidence was not kept: " + reason(err))
	}
}

// LateReport returns how to start the workflow that keeps a report which came, at a time, after the end of its run, and its
// input. The memo is that of the closed run; ok is false for a run without an account, and for what is no run. There is one
// such workflow for a run, whatever else still comes.
func LateReport(runUUID string, memo *commonpb.Memo, report check.ReceivedReport, at time.Time) (o client.StartWorkflowOptions, in KeepAccountInput, ok bool) {
	payload, ok := memo.GetFields()[MemoDue]
	if !ok {
		return o, in, false
	}
	var due activities.Due
	if err := converter.GetDefaultDataConverter().FromPayload(payload, &due); err != nil {
		return o, in, false
	}
	content, size := report.Evidence()
	piece := activities.Piece{
		Kind: activities.EvidenceLate, Name: at.UTC().Format(time.RFC3339), Content: check.HideRun(content, runUUID), Size: size,
	}
	return client.StartWorkflowOptions{
		ID: LateReportID(runUUID), TaskQueue: TaskQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    SearchAttributesOf(due.Ref),
		StaticSummary:                            "late report of " + due.Ref.String(),
	}, KeepAccountInput{Evidence: &activities.WaitingEvidence{Due: due, Pieces: []activities.Piece{piece}}}, true
}
