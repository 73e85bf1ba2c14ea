package starter

import (
	"hash/fnv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// widestSpread bounds how long the first run of a check is put off, however long its interval is.
const widestSpread = 10 * time.Minute

// spread keeps many checks that appear together (an installation over existing checks, a large apply) from starting all at
// once, then and at each tick for ever after. A few start at once; a further one at a point of its interval that its name
// decides, so that all starters choose the same. Nothing of it needs to outlive the process: a check that has no schedule
// yet is looked at again by the next starter.
type spread struct {
	atOnce *rate.Limiter
	mu     sync.Mutex
	due    map[key]time.Time
}

func newSpread(burst int) *spread {
	return &spread{atOnce: rate.NewLimiter(1, burst), due: map[key]time.Time{}}
}

// wait returns how long the start of a check is to be put off. Ask again then: 0 means now.
func (s *spread) wait(k key, c *khv1.KuberhealthyCheck, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	due, waiting := s.due[k]
	if !waiting {
		if s.atOnce.AllowN(now, 1) {
			return 0
		}
		due = dueIn(windowOf(c, now), k, c.CreationTimestamp.Time, now)
		s.due[k] = due
	}
	if due.After(now) {
		return due.Sub(now)
	}
	delete(s.due, k)
	return 0
}

// forget is called for a check that has no need to start any more.
func (s *spread) forget(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.due, k)
}

// dueIn returns the time in the window that is the check's own. The window begins with the creation of the check, so that a
// starter which takes over in the middle of it changes nothing; or now, if that is over.
func dueIn(window time.Duration, k key, created, now time.Time) time.Time {
	begin := created
	if now.Sub(begin) >= window {
		begin = now
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(k.namespace + "/" + k.name)) // never fails
	return begin.Add(time.Duration(hash.Sum64() % uint64(window)))
}

// windowOf is the interval of a check whose schedule is valid, within bounds.
func windowOf(c *khv1.KuberhealthyCheck, now time.Time) time.Duration {
	schedule, err := check.ParseSchedule(check.ScheduleOf(c.Spec))
	if err != nil {
		return widestSpread
	}
	return min(schedule.Interval(now), widestSpread)
}
