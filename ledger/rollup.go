package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/khronicle/khronicle/check"
)

// Counts is how many records of a range of time had each outcome. A record counts in the hour and the day, in UTC, of its
// tick.
type Counts struct {
	Succeeded, Failed, InfraFailed, TimedOut, Skipped, Paused, Missed, Canceled int64
	// Flaky counts the succeeded runs that had a failed attempt.
	Flaky int64
	// Timed counts the records with a duration. DurationSum and DurationMax are of these.
	Timed                    int64
	DurationSum, DurationMax time.Duration
}

// Known is the number of runs that say whether the checked thing was healthy.
func (c Counts) Known() int64 { return c.Succeeded + c.Failed + c.TimedOut }

// Uptime is the share of the known runs that succeeded, from 0 to 1. ok is false when no run is known, which does not mean
// healthy.
func (c Counts) Uptime() (share float64, ok bool) {
	if c.Known() == 0 {
		return 0, false
	}
	return float64(c.Succeeded) / float64(c.Known()), true
}

// tally holds Counts in the order of the columns: one number for each outcome but check.Unfinished, then flaky, timed and
// the two durations in microseconds.
type tally [12]int64

var tallyColumns = []string{
	"succeeded", "failed", "infra_failed", "timed_out", "skipped", "paused", "missed", "canceled",
	"flaky", "timed", "duration_sum", "duration_max",
}

const (
	flakyCount = iota + 8
	timedCount
	durationSum
	durationMax
)

func (t *tally) counts() Counts {
	return Counts{
		Succeeded: t[0], Failed: t[1], InfraFailed: t[2], TimedOut: t[3], Skipped: t[4], Paused: t[5], Missed: t[6],
		Canceled: t[7], Flaky: t[flakyCount], Timed: t[timedCount],
		DurationSum: time.Duration(t[durationSum]) * time.Microsecond,
		DurationMax: time.Duration(t[durationMax]) * time.Microsecond,
	}
}

// add counts a row; sign -1 subtracts it. A maximum cannot be subtracted.
func (t *tally) add(r row, sign int64) {
	if !r.exists || r.outcome == check.Unfinished {
		return
	}
	t[slices.Index(outcomes, r.outcome)-1] += sign
	t[flakyCount] += sign * int64(flag(r.flaky))
	if r.timed {
		t[timedCount] += sign
		t[durationSum] += sign * r.duration
		if sign > 0 {
			t[durationMax] = max(t[durationMax], r.duration)
		}
	}
}

// plus adds the counts of another time.
func (t *tally) plus(other tally) {
	for i := range durationMax {
		t[i] += other[i]
	}
	t[durationMax] = max(t[durationMax], other[durationMax])
}

func (t *tally) destinations() []any {
	list := make([]any, len(t))
	for i := range t {
		list[i] = &t[i]
	}
	return list
}

const (
	hour = int64(time.Hour / time.Microsecond)
	day  = 24 * hour
)

func floor(t, unit int64) int64 { return t - t%unit }
func ceil(t, unit int64) int64  { return floor(t+unit-1, unit) }

// bucket is one roll-up row of a check.
type bucket struct{ start, checkID int64 }

var (
	putHourly = upsert("hourly", []string{"hour", "check_id"}, tallyColumns, addUp("hourly"))
	putDaily  = upsert("daily", []string{"day", "check_id"}, tallyColumns, addUp("daily"))
)

func addUp(table string) func(string) string {
	return func(column string) string {
		if column == tallyColumns[durationMax] {
			return fmt.Sprintf("CASE WHEN excluded.%[2]s > %[1]s.%[2]s THEN excluded.%[2]s ELSE %[1]s.%[2]s END", table, column)
		}
		return fmt.Sprintf("%[1]s.%[2]s + excluded.%[2]s", table, column)
	}
}

// If an amended record had the maximum, the maximum is computed again from the rows of the hour and the hours of the day.
const (
	maxOfHour = `UPDATE hourly SET duration_max = coalesce((SELECT max(r.duration) FROM records r
WHERE r.check_id = $2 AND r.tick >= $1 AND r.tick < $3 AND r.outcome <> 0), 0) WHERE hour = $1 AND check_id = $2`
	maxOfDay = `UPDATE daily SET duration_max = coalesce((SELECT max(h.duration_max) FROM hourly h
WHERE h.check_id = $2 AND h.hour >= $1 AND h.hour < $3), 0) WHERE day = $1 AND check_id = $2`
)

// rollUp adds what has changed, and subtracts what it replaced.
func (b *batch) rollUp(ctx context.Context, tx transaction) error {
	if err := b.rollUpBy(ctx, tx, hour, putHourly, maxOfHour); err != nil {
		return fmt.Errorf("roll up hours: %w", err)
	}
	if err := b.rollUpBy(ctx, tx, day, putDaily, maxOfDay); err != nil {
		return fmt.Errorf("roll up days: %w", err)
	}
	return nil
}

func (b *batch) rollUpBy(ctx context.Context, tx transaction, unit int64, put, maximum string) error {
	tallies, lowered := map[bucket]*tally{}, map[bucket]bool{}
	var order []bucket
	for e := range b.changed() {
		if e.old.outcome == check.Unfinished && e.now.outcome == check.Unfinished {
			continue
		}
		k := bucket{start: floor(e.record.Tick.UnixMicro(), unit), checkID: e.checkID}
		if tallies[k] == nil {
			tallies[k] = &tally{}
			order = append(order, k)
		}
		tallies[k].add(e.old, -1)
		tallies[k].add(e.now, 1)
		if e.old.outcome != check.Unfinished && e.old.timed && e.now.duration < e.old.duration {
			lowered[k] = true
		}
	}
	var puts, maxima [][]any
	for _, k := range order {
		list := []any{k.start, k.checkID}
		for _, n := range tallies[k] {
			list = append(list, n)
		}
		puts = append(puts, list)
		if lowered[k] {
			maxima = append(maxima, []any{k.start, k.checkID, k.start + unit})
		}
	}
	if err := tx.each(ctx, put, puts, nil); err != nil {
		return err
	}
	return tx.each(ctx, maximum, maxima, nil)
}
