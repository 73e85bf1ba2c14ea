package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/view"
	"github.com/khronicle/khronicle/workflows"
)

// Temporal is the part of Temporal's client that the table of checks uses.
type Temporal interface {
	ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
}

// listWithin is the timeout of listing the workflows in Temporal.
const listWithin = 3 * time.Second

// Row is one check or job.
type Row struct {
	Name, State string
	// LastRun is when its last outcome was recorded, zero if there is none.
	LastRun time.Time
	// Duration is how long the last run took until its outcome.
	Duration string
	// NextRun says when the next run starts, such as "in 48s" or "suspended".
	NextRun string
	Errors  []string
}

// The states of a row.
const (
	StateOK      = "OK"
	StateFailed  = "failed"
	StateWaiting = "waiting"
	// StateUnknown is the state of a check or job that has no outcome in time.
	StateUnknown = "unknown"
)

// Rows returns the checks and then the jobs of a snapshot, both sorted by name. If Temporal does not answer, it returns the rows
// without the next runs, and the error.
func Rows(ctx context.Context, snapshot *view.Snapshot, temporal Temporal) ([]Row, error) {
	open, err := openWorkflows(ctx, temporal)
	var checks, jobs []Row
	for _, c := range snapshot.Checks {
		row := newRow(c)
		if c.Kind == khv1.KHJob {
			row.NextRun = "runs once: " + orDash(string(c.Phase))
			jobs = append(jobs, row)
			continue
		}
		if row.NextRun = "unknown"; err == nil {
			row.NextRun = open.nextRun(c, snapshot.At)
		}
		checks = append(checks, row)
	}
	return append(checks, jobs...), err
}

// newRow shows the last outcome of a paused check too.
func newRow(c *view.Check) Row {
	row := Row{Name: c.String(), State: StateWaiting, Errors: c.Errors()}
	if last := c.LastRun; last != nil && !last.Concluded.IsZero() {
		row.State, row.LastRun = StateFailed, last.Concluded
		if last.OK() {
			row.State = StateOK
		}
		if last.Duration > 0 {
			row.Duration = last.Duration.Round(10 * time.Millisecond).String()
		}
	}
	if c.Reason == view.ReasonOverdue {
		row.State = StateUnknown
	}
	return row
}

// workflowsOfChecks are the open workflows of all checks, by namespace/name.
type workflowsOfChecks struct {
	// nextTick is the next tick of each check.
	nextTick map[string]time.Time
	running  map[string]bool
}

// openWorkflows lists the open workflows of all checks in one query.
func openWorkflows(ctx context.Context, temporal Temporal) (workflowsOfChecks, error) {
	ctx, cancel := context.WithTimeout(ctx, listWithin)
	defer cancel()
	open := workflowsOfChecks{map[string]time.Time{}, map[string]bool{}}
	for next := []byte(nil); ; {
		page, err := temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query:    "WorkflowType IN ('" + workflows.ScheduledCheckType + "', '" + workflows.CheckRunType + "') AND CloseTime IS NULL",
			PageSize: 1000, NextPageToken: next,
		})
		if err != nil {
			return open, fmt.Errorf("list the open workflows: %w", err)
		}
		for _, info := range page.GetExecutions() {
			open.add(info)
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return open, nil
		}
	}
}

// add adds a workflow, unless its status says that it has ended: the list of Temporal may be out of date.
func (o workflowsOfChecks) add(info *workflowpb.WorkflowExecutionInfo) {
	if !workflows.Open(info.GetStatus()) {
		return
	}
	if namespace, name, ok := workflows.CheckOfSchedule(info.GetExecution().GetWorkflowId()); ok {
		o.nextTick[namespace+"/"+name] = info.GetExecutionTime().AsTime()
	}
	if key, ok := workflows.RecordKeyOf(info.GetMemo()); ok && key.Ref.Kind == khv1.KHCheck {
		o.running[key.Ref.String()] = true
	}
}

// nextRun says when a check runs next, such as "in 48s" or "suspended".
func (o workflowsOfChecks) nextRun(c *view.Check, now time.Time) string {
	next, scheduled := o.nextTick[c.String()]
	switch {
	case o.running[c.String()]:
		return "running"
	case c.Suspended:
		return "suspended"
	case c.Fault != "":
		return "spec is not valid"
	case !scheduled:
		return "not scheduled"
	}
	return "in " + max(next.Sub(now), 0).Round(time.Second).String()
}

// WriteRows writes the rows as a table.
func WriteRows(w io.Writer, rows []Row, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHECK\tSTATE\tLAST RUN\tDURATION\tNEXT RUN\tERROR")
	for _, row := range rows {
		last := "-"
		if !row.LastRun.IsZero() {
			last = max(now.Sub(row.LastRun), 0).Round(time.Second).String() + " ago"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", row.Name, row.State, last, orDash(row.Duration), row.NextRun, errorText(row.Errors))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// errorText returns as much of the errors as a cell has room for.
func errorText(errs []string) string {
	line := firstLine(errs)
	const limit = 100
	if runes := []rune(line); len(runes) > limit {
		line = string(runes[:limit]) + "…"
	}
	if len(errs) > 1 {
		line += fmt.Sprintf(" (+%d)", len(errs)-1)
	}
	return line
}
