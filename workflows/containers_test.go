package workflows_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// helperEnded is a pod in which a helper ended before the report of these tests, and the check still runs.
func helperEnded(w *world) func() (check.Observation, error) {
	at := w.env.Now().Truncate(time.Second)
	return func() (check.Observation, error) {
		return check.Observation{Started: true, PartlyEnded: true, ExitedAt: at, Running: []string{"check"}}, nil
	}
}

// sidecarsStop is a pod whose check has ended without an error, and whose native sidecars do not stop.
func sidecarsStop() (check.Observation, error) {
	return check.Observation{
		Started: true, PartlyEnded: true, AllEnded: true, OnlySidecars: true, Detail: "all containers exited with code 0",
	}, nil
}

// ofTwo sets up a pod of two containers that run until the deadline.
func ofTwo(w *world) {
	w.creates(activities.CreatePodResult{Containers: 2})
	w.watch, w.watchTakes = running, time.Minute
}

// containerCases are runs of pods with several containers, and reports that come while such a pod still runs.
var containerCases = []runCase{
	{
		name: "helper ends before the report, and the check exits later",
		setup: func(w *world) {
			ofTwo(w)
			w.reportAfter(5 * time.Second)
			w.afterReport, w.afterReportTakes, w.look = exited, 30*time.Second, helperEnded(w)
		},
		want: check.Succeeded, recorded: [][]string{nil},
	},
	{
		name: "helper ends before the report, and the check does not exit",
		setup: func(w *world) {
			ofTwo(w)
			w.reportAfter(5 * time.Second)
			w.afterReport, w.afterReportTakes, w.look = helperEnded(w), 55*time.Second, helperEnded(w)
		},
		want: check.TimedOut, recorded: [][]string{nil, {prefix + "timed out waiting for pod to exit"}}, removes: true,
		notes: []string{"before the deadline the check reported: succeeded", "container check still ran when its pod was removed"},
	},
	{
		name: "check ends after its report, and nobody sees it before the deadline",
		setup: func(w *world) {
			ofTwo(w)
			w.reportAfter(5 * time.Second)
			w.afterReport, w.afterReportTakes = func() (check.Observation, error) { return check.Observation{}, errUnanswered }, 55*time.Second
			ended := w.env.Now().Add(5 * time.Second).Truncate(time.Second)
			w.look = func() (check.Observation, error) {
				return check.Observation{Started: true, PartlyEnded: true, ExitedAt: ended, Running: []string{"proxy"}}, nil
			}
		},
		want: check.Succeeded, recorded: [][]string{nil}, removes: true, notes: []string{"container proxy still ran when its pod was removed"},
	},
	{
		name: "check ends without a report, and native sidecars do not stop",
		setup: func(w *world) {
			w.watch, w.look = sidecarsStop, sidecarsStop
		},
		want: check.Failed, removes: true,
		recorded: [][]string{{prefix + "checker pod ended without reporting in: all containers exited with code 0"}},
	},
	{
		name: "check reports and ends, and native sidecars do not stop before the deadline",
		setup: func(w *world) {
			w.reportAfter(58 * time.Second)
			w.watch, w.watchTakes, w.look = sidecarsStop, 61*time.Second, sidecarsStop
		},
		want: check.Succeeded, recorded: [][]string{nil}, removes: true,
	},
	{
		name: "report of failure while the pod of a success still runs",
		setup: func(w *world) {
			w.reportAfter(5 * time.Second)
			w.reportAfter(8*time.Second, "broken")
		},
		want: check.Failed, recorded: [][]string{nil, {"broken"}}, notes: []string{"a further report added errors; before it: succeeded"},
	},
	{
		name: "report of failure together with that of success",
		setup: func(w *world) {
			w.reportAfter(5 * time.Second)
			w.reportAfter(5*time.Second, "broken")
		},
		want: check.Failed, recorded: [][]string{nil, {"broken"}}, notes: []string{"a further report added errors; before it: succeeded"},
	},
	{
		name: "report of failure that is read only when the pod has ended",
		setup: func(w *world) {
			w.reportAfter(5 * time.Second)
			w.reportAfter(8*time.Second, "broken")
			w.recordErrors = slices.Repeat([]error{errors.New("connection refused")}, 8) // until after the end of the pod
		},
		want: check.Failed, recorded: [][]string{nil, {"broken"}}, notes: []string{"a further report added errors; before it: succeeded"},
	},
	{
		name: "two reports of failure",
		setup: func(w *world) {
			w.reportAfter(5*time.Second, "first", "both")
			w.reportAfter(8*time.Second, "both", "second")
		},
		want: check.Failed, recorded: [][]string{{"first", "both"}, {"first", "both", "second"}},
		notes: []string{"a further report added errors; before it: failed"},
	},
	{
		name: "the same report of failure again",
		setup: func(w *world) {
			w.reportAfter(5*time.Second, "broken")
			w.reportAfter(8*time.Second, "broken")
		},
		want: check.Failed, recorded: [][]string{{"broken"}}, notes: []string{"a further report was ignored: OK=false, 1 errors"},
	},
	{
		name: "report of failure once the pod has ended",
		setup: func(w *world) {
			w.reportAfter(5 * time.Second)
			w.atTheEnd = func() { w.report("too late") }
		},
		want: check.Succeeded, recorded: [][]string{nil}, notes: []string{"a further report was ignored: OK=false, 1 errors"},
	},
	{
		name: "report of failure, and then the pod does not exit",
		setup: func(w *world) {
			w.reportAfter(5 * time.Second)
			w.reportAfter(8*time.Second, "broken")
			w.watch, w.watchTakes = running, time.Minute
		},
		want: check.TimedOut, recorded: [][]string{nil, {"broken"}, {prefix + "timed out waiting for pod to exit", "broken"}}, removes: true,
		notes: []string{"a further report added errors", `before the deadline the check reported: failed ["broken"]`},
	},
}

// The second container to report may need as long to end as the first.
func TestAFurtherReportBeginsTheWaitForTheEndOfItsContainer(t *testing.T) {
	w := newWorld(t)
	ofTwo(w)
	w.afterReportTakes = 20 * time.Second
	w.reportAfter(5 * time.Second)
	w.reportAfter(10 * time.Second)
	began := w.env.Now()
	w.afterReport = exited
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	var reported []time.Duration
	for _, in := range w.watched {
		if !in.Reported.IsZero() {
			reported = append(reported, in.Reported.Sub(began))
		}
	}
	if diff := cmp.Diff([]time.Duration{5 * time.Second, 10 * time.Second}, reported); diff != "" {
		t.Errorf("the pod was watched for a container that ends after (-want +got):\n%s", diff)
	}
}

// Two pods of a check never run at the same time, and a native sidecar is part of its pod.
func TestNextAttemptWaitsForNativeSidecars(t *testing.T) {
	w := newWorld(t)
	w.creates(activities.CreatePodResult{Attempts: 2})
	w.watch, w.look, w.stuck = sidecarsStop, sidecarsStop, true
	result, err := w.execute(t, checkRef)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.created) != 1 || result.Outcome != check.Failed {
		t.Errorf("%d pods, %s: want one, and its failure", len(w.created), result.Outcome)
	}
	if want := "not repeated, because pod " + podOf(checkRef, 1) + " has not ended"; !cmp.Equal(result.Notes, []string{want}) {
		t.Errorf("notes are %q, want %q", result.Notes, want)
	}
}
