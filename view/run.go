package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Run is one tick or run of a check as people see it. Times are zero where they are not known.
type Run struct {
	check.Ref
	RunID
	// UUID is the run UUID of a run that has ended. It is empty while the run is open, for a tick without a run, and without
	// a ledger.
	UUID string
	// Outcome is check.Unfinished while the run is open.
	Outcome check.Outcome
	// Flaky is true when the run succeeded after an attempt of it had failed.
	Flaky bool

	// Started is when the run began, and Deadline its latest end. Concluded is when its outcome was known.
	Started, PodCreated, Running, Reported, Concluded, Exited, Recorded, Deadline time.Time
	// Queued is how long the run waited for its turn to start a pod.
	Queued time.Duration
	// Duration is how long it took from its start to its report or outcome. Timed is false where that is not known.
	Duration time.Duration
	Timed    bool

	// Attempts is the number of pods of the run. InfraFailures is how many of them failed because of the platform.
	Attempts, InfraFailures     int
	Node, ImageDigest, SpecHash string
	Errors, Notes               []string

	key ledger.Key
}

// Open is true while the run has not ended.
func (r Run) Open() bool { return r.Outcome == check.Unfinished }

// RunID identifies a tick or run of a check.
type RunID struct {
	// Tick is the scheduled time, in whole microseconds. Of a run without a schedule it is when the run was asked for.
	Tick    time.Time
	Trigger check.Trigger
}

var triggers = []check.Trigger{check.TriggerSchedule, check.TriggerFirst, check.TriggerManual, check.TriggerJob}

// ID returns the identifier as text, such as "schedule-1795996800000000": the trigger, and the tick in microseconds since
// 1970. It can be a part of a URL.
func (id RunID) ID() string { return fmt.Sprintf("%s-%d", id.Trigger, id.Tick.UnixMicro()) }

// ParseRunID is the inverse of RunID.ID.
func ParseRunID(text string) (RunID, error) {
	trigger, number, _ := strings.Cut(text, "-")
	micro, err := strconv.ParseInt(number, 10, 64)
	id := RunID{Tick: time.UnixMicro(micro).UTC(), Trigger: check.Trigger(trigger)}
	if err != nil || !slices.Contains(triggers, id.Trigger) || id.ID() != text || id.Tick.Year() < 1970 || id.Tick.Year() > 9999 {
		return RunID{}, fmt.Errorf(`%q is not a run such as "schedule-1795996800000000"`, text)
	}
	return id, nil
}

// RunOf returns what a record shows. It hides the run UUID of a run that is open.
func RunOf(r ledger.Record) Run {
	r = Hidden(r)
	run := Run{
		Ref:   check.Ref{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name},
		RunID: RunID{r.Tick, r.Trigger}, UUID: r.WorkflowID, Outcome: r.Outcome, Flaky: r.Flaky,
		Started: r.Started, PodCreated: r.PodCreated, Running: r.Running, Reported: r.Reported, Concluded: r.Concluded,
		Exited: r.Exited, Recorded: r.Recorded, Deadline: r.Deadline, Queued: r.Queued,
		Attempts: r.Attempts, InfraFailures: r.InfraFailures, Node: r.Node, ImageDigest: r.ImageDigest, SpecHash: r.SpecHash,
		Errors: r.Errors, Notes: r.Notes, key: r.Key,
	}
	run.Duration, run.Timed = r.Duration()
	return run
}

// Hidden returns a record without the run UUID while the run is open, because a report with that UUID would be accepted.
func Hidden(r ledger.Record) ledger.Record {
	if r.Outcome == check.Unfinished {
		r.WorkflowID = ""
	}
	return r
}

// runOfState returns a run as a KHState lists it. last is what the state shows, if this is its last run. Otherwise it is
// nil.
func runOfState(ref check.Ref, r check.RecentRun, last *LastRun) Run {
	run := Run{
		Ref: ref, Outcome: r.Outcome, Started: r.Started,
		RunID:    RunID{r.Tick, check.TriggerSchedule},
		Duration: time.Duration(r.Seconds * float64(time.Second)).Round(time.Millisecond), Timed: true,
	}
	run.Concluded = run.Started.Add(run.Duration)
	if run.Tick.IsZero() {
		run.Tick = run.Started.Truncate(time.Microsecond)
	}
	if last != nil {
		run.Node, run.Errors = last.Node, last.Errors
	}
	return run
}
