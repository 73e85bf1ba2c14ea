package workflows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// runCase is one way in which a run can go, and what must follow.
type runCase struct {
	name  string
	setup func(w *world)
	want  check.Outcome
	// recorded are the errors of each outcome that was recorded, in turn.
	recorded [][]string
	// notes are parts of what the outcome notes.
	notes []string
	// removes is true when the run deletes its last pod, because the pod has not ended.
	removes bool
	flaky   bool
}

func (tt runCase) run(t *testing.T) {
	w := newWorld(t)
	tt.setup(w)
	outcome, err := w.execute(t, checkRef)
	if err != nil {
		t.Fatal(err)
	}
	if outcome.Outcome != tt.want || outcome.Flaky != tt.flaky {
		t.Errorf("result is %s, flaky: %t, want %s, flaky: %t", outcome.Outcome, outcome.Flaky, tt.want, tt.flaky)
	}
	if diff := cmp.Diff(tt.recorded, w.texts(), cmp.Transformer("empty", emptyIsNil)); diff != "" {
		t.Errorf("recorded errors (-want +got):\n%s", diff)
	}
	for _, note := range tt.notes {
		if !strings.Contains(strings.Join(outcome.Notes, "\n"), note) {
			t.Errorf("notes are %q, want one with %q", outcome.Notes, note)
		}
	}
	if len(outcome.Notes) != len(tt.notes) {
		t.Errorf("%d notes %q, want %d", len(outcome.Notes), outcome.Notes, len(tt.notes))
	}
	last := podOf(checkRef, w.created[len(w.created)-1].Number)
	if slices.Contains(w.removed, last) != tt.removes {
		t.Errorf("deleted pods are %q, want %s among them: %t", w.removed, last, tt.removes)
	}
	if got := w.records[len(w.records)-1].Conclusion; got.Outcome != tt.want || !cmp.Equal(got.Errors, outcome.Errors) || !slices.Equal(got.Notes, outcome.Notes) {
		t.Errorf("the record says %s %q, notes %q, want what the result of the run says", got.Outcome, got.Errors, got.Notes)
	}
}

func emptyIsNil(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	return texts
}

// prefix is the beginning of the errors of a run whose check did not report.
const prefix = "Check execution error: shop/cart: "

// Whoever knows the run UUID can report while the run is open. The last output of a container may contain it.
func TestRunUUIDIsHiddenInOutcomesAndNotes(t *testing.T) {
	w := newWorld(t)
	w.watch = func() (check.Observation, error) {
		return check.Observation{Started: true, Ended: true, Detail: "container main exited with code 1 (Error): I am " + runUUID}, nil
	}
	outcome, err := w.execute(t, checkRef)
	if err != nil {
		t.Fatal(err)
	}
	texts := slices.Concat(append(w.texts(), outcome.Errors, outcome.Notes)...)
	if all := strings.Join(texts, "\n"); strings.Contains(all, runUUID) || !strings.Contains(all, "I am ****") {
		t.Errorf("texts are %q, want the run UUID hidden", texts)
	}
}

// Each case is a run of one attempt, and what is recorded of it.
func TestOutcomeOfARun(t *testing.T) {
	for _, tt := range slices.Concat(reportCases, endCases, containerCases, deadlineCases, platformCases) {
		t.Run(tt.name, tt.run)
	}
}

var reportCases = []runCase{
	{
		name:  "report of success",
		setup: func(w *world) { w.reportAfter(5 * time.Second) },
		want:  check.Succeeded, recorded: [][]string{nil},
	},
	{
		name:  "report of failure",
		setup: func(w *world) { w.reportAfter(5*time.Second, "first", "second") },
		want:  check.Failed, recorded: [][]string{{"first", "second"}},
	},
	{
		name:  "report before the pod is known to run",
		setup: func(w *world) { w.reportAfter(100*time.Millisecond, "early") },
		want:  check.Failed, recorded: [][]string{{"early"}},
	},
	{
		name: "report wins over the exit code",
		setup: func(w *world) {
			w.watch = crashed
			w.reportAfter(5 * time.Second)
		},
		want: check.Succeeded, recorded: [][]string{nil},
	},
	{
		name: "report wins over an end at the same moment",
		setup: func(w *world) {
			w.watch = crashed
			w.reportAfter(11 * time.Second)
		},
		want: check.Succeeded, recorded: [][]string{nil},
	},
	{
		name: "second report is noted and changes nothing",
		setup: func(w *world) {
			w.reportAfter(5*time.Second, "first outcome")
			w.reportAfter(5 * time.Second)
		},
		want: check.Failed, recorded: [][]string{{"first outcome"}}, notes: []string{"further report was ignored: OK=true"},
	},
	{
		name:  "report arrives just after the pod's end",
		setup: func(w *world) { w.reportAfter(11500*time.Millisecond, "in time") },
		want:  check.Failed, recorded: [][]string{{"in time"}},
	},
	{
		name: "signal that is no report is ignored",
		setup: func(w *world) {
			w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow("report", "nonsense") }, time.Second)
			w.reportAfter(5*time.Second, "the report")
		},
		want: check.Failed, recorded: [][]string{{"the report"}},
	},
}

var endCases = []runCase{
	{
		name:  "pod ends without a report",
		setup: func(w *world) { w.watch = crashed },
		want:  check.Failed, recorded: [][]string{{prefix + "checker pod ended without reporting in: container main exited with code 1 (Error)"}},
	},
	{
		name: "pod deleted before it ran",
		setup: func(w *world) {
			w.watch = func() (check.Observation, error) { return check.Observation{Gone: true}, nil }
		},
		want: check.Failed,
		recorded: [][]string{{
			prefix + "error when waiting for pod to start: the khcheck check pod is deleted, waiting for start failed",
		}},
	},
	{
		name: "pod deleted while it ran",
		setup: func(w *world) {
			w.watch = func() (check.Observation, error) { return check.Observation{Started: true, Gone: true}, nil }
		},
		want: check.Failed, recorded: [][]string{{"Check execution error: pod deleted unexpectedly"}},
	},
	{
		name: "pod reports and does not exit",
		setup: func(w *world) {
			w.reportAfter(5 * time.Second)
			w.watch, w.watchTakes = running, time.Minute
		},
		want: check.TimedOut, recorded: [][]string{nil, {prefix + "timed out waiting for pod to exit"}},
		notes: []string{"before the deadline the check reported: succeeded"}, removes: true,
	},
	{
		name: "pod reports, does not exit, and reports again",
		setup: func(w *world) {
			w.reportAfter(5 * time.Second)
			w.watch, w.watchTakes = running, time.Minute
			w.atTheEnd = func() { w.report() }
		},
		want: check.TimedOut, recorded: [][]string{nil, {prefix + "timed out waiting for pod to exit"}},
		notes: []string{"before the deadline the check reported: succeeded", "further report was ignored"}, removes: true,
	},
	{
		name: "pod reports, and a sidecar never exits",
		setup: func(w *world) {
			w.reportAfter(5*time.Second, "from the first container")
			w.creates(activities.CreatePodResult{Containers: 2})
			w.watch, w.watchTakes = running, time.Minute
			w.afterReport = func() (check.Observation, error) {
				return check.Observation{Started: true, PartlyEnded: true, ReporterEnded: true, Running: []string{"sidecar"}}, nil
			}
		},
		want: check.Failed, recorded: [][]string{{"from the first container"}}, removes: true,
		notes: []string{"container sidecar still ran when its pod was removed"},
	},
	{
		name: "pod of two containers reports, and none exits",
		setup: func(w *world) {
			w.reportAfter(5 * time.Second)
			w.creates(activities.CreatePodResult{Containers: 2})
			w.watch, w.watchTakes, w.afterReportTakes = running, time.Minute, 55*time.Second
		},
		want: check.TimedOut, recorded: [][]string{nil, {prefix + "timed out waiting for pod to exit"}},
		notes: []string{"before the deadline the check reported: succeeded"}, removes: true,
	},
}

var deadlineCases = []runCase{
	{
		name:  "no report until the deadline",
		setup: func(w *world) { w.watch, w.watchTakes = running, time.Minute },
		want:  check.TimedOut, recorded: [][]string{{prefix + "timed out waiting for checker pod to report in"}}, removes: true,
	},
	{
		name: "pod not started at the deadline",
		setup: func(w *world) {
			w.watch = func() (check.Observation, error) {
				return check.Observation{Detail: "container main: ContainerCreating"}, nil
			}
			w.watchTakes, w.look = time.Minute, w.watch
		},
		want: check.TimedOut, removes: true,
		recorded: [][]string{{prefix + "failed to see pod running within timeout", "container main: ContainerCreating"}},
	},
	{
		name: "no node takes the pod",
		setup: func(w *world) {
			w.watch = func() (check.Observation, error) {
				return check.Observation{Detail: "pod is unschedulable: 0/3 nodes are available"}, nil
			}
			w.watchTakes, w.look = time.Minute, w.watch
		},
		want: check.InfraFailed, removes: true,
		recorded: [][]string{{prefix + "failed to see pod running within timeout", "pod is unschedulable: 0/3 nodes are available"}},
	},
	{
		name: "a container cannot start beside one that has ended",
		setup: func(w *world) {
			w.watch, w.watchTakes = running, time.Minute
			w.look = func() (check.Observation, error) {
				return check.Observation{Started: true, PartlyEnded: true, Hopeless: "ErrImagePull"}, nil
			}
		},
		want: check.InfraFailed, recorded: [][]string{{prefix + "error when waiting for pod to start: ErrImagePull"}}, removes: true,
	},
	{
		name: "pod whose check has crashed beside a sidecar",
		setup: func(w *world) {
			w.watch, w.watchTakes = running, time.Minute
			w.look = func() (check.Observation, error) {
				return check.Observation{Started: true, PartlyEnded: true, Detail: "container main exited with code 1 (Error)"}, nil
			}
		},
		want: check.TimedOut, removes: true,
		recorded: [][]string{{
			prefix + "timed out waiting for checker pod to report in", "container main exited with code 1 (Error)",
		}},
	},
	{
		name: "pod reported and exited while no worker was there until after the deadline",
		setup: func(w *world) {
			w.reportAfter(5*time.Second, "seen late")
			w.watch = func() (check.Observation, error) { return check.Observation{}, errUnanswered }
			w.look = exited
		},
		want: check.Failed, recorded: [][]string{{"seen late"}},
	},
	{
		name:  "pod crashed while no worker was there until after the deadline",
		setup: func(w *world) { w.watchTakes, w.look = 2*time.Minute, crashed },
		want:  check.Failed, recorded: [][]string{{prefix + "checker pod ended without reporting in: container main exited with code 1 (Error)"}},
	},
	{
		name: "pod whose containers have ended, though the kubelet has not said so of the pod",
		setup: func(w *world) {
			w.watchTakes, w.look = 2*time.Minute, func() (check.Observation, error) {
				return check.Observation{Started: true, PartlyEnded: true, AllEnded: true, Detail: "container main exited with code 3 (Error)"}, nil
			}
		},
		want: check.Failed, removes: true,
		recorded: [][]string{{prefix + "checker pod ended without reporting in: container main exited with code 3 (Error)"}},
	},
	{
		name: "API server does not answer at the deadline: what the watch saw last counts",
		setup: func(w *world) {
			w.watch, w.watchTakes = running, 61*time.Second
			w.look = func() (check.Observation, error) { return check.Observation{}, errors.New("connection refused") }
		},
		want: check.TimedOut, recorded: [][]string{{prefix + "timed out waiting for checker pod to report in"}}, removes: true,
	},
	{
		name: "API server does not answer at the deadline, and the watch saw the pod end",
		setup: func(w *world) {
			w.watch, w.watchTakes = crashed, 61*time.Second
			w.look = func() (check.Observation, error) { return check.Observation{}, errUnanswered }
		},
		want: check.Failed, recorded: [][]string{{prefix + "checker pod ended without reporting in: container main exited with code 1 (Error)"}},
	},
	{
		name: "pod that the watch saw running is not there at the deadline",
		setup: func(w *world) {
			w.watch, w.watchTakes = running, 59*time.Second
			w.look = func() (check.Observation, error) { return check.Observation{Gone: true}, nil }
		},
		want: check.Failed, recorded: [][]string{{"Check execution error: pod deleted unexpectedly"}},
	},
	{
		name: "pod that the watch saw being evicted is not there at the deadline",
		setup: func(w *world) {
			w.watch, w.watchTakes = func() (check.Observation, error) {
				return check.Observation{Started: true, Deleting: true, Disrupted: true, Detail: "pod PreemptionByScheduler: preempting"}, nil
			}, 59*time.Second
			w.look = func() (check.Observation, error) { return check.Observation{Gone: true}, nil }
		},
		want: check.InfraFailed, recorded: [][]string{{"Check execution error: pod deleted expectedly", "pod PreemptionByScheduler: preempting"}},
	},
	{
		name: "nobody has seen the pod until the deadline",
		setup: func(w *world) {
			w.watch = func() (check.Observation, error) { return check.Observation{}, errUnanswered }
			w.look = w.watch
		},
		want: check.TimedOut, recorded: [][]string{{prefix + "failed to see pod running within timeout"}}, removes: true,
	},
}

var platformCases = []runCase{
	{
		name:  "image name that is not valid",
		setup: func(w *world) { w.watch = hopeless("InvalidImageName") },
		want:  check.Failed, recorded: [][]string{{prefix + "error when waiting for pod to start: InvalidImageName"}}, removes: true,
	},
	{
		name: "API server does not answer until the deadline",
		setup: func(w *world) {
			w.create = func(activities.Attempt) (activities.CreatePodResult, error) {
				return activities.CreatePodResult{}, errors.New("connection refused")
			}
		},
		want: check.InfraFailed, recorded: [][]string{{prefix + "failed to create pod for checker: connection refused"}}, removes: true,
	},
	{
		name: "API server comes back",
		setup: func(w *world) {
			w.reportAfter(25 * time.Second)
			w.watchTakes = 30 * time.Second
			w.create = func(activities.Attempt) (activities.CreatePodResult, error) {
				if len(w.created) < 12 { // longer than a local activity retries
					return activities.CreatePodResult{}, errors.New("connection refused")
				}
				return activities.CreatePodResult{}, nil
			}
		},
		want: check.Succeeded, recorded: [][]string{nil},
	},
	{
		name: "spec is not valid",
		setup: func(w *world) {
			failure := check.InvalidSpec(errors.New("no containers"))
			w.creates(activities.CreatePodResult{Failure: &failure})
		},
		want: check.Failed, recorded: [][]string{{"Check execution error: no containers"}},
	},
	{
		name: "state cannot be written at first",
		setup: func(w *world) {
			w.reportAfter(5*time.Second, "kept")
			w.recordErrors = slices.Repeat([]error{errors.New("connection refused")}, 5)
		},
		want: check.Failed, recorded: [][]string{{"kept"}},
	},
}
