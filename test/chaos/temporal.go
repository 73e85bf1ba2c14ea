//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	khcheck "github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/test/chaos/proof"
	"github.com/khronicle/khronicle/workflows"
)

// workflows lists the executions that a query finds.
func (s *stack) workflows(ctx context.Context, query string) (all []*workflowpb.WorkflowExecutionInfo, err error) {
	var next []byte
	for {
		page, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: 500, NextPageToken: next})
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetExecutions()...)
		if next = page.GetNextPageToken(); len(next) == 0 {
			return all, nil
		}
	}
}

// readers is how many histories are read at once.
const readers = 4

func (s *stack) collectTemporal(ctx context.Context, f *proof.Facts) error {
	all, err := s.workflows(ctx, ours)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, w := range all {
		switch w.GetType().GetName() {
		case workflows.CheckRunType:
			group.Go(func() error {
				run, err := s.run(ctx, w)
				mu.Lock()
				defer mu.Unlock()
				f.Runs = append(f.Runs, run)
				return err
			})
		case workflows.ScheduledCheckType:
			group.Go(func() error {
				e, err := s.execution(ctx, w)
				mu.Lock()
				defer mu.Unlock()
				addTick(f, e)
				return err
			})
		}
	}
	return group.Wait()
}

// execution is what Temporal has of a ScheduledCheck.
type execution struct {
	id, runID       string
	started, closed time.Time
	// tick is when a cron workflow began to tick, which is later than it was started.
	tick time.Time
	in   workflows.ScheduledCheckInput
	// isFirst is true for the first execution of a cron workflow.
	isFirst bool
	// result is nil when it did not complete.
	result *workflows.ScheduledCheckResult
}

// addTick adds an execution of a ScheduledCheck, and its schedule where that is new. A cron workflow that waits for its
// first tick has begun nothing.
func addTick(f *proof.Facts, e execution) {
	if e.in.Paused { // begun when the chaos was over
		return
	}
	began := e.started
	if e.tick.After(began) {
		began = e.tick
	}
	tick := proof.Tick{ID: e.id, RunID: e.runID, Check: e.in.Ref.Name, Trigger: e.in.Trigger, Started: began, Closed: e.closed}
	if e.result != nil {
		tick.Decided, tick.Tick, tick.Skipped = true, e.result.Tick, e.result.Outcome == khcheck.Skipped
	}
	if e.closed.IsZero() || e.closed.After(began) {
		f.Ticks = append(f.Ticks, tick)
	}
	if e.in.Trigger != khcheck.TriggerSchedule {
		return
	}
	if e.isFirst {
		addSchedule(f, e.in, e.started.Truncate(time.Second))
	}
	if e.result != nil {
		addSchedule(f, e.in, e.result.Start)
	}
}

func addSchedule(f *proof.Facts, in workflows.ScheduledCheckInput, start time.Time) {
	schedule := proof.Schedule{Spec: in.Schedule, Start: start}
	for i := range f.Checks {
		c := &f.Checks[i]
		if c.Name == in.Ref.Name && !slices.ContainsFunc(c.Schedules, func(s proof.Schedule) bool { return s.Spec == schedule.Spec && s.Start.Equal(schedule.Start) }) {
			c.Schedules = append(c.Schedules, schedule)
		}
	}
}

func closeTime(w *workflowpb.WorkflowExecutionInfo) time.Time {
	if w.GetCloseTime() == nil {
		return time.Time{}
	}
	return w.GetCloseTime().AsTime()
}

func (s *stack) execution(ctx context.Context, w *workflowpb.WorkflowExecutionInfo) (e execution, err error) {
	e = execution{
		id: w.GetExecution().GetWorkflowId(), runID: w.GetExecution().GetRunId(), started: w.GetStartTime().AsTime(), closed: closeTime(w),
	}
	if at := w.GetExecutionTime(); at != nil {
		e.tick = at.AsTime()
	}
	first, last, err := s.ends(ctx, w)
	if err != nil {
		return e, err
	}
	started := first.GetWorkflowExecutionStartedEventAttributes()
	e.isFirst = started.GetFirstExecutionRunId() == e.runID
	if completed := last.GetWorkflowExecutionCompletedEventAttributes(); completed != nil {
		e.result = &workflows.ScheduledCheckResult{}
		if err := decode(completed.GetResult(), e.result); err != nil {
			return e, err
		}
	}
	return e, decode(started.GetInput(), &e.in)
}

func (s *stack) run(ctx context.Context, w *workflowpb.WorkflowExecutionInfo) (proof.Run, error) {
	run := proof.Run{
		ID: w.GetExecution().GetWorkflowId(), Started: w.GetStartTime().AsTime(), Closed: closeTime(w), Status: w.GetStatus().String(),
	}
	first, last, err := s.ends(ctx, w)
	if err != nil {
		return run, err
	}
	var in workflows.CheckRunInput
	if err := decode(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in); err != nil {
		return run, err
	}
	run.Check, run.UID, run.Trigger, run.Tick = in.Ref.Name, string(in.Ref.UID), in.Trigger, in.Tick
	if completed := last.GetWorkflowExecutionCompletedEventAttributes(); completed != nil {
		var result workflows.CheckRunResult
		err := decode(completed.GetResult(), &result)
		run.Conclusion, run.Waited = &result.Conclusion, result.Unrecorded != nil && result.Unrecorded.Record != nil
		return run, err
	}
	return run, nil
}

// ends returns the first event of a history and the last.
func (s *stack) ends(ctx context.Context, w *workflowpb.WorkflowExecutionInfo) (first, last *historypb.HistoryEvent, err error) {
	id, runID := w.GetExecution().GetWorkflowId(), w.GetExecution().GetRunId()
	events := s.temporal.GetWorkflowHistory(ctx, id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, nil, fmt.Errorf("history of %s: %w", id, err)
		}
		if first == nil {
			first = event
		}
		last = event
	}
	return first, last, nil
}

func decode(payloads *commonpb.Payloads, into any) error {
	return converter.GetDefaultDataConverter().FromPayloads(payloads, into)
}
