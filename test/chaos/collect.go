//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	khcheck "github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/chaos/journal"
	"github.com/khronicle/khronicle/test/chaos/proof"
	"github.com/khronicle/khronicle/workflows"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// ours are the workflows of the checks; those that keep house have IDs below "khronicle/" and no namespace.
const (
	ours    = "KhNamespace = '" + namespace + "'"
	ourOpen = ours + " AND ExecutionStatus = 'Running'"
	// ourBusy are those under way while all checks are suspended: their schedules go on, and run nothing.
	ourBusy      = ourOpen + " AND WorkflowType != 'ScheduledCheck'"
	ourSchedules = ourOpen + " AND WorkflowType = 'ScheduledCheck'"
	// ourWaiting are runs whose record the ledger did not take at their end.
	ourWaiting = ours + " AND KhRecord = 'waiting'"
)

// settleWithin is how long everything may take to come to rest.
const settleWithin = 3 * time.Minute

// settle waits until each check has had a run after the chaos, suspends them, and waits until nothing is under way. It
// returns what had not come to rest in time.
func (s *stack) settle(ctx context.Context, ended time.Time) []string {
	for _, step := range []struct {
		what string
		ok   func() (bool, error)
	}{
		{"all roles are ready", func() (bool, error) { return true, s.ready(ctx) }},
		{"each check has a closed row after the chaos", func() (bool, error) { return s.allRanAfter(ctx, ended) }},
		{"the checks are suspended", func() (bool, error) { return true, s.suspendChecks(ctx) }},
		{"each check has a schedule that is paused", func() (bool, error) { return s.allPaused(ctx) }},
		{"no run is under way", func() (bool, error) { open, err := s.workflows(ctx, ourBusy); return len(open) == 0, err }},
		{"no record is open", func() (bool, error) { return s.noRecordOpen(ctx) }},
		{"no record waits", func() (bool, error) { return s.noRecordWaits(ctx) }},
	} {
		var last error
		ok := eventually(ctx, settleWithin, func() (ok bool) {
			ok, last = step.ok()
			return ok && last == nil
		})
		if !ok {
			return []string{fmt.Sprintf("not seen within %s: %s; error %v", settleWithin, step.what, last)}
		}
	}
	return nil
}

// read gives the ledger to f.
func (s *stack) read(ctx context.Context, f func(*ledger.Ledger) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	records, err := ledger.OpenToRead(ctx, s.ledgerDSN())
	if err != nil {
		return err
	}
	defer records.Close()
	return f(records)
}

// allPaused is true when the starter has seen that all checks are suspended: until then it may still start something.
func (s *stack) allPaused(ctx context.Context) (bool, error) {
	open, err := s.workflows(ctx, ourSchedules)
	paused := 0
	for _, w := range open {
		var revision workflows.Revision
		memo := w.GetMemo().GetFields()[workflows.MemoRevision]
		if memo != nil && converter.GetDefaultDataConverter().FromPayload(memo, &revision) == nil && revision.Paused {
			paused++
		}
	}
	return paused == s.checks && len(open) == s.checks, err
}

func (s *stack) noRecordOpen(ctx context.Context) (ok bool, err error) {
	err = s.read(ctx, func(records *ledger.Ledger) error {
		open, err := records.OpenRuns(ctx, time.Now().Add(time.Hour), ledger.Key{}, 1)
		ok = len(open) == 0
		return err
	})
	return ok, err
}

// noRecordWaits is true when the ledger has the record of each run that ended while it did not answer.
func (s *stack) noRecordWaits(ctx context.Context) (ok bool, err error) {
	waiting, err := s.workflows(ctx, ourWaiting)
	if err != nil {
		return false, err
	}
	recorded := map[string]bool{}
	err = s.read(ctx, func(records *ledger.Ledger) error {
		for i := range s.checks {
			rows, err := records.LastRuns(ctx, refOf(i), 1<<20)
			if err != nil {
				return err
			}
			for _, row := range rows {
				recorded[row.WorkflowID] = recorded[row.WorkflowID] || row.Outcome != khcheck.Unfinished
			}
		}
		return nil
	})
	return !slices.ContainsFunc(waiting, func(w *workflowpb.WorkflowExecutionInfo) bool {
		return !recorded[w.GetExecution().GetWorkflowId()]
	}), err
}

func refOf(i int) khcheck.Ref {
	return khcheck.Ref{Kind: khv1.KHCheck, Namespace: namespace, Name: nameOf(i)}
}

// allRanAfter is true when each check has a run of its schedule that was due after a time, and is closed.
func (s *stack) allRanAfter(ctx context.Context, after time.Time) (ok bool, err error) {
	ran := 0
	err = s.read(ctx, func(records *ledger.Ledger) error {
		for i := range s.checks {
			rows, err := records.LastRuns(ctx, refOf(i), 20)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(rows, func(r ledger.Record) bool {
				return r.Trigger == khcheck.TriggerSchedule && r.Nominal.After(after) && r.Outcome != khcheck.Unfinished && r.WorkflowID != ""
			}) {
				ran++
			}
		}
		return nil
	})
	return ran == s.checks, err
}

// outcomesOf names the counts.
func outcomesOf(c ledger.Counts) map[string]int64 {
	return map[string]int64{
		"succeeded": c.Succeeded, "failed": c.Failed, "infra-failed": c.InfraFailed, "timed-out": c.TimedOut,
		"skipped": c.Skipped, "missed": c.Missed, "canceled": c.Canceled, "paused": c.Paused,
	}
}

// collect reads all facts.
func (s *stack) collect(ctx context.Context, f *proof.Facts) error {
	for _, step := range []func(context.Context, *proof.Facts) error{
		s.collectLedger, s.collectStates, s.collectTemporal, s.collectJournals, s.collectLogs,
	} {
		if err := step(ctx, f); err != nil {
			return fmt.Errorf("collect what is left: %w", err)
		}
	}
	return nil
}

func (s *stack) collectLedger(ctx context.Context, f *proof.Facts) error {
	return s.read(ctx, func(records *ledger.Ledger) error {
		summaries, err := records.Overview(ctx, time.Now())
		if err != nil {
			return err
		}
		for _, summary := range summaries {
			rows, err := records.LastRuns(ctx, summary.Ref, 1<<20)
			if err != nil {
				return err
			}
			f.Rows = append(f.Rows, rows...)
		}
		found, err := records.Verify(ctx, time.Now())
		f.Ledger = found.Problems
		return err
	})
}

func (s *stack) collectStates(ctx context.Context, f *proof.Facts) error {
	list, err := s.group.States(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, state := range list.Items {
		began, err := time.Parse(time.RFC3339Nano, state.Annotations[khcheck.AnnotationRunStarted])
		if err != nil {
			return fmt.Errorf("state %s: %w", state.Name, err)
		}
		f.States = append(f.States, proof.State{
			Check: state.Name, OK: state.Spec.OK, Errors: state.Spec.Errors, UUID: state.Spec.CurrentUUID, RunStarted: began,
		})
	}
	checks, err := s.group.Checks(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, c := range checks.Items {
		f.Checks = append(f.Checks, proof.Check{Name: c.Name, UID: string(c.UID)})
	}
	return nil
}

func (s *stack) collectJournals(_ context.Context, f *proof.Facts) (err error) {
	f.Journals, err = journal.Read(s.journals())
	return err
}

// bad are the words of log lines that no fault explains.
var bad = []string{"panic: ", "fatal error: ", "DATA RACE", "nondeterministic", "TMPRL1100", "the ledger refuses"}

func (s *stack) collectLogs(_ context.Context, f *proof.Facts) error {
	for _, role := range s.roles() {
		file, err := os.Open(s.logOf(role))
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if text := lines.Text(); slices.ContainsFunc(bad, func(word string) bool { return strings.Contains(text, word) }) {
				f.Logs = append(f.Logs, fmt.Sprintf("%s: %.1000s", role, text))
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("read the log of %s: %w", role, err)
		}
		_ = file.Close() // it was only read
	}
	return nil
}

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
	// due is when a cron workflow began to tick, which is later than it was started.
	due time.Time
	in  workflows.ScheduledCheckInput
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
	if e.due.After(began) {
		began = e.due
	}
	tick := proof.Tick{ID: e.id, RunID: e.runID, Check: e.in.Ref.Name, Trigger: e.in.Trigger, Started: began, Closed: e.closed}
	if e.result != nil {
		tick.Decided, tick.Nominal, tick.Skipped = true, e.result.Nominal, e.result.Outcome == khcheck.Skipped
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
		addSchedule(f, e.in, e.result.Anchor)
	}
}

func addSchedule(f *proof.Facts, in workflows.ScheduledCheckInput, anchor time.Time) {
	schedule := proof.Schedule{Spec: in.Schedule, Anchor: anchor}
	for i := range f.Checks {
		c := &f.Checks[i]
		if c.Name == in.Ref.Name && !slices.ContainsFunc(c.Schedules, func(s proof.Schedule) bool { return s.Spec == schedule.Spec && s.Anchor.Equal(schedule.Anchor) }) {
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
		e.due = at.AsTime()
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
	run.Check, run.UID, run.Trigger, run.Due = in.Ref.Name, string(in.Ref.UID), in.Trigger, in.Due
	if completed := last.GetWorkflowExecutionCompletedEventAttributes(); completed != nil {
		var result workflows.CheckRunResult
		err := decode(completed.GetResult(), &result)
		run.Outcome, run.Waited = &result.Outcome, result.Unrecorded != nil && result.Unrecorded.Record != nil
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

// podCgroups lists the control groups of pods of this program's cluster.
func podCgroups() (there []string) {
	found, _ := filepath.Glob("/sys/fs/cgroup/*/kubebox-" + clusterName + "-*") // the pattern is right
	unified, _ := filepath.Glob("/sys/fs/cgroup/kubebox-" + clusterName + "-*")
	for _, root := range append(found, unified...) {
		_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return nil // it went while it was looked at
			}
			if name := entry.Name(); strings.HasPrefix(name, "pod") || strings.Contains(name, "-pod") {
				there = append(there, "cgroup "+path)
				return filepath.SkipDir
			}
			return nil
		})
	}
	return there
}

// remains lists what is left when everything was ended: processes, mounts and cgroups.
func (s *stack) remains() (there []string) {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is right
	for _, name := range environments {
		folder := filepath.Dir(name)
		text, _ := os.ReadFile(name) // empty when it has ended
		cwd, _ := os.Readlink(filepath.Join(folder, "cwd"))
		if slices.Contains(strings.Split(string(text), "\x00"), marker()) || strings.HasPrefix(cwd, s.store) {
			command, _ := os.ReadFile(filepath.Join(folder, "comm"))
			there = append(there, fmt.Sprintf("process %s: %s", filepath.Base(folder), strings.TrimSpace(string(command))))
		}
	}
	for _, path := range []string{s.store, filepath.Join(filepath.Dir(s.store), clusterName)} {
		mounts, err := mountsBelow(path)
		if err != nil {
			there = append(there, fmt.Sprintf("the mounts could not be read: %v", err))
		}
		for _, mount := range mounts {
			there = append(there, "mount "+mount)
		}
	}
	return append(there, podCgroups()...)
}
