package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Span is a range of ticks without a run: the ticks after After, up to and including Through.
type Span struct {
	After, Through time.Time
	// Outcome is Skipped, Missed or Paused.
	Outcome check.Outcome
}

// TickInput is the input of a tick.
type TickInput struct {
	Ref     check.Ref
	Trigger check.Trigger
	Timeout time.Duration
	// Tick is the tick of a single run. A tick of a schedule has none.
	Tick time.Time `json:",omitzero"`
	// Schedule and Start say when the ticks of a schedule are.
	Schedule check.ScheduleSpec `json:",omitzero"`
	Start    time.Time          `json:",omitzero"`
	// Last is the previous tick. Since is the time after which Temporal scheduled this tick, and Now is when it began.
	// Since and Now are Temporal's time; the worker's clock may differ.
	Last  time.Time `json:",omitzero"`
	Since time.Time `json:",omitzero"`
	Now   time.Time `json:",omitzero"`
	// Previous is the run UUID of the previous run, which may be open. First is the workflow ID of a tick that may still
	// have to start it. RunUUID is the UUID of the run to start.
	Previous, First, RunUUID string
	// Unrecorded are earlier ticks that the ledger has not taken.
	Unrecorded []Span `json:",omitempty"`
}

// TickResult is what a tick decided.
type TickResult struct {
	// Tick is the scheduled time. Delay is how long after it the tick was decided. Tick is zero if the schedule has no tick at
	// the time at which Temporal started it. Then no run starts, and this time is not recorded.
	Tick  time.Time
	Delay time.Duration
	// Skipped is true when the previous run was open. Otherwise a run was started.
	Skipped bool `json:",omitempty"`
	// Completed is true for a job that has run before: only its phase had to be set again.
	Completed bool `json:",omitempty"`
	// Unrecorded are ticks that the ledger has not taken.
	Unrecorded []Span `json:",omitempty"`
	// Recorded counts the ticks without a run that are in the ledger now.
	Recorded TickCounts
}

// TickCounts counts ticks without a run by their outcome.
type TickCounts struct {
	Skipped, Missed, Paused int
}

func (c *TickCounts) count(outcome check.Outcome) {
	switch outcome {
	case check.Skipped:
		c.Skipped++
	case check.Missed:
		c.Missed++
	case check.Paused:
		c.Paused++
	}
}

// Tick decides one tick: it starts the run, unless the previous one is open. Ticks since the previous tick were missed. It
// may be called again: the run has the UUID of the tick, so it starts once.
func (a *Activities) Tick(ctx context.Context, in TickInput) (TickResult, error) {
	schedule, err := in.schedule()
	if err != nil {
		return TickResult{}, err
	}
	var result TickResult
	if tick := in.tick(schedule); !tick.IsZero() {
		if result, err = a.startOrSkip(ctx, in, tick); err != nil {
			return TickResult{}, err
		}
	}
	if in.Trigger == check.TriggerSchedule {
		spans := in.spans(schedule, result)
		result.Unrecorded = a.enterSpans(ctx, in.Ref, schedule, in.Start, spans, &result.Recorded)
		endEarlyInTheSecond(ctx, schedule)
	}
	return result, nil
}

// startOrSkip starts the run of a tick, unless the previous run is open.
func (a *Activities) startOrSkip(ctx context.Context, in TickInput, tick time.Time) (TickResult, error) {
	result := TickResult{Tick: tick}
	var err error
	if result.Completed, err = a.completedBefore(ctx, in); result.Completed || err != nil {
		return result, err
	}
	result.Skipped, err = a.open(ctx, in.Previous, in.First)
	if err != nil {
		return TickResult{}, fmt.Errorf("look for the previous run of %s: %w", in.Ref, err)
	}
	if !result.Skipped && in.Trigger == check.TriggerSchedule {
		if result.Skipped, err = a.requestedRunOpen(ctx, in.Ref); err != nil {
			return TickResult{}, fmt.Errorf("look for a requested run of %s: %w", in.Ref, err)
		}
	}
	if !result.Skipped {
		key := RecordKey{Ref: in.Ref, Trigger: in.Trigger, Tick: tick.Truncate(time.Microsecond)} // in the precision of the ledger
		result.Tick, err = a.Runs.Start(ctx, Run{UUID: in.RunUUID, Key: key, Timeout: in.Timeout})
		if err != nil {
			return TickResult{}, fmt.Errorf("start a run of %s: %w", in.Ref, err)
		}
	}
	result.Delay = max(in.Now.Sub(result.Tick), 0)
	return result, nil
}

const (
	// latePart is the part of a second after which a tick waits for the next second before it ends.
	latePart = 250 * time.Millisecond
	// alignsFrom is the least interval at which ticks wait. With a shorter one, waiting might lose the next tick.
	alignsFrom = 5 * time.Second
)

// endEarlyInTheSecond prevents the next tick from being late. Temporal counts its time from the end of this tick and rounds
// up to whole seconds. So a tick that ends late in a second makes the next one equally late. The run has started before
// this wait.
func endEarlyInTheSecond(ctx context.Context, schedule check.Schedule) {
	now := time.Now()
	part := now.Sub(now.Truncate(time.Second))
	deadline, bounded := ctx.Deadline()
	if part < latePart || schedule.Interval(now) < alignsFrom || bounded && deadline.Sub(now) < time.Second {
		return
	}
	timer := time.NewTimer(time.Second - part)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// mostAtOnce is how many ticks one call enters into the ledger. The next calls enter the rest.
const mostAtOnce = 2000

// ScheduleInvalid is the type of the error of a schedule that cannot be read.
const ScheduleInvalid = "ScheduleInvalid"

func (in TickInput) schedule() (check.Schedule, error) {
	if in.Trigger != check.TriggerSchedule {
		return check.Schedule{}, nil
	}
	schedule, err := check.ParseSchedule(in.Schedule)
	if err != nil {
		return schedule, temporal.NewNonRetryableApplicationError("read the schedule of "+in.Ref.String(), ScheduleInvalid, err)
	}
	return schedule, nil
}

func (in TickInput) tick(schedule check.Schedule) time.Time {
	switch {
	case in.Trigger == check.TriggerSchedule:
		after := in.Since
		if in.Last.After(after) {
			after = in.Last
		}
		return schedule.Tick(in.Start, after, in.Now)
	case in.Tick.IsZero():
		return in.Now
	}
	return in.Tick
}

// spans returns the ticks to enter: those that wait, those that were missed, and this tick if it is skipped.
func (in TickInput) spans(schedule check.Schedule, result TickResult) []Span {
	spans, last := in.Unrecorded, in.Last
	if schedule.Next(in.Start, in.Last).Before(result.Tick) {
		before := result.Tick.Add(-1)
		spans, last = addSpan(spans, Span{After: in.Last, Through: before, Outcome: check.Missed}), before
	}
	if result.Skipped {
		spans = addSpan(spans, Span{After: last, Through: result.Tick, Outcome: check.Skipped})
	}
	return spans[max(len(spans)-maxSpans, 0):]
}

// maxSpans bounds what waits for the ledger from tick to tick. If there is more after a long outage of the ledger, the
// oldest ticks stay without a record.
const maxSpans = 1000

// addSpan appends a span, or extends the last one if no tick lies between them and both have the same outcome.
func addSpan(spans []Span, next Span) []Span {
	if n := len(spans); n > 0 && spans[n-1].Outcome == next.Outcome && spans[n-1].Through.Equal(next.After) {
		spans[n-1].Through = next.Through
		return spans
	}
	return append(spans, next)
}

func (a *Activities) open(ctx context.Context, runUUID, first string) (bool, error) {
	if runUUID == "" {
		return false, nil
	}
	return a.Runs.Open(ctx, runUUID, first)
}

// recordsAtATime is how many records one transaction of the ledger takes.
const recordsAtATime = 256

// enterWithin is how long a tick waits for the ledger. Its run has started by then.
const enterWithin = 2 * time.Second

// enterSpans enters ticks into the ledger, at most mostAtOnce, and returns those that the ledger has not taken. Without a
// ledger it counts them.
func (a *Activities) enterSpans(ctx context.Context, ref check.Ref, schedule check.Schedule, start time.Time, spans []Span, counts *TickCounts) (left []Span) {
	ctx, cancel := context.WithTimeout(ctx, enterWithin)
	defer cancel()
	most := mostAtOnce
	for i, span := range spans {
		n, through, err := a.enterSpan(ctx, ref, schedule, start, span, most, counts)
		if most -= n; err == nil && through.Equal(span.Through) {
			continue
		}
		if errors.Is(err, ledger.ErrInvalid) {
			activity.GetLogger(ctx).Error("the ledger refuses ticks", "namespace", ref.Namespace, "check", ref.Name, "error", err)
			continue
		}
		if err != nil {
			activity.GetLogger(ctx).Debug("ticks are not in the ledger yet", "namespace", ref.Namespace, "check", ref.Name, "error", err)
		}
		span.After = through
		return append([]Span{span}, spans[i+1:]...)
	}
	return nil
}

// enterSpan enters the ticks of a span in parts. It returns how many it entered, and up to which time.
func (a *Activities) enterSpan(ctx context.Context, ref check.Ref, schedule check.Schedule, start time.Time, span Span, most int, counts *TickCounts) (n int, through time.Time, err error) {
	through = span.After
	var records []ledger.Record
	for tick := range schedule.Between(start, span.After, span.Through.Add(1)) {
		if n+len(records) == most {
			break
		}
		record := recordOf(RecordKey{Ref: ref, Trigger: check.TriggerSchedule, Tick: tick})
		record.Outcome = span.Outcome
		if records = append(records, record); len(records) < recordsAtATime {
			continue
		}
		if err := a.enterRecords(ctx, records, counts); err != nil {
			return n, through, err
		}
		n, through, records = n+len(records), tick, records[:0]
	}
	if err := a.enterRecords(ctx, records, counts); err != nil {
		return n, through, err
	}
	if n += len(records); n < most {
		return n, span.Through, nil
	}
	if len(records) > 0 {
		through = records[len(records)-1].Tick
	}
	return n, through, nil
}

func (a *Activities) enterRecords(ctx context.Context, records []ledger.Record, counts *TickCounts) (err error) {
	if len(records) == 0 {
		return nil
	}
	if a.Ledger != nil {
		if records, err = a.Ledger.RecordTicks(ctx, records); err != nil {
			return err
		}
	}
	for _, record := range records {
		counts.count(record.Outcome)
	}
	return nil
}

// TicksInput names ticks of a check that started no run.
type TicksInput struct {
	Ref      check.Ref
	Schedule check.ScheduleSpec
	Start    time.Time
	Spans    []Span
	// Before is the end of the range: all ticks are before it.
	Before time.Time
	// SinceNewest is true if no schedule says where the first span begins. Then it begins at the newest tick in the ledger.
	SinceNewest bool `json:",omitempty"`
}

// RecordTicks records the ticks that started no run, and counts them. It may be called again. Without a ledger it counts
// those whose beginning is known.
func (a *Activities) RecordTicks(ctx context.Context, in TicksInput) (TickCounts, error) {
	schedule, err := check.ParseSchedule(in.Schedule)
	if err != nil {
		return TickCounts{}, temporal.NewNonRetryableApplicationError("read the schedule of "+in.Ref.String(), ScheduleInvalid, err)
	}
	left := ticksLeft{Start: in.Start, Spans: in.Spans}
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &left); err != nil {
			return TickCounts{}, fmt.Errorf("read how many ticks of %s are recorded: %w", in.Ref, err)
		}
	} else if ok, err := a.sinceNewest(ctx, in, &left); err != nil || !ok {
		return TickCounts{}, err
	}
	for len(left.Spans) > 0 {
		span := &left.Spans[0]
		n, through, err := a.enterSpan(ctx, in.Ref, schedule, left.Start, *span, mostAtOnce, &left.Counts)
		if span.After = through; err == nil && n < mostAtOnce {
			left.Spans = left.Spans[1:]
		}
		activity.RecordHeartbeat(ctx, left)
		if errors.Is(err, ledger.ErrInvalid) {
			return left.Counts, temporal.NewNonRetryableApplicationError("the ledger refuses ticks of "+in.Ref.String(), RecordRefused, err)
		}
		if err != nil {
			return left.Counts, fmt.Errorf("record ticks of %s: %w", in.Ref, err)
		}
	}
	return left.Counts, nil
}

// ticksLeft is the remaining work of RecordTicks, and its counts so far. The next attempt continues there.
type ticksLeft struct {
	Start  time.Time
	Spans  []Span
	Counts TickCounts
}

// sinceNewest sets the beginning of the first span to the newest tick in the ledger, if the input asks for it. ok is false
// if there is none.
func (a *Activities) sinceNewest(ctx context.Context, in TicksInput, left *ticksLeft) (ok bool, err error) {
	if !in.SinceNewest || len(in.Spans) == 0 {
		return true, nil
	}
	if a.Ledger == nil {
		return false, nil
	}
	newest, ok, err := a.Ledger.Last(ctx, uidOf(in.Ref), check.TriggerSchedule, in.Before)
	if err != nil {
		return false, fmt.Errorf("read the newest tick of %s: %w", in.Ref, err)
	}
	left.Start, left.Spans = newest.Tick, slices.Clone(in.Spans)
	left.Spans[0].After = newest.Tick
	return ok, nil
}
