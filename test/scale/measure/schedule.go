package measure

import (
	"slices"
	"time"
)

// Schedule says when the ticks of one check are due: every Interval after Origin.
//
// Temporal counts the ticks of "@every 60s" in whole seconds from the start of the first cron execution. It drops the
// fraction of that start (robfig/cron, ConstantDelaySchedule.Next). So the schedule follows from one fact that each version
// of Khronicle has: the StartTime of the first ScheduledCheck execution of khcheck/NAMESPACE/NAME. The server then rounds
// its timer up to whole seconds, counted from the end of the previous tick. On an idle machine a run therefore starts up to
// one second after its tick. Lag leaves this share out: it counts from the ExecutionTime, the time at which the server
// itself wanted to start the tick.
type Schedule struct {
	Origin   time.Time
	Interval time.Duration
}

// ScheduleOf returns the schedule of a check whose first cron execution was started at a time.
func ScheduleOf(started time.Time, interval time.Duration) Schedule {
	return Schedule{Origin: started.Truncate(time.Second), Interval: interval}
}

// slot is the number of the last tick that was due at a time. Slot 0 is before the first tick.
func (g Schedule) slot(at time.Time) int { return int(at.Sub(g.Origin) / g.Interval) }

// at is when the tick of a slot is due.
func (g Schedule) at(slot int) time.Time { return g.Origin.Add(time.Duration(slot) * g.Interval) }

// Due returns the slots whose ticks are due in [from, until).
func (g Schedule) Due(from, until time.Time) []int {
	var due []int
	for slot := max(1, g.slot(from)); g.at(slot).Before(until); slot++ {
		if !g.at(slot).Before(from) {
			due = append(due, slot)
		}
	}
	return due
}

// Run is one CheckRun.
type Run struct {
	Start     time.Time
	Succeeded bool
	// ID is the workflow ID, Tick the tick and Outcome how the run ended, where the version says so.
	ID      string
	Tick    time.Time
	Outcome string
}

// Ticks are the ticks of one or more checks in the window.
type Ticks struct {
	// How many ticks there were, how many of them had a run, and how many runs succeeded.
	Due, Started, Succeeded int
	// Extra counts runs in the window that are a second one between two ticks.
	Extra int
	// Lateness is the start of the run minus the tick, of each started tick.
	Lateness []time.Duration
}

// Add adds the ticks of another check.
func (t *Ticks) Add(o Ticks) {
	t.Due += o.Due
	t.Started += o.Started
	t.Succeeded += o.Succeeded
	t.Extra += o.Extra
	t.Lateness = append(t.Lateness, o.Lateness...)
}

// Match finds the run of each tick that was due in [from, until): the first one before the next tick is due. A run that
// is later than one interval counts as that of the next tick, and the tick before as missed.
func (g Schedule) Match(runs []Run, from, until time.Time) Ticks {
	runs = slices.SortedFunc(slices.Values(runs), func(a, b Run) int { return a.Start.Compare(b.Start) })
	bySlot := map[int][]Run{}
	for _, r := range runs {
		bySlot[g.slot(r.Start)] = append(bySlot[g.slot(r.Start)], r)
	}
	return g.count(from, until, func(slot int) []Run { return bySlot[slot] })
}

// MatchTicks finds the run of each tick that was due in [from, until) by the tick that the run itself has.
func (g Schedule) MatchTicks(runs []Run, from, until time.Time) Ticks {
	byTick := map[int64][]Run{}
	for _, r := range runs {
		byTick[r.Tick.UnixMicro()] = append(byTick[r.Tick.UnixMicro()], r)
	}
	return g.count(from, until, func(slot int) []Run { return byTick[g.at(slot).UnixMicro()] })
}

// count counts the ticks in [from, until) and their runs. runsOf returns the runs of a slot, the first one first.
func (g Schedule) count(from, until time.Time, runsOf func(slot int) []Run) Ticks {
	var t Ticks
	for _, slot := range g.Due(from, until) {
		t.Due++
		started := runsOf(slot)
		if len(started) == 0 {
			continue
		}
		t.Started++
		t.Extra += len(started) - 1
		t.Lateness = append(t.Lateness, started[0].Start.Sub(g.at(slot)))
		if started[0].Succeeded {
			t.Succeeded++
		}
	}
	return t
}

// OnTime is how many ticks were not later than a time.
func (t Ticks) OnTime(within time.Duration) (n int) {
	for _, late := range t.Lateness {
		if late <= within {
			n++
		}
	}
	return n
}

// Lags returns how long after each time a run was started. It counts the first run that is not before the time, and that is
// less than an interval after it.
func Lags(times []time.Time, runs []Run, interval time.Duration) []time.Duration {
	var lags []time.Duration
	for _, at := range times {
		lag := interval
		for _, r := range runs {
			if d := r.Start.Sub(at); d >= 0 {
				lag = min(lag, d)
			}
		}
		if lag < interval {
			lags = append(lags, lag)
		}
	}
	return lags
}
