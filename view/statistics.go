package view

import (
	"context"
	"slices"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// LedgerState says whether the ledger can be read.
type LedgerState string

// The states of the ledger.
const (
	LedgerNone        LedgerState = "none"
	LedgerAvailable   LedgerState = "available"
	LedgerUnavailable LedgerState = "unavailable"
)

// Statistics are what the ledger says about the past of a check. Without a ledger, the durations are those of the last ten
// runs, and all else is not known.
type Statistics struct {
	// Day, Week and Month count from a full hour on: 24 hours, 7 days and 30 days ago.
	Day, Week, Month Uptime
	Durations
	// Running is how many runs are open.
	Running int
	// lastScheduled is the newest closed tick of the schedule.
	lastScheduled time.Time
}

// Uptime is how many runs of a time succeeded. Infrastructure failures and ticks without a run say nothing about what is
// checked, so they do not count.
type Uptime struct{ Succeeded, Known int64 }

// Share is the share of the runs that succeeded, from 0 to 1. ok is false when no run is known.
func (u Uptime) Share() (share float64, ok bool) {
	if u.Known == 0 {
		return 0, false
	}
	return float64(u.Succeeded) / float64(u.Known), true
}

// Durations are how long the last runs took, from start to report or outcome.
type Durations struct {
	// Median and P95 are 0 when Sample is 0. Of 100 runs, 95 took P95 or less.
	Median, P95 time.Duration
	// Sample is how many runs they are from.
	Sample int
}

// durationsOf sorts its argument.
func durationsOf(all []time.Duration) Durations {
	if len(all) == 0 {
		return Durations{}
	}
	slices.Sort(all)
	rank := func(percent int) time.Duration { return all[(len(all)*percent+99)/100-1] } // the nearest rank
	return Durations{Median: rank(50), P95: rank(95), Sample: len(all)}
}

// durationsOfRuns are those of the runs that a KHState lists, of which not all reported.
func durationsOfRuns(runs []check.RecentRun) Durations {
	all := make([]time.Duration, len(runs))
	for i, run := range runs {
		all[i] = time.Duration(run.Seconds * float64(time.Second)).Round(time.Millisecond)
	}
	return durationsOf(all)
}

// statistics is what the ledger had at one time.
type statistics struct {
	byRef map[refKey]Statistics
	// of the slow part: the counts of the week and the month, and the durations.
	slow *slowPart
	// failed is true when the ledger could not be read since.
	failed bool
}

// slowPart is what is read less often, by the UID of the check.
type slowPart struct {
	at          time.Time
	week, month map[string]ledger.Counts
	// durations are of the records up to the tick in until.
	durations map[string][]time.Duration
	until     map[string]time.Time
}

func (s *statistics) of(key refKey) Statistics {
	if s == nil {
		return Statistics{}
	}
	return s.byRef[key]
}

func (v *View) ledgerState(s *statistics) LedgerState {
	switch {
	case v.Ledger == nil:
		return LedgerNone
	case s == nil || s.failed:
		return LedgerUnavailable
	}
	return LedgerAvailable
}

const (
	// refreshEvery is how old the newest outcomes and the counts of the day are at most.
	refreshEvery = 30 * time.Second
	// slowEvery is how old the counts of the week and the month, and the durations, are at most.
	slowEvery = 5 * time.Minute
	// refreshWithin bounds reading them.
	refreshWithin = 20 * time.Second
	// firstPause is the pause between two tries until the ledger answers for the first time.
	firstPause = 2 * time.Second
	// durationRecords is how many records of a check the durations are from.
	durationRecords = 100
)

// Run reads the statistics from time to time, until ctx ends. While the ledger cannot be read, the last ones stay.
func (v *View) Run(ctx context.Context) {
	for v.Ledger != nil && ctx.Err() == nil {
		known := v.statistics.Load()
		err := v.Refresh(ctx)
		if err != nil && ctx.Err() == nil && (known == nil || !known.failed) {
			v.Logger.Warn("statistics cannot be read from the ledger; the last ones are shown", "error", err)
		}
		pause := refreshEvery
		if err != nil && (known == nil || known.byRef == nil) {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// Refresh reads the statistics now. Without a ledger it does nothing.
func (v *View) Refresh(ctx context.Context) error {
	if v.Ledger == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, refreshWithin)
	defer cancel()
	before := v.statistics.Load()
	if before == nil {
		before = &statistics{}
	}
	next, err := v.read(ctx, before, v.Now())
	if err != nil {
		failed := *before
		failed.failed = true
		next = &failed
	}
	v.statistics.Store(next)
	return err
}

// read returns the present statistics. Records of a deleted check of the same name count too.
func (v *View) read(ctx context.Context, before *statistics, now time.Time) (*statistics, error) {
	all, err := v.Ledger.Overview(ctx, now)
	if err != nil {
		return nil, err
	}
	next := &statistics{byRef: make(map[refKey]Statistics, len(all)), slow: before.slow}
	if next.slow == nil || now.Sub(next.slow.at) >= slowEvery || now.Before(next.slow.at) {
		if next.slow, err = v.readSlow(ctx, before.slow, all, now); err != nil {
			return nil, err
		}
	}
	durations := map[refKey][]time.Duration{}
	for _, one := range all {
		key := keyOf(one.Ref)
		s := next.byRef[key]
		s.Day.add(one.Day)
		s.Week.add(next.slow.week[one.CheckUID])
		s.Month.add(next.slow.month[one.CheckUID])
		s.Running += one.Running
		if one.Last != nil && one.Last.Trigger == check.TriggerSchedule && one.Last.Tick.After(s.lastScheduled) {
			s.lastScheduled = one.Last.Tick
		}
		next.byRef[key] = s
		durations[key] = append(durations[key], next.slow.durations[one.CheckUID]...)
	}
	for key, list := range durations {
		s := next.byRef[key]
		s.Durations = durationsOf(list)
		next.byRef[key] = s
	}
	return next, nil
}

func (v *View) readSlow(ctx context.Context, before *slowPart, all []ledger.Summary, now time.Time) (*slowPart, error) {
	next := &slowPart{at: now, durations: map[string][]time.Duration{}, until: map[string]time.Time{}}
	var err error
	if next.week, err = v.Ledger.CountsSince(ctx, now.AddDate(0, 0, -7)); err != nil {
		return nil, err
	}
	if next.month, err = v.Ledger.CountsSince(ctx, now.AddDate(0, 0, -30)); err != nil {
		return nil, err
	}
	var changed []string
	for _, one := range all {
		uid := one.CheckUID
		if one.Last == nil {
			continue
		}
		next.until[uid] = one.Last.Tick
		if before != nil && before.until[uid].Equal(one.Last.Tick) {
			next.durations[uid] = before.durations[uid]
			continue
		}
		changed = append(changed, uid)
	}
	read, err := v.Ledger.Durations(ctx, changed, durationRecords)
	for uid, list := range read {
		next.durations[uid] = list
	}
	return next, err
}

func (u *Uptime) add(c ledger.Counts) {
	u.Succeeded += c.Succeeded
	u.Known += c.Known()
}
