//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	khv1 "github.com/khronicle/khronicle/api/v1"
	khcheck "github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/wait"
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
		ok := wait.Until(ctx, settleWithin, func() (ok bool) {
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
				return r.Trigger == khcheck.TriggerSchedule && r.Tick.After(after) && r.Outcome != khcheck.Unfinished && r.WorkflowID != ""
			}) {
				ran++
			}
		}
		return nil
	})
	return ran == s.checks, err
}
