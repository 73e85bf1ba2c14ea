package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// Cluster is the part of package kube that the table of checks reads.
type Cluster interface {
	Checks() []*khv1.KuberhealthyCheck
	Jobs() []*khv1.KuberhealthyJob
	States() []*khv1.KuberhealthyState
}

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

// Rows returns the checks and then the jobs of the cluster, both sorted by name. If Temporal does not answer, it returns the rows
// without the next runs, and the error.
func Rows(ctx context.Context, cluster Cluster, temporal Temporal, now time.Time) ([]Row, error) {
	open, err := openWorkflows(ctx, temporal)
	states := map[string]*khv1.KuberhealthyState{}
	for _, state := range cluster.States() {
		states[state.Namespace+"/"+state.Name] = state
	}
	var checks, jobs []Row
	for _, c := range cluster.Checks() {
		state := states[c.Namespace+"/"+check.StateName(c.Name)]
		row := newRow(check.AwaitedOfCheck(c, state), state, now)
		if row.NextRun = "unknown"; err == nil {
			row.NextRun = open.nextRun(c, now)
		}
		checks = append(checks, row)
	}
	for _, j := range cluster.Jobs() {
		state := states[j.Namespace+"/"+check.StateName(j.Name)]
		row := newRow(check.AwaitedOfJob(j, state), state, now)
		row.NextRun = "runs once: " + orDash(string(j.Spec.Phase))
		jobs = append(jobs, row)
	}
	byName := func(a, b Row) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(checks, byName)
	slices.SortFunc(jobs, byName)
	return append(checks, jobs...), err
}

func newRow(awaited check.Awaited, state *khv1.KuberhealthyState, now time.Time) Row {
	row := Row{Name: awaited.String(), State: StateWaiting}
	if state != nil && state.Spec.LastRun != nil {
		row.show(state.Spec)
	}
	if awaited.Unknown(now) {
		row.State, row.Errors = StateUnknown, append([]string{awaited.Text()}, row.Errors...)
	}
	return row
}

func (r *Row) show(last khv1.WorkloadDetails) {
	r.State, r.LastRun, r.Errors = StateFailed, last.LastRun.Time, last.Errors
	if last.OK {
		r.State = StateOK
	}
	if duration, err := time.ParseDuration(last.RunDuration); err == nil {
		r.Duration = duration.Round(10 * time.Millisecond).String()
	}
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
func (o workflowsOfChecks) nextRun(c *khv1.KuberhealthyCheck, now time.Time) string {
	name := c.Namespace + "/" + c.Name
	next, scheduled := o.nextTick[name]
	switch {
	case o.running[name]:
		return "running"
	case c.Spec.Suspend:
		return "suspended"
	case check.FromCheck(c).Validate() != nil:
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
