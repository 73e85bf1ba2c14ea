package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// Bounds of reports.
const (
	// reportGrace is how long after the end of its pod, or after the deadline, a report may still be on its way.
	reportGrace = time.Second
	// heldGrace is the same after an outage: the report API may hold a report, and sends it when it has found Temporal again.
	// A time that is noticed longerThan too late shows an outage.
	heldGrace  = 10 * time.Second
	longerThan = 5 * time.Second
	// afterPod is how much later than the end of its pod a report may have been received, as clocks differ.
	afterPod = 2 * time.Second
	// longestHold is how long after its receipt Temporal stores a report.
	longestHold = ReportHold + 5*time.Second
)

// nextReport returns the next report that waits. A report that Temporal has stored twice is returned once.
func (r *run) nextReport(ctx workflow.Context) (report Report, ok bool) {
	for {
		var next Report
		if !r.reports.ReceiveAsync(&next) { // or the rest is no report
			r.noneAt = workflow.Now(ctx)
			return report, false
		}
		if next.Received.IsZero() || !slices.Contains(r.stamps, next.Received) {
			r.stamps = append(r.stamps, next.Received)
			next.Received = r.bounded(ctx, next.Received)
			return next, true
		}
	}
}

// lookForReports notes when no report waits.
func (r *run) lookForReports(ctx workflow.Context) {
	if r.reports.Len() == 0 {
		r.noneAt = workflow.Now(ctx)
	}
}

// bounded returns when a report was received. The stamp is from another clock. No report is received after it is read, before
// its run, or longestHold before Temporal has stored it. It was not stored yet when none waited last.
func (r *run) bounded(ctx workflow.Context, stamp time.Time) time.Time {
	earliest, latest := r.started, workflow.Now(ctx)
	if stored := r.noneAt.Add(-longestHold); stored.After(earliest) {
		earliest = stored
	}
	switch {
	case stamp.IsZero() || stamp.After(latest):
		return latest
	case stamp.Before(earliest):
		return earliest
	}
	return stamp
}

// whyIgnored returns why a report cannot decide the outcome, or "" if it can. A report counts from when it was received,
// whatever was down meanwhile.
func (r *run) whyIgnored(report Report) string {
	switch {
	case r.newest == nil:
		return "the run has made no pod"
	case report.Received.After(r.deadline):
		return "it came after the deadline"
	case !r.newest.overAt.IsZero() && report.Received.After(r.newest.overAt.Add(afterPod)):
		return "it came after the end of the pod"
	}
	return ""
}

// decidingReport returns the next report that can decide the outcome. Those before it are noted.
func (r *run) decidingReport(ctx workflow.Context) (Report, bool) {
	for {
		report, ok := r.nextReport(ctx)
		if !ok {
			return report, false
		}
		why := r.whyIgnored(report)
		if why == "" {
			return report, true
		}
		r.note(fmt.Sprintf("a report was ignored, because %s: OK=%t, %d errors", why, report.OK, len(report.Errors)))
		if r.late == nil {
			r.late = &report
		}
	}
}

// awaitReport waits for a report that can decide the outcome and was received before a time that has passed.
func (r *run) awaitReport(ctx workflow.Context, before time.Time) (Report, bool) {
	now, grace := workflow.Now(ctx), reportGrace
	if !before.IsZero() && now.Sub(before) > longerThan {
		grace = heldGrace
	}
	for until := now.Add(grace); ; {
		report, ok := r.decidingReport(ctx)
		left := until.Sub(workflow.Now(ctx))
		if ok || left <= 0 {
			return report, ok
		}
		if _, err := workflow.AwaitWithTimeout(ctx, left, func() bool { return r.reports.Len() > 0 }); err != nil {
			return report, false // the run is cancelled
		}
	}
}

// lateReport returns a report that came since the attempt ended. Of several, the first counts.
func (r *run) lateReport(ctx workflow.Context) (report Report, ok bool) {
	for {
		further, more := r.decidingReport(ctx)
		switch {
		case !more:
			return report, ok
		case ok:
			r.noteFurther(ctx, further)
		default:
			report, ok = further, true
		}
	}
}

// noteFurther notes a report that came after the one that counts, and stores the first such report.
func (r *run) noteFurther(ctx workflow.Context, report Report) {
	r.note(fmt.Sprintf("a further report was ignored: OK=%t, %d errors", report.OK, len(report.Errors)))
	if r.furtherKept || ctx.Err() != nil {
		return
	}
	r.furtherKept = true
	further := check.Received(report.Report)
	r.keep(ctx, activities.EvidenceInput{Further: &further})
}

// keepLate stores the first report that could not decide the outcome, once.
func (r *run) keepLate(ctx workflow.Context) {
	if r.late == nil || r.lateKept {
		return
	}
	r.lateKept = true
	late := check.Received(r.late.Report)
	r.keep(ctx, activities.EvidenceInput{Late: &late, LateAt: r.late.Received})
}
