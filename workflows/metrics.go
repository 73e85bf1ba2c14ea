package workflows

import (
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// measureRun counts a finished run, once: not when the workflow is replayed.
func measureRun(ctx workflow.Context, ref check.Ref, conclusion check.Conclusion, attempts check.Attempts) {
	metrics := metricsFor(ctx, ref)
	metrics.WithTags(map[string]string{"outcome": string(conclusion.Outcome)}).Counter("khronicle_runs").Inc(1)
	if conclusion.Flaky {
		metrics.Counter("khronicle_flaky_runs").Inc(1)
	}
	if n := attempts.InfraFailures; n > 0 {
		metrics.Counter("khronicle_infra_failed_attempts").Inc(int64(n))
	}
}

// measureTick counts what a tick decided, and measures how late it was.
func measureTick(ctx workflow.Context, in ScheduledCheckInput, decided activities.TickResult) {
	if in.Trigger != check.TriggerSchedule {
		return
	}
	if !decided.Skipped {
		workflow.GetMetricsHandler(ctx).Timer("khronicle_run_start_delay").Record(decided.Delay)
	}
	measureTicks(ctx, in.Ref, decided.Recorded)
}

// measureTicks counts ticks without a run, once: not when the workflow is replayed.
func measureTicks(ctx workflow.Context, ref check.Ref, counts activities.TickCounts) {
	for _, c := range []struct {
		outcome check.Outcome
		count   int
	}{{check.Skipped, counts.Skipped}, {check.Paused, counts.Paused}, {check.Missed, counts.Missed}} {
		if c.count > 0 {
			metricsFor(ctx, ref).WithTags(map[string]string{"outcome": string(c.outcome)}).Counter("khronicle_ticks_without_run").Inc(int64(c.count))
		}
	}
}

// metricsFor returns metrics with the labels of a check, for counters. A histogram for each check would be too much. All
// jobs of a namespace share their labels. Temporal uses the label namespace itself.
func metricsFor(ctx workflow.Context, ref check.Ref) client.MetricsHandler {
	return workflow.GetMetricsHandler(ctx).WithTags(map[string]string{
		"check": ref.CounterLabel(), "check_namespace": ref.Namespace, "workload": string(ref.Kind),
	})
}
