package doctor

import (
	"net/http"
	"time"
)

// Limits of how far two clocks may be apart. A pod gets its deadline as a time of the worker's clock.
const (
	skewWarn = 5 * time.Second
	skewFail = 30 * time.Second
)

// clock is how far the clock of another is ahead of that of this machine, and by how much that may be wrong.
type clock struct {
	who            string
	ahead, inexact time.Duration
}

// readClock reads the header Date, which has whole seconds, of an answer to a request that was sent at that time.
func (x *examination) readClock(who, date string, sent time.Time) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	x.noteClock(who, at.Add(500*time.Millisecond), 500*time.Millisecond, sent)
}

// noteClock notes a time that another had between sent and now.
func (x *examination) noteClock(who string, at time.Time, inexact time.Duration, sent time.Time) {
	half := x.Now().Sub(sent) / 2
	x.clocks = append(x.clocks, clock{who: who, ahead: at.Sub(sent.Add(half)), inexact: inexact + half})
}

// compareClocks compares all clocks that were read, and that of this machine, with each other.
func (x *examination) compareClocks() {
	if len(x.clocks) == 0 {
		x.add("clocks", Skipped, "", "no clock was read")
		return
	}
	clocks := append([]clock{{who: "this machine"}}, x.clocks...)
	var first, second clock
	apart := time.Duration(-1)
	for i, a := range clocks {
		for _, b := range clocks[:i] {
			if d := (a.ahead - b.ahead).Abs() - a.inexact - b.inexact; d > apart {
				first, second, apart = a, b, d
			}
		}
	}
	if first.ahead < second.ahead {
		first, second = second, first
	}
	if apart <= skewWarn {
		x.add("clocks", OK, "", "%d clocks are at most %s apart, as far as can be seen", len(clocks), skewWarn)
		return
	}
	status := Warn
	if apart > skewFail {
		status = Fail
	}
	x.add("clocks", status, "timedatectl set-ntp true", "the clock of %s is at least %s ahead of that of %s; set it on the machine whose clock is wrong",
		first.who, apart.Round(time.Second), second.who)
}
