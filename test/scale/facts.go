//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/khronicle/khronicle/test/scale/measure"
)

// The names that each version of Khronicle shows in Temporal. They are its interface to operators, so this program can
// measure an older version too.
const (
	attributeCheck     = "KhCheck"
	attributeNamespace = "KhNamespace"
	attributeOutcome   = "KhOutcome"
	succeeded          = "succeeded"
	schedulePrefix     = "khcheck/"

	pageSize = 1000
)

// facts are what Temporal lists about the checks.
type facts struct {
	// runs of each check, by namespace/name.
	runs map[string][]measure.Run
	// schedules of the checks.
	schedules map[string]measure.Schedule
	// lag is the time from the moment at which the server wanted to start a tick to the start of its run.
	lag []time.Duration
}

// collect reads the executions of the window, and the first one of each schedule.
func (s *stack) collect(ctx context.Context, from, until time.Time) (facts, error) {
	f := facts{runs: map[string][]measure.Run{}, schedules: map[string]measure.Schedule{}}
	query := fmt.Sprintf("WorkflowType = 'CheckRun' AND StartTime >= '%s'", from.UTC().Format(time.RFC3339Nano))
	err := s.list(ctx, query, func(e *workflowpb.WorkflowExecutionInfo) {
		key := attribute(e, attributeNamespace) + "/" + attribute(e, attributeCheck)
		f.runs[key] = append(f.runs[key], scheduledRun(e))
	})
	if err != nil {
		return f, err
	}
	starts, ticks := map[string]time.Time{}, map[string][]time.Time{}
	err = s.list(ctx, "WorkflowType = 'ScheduledCheck'", func(e *workflowpb.WorkflowExecutionInfo) {
		key, ok := strings.CutPrefix(e.GetExecution().GetWorkflowId(), schedulePrefix)
		if !ok || strings.Count(key, "/") != 1 {
			return // the first run, or one by hand
		}
		started := e.GetStartTime().AsTime()
		if first, known := starts[key]; !known || started.Before(first) {
			starts[key] = started
		}
		if at := e.GetExecutionTime().AsTime(); !at.Before(from) && at.Before(until) {
			ticks[key] = append(ticks[key], at)
		}
	})
	for key, started := range starts {
		f.schedules[key] = measure.ScheduleOf(started, s.interval)
		f.lag = append(f.lag, measure.Lags(ticks[key], f.runs[key], s.interval)...)
	}
	return f, err
}

// ticks are those of all checks in the window.
func (f facts) ticks(from, until time.Time) measure.Ticks {
	var all measure.Ticks
	for key, schedule := range f.schedules {
		all.Add(schedule.Match(f.runs[key], from, until))
	}
	return all
}

// started is how many runs were started in the window.
func (f facts) started(from, until time.Time) int {
	n := 0
	for _, runs := range f.runs {
		for _, r := range runs {
			if !r.Start.Before(from) && r.Start.Before(until) {
				n++
			}
		}
	}
	return n
}

func (s *stack) list(ctx context.Context, query string, each func(*workflowpb.WorkflowExecutionInfo)) error {
	request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", Query: query, PageSize: pageSize}
	for {
		page, err := s.temporal.ListWorkflow(ctx, request)
		if err != nil {
			return fmt.Errorf("list workflows where %s: %w", query, err)
		}
		for _, e := range page.GetExecutions() {
			each(e)
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return nil
		}
	}
}

func attribute(e *workflowpb.WorkflowExecutionInfo, name string) string {
	var value string
	_ = converter.GetDefaultDataConverter().FromPayload(e.GetSearchAttributes().GetIndexedFields()[name], &value) // absent means empty
	return value
}
