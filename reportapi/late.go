package reportapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"k8s.io/utils/lru"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/workflows"
)

// Runs is what late reports need from Temporal's client, in addition to Signaler.
type Runs interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// Bounds of late reports. No answer waits for them.
const (
	// lateWithin is how long after the end of its run a report may come. The run UUID of a run with a report is public from
	// then on. Evidence that anyone can add would displace other evidence.
	lateWithin = 2 * time.Minute
	// maxLateContent is how much of a late report is stored, in bytes.
	maxLateContent = 8 << 10
	// maxLate is how many late reports wait; further ones are dropped. maxSent is how many runs with a sent late report are
	// remembered.
	maxLate = 64
	maxSent = 4096
	// lateTimeout bounds the requests for one late report. lateGrace is how long a stopping server spends on those that
	// wait.
	lateTimeout = 5 * time.Second
	lateGrace   = 3 * time.Second
)

// lateReport is a report whose run is not open: it is unknown, or has ended.
type lateReport struct {
	runUUID string
	report  check.ReceivedReport
	at      time.Time
}

// lateReports checks late reports one after another. If the run of one ended without a report just before, it sends that
// report to the housekeeping workflow.
type lateReports struct {
	runs     Runs
	signaler Signaler
	queue    chan lateReport
	// sent has the UUIDs of the runs with a sent late report. Only the goroutine of sendAll uses it.
	sent    *lru.Cache
	results *prometheus.CounterVec
	logger  *slog.Logger
}

// Results of late reports in the metrics.
const (
	lateSent     = "sent"
	lateRepeated = "repeated"
	lateReported = "reported"
	lateTooLate  = "too-late"
	lateUnknown  = "unknown"
	lateDropped  = "dropped"
	lateFailed   = "failed"
)

func newLateReports(o Options) *lateReports {
	l := &lateReports{runs: o.Runs, signaler: o.Signaler, queue: make(chan lateReport, maxLate), sent: lru.New(maxSent), logger: o.Logger}
	l.results = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "khronicle_late_reports_total",
		Help: "Reports of runs that are not open: sent to be stored as evidence, or why not.",
	}, []string{"result"})
	for _, result := range []string{lateSent, lateRepeated, lateReported, lateTooLate, lateUnknown, lateDropped, lateFailed} {
		l.results.WithLabelValues(result)
	}
	return l
}

// offer queues a report and returns at once.
func (l *lateReports) offer(r lateReport) {
	if l.runs == nil {
		return
	}
	select {
	case l.queue <- r:
	default:
		l.results.WithLabelValues(lateDropped).Inc()
	}
}

// sendAll sends the queued reports until end is called. It spends a moment more on those that wait then.
func (l *lateReports) sendAll(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case r := <-l.queue:
				l.count(ctx, r)
				continue
			default:
			}
			select {
			case r := <-l.queue:
				l.count(ctx, r)
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		time.AfterFunc(lateGrace, cancel)
		<-done
		cancel()
	}
}

func (l *lateReports) count(ctx context.Context, r lateReport) {
	ctx, cancel := context.WithTimeout(ctx, lateTimeout)
	defer cancel()
	result, err := l.send(ctx, r)
	if err != nil {
		// Without the run UUID: Temporal may not know yet that the run is open.
		l.logger.Warn("late report was not sent", "error", err)
		result = lateFailed
	}
	l.results.WithLabelValues(result).Inc()
}

// send reads the run from Temporal and sends its report, if the report is to be stored.
func (l *lateReports) send(ctx context.Context, r lateReport) (result string, err error) {
	if _, ok := l.sent.Get(r.runUUID); ok {
		return lateRepeated, nil
	}
	described, err := l.runs.DescribeWorkflowExecution(ctx, r.runUUID, "")
	if workflows.NotFound(err) {
		return lateUnknown, nil
	}
	if err != nil {
		return lateFailed, err
	}
	late, reason := lateToStore(described.GetWorkflowExecutionInfo(), r)
	if reason != "" {
		return reason, nil
	}
	if err := l.signaler.SignalWorkflow(ctx, workflows.HousekeepingID, "", workflows.LateReportSignal, late); err != nil {
		return lateFailed, err
	}
	l.sent.Add(r.runUUID, nil)
	return lateSent, nil
}

// lateToStore returns what is to be stored of a late report, or the reason why nothing is.
func lateToStore(run *workflowpb.WorkflowExecutionInfo, r lateReport) (late workflows.LateReport, reason string) {
	late, ok := workflows.LateReportOf(r.runUUID, run.GetMemo(), r.report, r.at)
	switch {
	case !ok || run.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return late, lateUnknown
	case workflows.Reported(run):
		return late, lateReported
	case r.at.Sub(run.GetCloseTime().AsTime()) > lateWithin:
		return late, lateTooLate
	}
	return late, ""
}

// shortened returns the first errors of a report, so that its JSON has at most limit bytes. The last one may be cut.
func shortened(report status.Report, limit int) check.ReceivedReport {
	short := check.Received(report)
	left := limit - len(`{"Errors":[],"OK":false}`)
	for i, text := range short.Errors {
		if left -= encodedLen(text); left >= 0 {
			continue
		}
		short.Errors = short.Errors[:i]
		// A byte of the text takes six at most.
		if cut := check.Cut(text, (left+encodedLen(text)-len(`"",`))/6); cut != text && cut != "" {
			short.Errors = append(short.Errors, cut)
		}
		break
	}
	return short
}

// encodedLen is the length of a text in a JSON list, with its quotes and comma.
func encodedLen(text string) int {
	quoted, _ := json.Marshal(text) // a text can always be encoded
	return len(quoted) + len(",")
}
