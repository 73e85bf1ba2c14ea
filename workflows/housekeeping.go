package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
)

// Bounds of the housekeeping.
const (
	// beatTimeout is enough for two tries to send a heartbeat to the dead man's switch.
	beatTimeout = 30 * time.Second
	// staleBeat is how long a heartbeat may wait for a worker before it is dropped. The next heartbeat follows then.
	staleBeat = time.Minute
	// repairTimeout bounds one repair. The next housekeeping does the rest.
	repairTimeout = time.Minute
	// maxLateReports is how many late reports wait for the ledger. Further ones are dropped.
	maxLateReports = 32
)

// Housekeeping runs by its cron schedule. It sends the heartbeat and repairs the records of the ledger. If a part of it
// fails, the next housekeeping does the rest.
func Housekeeping(ctx workflow.Context) (HousekeepingResult, error) {
	var last HousekeepingResult
	if workflow.HasLastCompletionResult(ctx) {
		if err := workflow.GetLastCompletionResult(ctx, &last); err != nil {
			workflow.GetLogger(ctx).Error("the result of the last housekeeping cannot be read", "error", err)
		}
	}
	reports := workflow.GetSignalChannel(ctx, LateReportSignal)
	beat := workflow.ExecuteActivity(housekeepingOptions(ctx, "heartbeat", beatTimeout, 1), a.Heartbeat)
	late := receiveLate(reports, last.Late)
	var repaired activities.RepairResult
	err := workflow.ExecuteActivity(housekeepingOptions(ctx, "repair records", repairTimeout, 2), a.RepairRecords,
		activities.RepairInput{Since: last.Until, Late: late}).Get(ctx, &repaired)
	if err != nil {
		workflow.GetLogger(ctx).Error("records were not repaired", "error", err)
		repaired = activities.RepairResult{Until: last.Until, Late: late}
	}
	if err := beat.Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Error("the heartbeat was not sent", "error", err)
	}
	return HousekeepingResult{Until: repaired.Until, Late: receiveLate(reports, repaired.Late)}, nil
}

// receiveLate adds the late reports that came since it was last called.
func receiveLate(reports workflow.ReceiveChannel, late []LateReport) []LateReport {
	for {
		var report LateReport
		if !reports.ReceiveAsync(&report) {
			return late
		}
		if len(late) < maxLateReports {
			late = append(late, report)
		}
	}
}

// housekeepingOptions are the options of a step that the next housekeeping repeats if necessary.
func housekeepingOptions(ctx workflow.Context, summary string, timeout time.Duration, attempts int32) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		Summary:                summary,
		StartToCloseTimeout:    timeout,
		ScheduleToCloseTimeout: max(staleBeat, 2*timeout),
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: attempts},
	})
}
