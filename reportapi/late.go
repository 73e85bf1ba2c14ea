package reportapi

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// Runs is what keeping late reports needs of Temporal's client.
type Runs interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
}

// Bounds of keeping late reports, which no answer waits for.
const (
	// maxLate is how many late reports wait; further ones are dropped.
	maxLate = 64
	// lateTimeout bounds the requests for one, lateGrace what a server that stops spends on those that wait.
	lateTimeout = 5 * time.Second
	lateGrace   = 3 * time.Second
)

// lateReport is a report whose run is not open: unknown, or over.
type lateReport struct {
	runUUID string
	report  check.ReceivedReport
	at      time.Time
}

// lateReports looks, one after another, whether late reports are of runs that are over, and keeps those.
type lateReports struct {
	runs    Runs
	queue   chan lateReport
	results *prometheus.CounterVec
	logger  *slog.Logger
}

// Results of late reports in the metrics.
const (
	lateKept    = "kept"
	lateKnown   = "known"
	lateUnknown = "unknown"
	lateDropped = "dropped"
	lateFailed  = "failed"
)

func newLateReports(runs Runs, logger *slog.Logger) *lateReports {
	l := &lateReports{runs: runs, queue: make(chan lateReport, maxLate), logger: logger, results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "khronicle_late_reports_total",
		Help: "Reports of runs that are not open by what became of them: kept as evidence, not the first of their run (known), of no known run, dropped as too many, or failed.",
	}, []string{"result"})}
	for _, result := range []string{lateKept, lateKnown, lateUnknown, lateDropped, lateFailed} {
		l.results.WithLabelValues(result)
	}
	return l
}

// offer hands over a report and returns at once.
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

// keepAll keeps what is handed over until end is called, which gives what waits a moment.
func (l *lateReports) keepAll(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case r := <-l.queue:
				l.keep(ctx, r)
				continue
			default:
			}
			select {
			case r := <-l.queue:
				l.keep(ctx, r)
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

// keep asks Temporal for the run and, if it is over, starts the workflow that keeps its report.
func (l *lateReports) keep(ctx context.Context, r lateReport) {
	ctx, cancel := context.WithTimeout(ctx, lateTimeout)
	defer cancel()
	result, err := l.start(ctx, r)
	if err != nil {
		// Without the run UUID: it may be of a run that is open again by now.
		l.logger.Warn("late report was not kept", "error", err)
		result = lateFailed
	}
	l.results.WithLabelValues(result).Inc()
}

func (l *lateReports) start(ctx context.Context, r lateReport) (result string, err error) {
	described, err := l.runs.DescribeWorkflowExecution(ctx, r.runUUID, "")
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return lateUnknown, nil
	}
	if err != nil {
		return lateFailed, err
	}
	info := described.GetWorkflowExecutionInfo()
	options, in, ok := workflows.LateReport(r.runUUID, info.GetMemo(), r.report, r.at)
	if !ok || info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return lateUnknown, nil
	}
	_, err = l.runs.ExecuteWorkflow(ctx, options, workflows.KeepAccount, in)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &started) {
		return lateKnown, nil
	}
	return lateKept, err
}
