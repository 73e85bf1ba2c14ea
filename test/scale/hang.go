//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/chaos/fault"
	"github.com/khronicle/khronicle/test/chaos/link"
	"github.com/khronicle/khronicle/test/scale/measure"
	"github.com/khronicle/khronicle/test/wait"
	"github.com/khronicle/khronicle/workflows"
)

// Of a window in which the database of the ledger hangs.
const (
	// around is how much of the window is before the hang, and as much after it.
	around = time.Minute
	// onTime is how late a tick may start: Temporal rounds its timers up to whole seconds, and a second is for all else.
	onTime = 2 * time.Second
	// catchUpWithin is how long after the window all records must be there, plus twice the time of the hang. compareEvery is
	// how often the records are compared. It is long, because to list all runs costs Temporal more than a run.
	catchUpWithin = 5 * time.Minute
	compareEvery  = 15 * time.Second
)

// hang is when the database hung, and what was there at its end.
type hang struct {
	from, to time.Time
	recorded int
}

// makeLink puts a link before the database of the ledger.
func (s *stack) makeLink() (err error) {
	if s.hangFor == 0 {
		return nil
	}
	if s.link, err = link.New("127.0.0.1:" + postgresPort); err != nil {
		return err
	}
	s.stops = append(s.stops, func() { _ = s.link.Close() })
	return nil
}

// hangLedger lets the window pass, and the database of the ledger hang in it: what goes to it and comes from it is dropped.
func (s *stack) hangLedger(ctx context.Context) (h hang, err error) {
	if err := s.pass(ctx, "measuring before the hang", around); err != nil {
		return h, err
	}
	h.from = time.Now()
	s.link.Cut(fault.Freeze)
	err = s.pass(ctx, "the database of the ledger hangs", s.hangFor)
	h.to = time.Now()
	if err == nil {
		h.recorded, err = s.recordedBetween(ctx, h.from, h.to)
	}
	s.link.Mend(fault.Freeze)
	if err != nil {
		return h, err
	}
	return h, s.pass(ctx, "measuring after the hang", around)
}

// readLedger gives the ledger to f, over no link.
func (s *stack) readLedger(ctx context.Context, f func(*ledger.Ledger) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	records, err := ledger.OpenToRead(ctx, s.database.dsn(ledgerDatabase))
	if err != nil {
		return err
	}
	defer records.Close()
	return f(records)
}

// records are those of the schedules, by check.
func (s *stack) records(ctx context.Context) (map[string][]measure.Record, error) {
	all := map[string][]measure.Record{}
	err := s.readLedger(ctx, func(records *ledger.Ledger) error {
		summaries, err := records.Overview(ctx, time.Now())
		if err != nil {
			return err
		}
		for _, summary := range summaries {
			rows, err := records.LastRuns(ctx, summary.Ref, 1<<20)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if row.Trigger == check.TriggerSchedule {
					key := row.Namespace + "/" + row.Name
					all[key] = append(all[key], measure.Record{Tick: row.Tick, Run: row.WorkflowID, Outcome: string(row.Outcome)})
				}
			}
		}
		return nil
	})
	return all, err
}

// recordedBetween is how many closed records there are of ticks between two times.
func (s *stack) recordedBetween(ctx context.Context, from, to time.Time) (n int, err error) {
	all, err := s.records(ctx)
	for _, records := range all {
		for _, r := range records {
			if !r.Tick.Before(from) && r.Tick.Before(to) && r.Outcome != "" {
				n++
			}
		}
	}
	return n, err
}

// judgeHang waits until the records are there, and compares them with the ticks and the runs.
func (s *stack) judgeHang(ctx context.Context, h hang, from, until time.Time) (*measure.Hang, error) {
	progress("waiting until all records are there")
	result := &measure.Hang{Seconds: h.to.Sub(h.from).Seconds(), Hung: h.recorded}
	var f facts
	for end := time.Now().Add(catchUpWithin + 2*s.hangFor); ; {
		var err error
		if f, err = s.collect(ctx, from.Add(-s.interval), until); err == nil {
			result.Records, err = s.compare(ctx, f, from, until)
		}
		if err != nil {
			return result, err
		}
		result.CaughtUp = time.Since(h.to).Seconds()
		progress("%d of %d records are there; %d things are not right yet", result.Records.Recorded, result.Records.Due, len(result.Records.Wrong))
		if len(result.Records.Wrong) == 0 || time.Now().After(end) || !wait.Sleep(ctx, compareEvery) {
			break
		}
	}
	var ticks measure.Ticks
	for key, schedule := range f.schedules {
		ticks.Add(schedule.MatchTicks(f.runs[key], h.from, h.to))
	}
	result.Due, result.Started, result.OnTime = ticks.Due, ticks.Started, ticks.OnTime(onTime)
	result.Lateness = measure.QuantilesOf(ticks.Lateness)
	return result, ctx.Err()
}

func (s *stack) compare(ctx context.Context, f facts, from, until time.Time) (all measure.Records, err error) {
	records, err := s.records(ctx)
	for key, schedule := range f.schedules {
		all.Add(schedule.Compare(key, records[key], f.runs[key], from, until))
	}
	return all, err
}

// scheduledRun is what a CheckRun of a schedule says of itself; others have no tick.
func scheduledRun(e *workflowpb.WorkflowExecutionInfo) measure.Run {
	run := measure.Run{
		ID: e.GetExecution().GetWorkflowId(), Start: e.GetStartTime().AsTime(), Outcome: attribute(e, attributeOutcome),
		Succeeded: attribute(e, attributeOutcome) == succeeded,
	}
	if key, ok := workflows.RecordKeyOf(e.GetMemo()); ok && key.Trigger == check.TriggerSchedule {
		run.Tick = key.Tick
	}
	return run
}

// hangProblems is an error where the hang showed what must not be.
func hangProblems(r *measure.Result) error {
	if r.Hang == nil {
		return nil
	}
	if problems := r.Hang.Problems(); len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	fmt.Println("the hang stopped nothing, and every record is there")
	return nil
}
