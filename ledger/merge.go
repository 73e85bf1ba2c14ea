package ledger

// intent is what a caller wants of an account.
type intent int

const (
	begin intent = iota
	finish
	tick
)

// change is an account that a caller gives, and how.
type change struct {
	intent  intent
	account Account
}

// row is what decides about a change, and what the roll-ups count, of an account that is stored.
type row struct {
	exists     bool
	outcome    Outcome
	flaky      bool
	revision   int
	workflowID string
	duration   int64 // microseconds, where timed
	timed      bool
}

func rowOf(a Account) row {
	r := row{exists: true, outcome: a.Outcome, revision: a.Revision, workflowID: a.WorkflowID}
	if a.Outcome == Unfinished { // what is not known yet is counted nowhere
		return r
	}
	duration, timed := a.Duration()
	r.flaky, r.duration, r.timed = a.Flaky, duration.Microseconds(), timed
	return r
}

// merge decides whether a change replaces what is stored. The rule gives one end whatever the order and the repetitions of
// the changes of a tick: what a run says of itself before what others say of the tick, closed before open, and of the closed
// ones the highest revision. A tick may be entered as missed while the account of the run that did take place is on its way.
func merge(stored row, c change) (replace bool, refusal error) {
	switch {
	case !stored.exists:
		return true, nil
	case c.intent == tick:
		return false, nil
	case stored.workflowID == "":
		return true, nil
	case stored.workflowID != c.account.WorkflowID:
		return false, ErrOtherRun
	case c.intent == begin:
		return false, nil
	case stored.outcome == Unfinished:
		return true, nil
	default:
		return c.account.Revision > stored.revision, nil
	}
}
