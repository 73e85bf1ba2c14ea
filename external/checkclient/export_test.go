package checkclient

import (
	"time"

	"github.com/khronicle/khronicle/external/status"
)

// Clock is a clock that only sleeping moves, with random numbers of the test's choice.
type Clock struct {
	// Random is what the random numbers are, in [0, 1); 0.5 gives the pauses without spread.
	Random float64
	// TryTimeout bounds one try, by the real clock; zero means the usual bound.
	TryTimeout time.Duration
	// Slept are the pauses so far.
	Slept []time.Duration
	now   time.Time
}

// Elapsed returns how long all sleeps took together.
func (c *Clock) Elapsed() time.Duration { return c.now.Sub(time.Time{}) }

// Report reports as ReportSuccess and ReportFailure do, by the clock c.
func Report(errorMessages []string, c *Clock) error {
	s := newSender()
	s.now = func() time.Time { return c.now }
	s.random = func() float64 { return c.Random }
	if c.TryTimeout > 0 {
		s.client.Timeout = c.TryTimeout
	}
	s.sleep = func(d time.Duration) {
		c.Slept = append(c.Slept, d)
		c.now = c.now.Add(d)
	}
	return report(status.NewReport(errorMessages), s)
}
