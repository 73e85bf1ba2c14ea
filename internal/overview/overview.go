// Package overview shows the checks and jobs of a cluster as a table, for a terminal, and compares them with what was
// expected.
package overview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// Cluster is what the overview needs of Kubernetes; package kube has it.
type Cluster interface {
	Checks() []*khv1.KuberhealthyCheck
	Jobs() []*khv1.KuberhealthyJob
	States() []*khv1.KuberhealthyState
}

// Temporal is what the overview needs of Temporal's client.
type Temporal interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// Row is one check or job.
type Row struct {
	Name, State string
	// LastRun is when its last outcome was recorded, zero if there is none.
	LastRun time.Time
	// Duration is how long the last run took to its verdict.
	Duration string
	// NextRun says when the next run is due, in words.
	NextRun string
	Errors  []string
}

// The states of a row.
const (
	StateOK      = "OK"
	StateFailed  = "failed"
	StateWaiting = "waiting"
	// StateUnknown is that of a check or job that owes an outcome which has not come in time.
	StateUnknown = "unknown"
)

// Rows returns the checks and then the jobs of the cluster, each in the order of their names.
func Rows(ctx context.Context, cluster Cluster, temporal Temporal, now time.Time) []Row {
	states := map[string]*khv1.KuberhealthyState{}
	for _, state := range cluster.States() {
		states[state.Namespace+"/"+state.Name] = state
	}
	var checks, jobs []Row
	for _, c := range cluster.Checks() {
		state := states[c.Namespace+"/"+check.StateName(c.Name)]
		row := newRow(check.AwaitedOfCheck(c, state), state, now)
		row.NextRun = nextRun(ctx, temporal, c, now)
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
	return append(checks, jobs...)
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

// nextRun asks the cron workflow of a check: while it waits, its execution time is the next tick.
func nextRun(ctx context.Context, temporal Temporal, c *khv1.KuberhealthyCheck, now time.Time) string {
	if c.Spec.Suspend {
		return "suspended"
	}
	described, err := temporal.DescribeWorkflowExecution(ctx, workflows.ScheduledCheckID(c.Namespace, c.Name), "")
	info := described.GetWorkflowExecutionInfo()
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
		return "not scheduled"
	case err != nil:
		return "unknown: Temporal does not answer"
	case info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return "not scheduled"
	case len(described.GetPendingChildren()) > 0:
		return "running"
	default:
		return "in " + max(info.GetExecutionTime().AsTime().Sub(now), 0).Round(time.Second).String()
	}
}

// Write writes the rows as a table.
func Write(w io.Writer, rows []Row, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHECK\tSTATE\tLAST RUN\tDURATION\tNEXT RUN\tERROR")
	for _, row := range rows {
		last := "-"
		if !row.LastRun.IsZero() {
			last = max(now.Sub(row.LastRun), 0).Round(time.Second).String() + " ago"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", row.Name, row.State, last, orDash(row.Duration), row.NextRun, firstLine(row.Errors))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// firstLine is what of the errors fits into a cell.
func firstLine(errs []string) string {
	if len(errs) == 0 {
		return "-"
	}
	line, _, _ := strings.Cut(errs[0], "\n")
	const limit = 100
	if runes := []rune(line); len(runes) > limit {
		line = string(runes[:limit]) + "…"
	}
	if len(errs) > 1 {
		line += fmt.Sprintf(" (+%d)", len(errs)-1)
	}
	return line
}
