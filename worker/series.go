package worker

import (
	"context"
	"log/slog"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Series are the series of metrics that this process has written.
type Series interface {
	// Values returns the values of a label, each once, of the series that have another label with a value.
	Values(label, where, value string) []string
	// Forget removes the series whose label has a value.
	Forget(label, value string)
}

// watched is what the forgetter needs from the cluster.
type watched interface {
	Checks() []*khv1.KuberhealthyCheck
	States() []*khv1.KuberhealthyState
}

// forgetter removes the counters of checks that were deleted. Otherwise /metrics would grow with each name that a check ever
// had, for as long as the process lives. Jobs need none: all jobs of a namespace share their series.
type forgetter struct {
	cluster watched
	series  Series
	logger  *slog.Logger
	// absent is when each check was first seen to be neither a KHCheck nor a KHState.
	absent map[string]time.Time
}

const (
	// forgetEvery is the time between two looks.
	forgetEvery = time.Minute
	// forgetAfter is how long the series of a deleted check stay. Prometheus must read the end of its last run, perhaps
	// after an outage of its own, and looks back 5 minutes.
	forgetAfter = 15 * time.Minute
	labelCheck  = "check"
)

func (f *forgetter) run(ctx context.Context) {
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			f.look(now)
		}
	}
}

// look removes the series of the checks that have been absent for long enough.
func (f *forgetter) look(now time.Time) {
	present, absent := f.present(), map[string]time.Time{}
	for _, label := range f.series.Values(labelCheck, "workload", string(khv1.KHCheck)) {
		if present[label] {
			continue
		}
		since, known := f.absent[label]
		if !known {
			since = now
		}
		if now.Sub(since) < forgetAfter {
			absent[label] = since
			continue
		}
		f.series.Forget(labelCheck, label)
		f.logger.Info("the counters of a deleted check have left the metrics", "check", label)
	}
	f.absent = absent
}

// present has the labels of all checks, and of all states: that of a program's run has no check.
func (f *forgetter) present() map[string]bool {
	all := map[string]bool{}
	for _, c := range f.cluster.Checks() {
		all[check.Ref{Kind: khv1.KHCheck, Namespace: c.Namespace, Name: c.Name}.CounterLabel()] = true
	}
	for _, state := range f.cluster.States() {
		all[check.Ref{Kind: khv1.KHCheck, Namespace: state.Namespace, Name: state.Name}.CounterLabel()] = true
	}
	return all
}
