package ledger

import "github.com/khronicle/khronicle/check"

// intent is what a caller wants to do with a record.
type intent int

const (
	begin intent = iota
	finish
	tick
)

// change is a record that a caller sends, and its intent.
type change struct {
	intent intent
	record Record
}

// row is the part of a stored record that decides about a change, and that the roll-ups count.
type row struct {
	exists     bool
	outcome    check.Outcome
	flaky      bool
	revision   int
	workflowID string
	duration   int64 // microseconds, where timed
	timed      bool
}

func rowOf(record Record) row {
	r := row{exists: true, outcome: record.Outcome, revision: record.Revision, workflowID: record.WorkflowID}
	if record.Outcome == check.Unfinished { // a run that is open is counted nowhere
		return r
	}
	duration, timed := record.Duration()
	r.flaky, r.duration, r.timed = record.Flaky, duration.Microseconds(), timed
	return r
}

// merge decides whether a change replaces what is stored. The order and the number of the changes of a tick do not matter:
// the same record remains. A run wins over a tick without a run, a closed record over an open one, and a higher revision
// over a lower one. A tick may be recorded as missed while the record of its run is still on its way.
func merge(stored row, c change) (replace bool, refusal error) {
	switch {
	case !stored.exists:
		return true, nil
	case c.intent == tick:
		return false, nil
	case stored.workflowID == "":
		return true, nil
	case stored.workflowID != c.record.WorkflowID:
		return false, ErrOtherRun
	case c.intent == begin:
		return false, nil
	case stored.outcome == check.Unfinished:
		return true, nil
	default:
		return c.record.Revision > stored.revision, nil
	}
}
