// Package proof decides whether Khronicle has passed a crash test. It compares what remains: the ledger, the KHStates,
// Temporal's histories, what the pods wrote, and the faults. It decides from facts alone and makes no calls.
package proof

import (
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/chaos/fault"
	"github.com/khronicle/khronicle/test/chaos/journal"
)

// Facts are all that is known when the chaos is over and nothing runs any more.
type Facts struct {
	// Ended is when the last fault had ended: ticks that were due until then are counted.
	Ended    time.Time
	Checks   []Check
	Rows     []ledger.Record
	Runs     []Run
	Ticks    []Tick
	States   []State
	Journals [][]journal.Line
	Faults   []fault.Window
	// Unsettled says what had not come to rest within the time for that.
	Unsettled []string
	// Ledger are the contradictions that ledger.Verify found.
	Ledger []string
	// Logs are lines of the roles' logs that no fault explains, such as a panic.
	Logs []string
	// Left is what was there after all checks had been deleted and everything had been ended.
	Left []string
}

// Check is one check, and the schedules that Temporal has of it: one, as nobody edits it.
type Check struct {
	Name, UID string
	Schedules []Schedule
}

// Schedule is the ticks of a check.
type Schedule struct {
	Spec  check.ScheduleSpec
	Start time.Time
}

// Run is a CheckRun in Temporal.
type Run struct {
	// ID is the run UUID.
	ID, Check, UID  string
	Trigger         check.Trigger
	Tick            time.Time
	Started, Closed time.Time
	// Status is Temporal's; "Completed" is the only one that is right.
	Status string
	// Outcome is the result, where there is one.
	Conclusion *check.Conclusion
	// Waited is true when the ledger did not take the record at the end of the run.
	Waited bool
}

// Tick is a ScheduledCheck in Temporal: of a schedule, or that of a first run.
type Tick struct {
	// RunID is also the run UUID of the run that the tick started.
	ID, RunID, Check string
	Trigger          check.Trigger
	Started, Closed  time.Time
	// Decided is true when it ended in order. Then Tick is the scheduled time that it decided, and Skipped what.
	Decided bool
	Tick    time.Time
	Skipped bool
}

// State is a KHState.
type State struct {
	Check  string
	OK     bool
	Errors []string
	UUID   string
	// RunStarted is when the run began that it shows.
	RunStarted time.Time
}

// Rule names what a violation violates.
type Rule string

// The rules.
const (
	// OneSchedule: each check has exactly one schedule, whose ticks can be read.
	OneSchedule Rule = "one-schedule"
	// Unrecorded: each tick has a row.
	Unrecorded Rule = "unrecorded"
	// Surplus: each row of a schedule is a tick, and none is there twice.
	Surplus Rule = "surplus"
	// Open: each row has an outcome.
	Open Rule = "open"
	// NoRun: the run of each row is in Temporal.
	NoRun Rule = "no-run"
	// NoRow: each run has a row.
	NoRow Rule = "no-row"
	// TwoRuns: no tick has two runs.
	TwoRuns Rule = "two-runs"
	// Overlap: no run of a check begins while another is open.
	Overlap Rule = "overlap"
	// Undone: what a tick decided is there, its run or its skipped row.
	Undone Rule = "undone"
	// Broken: each run has ended in order.
	Broken Rule = "broken"
	// OtherResult: the row is what the run's own result says.
	OtherResult Rule = "other-result"
	// TwoPods: no run has two pods at a time.
	TwoPods Rule = "two-pods"
	// StrangerPod: each pod belongs to a run.
	StrangerPod Rule = "stranger-pod"
	// LostReport: a report that was answered 200 before the deadline is the outcome, or a part of it. One that came after it is noted.
	LostReport Rule = "lost-report"
	// Guessed: no outcome of a check that no pod gave.
	Guessed Rule = "guessed"
	// Unexplained: each other failure is what the pod did, or is explained by a fault.
	Unexplained Rule = "unexplained"
	// FalseSkip and FalseMiss: a run was open when a skipped tick was decided, and nobody decided a missed one.
	FalseSkip Rule = "false-skip"
	FalseMiss Rule = "false-miss"
	// WrongState: the KHState shows the last run.
	WrongState Rule = "wrong-state"
	// BadLedger: the ledger agrees with itself.
	BadLedger Rule = "bad-ledger"
	// BadLog: no role panicked, and no workflow was stuck.
	BadLog Rule = "bad-log"
	// NotSettled: everything came to rest in time.
	NotSettled Rule = "not-settled"
	// LeftBehind: nothing is left.
	LeftBehind Rule = "left-behind"
)

// Rules are all of them.
var Rules = []Rule{
	OneSchedule, Unrecorded, Surplus, Open, NoRun, NoRow, TwoRuns, Overlap, Undone, Broken, OtherResult, TwoPods, StrangerPod, LostReport, Guessed,
	Unexplained, FalseSkip, FalseMiss, WrongState, BadLedger, BadLog, NotSettled, LeftBehind,
}

// Violation is one thing that is not as it must be.
type Violation struct {
	Rule Rule
	Text string
}
