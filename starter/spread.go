package starter

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/time/rate"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// spread prevents many checks from starting together, at first and at each later tick. They would do so after an
// installation over existing checks, or after a large apply. A few start at once. For each further check, its name and the
// clock decide when its turn comes. So all starters choose the same time, also after one replaces another.
type spread struct {
	atOnce *rate.Limiter
	mu     sync.Mutex
	// The time at which each check may start that has not started yet.
	due map[key]time.Time
}

func newSpread(burst int) *spread {
	return &spread{atOnce: rate.NewLimiter(1, burst), due: map[key]time.Time{}}
}

// wait returns how long to delay the start of a check. Call it again then. 0 means now, also when the start fails and is
// retried, until settled is called.
func (s *spread) wait(k key, c *khv1.KuberhealthyCheck, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	tick, known := s.due[k]
	if !known {
		tick = now
		if !s.atOnce.AllowN(now, 1) {
			tick = turn(k, windowOf(c, now), now)
		}
		s.due[k] = tick
	}
	return max(tick.Sub(now), 0)
}

// delays is true for a check that has not started yet, because its turn has not come.
func (s *spread) delays(k key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, waits := s.due[k]
	return waits
}

// settled is called for a check that has started, or does not have to.
func (s *spread) settled(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.due, k)
}

// turn returns the next time at which the check may start. Each check has a time of its own in every window of the clock.
func turn(k key, window time.Duration, now time.Time) time.Time {
	sum := sha256.Sum256([]byte(k.namespace + "/" + k.name)) // a weaker hash puts names that differ in a digit together
	tick := now.Truncate(window).Add(time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(window)))
	if tick.Before(now) {
		return tick.Add(window)
	}
	return tick
}

// windowOf is the interval of a check whose schedule is valid, within bounds.
func windowOf(c *khv1.KuberhealthyCheck, now time.Time) time.Duration {
	schedule, err := check.ParseSchedule(check.ScheduleOf(c.Spec))
	if err != nil {
		return check.WidestSpread
	}
	return min(schedule.Interval(now), check.WidestSpread)
}
