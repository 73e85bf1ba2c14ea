package measure

import (
	"fmt"
	"time"
)

// Record is what the ledger has of a tick of a check. Run is the ID of its run, and empty when none was started.
type Record struct {
	Tick    time.Time
	Run     string
	Outcome string
}

// Records says how the records of the ledger compare with the ticks, and with the runs that Temporal has.
type Records struct {
	// How many ticks there were, how many of them have a closed record, and what outcomes those have.
	Due      int            `json:"due"`
	Recorded int            `json:"recorded"`
	Outcomes map[string]int `json:"outcomes"`
	// Wrong are ticks without a closed record, runs without their record, and records of no tick or run.
	Wrong []string `json:"wrong,omitempty"`
}

// Add adds those of another check.
func (r *Records) Add(o Records) {
	r.Due += o.Due
	r.Recorded += o.Recorded
	r.Wrong = append(r.Wrong, o.Wrong...)
	if r.Outcomes == nil {
		r.Outcomes = map[string]int{}
	}
	for outcome, n := range o.Outcomes {
		r.Outcomes[outcome] += n
	}
}

// Compare compares the records of a check that were due in [from, until) with its ticks and its runs.
func (g Schedule) Compare(check string, records []Record, runs []Run, from, until time.Time) Records {
	c := comparison{check: check, Records: Records{Outcomes: map[string]int{}}, at: map[int64]Record{}, runs: map[string]Run{}}
	within := func(t time.Time) bool { return !t.Before(from) && t.Before(until) }
	for _, run := range runs {
		c.runs[run.ID] = run
	}
	for _, record := range records {
		if within(record.Tick) {
			c.record(record)
		}
	}
	due := map[int64]bool{}
	for _, slot := range g.Due(from, until) {
		at := g.at(slot)
		due[at.UnixMicro()] = true
		c.due(at)
	}
	for at, record := range c.at {
		if !due[at] {
			c.wrong("has a record at %s, when it was not due", record.Tick)
		}
	}
	for _, run := range runs {
		if within(run.Tick) && c.at[run.Tick.UnixMicro()].Run != run.ID {
			c.wrong("has no record of run %s, due at %s", run.ID, run.Tick)
		}
	}
	return c.Records
}

type comparison struct {
	Records
	check string
	at    map[int64]Record // by tick
	runs  map[string]Run   // by ID
}

func (c *comparison) wrong(format string, args ...any) {
	for i, arg := range args {
		if t, ok := arg.(time.Time); ok {
			args[i] = t.UTC().Format(time.RFC3339Nano)
		}
	}
	c.Wrong = append(c.Wrong, c.check+" "+fmt.Sprintf(format, args...))
}

func (c *comparison) record(record Record) {
	at := record.Tick.UnixMicro()
	if _, twice := c.at[at]; twice {
		c.wrong("has two records at %s", record.Tick)
	}
	c.at[at] = record
	run, exists := c.runs[record.Run]
	switch {
	case record.Run == "":
	case !exists:
		c.wrong("has a record at %s of run %s, which Temporal does not have", record.Tick, record.Run)
	case run.Outcome != record.Outcome:
		c.wrong("has a record at %s that says %q, and its run says %q", record.Tick, record.Outcome, run.Outcome)
	}
}

func (c *comparison) due(at time.Time) {
	c.Due++
	record, exists := c.at[at.UnixMicro()]
	switch {
	case !exists:
		c.wrong("was due at %s and has no record", at)
	case record.Outcome == "":
		c.wrong("was due at %s and its record is open", at)
	default:
		c.Recorded++
		c.Outcomes[record.Outcome]++
	}
}
