package measure

import "fmt"

// Hang is what was seen of ticks and records while the database of the ledger hung, and after it.
type Hang struct {
	Seconds float64 `json:"seconds"`
	// The number of ticks in the hang, how many of them were started, and how many of those on time.
	Due     int `json:"due"`
	Started int `json:"started"`
	OnTime  int `json:"onTime"`
	// Lateness counts from the tick.
	Lateness Quantiles `json:"latenessSeconds"`
	// Hung is how many of these ticks had a record at the end of the hang: few, else nothing hung.
	Hung int `json:"recordedInTheHang"`
	// Records are those of the whole window, and CaughtUp how long after the hang all of them were there.
	Records  Records `json:"records"`
	CaughtUp float64 `json:"caughtUpSeconds"`
}

// shownWrong is how many of the wrong records people are shown.
const shownWrong = 20

// Problems are what must not be.
func (h *Hang) Problems() (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if h.Due == 0 {
		say("no tick was due in the hang")
	}
	if h.OnTime != h.Due {
		say("%d of %d ticks in the hang were not started on time", h.Due-h.OnTime, h.Due)
	}
	if h.Hung > h.Due/10 {
		say("%d of %d ticks had a record in the hang: the database did not hang", h.Hung, h.Due)
	}
	if h.Records.Recorded != h.Records.Due || len(h.Records.Wrong) > 0 {
		say("%d of %d records are there, %d things are wrong", h.Records.Recorded, h.Records.Due, len(h.Records.Wrong))
	}
	return problems
}

func (h *Hang) write(row func(name, format string, args ...any)) {
	row("hang", "the database of the ledger hung for %.0f s: %d ticks due, %d started, %d on time", h.Seconds, h.Due, h.Started, h.OnTime)
	row("lateness in the hang", "p50 %.3f s, p99 %.3f s, max %.3f s", h.Lateness.P50, h.Lateness.P99, h.Lateness.Max)
	row("records", "%d of the hang's at its end; of all %d ticks %d after %.0f s: %v", h.Hung, h.Records.Due, h.Records.Recorded, h.CaughtUp, h.Records.Outcomes)
	for i, wrong := range h.Records.Wrong {
		if i == shownWrong {
			row("WRONG", "and %d more", len(h.Records.Wrong)-i)
			break
		}
		row("WRONG", "%s", wrong)
	}
}
