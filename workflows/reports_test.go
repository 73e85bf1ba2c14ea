package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// Texts that these runs record, and the beginning of a note.
const (
	noReport = prefix + "timed out waiting for checker pod to report in"
	noExit   = prefix + "timed out waiting for pod to exit"
	ignored  = "a report was ignored, because "
)

// reportingCases are runs that report at the wrong moment.
var reportingCases = []runCase{
	{
		name: "report after the deadline, such as of a shell that ignores SIGTERM, changes nothing",
		setup: func(w *world) {
			w.watch, w.watchTakes = running, time.Minute
			w.whileDeleting = func() { w.report() }
		},
		want: check.TimedOut, recorded: [][]string{{noReport}}, removes: true,
		notes: []string{ignored + "it came after the deadline: OK=true, 0 errors"},
	},
	{
		name: "pod that reports and ends after the deadline, while nobody was there, has timed out",
		setup: func(w *world) {
			w.watch, w.watchTakes = running, time.Minute
			exit := w.env.Now().Add(62 * time.Second)
			w.look = func() (check.Observation, error) {
				return check.Observation{Started: true, Ended: true, ExitedAt: exit, Detail: "all containers exited with code 0"}, nil
			}
			w.env.RegisterDelayedCallback(func() { w.report() }, time.Minute+500*time.Millisecond)
		},
		want: check.TimedOut, recorded: [][]string{{noReport, "all containers exited with code 0"}},
		notes: []string{ignored + "it came after the deadline: OK=true, 0 errors"},
	},
	{
		name: "report that was received before the deadline and stored after it decides",
		setup: func(w *world) {
			w.watch, w.watchTakes = running, time.Minute
			w.whileDeleting = func() { w.reportReceived(10*time.Second, "held") }
		},
		want: check.Failed, recorded: [][]string{{noReport}, {"held"}}, removes: true,
		notes: []string{"the report came late; before it: " + noReport},
	},
	{
		name: "report that is on its way at the deadline decides at once",
		setup: func(w *world) {
			w.watch, w.watchTakes = running, time.Minute
			w.env.RegisterDelayedCallback(func() { w.reportReceived(time.Second, "in time") }, time.Minute+500*time.Millisecond)
			w.look = exited
		},
		want: check.Failed, recorded: [][]string{{"in time"}},
	},
	{
		name: "report that Temporal has stored twice is one report",
		setup: func(w *world) {
			received := w.env.Now().Add(4 * time.Second)
			for range 2 {
				w.env.RegisterDelayedCallback(func() { w.reportStamped(received, "once") }, 5*time.Second)
			}
		},
		want: check.Failed, recorded: [][]string{{"once"}},
	},
	{
		name: "report of a run whose pod was refused changes nothing",
		setup: func(w *world) {
			failure := check.CreateFailed("denied by a policy")
			w.creates(activities.CreatePodResult{Failure: &failure})
			w.reportAfter(3 * time.Second)
		},
		want:     check.InfraFailed,
		recorded: slices.Repeat([][]string{{prefix + "failed to create pod for checker: denied by a policy"}}, 2),
		notes:    append(repeated(1, 6), ignored+"the run has made no pod: OK=true, 0 errors"),
	},
	{
		name: "report of a pod whose creation got no answer decides",
		setup: func(w *world) {
			w.create = func(activities.Attempt) (activities.CreatePodResult, error) {
				return activities.CreatePodResult{}, errUnanswered
			}
			w.atTheEnd = func() { w.report() }
		},
		want: check.Succeeded, recorded: [][]string{{prefix + "failed to create pod for checker: no answer"}, nil}, removes: true,
		notes: []string{"the report came late"},
	},
	{
		name: "report long after the end of the pod is not from that pod",
		setup: func(w *world) {
			w.watch = evicted
			w.create = refusedAfterTheFirst
			w.reportAfter(14500 * time.Millisecond) // the first pod ends after 11 s
		},
		want: check.InfraFailed, recorded: [][]string{{prefix + "failed to create pod for checker: quota exceeded"}, {prefix + "failed to create pod for checker: quota exceeded"}},
		notes: append(repeated(1, 6), ignored+"it came after the end of the pod: OK=true, 0 errors"),
	},
	{
		name: "report that the pod sent before its end decides, although it is stored after that",
		setup: func(w *world) {
			w.watch = evicted
			w.create = refusedAfterTheFirst
			w.env.RegisterDelayedCallback(func() { w.reportReceived(4 * time.Second) }, 14500*time.Millisecond)
		},
		want: check.Succeeded, recorded: [][]string{{prefix + "failed to create pod for checker: quota exceeded"}, nil},
		notes: []string{"attempt 1 was repeated: infra-failed"},
	},
	{
		name: "pod that exits after the deadline, because its report was held until then",
		setup: func(w *world) {
			w.watch, w.watchTakes = exited, 2*time.Minute
			w.env.RegisterDelayedCallback(func() {
				w.watchTakes = 5 * time.Second
				w.reportReceived(10 * time.Second)
			}, 58*time.Second)
		},
		want: check.Succeeded, recorded: [][]string{nil},
	},
	{
		name: "pod that reports a failure and does not exit: both are shown",
		setup: func(w *world) {
			w.reportAfter(5*time.Second, "disk is full", "and slow")
			w.watch, w.watchTakes = running, time.Minute
		},
		want: check.TimedOut, recorded: [][]string{{"disk is full", "and slow"}, {noExit, "disk is full", "and slow"}}, removes: true,
		notes: []string{"before the deadline the check reported: failed"},
	},
	{
		name: "end of a pod that is seen late, because Temporal was down, waits for the report that is held",
		setup: func(w *world) {
			exit := w.env.Now().Add(2 * time.Second)
			w.watchTakes = 20 * time.Second
			w.watch = func() (check.Observation, error) {
				return check.Observation{Started: true, Ended: true, ExitedAt: exit, Detail: "all containers exited with code 0"}, nil
			}
			w.env.RegisterDelayedCallback(func() { w.reportReceived(25 * time.Second) }, 26*time.Second)
		},
		want: check.Succeeded, recorded: [][]string{nil},
	},
}

// repeated are the notes of attempts that were repeated.
func repeated(from, to int) (notes []string) {
	for n := from; n <= to; n++ {
		notes = append(notes, fmt.Sprintf("attempt %d was repeated: infra-failed", n))
	}
	return notes
}

// refusedAfterTheFirst is an API server that lets the first attempt have a pod.
func refusedAfterTheFirst(in activities.Attempt) (activities.CreatePodResult, error) {
	if in.Number == 1 {
		return activities.CreatePodResult{}, nil
	}
	failure := check.CreateFailed("quota exceeded")
	return activities.CreatePodResult{Failure: &failure}, nil
}

func TestReportsInTimeDecide(t *testing.T) {
	for _, tt := range reportingCases {
		t.Run(tt.name, tt.run)
	}
}

// The time of a report is when it was received. Its clock may be wrong: no report is received after it is read, or before its
// run.
func TestOutcomeHasTheTimeOfTheReport(t *testing.T) {
	tests := []struct {
		name     string
		received time.Duration // by the clock of the report API, since the start of the run
		want     time.Duration
	}{
		{"a moment before it is read", 4900 * time.Millisecond, 4900 * time.Millisecond},
		{"long before, as no worker was there", time.Second, time.Second},
		{"by a clock that is ahead", time.Hour, 5 * time.Second},
		{"by a clock that is behind", -time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			began := w.env.Now()
			w.env.RegisterDelayedCallback(func() { w.reportStamped(began.Add(tt.received)) }, 5*time.Second)
			result, err := w.execute(t, checkRef)
			if err != nil || !result.OK() {
				t.Fatalf("result is %+v, error %v", result, err)
			}
			record := w.records[0]
			for what, at := range map[string]time.Time{
				"state": w.outcomes[0].Conclusion.Concluded, "record": record.Conclusion.Concluded, "report in the record": record.Reported,
			} {
				if got := at.Sub(record.Conclusion.Started); got != tt.want {
					t.Errorf("%s: the report came after %s, want %s", what, got, tt.want)
				}
			}
		})
	}
}

// A clock that is far behind does not make a report early that Temporal has stored long after the deadline.
func TestReportStoredLongAfterTheDeadlineIsLate(t *testing.T) {
	w := newWorld(t)
	w.watch, w.watchTakes, w.evidenceTakes, w.deleteTakes = running, time.Minute, 30*time.Second, time.Minute
	w.env.RegisterDelayedCallback(func() { w.reportReceived(time.Hour) }, 100*time.Second)
	result, err := w.execute(t, checkRef)
	if err != nil || result.Outcome != check.TimedOut {
		t.Errorf("result is %+v, error %v, want the outcome of the deadline", result, err)
	}
}

// A report that could not decide is evidence, with its time. Of several, the first is stored.
func TestLateReportIsKept(t *testing.T) {
	w := newWorld(t)
	w.watch, w.watchTakes = running, time.Minute
	w.whileDeleting = func() { w.report("late"); w.report("later") }
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	var late []activities.EvidenceInput
	for _, in := range w.kept {
		if in.Late != nil {
			late = append(late, in)
		}
	}
	if len(late) != 1 || late[0].Late.Errors[0] != "late" || late[0].LateAt.Before(w.records[0].Deadline) || late[0].Attempt != 0 {
		t.Errorf("late reports are %+v, want the first, with its time", late)
	}
}

// A text that is cut within the run UUID must not show the rest of it.
func TestCutNotesHideTheRunUUID(t *testing.T) {
	for before := 440; before < 500; before += 7 {
		w := newWorld(t)
		failure := check.CreateFailed(strings.Repeat("x", before-len(prefix)) + runUUID)
		w.creates(activities.CreatePodResult{Failure: &failure})
		result, err := w.execute(t, checkRef)
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(result.Notes, "\n"); strings.Contains(notes, runUUID[:8]) || !strings.Contains(notes, "xxx") {
			t.Errorf("notes are %q, want the run UUID hidden", notes)
		}
	}
}
