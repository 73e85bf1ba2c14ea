package proof_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/chaos/fault"
	"github.com/khronicle/khronicle/test/chaos/journal"
	"github.com/khronicle/khronicle/test/chaos/proof"
)

const (
	interval = 10 * time.Second
	timeout  = 12 * time.Second
	uid      = "uid-of-cart"
)

var start = time.Date(2030, 4, 1, 12, 0, 0, 0, time.UTC)

// scene builds the facts of one check, step by step.
type scene struct{ proof.Facts }

// tick returns the nth tick.
func tick(n int) time.Time { return start.Add(time.Duration(n) * interval) }

// honest returns the facts of a check without any violation. It has a first run and four ticks. One run failed by its own
// report, one run received a report twice, and one tick was skipped because the run before took too long.
func honest() *scene {
	s := &scene{}
	s.Ended = tick(4).Add(interval / 2)
	s.Checks = []proof.Check{{Name: "cart", UID: uid, Schedules: []proof.Schedule{{Spec: check.ScheduleSpec{RunInterval: interval.String()}, Start: start}}}}
	s.reported("run-0", check.TriggerFirst, start, 2*time.Second)
	s.reported("run-1", check.TriggerSchedule, tick(1), 3*time.Second, "broken")
	s.reported("run-2", check.TriggerSchedule, tick(2), 11*time.Second)
	s.nothing(3, check.Skipped)
	s.reported("run-4", check.TriggerSchedule, tick(4), 4*time.Second)
	last := s.Runs[len(s.Runs)-1]
	s.States = []proof.State{{Check: "cart", OK: true, UUID: "run-4", RunStarted: last.Started.Add(millisecond)}}
	return s
}

const millisecond = time.Millisecond

// run adds a run that began a moment after it was due, and its row.
func (s *scene) run(id string, trigger check.Trigger, tick time.Time, took time.Duration, conclusion check.Conclusion) {
	began := tick.Add(50 * millisecond)
	conclusion.Started, conclusion.Concluded = began.Add(millisecond), began.Add(took)
	s.Runs = append(s.Runs, proof.Run{
		ID: id, Check: "cart", UID: uid, Trigger: trigger, Tick: tick, Started: began, Closed: began.Add(took + time.Second), Status: "Completed", Conclusion: &conclusion,
	})
	s.Ticks = append(s.Ticks, decided(trigger, id, tick, false))
	row := ledger.Record{
		Key: ledger.Key{CheckUID: uid, Trigger: trigger, Tick: tick.Truncate(time.Microsecond)}, Name: "cart", WorkflowID: id,
		Outcome: conclusion.Outcome, Errors: conclusion.Errors, Notes: conclusion.Notes, Started: conclusion.Started.Truncate(time.Microsecond), Concluded: conclusion.Concluded,
	}
	if conclusion.Reported {
		row.Reported = conclusion.Concluded
	}
	s.Rows = append(s.Rows, row)
}

// reported adds a run whose pod reported, and was answered 200, after a time.
func (s *scene) reported(id string, trigger check.Trigger, tick time.Time, took time.Duration, errs ...string) {
	conclusion := check.Conclusion{Outcome: check.Succeeded, Errors: errs, Reported: true}
	if len(errs) > 0 {
		conclusion.Outcome = check.Failed
	}
	s.run(id, trigger, tick, took, conclusion)
	began := tick.Add(time.Second)
	s.Journals = append(s.Journals, []journal.Line{
		{At: began, Kind: journal.Start, Pod: "pod of " + id, Run: id, Deadline: tick.Add(timeout), Text: "pass after 1s"},
		{At: tick.Add(took), Kind: journal.Sending, Report: 1, OK: len(errs) == 0, Errors: errs},
		{At: tick.Add(took + 10*millisecond), Kind: journal.Answered, Report: 1, Status: 200},
		{At: tick.Add(took + 20*millisecond), Kind: journal.End, Text: "done"},
	})
}

// failed adds a run without a report. Its pod did what the lines say, at times counted from the tick.
func (s *scene) failed(id string, n int, took time.Duration, outcome check.Outcome, text string, lines ...journal.Line) {
	s.run(id, check.TriggerSchedule, tick(n), took, check.Conclusion{Outcome: outcome, Errors: []string{"Check execution error: chaos/cart: " + text}})
	for i := range lines {
		lines[i].At = tick(n).Add(lines[i].At.Sub(time.Time{}))
	}
	if len(lines) > 0 {
		lines[0].Pod, lines[0].Run, lines[0].Deadline = "pod of "+id, id, tick(n).Add(timeout)
		s.Journals = append(s.Journals, lines)
	}
}

// decided is a tick that decided at once.
func decided(trigger check.Trigger, runID string, tick time.Time, skipped bool) proof.Tick {
	return proof.Tick{
		ID: "tick", RunID: runID, Check: "cart", Trigger: trigger, Started: tick.Add(40 * millisecond), Closed: tick.Add(90 * millisecond),
		Decided: true, Tick: tick, Skipped: skipped,
	}
}

// nothing adds a tick without a run. A skipped one was decided.
func (s *scene) nothing(n int, outcome check.Outcome) {
	if outcome == check.Skipped {
		s.Ticks = append(s.Ticks, decided(check.TriggerSchedule, fmt.Sprintf("none-%d", n), tick(n), true))
	}
	s.Rows = append(s.Rows, ledger.Record{
		Key: ledger.Key{CheckUID: uid, Trigger: check.TriggerSchedule, Tick: tick(n).Truncate(time.Microsecond)}, Name: "cart", Outcome: outcome,
	})
}

// fault adds one that lasted for a second, at a time counted from a tick.
func (s *scene) fault(kind fault.Kind, target fault.Target, n int, after time.Duration) {
	from := tick(n).Add(after)
	s.Faults = append(s.Faults, fault.Window{Fault: fault.Fault{Kind: kind, Target: target}, From: from, To: from.Add(time.Second)})
}

// row and runOf find what is to be doctored.
func (s *scene) row(n int) *ledger.Record { return &s.Rows[n] }

// grow lets the chaos last until after the nth tick.
func (s *scene) grow(n int) { s.Ended = tick(n).Add(interval / 2); s.stateOfLast() }

// stateOfLast makes the state show the newest run.
func (s *scene) stateOfLast() {
	last := s.Rows[0]
	for _, row := range s.Rows {
		if row.WorkflowID != "" && row.Started.After(last.Started) {
			last = row
		}
	}
	s.States = []proof.State{{Check: "cart", OK: last.Outcome == check.Succeeded, Errors: last.Errors, RunStarted: last.Started}}
}

// after is a line at a time after the tick.
func after(d time.Duration, kind journal.Kind) journal.Line {
	return journal.Line{At: time.Time{}.Add(d), Kind: kind, Report: 1}
}

func acts(what string) journal.Line {
	return journal.Line{At: time.Time{}.Add(time.Second), Kind: journal.Start, Text: what}
}

func ends(d time.Duration, how string) journal.Line {
	return journal.Line{At: time.Time{}.Add(d), Kind: journal.End, Text: how}
}

const (
	noReport = "timed out waiting for checker pod to report in"
	noExit   = "timed out waiting for pod to exit"
	unseen   = "failed to see pod running within timeout"
	silent   = "checker pod ended without reporting in: container check exited with code 3 (Error)"
)

// TestHonestFacts are proved without a violation: what is right must not be taken for wrong.
func TestHonestFacts(t *testing.T) {
	for name, doctor := range map[string]func(*scene){
		"nothing happened": func(*scene) {},
		"a tick after the chaos has a row": func(s *scene) {
			s.reported("run-5", check.TriggerSchedule, tick(5), time.Second)
			s.stateOfLast()
		},
		"a pod crashed": func(s *scene) {
			s.failed("run-5", 5, 2*time.Second, check.Failed, silent, acts("crash after 1s"), ends(2*time.Second, "crash"))
			s.grow(5)
		},
		"a pod crashed just before the deadline": func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("crash after 1s"), ends(timeout-time.Second, "crash"))
			s.grow(5)
		},
		"a tick began a second early, and found the run before it": func(s *scene) {
			s.Ticks[3].Started, s.Ticks[3].Closed = tick(3).Add(-900*millisecond), tick(3).Add(-800*millisecond)
			s.Runs[2].Closed = tick(3).Add(-850 * millisecond)
		},
		"a tick was decided late, and found the run before it": func(s *scene) {
			s.Ticks[3].Started, s.Ticks[3].Closed = tick(3).Add(6*time.Second), tick(3).Add(7*time.Second)
			s.Runs[2].Closed = tick(3).Add(6500 * millisecond)
		},
		"a tick was decided twice, and the second time for the next tick": func(s *scene) {
			s.Ticks = slices.Delete(s.Ticks, 3, 4)
			s.Ticks[3].Started = tick(3)
		},
		"a tick was ended before it had a result": func(s *scene) {
			s.Ticks[3].Decided, s.Ticks[3].Tick = false, time.Time{}
		},
		"a run waited for its turn to start a pod": func(s *scene) {
			s.failed("run-5", 5, timeout+6*time.Second, check.TimedOut, unseen)
			s.row(5).Queued = 6 * time.Second
			s.row(5).PodCreated = tick(5).Add(7 * time.Second)
			s.grow(5)
		},
		"the cluster started a pod too late": func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("pass after 5s"), after(timeout, journal.Told))
			s.Journals[4][0].At = tick(5).Add(8 * time.Second)
			s.row(5).PodCreated = tick(5).Add(time.Second)
			s.grow(5)
		},
		"the cluster started a pod too late that was created late, too": func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, unseen, acts("hang after 1s"), after(timeout+5*time.Second, journal.Told))
			s.Journals[4][0].At = tick(5).Add(timeout + 5*time.Second)
			s.row(5).PodCreated = tick(5).Add(4 * time.Second)
			s.grow(5)
		},
		"the cluster told of the end of a pod too late": func(s *scene) { s.stayed(4 * time.Second) },
		"the cluster never started a pod": func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, unseen)
			s.row(5).PodCreated = tick(5).Add(time.Second)
			s.grow(5)
		},
		"a pod hung": func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("hang after 1s"), after(timeout, journal.Alive))
			s.grow(5)
		},
		"the report API was away": func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("pass after 1s"), after(2*time.Second, journal.Sending), after(timeout, journal.Told))
			s.fault(fault.Freeze, fault.PodsReportAPI, 5, 3*time.Second)
			s.grow(5)
		},
		"a report was stored, but its answer was lost": func(s *scene) {
			s.reported("run-5", check.TriggerSchedule, tick(5), 2*time.Second, "kept")
			last := s.Journals[len(s.Journals)-1]
			last[2].Kind, last[2].Status = journal.Unanswered, 0
			s.grow(5)
		},
		"the first report was stored without an answer, the second answered": func(s *scene) {
			s.reported("run-5", check.TriggerSchedule, tick(5), 2*time.Second, "first")
			last := &s.Journals[len(s.Journals)-1]
			(*last)[2].Kind, (*last)[2].Status = journal.Unanswered, 0
			*last = append(*last, journal.Line{At: tick(5).Add(5 * time.Second), Kind: journal.Sending, Report: 2, Errors: []string{"second"}},
				journal.Line{At: tick(5).Add(5 * time.Second), Kind: journal.Answered, Report: 2, Status: 200})
			s.becomes(5, "first", "second")
		},
		"a further report of failure counts": func(s *scene) {
			s.reportsAgain(6*time.Second, false)
			s.becomes(4, "second")
		},
		"a further report of success does not count": func(s *scene) { s.reportsAgain(6*time.Second, true) },
		"a further report of failure came with the deadline": func(s *scene) {
			s.reportsAgain(timeout, false)
			s.becomes(4, "second")
		},
		"a further report of failure came with the deadline, and was late": func(s *scene) { s.reportsAgain(timeout, false) },
		"a report came after the deadline": func(s *scene) {
			s.late(timeout + 4*time.Second)
			s.row(5).Notes = []string{lateNote}
		},
		"a report came with the deadline": func(s *scene) {
			s.late(timeout - 5*millisecond)
			s.row(5).Notes = []string{lateNote}
			s.row(5).PodCreated = time.Time{}
		},
		"a pod stayed": func(s *scene) { s.stayed(timeout) },
		"the end of a pod was not seen": func(s *scene) {
			s.stayed(4 * time.Second)
			s.fault(fault.Stop, fault.Kubelet, 5, 3*time.Second)
		},
		"a crash long before the deadline that the cluster did not know of": func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("crash after 1s"), ends(timeout-6*time.Second, "crash"))
			s.grow(5)
		},
		"nobody was there": func(s *scene) {
			s.nothing(5, check.Missed)
			s.fault(fault.Kill, fault.Temporal, 5, -2*time.Second)
			s.grow(5)
		},
		"nobody was there while a run went on": func(s *scene) {
			s.row(3).Outcome = check.Missed
			s.Ticks = slices.Delete(s.Ticks, 3, 4)
			s.fault(fault.Kill, fault.Worker, 3, 0)
		},
		"Temporal was too slow to decide": func(s *scene) {
			s.nothing(5, check.Missed)
			s.fault(fault.Slow, fault.AllTemporal, 5, -2*time.Second)
			s.grow(5)
		},
		"the machine stalled": func(s *scene) {
			s.nothing(5, check.Missed)
			s.fault(fault.Stall, fault.Machine, 5, 0)
			s.grow(5)
		},
		"records waited while the database hung": func(s *scene) {
			s.fault(fault.Stop, fault.Postgres, 2, 0)
			s.Runs[2].Waited = true
		},
		"the API server was away": func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, unseen)
			s.fault(fault.Kill, fault.APIServer, 5, time.Second)
			s.grow(5)
		},
		"the kubelet started a pod twice, one after the other": func(s *scene) {
			began := tick(4).Add(100 * millisecond)
			s.Journals = append(s.Journals, []journal.Line{{At: began, Kind: journal.Start, Pod: "pod of run-4", Run: "run-4", Deadline: tick(4).Add(timeout)}, {At: began.Add(time.Millisecond), Kind: journal.Told}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := honest()
			doctor(s)
			if found := proof.Prove(s.Facts).Violations; len(found) > 0 {
				t.Errorf("honest facts violate: %v", found)
			}
		})
	}
}

const lateNote = "a report was ignored, because it came after the deadline: OK=true, 0 errors"

// reportsAgain lets the last pod send a second report, at a time after its tick.
func (s *scene) reportsAgain(after time.Duration, ok bool) {
	second := journal.Line{At: tick(4).Add(after), Kind: journal.Sending, Report: 2, OK: ok}
	if !ok {
		second.Errors = []string{"second"}
	}
	last := &s.Journals[len(s.Journals)-1]
	*last = append(*last, second, journal.Line{At: second.At.Add(10 * millisecond), Kind: journal.Answered, Report: 2, Status: 200})
}

// becomes makes the last run fail with these errors.
func (s *scene) becomes(n int, errs ...string) {
	row, run := s.row(n), &s.Runs[len(s.Runs)-1]
	row.Outcome, row.Errors = check.Failed, errs
	run.Conclusion.Outcome, run.Conclusion.Errors = row.Outcome, row.Errors
	s.grow(n)
}

// late adds a run that timed out because the cluster started its pod late. The pod reported at a time after its tick.
func (s *scene) late(at time.Duration) {
	sending := after(at, journal.Sending)
	sending.OK = true
	answered := after(at+10*millisecond, journal.Answered)
	answered.Status = 200
	s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("pass after 1s"), sending, answered, after(at+time.Second, journal.Told))
	s.Journals[4][0].At = tick(5).Add(8 * time.Second)
	s.row(5).PodCreated = tick(5).Add(time.Second)
	s.grow(5)
}

// stayed adds a run whose pod reported and lived until a time after it was due.
func (s *scene) stayed(until time.Duration) {
	s.reported("run-5", check.TriggerSchedule, tick(5), 2*time.Second)
	said := []string{"Check execution error: chaos/cart: " + noExit}
	row, run := s.row(len(s.Rows)-1), &s.Runs[len(s.Runs)-1]
	row.Outcome, row.Errors, row.Notes = check.TimedOut, said, []string{"before the deadline the check reported: succeeded []"}
	run.Conclusion.Outcome, run.Conclusion.Errors, run.Closed = check.TimedOut, said, tick(5).Add(timeout+time.Second)
	last := &s.Journals[len(s.Journals)-1]
	(*last)[3] = journal.Line{At: tick(5).Add(until), Kind: journal.Alive}
	s.grow(5)
}

// TestEachRuleIsProved doctors honest facts in every way that a rule forbids: a proof that cannot fail proves nothing.
func TestEachRuleIsProved(t *testing.T) {
	cases := []struct {
		name   string
		doctor func(*scene)
		rule   proof.Rule
		also   []proof.Rule // what cannot be had without
	}{
		{"no schedule", func(s *scene) { s.Checks[0].Schedules = nil }, proof.OneSchedule, nil},
		{"a second schedule", func(s *scene) {
			c := &s.Checks[0]
			c.Schedules = append(c.Schedules, proof.Schedule{Spec: c.Schedules[0].Spec, Start: start.Add(time.Second)})
		}, proof.OneSchedule, nil},
		{"a schedule that cannot be read", func(s *scene) { s.Checks[0].Schedules[0].Spec.RunInterval = "often" }, proof.OneSchedule, nil},
		{"a tick without a row", func(s *scene) { s.Rows = slices.Delete(s.Rows, 3, 4) }, proof.Unrecorded, []proof.Rule{proof.Undone}},
		{"the last tick without a row", func(s *scene) { s.Ended = tick(5).Add(time.Second) }, proof.Unrecorded, nil},
		{"no row of the first run", func(s *scene) { s.Rows = slices.Delete(s.Rows, 0, 1) }, proof.Unrecorded, []proof.Rule{proof.NoRow}},
		{
			"a row beside the schedule", func(s *scene) { s.row(3).Tick = s.row(3).Tick.Add(2 * time.Millisecond) }, proof.Surplus,
			[]proof.Rule{proof.Unrecorded, proof.Undone, proof.FalseSkip},
		},
		{
			"a row before the schedule", func(s *scene) { s.row(3).Tick = start }, proof.Surplus,
			[]proof.Rule{proof.Unrecorded, proof.Undone, proof.FalseSkip},
		},
		{"a row twice", func(s *scene) { s.Rows = append(s.Rows, *s.row(3)) }, proof.Surplus, nil},
		{"a row of another check of that name", func(s *scene) { s.row(3).CheckUID = "other" }, proof.Surplus, nil},
		{"a row of a check that is not there", func(s *scene) { s.row(3).Name = "ghost" }, proof.Surplus, []proof.Rule{proof.Unrecorded, proof.Undone, proof.FalseSkip}},
		{"an open row", func(s *scene) { s.row(3).Outcome = check.Unfinished }, proof.Open, []proof.Rule{proof.Undone}},
		{"a row of a run that Temporal does not have", func(s *scene) { s.row(4).WorkflowID = "run-9" }, proof.NoRun, []proof.Rule{proof.NoRow, proof.WrongState}},
		{"a run without a row", func(s *scene) { s.row(4).WorkflowID = "" }, proof.NoRow, []proof.Rule{proof.NoRun, proof.WrongState}},
		{"two runs of a tick", func(s *scene) { s.Runs[3].Tick = s.Runs[2].Tick }, proof.TwoRuns, []proof.Rule{proof.OtherResult, proof.Undone}},
		{"a run that began while another was open", func(s *scene) { s.Runs[2].Closed = s.Runs[3].Started.Add(millisecond) }, proof.Overlap, nil},
		{"a run that began while another was open, that never ended", func(s *scene) { s.Runs[2].Closed = time.Time{} }, proof.Overlap, nil},
		{"a tick whose run is not there", func(s *scene) { s.Ticks[4].RunID = "run-9" }, proof.Undone, nil},
		{"a tick whose run was due at another time", func(s *scene) { s.Ticks[4].Tick = tick(5) }, proof.Undone, nil},
		{"a tick that was skipped and has a run", func(s *scene) { s.Ticks[3].RunID = "run-4" }, proof.Undone, []proof.Rule{proof.FalseSkip}},
		{"a tick that was skipped and has another row", func(s *scene) {
			s.row(3).Outcome, s.Ticks[3].Decided = check.Missed, true
			s.fault(fault.Kill, fault.Worker, 3, 0)
		}, proof.Undone, []proof.Rule{proof.FalseMiss}},
		{"a run that was terminated", func(s *scene) { s.Runs[3].Status, s.Runs[3].Conclusion = "Terminated", nil }, proof.Broken, nil},
		{"a run that is still open", func(s *scene) { s.Runs[3].Status = "Running" }, proof.Broken, nil},
		{"another outcome", func(s *scene) { s.Runs[3].Conclusion.Outcome = check.TimedOut }, proof.OtherResult, nil},
		{"other texts", func(s *scene) { s.Runs[1].Conclusion.Errors = []string{"bent"} }, proof.OtherResult, nil},
		{"another tick", func(s *scene) { s.Runs[3].Tick = tick(3) }, proof.OtherResult, []proof.Rule{proof.Undone}},
		{"two pods at a time", func(s *scene) {
			s.Journals = append(s.Journals, []journal.Line{{At: tick(4).Add(2 * time.Second), Kind: journal.Start, Pod: "second", Run: "run-4", Deadline: tick(4).Add(timeout)}})
		}, proof.TwoPods, nil},
		{"one pod twice at a time", func(s *scene) {
			s.Journals = append(s.Journals, []journal.Line{
				{At: tick(4), Kind: journal.Start, Pod: "pod of run-4", Run: "run-4", Deadline: tick(4).Add(timeout)}, {At: tick(4).Add(1100 * millisecond), Kind: journal.Alive},
			})
		}, proof.TwoPods, nil},
		{"a pod of no run", func(s *scene) {
			s.Journals = append(s.Journals, []journal.Line{{At: tick(4), Kind: journal.Start, Pod: "stranger", Run: "run-9"}})
		}, proof.StrangerPod, nil},
		{"a failure that was reported and is recorded as success", func(s *scene) {
			s.Journals[3][1].OK, s.Journals[3][1].Errors = false, []string{"broken"}
		}, proof.LostReport, nil},
		{"a success that was reported and is recorded as failure", func(s *scene) { s.Journals[1][1].OK, s.Journals[1][1].Errors = true, nil }, proof.LostReport, nil},
		{"another text than was reported", func(s *scene) { s.Journals[1][1].Errors = []string{"bent"} }, proof.LostReport, nil},
		{"a report that was stored and is recorded as none", func(s *scene) { s.fails(check.TimedOut, noReport) }, proof.LostReport, nil},
		{"the same, and a fault is no excuse", func(s *scene) {
			s.fails(check.TimedOut, noReport)
			s.fault(fault.Kill, fault.Temporal, 4, 0)
		}, proof.LostReport, nil},
		{"the second report is recorded and not the first", func(s *scene) {
			last := &s.Journals[3]
			first := (*last)[1]
			first.OK, first.Errors = false, []string{"first"}
			*last = append([]journal.Line{(*last)[0], first, {At: first.At, Kind: journal.Answered, Report: 1, Status: 200}},
				journal.Line{At: tick(4).Add(6 * time.Second), Kind: journal.Sending, Report: 2, OK: true},
				journal.Line{At: tick(4).Add(6 * time.Second), Kind: journal.Answered, Report: 2, Status: 200})
		}, proof.LostReport, nil},
		{"a further report of failure that is not recorded", func(s *scene) { s.reportsAgain(6*time.Second, false) }, proof.LostReport, nil},
		{"a report after the deadline that no note names", func(s *scene) { s.late(timeout + 4*time.Second) }, proof.LostReport, nil},
		{"a report after the deadline that is recorded as the outcome", func(s *scene) {
			s.late(timeout + 4*time.Second)
			row, run := s.row(5), &s.Runs[len(s.Runs)-1]
			row.Outcome, row.Errors, row.Notes = check.Succeeded, nil, []string{lateNote}
			run.Conclusion.Outcome, run.Conclusion.Errors = row.Outcome, row.Errors
			s.grow(5)
		}, proof.Guessed, nil},
		{"a success that nobody reported", func(s *scene) { s.Journals[3] = s.Journals[3][:1] }, proof.Guessed, nil},
		{"a success of a run without a pod", func(s *scene) { s.Journals = s.Journals[:3] }, proof.Guessed, nil},
		{"an outcome that nobody gave", func(s *scene) { s.Journals[1] = s.Journals[1][:1] }, proof.Guessed, nil},
		{"a success where an unanswered failure was sent", func(s *scene) {
			s.Journals[3][1].OK, s.Journals[3][1].Errors = false, []string{"broken"}
			s.Journals[3] = s.Journals[3][:2]
		}, proof.Guessed, nil},
		{"a crash long before the deadline that the cluster knew of", func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("crash after 1s"), ends(timeout-6*time.Second, "crash"))
			s.row(5).Exited = tick(5).Add(timeout - 6*time.Second)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"timed out, but no fault kept the report away", func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("pass after 1s"), after(2*time.Second, journal.Sending), after(timeout, journal.Told))
			s.grow(5)
		}, proof.Unexplained, nil},
		{"timed out, and only the ledger's database was away", func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("pass after 1s"), after(2*time.Second, journal.Sending), after(timeout, journal.Told))
			s.fault(fault.Kill, fault.Postgres, 5, time.Second)
			s.fault(fault.Fill, fault.Disk, 5, time.Second)
			s.fault(fault.Freeze, fault.WorkerPostgres, 5, time.Second)
			s.fault(fault.Kill, fault.Starter, 5, time.Second)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"never started, and the fault was long before", func(s *scene) {
			s.failed("run-5", 5, timeout, check.InfraFailed, unseen)
			s.fault(fault.Kill, fault.APIServer, 5, -20*time.Second)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"never started, and the fault came afterwards", func(s *scene) {
			s.failed("run-5", 5, timeout, check.InfraFailed, unseen)
			s.fault(fault.Kill, fault.APIServer, 5, timeout+time.Second)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"a hanging pod that is said to have ended", func(s *scene) {
			s.failed("run-5", 5, 2*time.Second, check.Failed, silent, acts("hang after 1s"), after(timeout, journal.Alive))
			s.grow(5)
		}, proof.Unexplained, nil},
		{"the same, and the API server is no excuse", func(s *scene) {
			s.failed("run-5", 5, 2*time.Second, check.Failed, silent, acts("hang after 1s"), after(timeout, journal.Alive))
			s.fault(fault.Kill, fault.APIServer, 5, time.Second)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"a pod that was created too late", func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("pass after 5s"), after(timeout, journal.Told))
			s.Journals[4][0].At = tick(5).Add(11 * time.Second)
			s.row(5).PodCreated = tick(5).Add(5 * time.Second)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"a pod that was started in time and not seen", func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, unseen, acts("pass after 9s"), after(timeout, journal.Told))
			s.row(5).PodCreated = tick(5).Add(time.Second)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"a pod that was never created", func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, unseen)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"a pod that crashed early, and was seen at the deadline", func(s *scene) {
			s.failed("run-5", 5, timeout, check.TimedOut, noReport, acts("crash after 1s"), ends(2*time.Second, "crash"))
			s.grow(5)
		}, proof.Unexplained, nil},
		{"a pod that ended in time, and was seen to, is said to have stayed", func(s *scene) {
			s.stayed(4 * time.Second)
			s.row(len(s.Rows) - 1).Exited = s.Ended
		}, proof.Unexplained, nil},
		{"a check is paused, and nobody suspended it", func(s *scene) { s.nothing(5, check.Paused); s.grow(5) }, proof.OneSchedule, nil},
		{"the note has another report", func(s *scene) {
			s.stayed(timeout)
			s.row(len(s.Rows) - 1).Notes = []string{`before the deadline the check reported: failed ["broken"]`}
		}, proof.LostReport, nil},
		{"missed, and everybody was there", func(s *scene) { s.nothing(5, check.Missed); s.grow(5) }, proof.Unexplained, nil},
		{"missed, and only the starter was away", func(s *scene) {
			s.nothing(5, check.Missed)
			s.fault(fault.Kill, fault.Starter, 5, -time.Second)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"missed, and only the ledger's database hung", func(s *scene) {
			s.nothing(5, check.Missed)
			s.fault(fault.Stop, fault.Postgres, 5, 0)
			s.fault(fault.Freeze, fault.AllPostgres, 5, 0)
			s.fault(fault.Freeze, fault.WorkerPostgres, 5, 0)
			s.grow(5)
		}, proof.Unexplained, nil},
		{"skipped, and no run was open", func(s *scene) { s.Runs[2].Closed = s.Ticks[3].Started.Add(-millisecond) }, proof.FalseSkip, nil},
		{"skipped, and the run began after that was decided", func(s *scene) {
			s.Runs[2].Closed = s.Ticks[3].Started.Add(-millisecond)
			s.Runs[3].Started = s.Ticks[3].Closed.Add(millisecond)
		}, proof.FalseSkip, nil},
		{"skipped, and no tick decided that", func(s *scene) { s.Ticks = slices.Delete(s.Ticks, 3, 4) }, proof.FalseSkip, nil},
		{"missed, and it was decided", func(s *scene) {
			s.nothing(5, check.Missed)
			s.Ticks = append(s.Ticks, decided(check.TriggerSchedule, "run-5", tick(5), false))
			s.fault(fault.Kill, fault.Worker, 5, 0)
			s.grow(5)
		}, proof.FalseMiss, []proof.Rule{proof.Undone}},
		{"the state shows an older run", func(s *scene) { s.States[0].RunStarted = s.Rows[1].Started }, proof.WrongState, nil},
		{"the state shows another outcome", func(s *scene) { s.States[0].OK = false }, proof.WrongState, nil},
		{"the state shows other texts", func(s *scene) { s.States[0].Errors = []string{"broken"} }, proof.WrongState, nil},
		{"the state shows the UUID of another run", func(s *scene) { s.States[0].UUID = "run-2" }, proof.WrongState, nil},
		{"no state", func(s *scene) { s.States = nil }, proof.WrongState, nil},
		{"the ledger contradicts itself", func(s *scene) { s.Ledger = []string{"rows and hours differ"} }, proof.BadLedger, nil},
		{"a panic", func(s *scene) { s.Logs = []string{"panic: no"} }, proof.BadLog, nil},
		{"a workflow did not end", func(s *scene) { s.Unsettled = []string{"open"} }, proof.NotSettled, nil},
		{"a pod is left", func(s *scene) { s.Left = []string{"pod"} }, proof.LeftBehind, nil},
	}
	shown := map[proof.Rule]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := honest()
			c.doctor(s)
			shown[c.rule] = true
			rules := map[proof.Rule]bool{}
			found := proof.Prove(s.Facts).Violations
			for _, v := range found {
				rules[v.Rule] = true
				if v.Rule != c.rule && !slices.Contains(c.also, v.Rule) {
					t.Errorf("also violates %s: %s", v.Rule, v.Text)
				}
			}
			if !rules[c.rule] {
				t.Errorf("violates %v, want %s", found, c.rule)
			}
		})
	}
	for _, rule := range proof.Rules {
		if !shown[rule] {
			t.Errorf("no case shows that rule %s is proved", rule)
		}
	}
}

// fails turns the last run's row and result into a failure.
func (s *scene) fails(outcome check.Outcome, text string) {
	n, run := len(s.Rows)-1, s.Runs[len(s.Runs)-1]
	said := []string{"Check execution error: chaos/cart: " + text}
	s.row(n).Outcome, s.row(n).Errors, s.row(n).Reported = outcome, said, time.Time{}
	run.Conclusion.Outcome, run.Conclusion.Errors = outcome, said
	s.stateOfLast()
}

func TestFigures(t *testing.T) {
	s := honest()
	s.Runs[1].Waited = true
	s.nothing(5, check.Missed)
	s.fault(fault.Kill, fault.Temporal, 5, -20*time.Second) // this might be it,
	s.fault(fault.Stop, fault.Worker, 5, -time.Second)      // but this was going on
	s.grow(5)
	figures := map[string]int{}
	for _, f := range proof.Prove(s.Facts).Figures {
		figures[f.Name] = f.Count
	}
	for name, want := range map[string]int{
		"due, with the first run of each check": 6, "rows": 6, "runs": 4, "runs whose record waited for the ledger": 1, "pods": 4, "reports answered 200": 4, "faults": 2,
		"rows succeeded": 3, "rows failed": 1, "rows skipped": 1, "rows missed": 1, "faults: stop worker": 1,
		"explained: missed, by stop worker": 1, "violations": 0,
	} {
		if figures[name] != want {
			t.Errorf("%s: %d, want %d", name, figures[name], want)
		}
	}
}

// Facts are stored as JSON, so that the proof can be run again.
func TestFactsSurviveJSON(t *testing.T) {
	s := honest()
	s.row(4).Name = "ghost"
	want := fmt.Sprint(proof.Prove(s.Facts))
	text, err := json.Marshal(s.Facts)
	if err != nil {
		t.Fatal(err)
	}
	var again proof.Facts
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(proof.Prove(again)); got != want {
		t.Errorf("judged again: %s, want %s", got, want)
	}
}
