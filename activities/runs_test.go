package activities_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// fakeRuns are runs in Temporal.
type fakeRuns struct {
	// started are the runs that were started, in this order.
	started []activities.Run
	// open are run UUIDs of runs that are open.
	open []string
	// down is true while Temporal does not answer.
	down bool
	// waiting are closed runs whose records wait, and unrecorded what they have in their results.
	waiting    []activities.WaitingRun
	unrecorded map[string]activities.Unrecorded
	// since is the argument of the last call of Waiting. listed is how many runs Waiting lists together, and 0 means all.
	since  time.Time
	listed int
	// slow is how long it takes to read a result, and unread the run whose result cannot be read.
	slow   time.Duration
	unread string
	// last is the last outcome that Temporal has, if any.
	last *activities.EndedRun
	// sent are the heartbeats that were sent at once.
	sent []sentHeartbeat
	// requested are the values whose runs are open.
	requested []string
}

type sentHeartbeat struct {
	At      time.Time
	Details any
}

var errTemporalDown = errors.New("temporal is down")

func (f *fakeRuns) Start(_ context.Context, run activities.Run) (tick time.Time, err error) {
	if f.down {
		return tick, errTemporalDown
	}
	for _, started := range f.started {
		if started.UUID == run.UUID {
			return started.Key.Tick, nil
		}
	}
	f.started = append(f.started, run)
	return run.Key.Tick, nil
}

func (f *fakeRuns) Open(_ context.Context, runUUID, _ string) (bool, error) {
	if f.down {
		return false, errTemporalDown
	}
	return slices.Contains(f.open, runUUID), nil
}

func (f *fakeRuns) OpenRequest(_ context.Context, _ check.Ref, value string) (bool, error) {
	if f.down {
		return false, errTemporalDown
	}
	return slices.Contains(f.requested, value), nil
}

func (f *fakeRuns) Waiting(_ context.Context, since, until time.Time) (found []activities.WaitingRun, all bool, err error) {
	if f.down {
		return nil, false, errTemporalDown
	}
	f.since = since
	for _, run := range f.waiting {
		if run.Closed.After(since) && !run.Closed.After(until) {
			found = append(found, run)
		}
	}
	if f.listed > 0 && len(found) > f.listed {
		return found[:f.listed], false, nil
	}
	return found, true, nil
}

func (f *fakeRuns) Unrecorded(_ context.Context, run activities.WaitingRun) (activities.Unrecorded, error) {
	time.Sleep(f.slow)
	if run.UUID == f.unread {
		return activities.Unrecorded{}, errTemporalDown
	}
	return f.unrecorded[run.UUID], nil
}

func (f *fakeRuns) LastOutcome(context.Context, check.Ref) (last activities.EndedRun, ok bool, err error) {
	switch {
	case f.down:
		return last, false, errTemporalDown
	case f.last == nil:
		return last, false, nil
	}
	return *f.last, true, nil
}

func (f *fakeRuns) Heartbeat(ctx context.Context, token []byte, details any) error {
	if f.down {
		return errTemporalDown
	}
	if len(token) > 0 && string(token) == string(activity.GetInfo(ctx).TaskToken) {
		f.sent = append(f.sent, sentHeartbeat{time.Now(), details})
	}
	return nil
}
