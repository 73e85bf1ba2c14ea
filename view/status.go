package view

import (
	"slices"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Status returns the state of the cluster as Kuberhealthy's status page has it: of these namespaces, or of all if the list
// is empty. With ignoreUnknown, an unknown check has its last outcome.
func (s *Snapshot) Status(namespaces []string, ignoreUnknown bool) check.Summary {
	states, isJob := make([]*khv1.KuberhealthyState, len(s.Recorded)), make(map[*khv1.KuberhealthyState]bool, len(s.Recorded))
	for i, r := range s.Recorded {
		states[i], isJob[r.KuberhealthyState] = r.KuberhealthyState, r.Kind == khv1.KHJob
	}
	var unknown []check.Awaited
	for _, c := range s.Checks {
		if !ignoreUnknown && c.Overdue(s.At) {
			unknown = append(unknown, c.from.awaited)
		}
	}
	return check.Summarize(states, func(state *khv1.KuberhealthyState) bool { return isJob[state] }, namespaces, unknown...)
}

// Overdue is true when the next outcome should have been there before a time.
func (c *Check) Overdue(now time.Time) bool { return c.from.awaited.Unknown(now) }

// Counts is how many checks and jobs have each state.
type Counts struct{ Healthy, Failing, Unknown, Paused int }

// Total is how many there are.
func (c Counts) Total() int { return c.Healthy + c.Failing + c.Unknown + c.Paused }

func (c *Counts) add(state State) {
	switch state {
	case Healthy:
		c.Healthy++
	case Failing:
		c.Failing++
	case Unknown:
		c.Unknown++
	case Paused:
		c.Paused++
	}
}

// Summary is the checks and jobs in numbers.
type Summary struct {
	// OK is true when no check or job is failing, and none is overdue.
	OK           bool
	Checks, Jobs Counts
	// Running is how many runs are open. It is 0 without a ledger.
	Running int
	// Uptime adds up the runs of all checks and jobs in the last 24 hours.
	Uptime Uptime
	Ledger LedgerState
}

// Summary counts the checks and jobs of these namespaces, or of all if the list is empty.
func (s *Snapshot) Summary(namespaces ...string) Summary {
	sum := Summary{OK: true, Ledger: s.Ledger}
	for _, c := range s.Checks {
		if len(namespaces) > 0 && !slices.Contains(namespaces, c.Namespace) {
			continue
		}
		counts := &sum.Checks
		if c.Kind == khv1.KHJob {
			counts = &sum.Jobs
		}
		counts.add(c.State)
		sum.OK = sum.OK && c.State != Failing && c.Reason != ReasonOverdue
		sum.Running += c.Running
		sum.Uptime.Succeeded += c.Day.Succeeded
		sum.Uptime.Known += c.Day.Known
	}
	return sum
}
