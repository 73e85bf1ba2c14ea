package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/internal/telemetry"
	"github.com/khronicle/khronicle/workflows"
)

const runUUID = "6f6cf0a5-2d3a-4c9b-8f4e-1f5f0f6f7a11"

var (
	checkRef = check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: "u-1", Generation: 1}
	jobRef   = check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "cart", UID: "u-2", Generation: 1}
)

// world plays the cluster: it answers the activities of one run and keeps what they did.
type world struct {
	env *testsuite.TestWorkflowEnvironment

	create func(activities.Run) (activities.CreatePodResult, error)
	// start and exit are what the waiting activities see, and when.
	start, exit func() (check.Observation, error)
	// reporterExit is what is seen of a pod of several containers after its report.
	reporterExit func() (check.Observation, error)
	// look is how the pod is found at the deadline.
	look                  func() (check.Observation, error)
	startAfter, exitAfter time.Duration
	reporterExitAfter     time.Duration
	// stuck pods stay when they are deleted.
	stuck bool
	// recordErrors are returned by RecordOutcome before it succeeds.
	recordErrors []error
	// gone is true when RecordOutcome finds the check deleted.
	gone bool
	// whileCleaning happens during the clean-up.
	whileCleaning func()

	created  []activities.Run
	recorded []check.Outcome
	// dues are when the runs were due whose outcomes were recorded.
	dues    []time.Time
	cleaned []activities.CleanUpInput
	phases  []khv1.JobPhase
}

func running() (check.Observation, error) {
	return check.Observation{Started: true, Node: "node-1"}, nil
}

func exited() (check.Observation, error) {
	return check.Observation{Started: true, Ended: true, Node: "node-1", Detail: "all containers exited with code 0"}, nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newMeasuredWorld(t, client.MetricsNopHandler)
}

func newMeasuredWorld(t *testing.T, metrics client.MetricsHandler) *world {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetMetricsHandler(metrics)
	w := &world{env: suite.NewTestWorkflowEnvironment(), start: running, exit: exited, reporterExit: running, look: running, startAfter: time.Second, reporterExitAfter: time.Second, exitAfter: 10 * time.Second}
	w.create = func(activities.Run) (activities.CreatePodResult, error) { return activities.CreatePodResult{}, nil }
	w.env.SetTestTimeout(10 * time.Second)
	w.env.SetStartWorkflowOptions(startOptions(runUUID))
	w.env.RegisterActivity(&activities.Activities{})
	var a *activities.Activities
	w.env.OnActivity(a.CreatePod, anything, anything).Return(func(_ context.Context, run activities.Run) (activities.CreatePodResult, error) {
		w.created = append(w.created, run)
		return w.create(run)
	})
	w.env.OnActivity(a.WaitForPodStart, anything, anything).Return(func(context.Context, activities.Pod) (check.Observation, error) { return w.start() }).
		AfterFn(func() time.Duration { return w.startAfter })
	w.env.OnActivity(a.WaitForPodExit, anything, anything).Return(func(context.Context, activities.Pod) (check.Observation, error) { return w.exit() }).
		AfterFn(func() time.Duration { return w.exitAfter })
	w.env.OnActivity(a.WaitForReporterExit, anything, anything).Return(func(context.Context, activities.Pod) (check.Observation, error) { return w.reporterExit() }).
		AfterFn(func() time.Duration { return w.reporterExitAfter }).Maybe()
	w.env.OnActivity(a.LookAtPod, anything, anything).Return(func(_ context.Context, pod activities.Pod) (check.Observation, error) {
		if w.stuck || !slices.ContainsFunc(w.cleaned, func(c activities.CleanUpInput) bool { return c.Pod.Name == pod.Name }) {
			return w.look()
		}
		return check.Observation{Gone: true}, nil
	}).Maybe()
	w.env.OnActivity(a.RecordOutcome, anything, anything).Return(func(_ context.Context, in activities.RecordOutcomeInput) (activities.RecordOutcomeResult, error) {
		if len(w.recordErrors) > 0 {
			err := w.recordErrors[0]
			w.recordErrors = w.recordErrors[1:]
			return activities.RecordOutcomeResult{}, err
		}
		w.recorded, w.dues = append(w.recorded, in.Outcome), append(w.dues, in.Due)
		return activities.RecordOutcomeResult{CheckGone: w.gone}, nil
	})
	w.env.OnActivity(a.CleanUp, anything, anything).Return(func(_ context.Context, in activities.CleanUpInput) error {
		w.cleaned = append(w.cleaned, in)
		if w.whileCleaning != nil {
			w.whileCleaning()
		}
		return nil
	})
	w.env.OnActivity(a.SetJobPhase, anything, anything).Return(func(_ context.Context, in activities.SetJobPhaseInput) error {
		w.phases = append(w.phases, in.Phase)
		return nil
	})
	w.env.OnUpsertTypedSearchAttributes(anything).Return(nil).Maybe()
	return w
}

// reportAfter sends a report into the run.
func (w *world) reportAfter(delay time.Duration, errs ...string) {
	w.env.RegisterDelayedCallback(func() {
		w.env.SignalWorkflow(workflows.ReportSignal, status.NewReport(errs))
	}, delay)
}

// confirm makes the spec ask for so many attempts.
func (w *world) confirm(attempts int) {
	w.create = func(activities.Run) (activities.CreatePodResult, error) {
		return activities.CreatePodResult{Attempts: attempts}, nil
	}
}

// execute runs a CheckRun with a timeout of one minute to its end.
func (w *world) execute(t *testing.T, ref check.Ref) (check.Outcome, error) {
	t.Helper()
	return w.executeInput(t, workflows.CheckRunInput{Ref: ref, Trigger: workflows.TriggerSchedule, Timeout: time.Minute})
}

func (w *world) executeInput(t *testing.T, in workflows.CheckRunInput) (check.Outcome, error) {
	t.Helper()
	w.env.ExecuteWorkflow(workflows.CheckRun, in)
	if !w.env.IsWorkflowCompleted() {
		t.Fatal("the run did not end")
	}
	if err := w.env.GetWorkflowError(); err != nil {
		return check.Outcome{}, err
	}
	var outcome check.Outcome
	if err := w.env.GetWorkflowResult(&outcome); err != nil {
		t.Fatal(err)
	}
	return outcome, nil
}

func (w *world) texts() [][]string {
	var all [][]string
	for _, outcome := range w.recorded {
		all = append(all, outcome.Errors)
	}
	return all
}

func TestCheckRun(t *testing.T) {
	const prefix = "Check execution error: shop/cart: "
	tests := []struct {
		name  string
		setup func(w *world)
		want  check.Result
		// recorded are the errors of each outcome that was recorded, in turn.
		recorded [][]string
		// notes are parts of what the outcome notes.
		notes []string
		// kept is true when the run must leave the pod alone, because it has ended by itself.
		kept  bool
		flaky bool
	}{
		{
			name:  "report of success",
			setup: func(w *world) { w.reportAfter(5 * time.Second) },
			want:  check.Succeeded, recorded: [][]string{nil}, kept: true,
		},
		{
			name:  "report of failure",
			setup: func(w *world) { w.reportAfter(5*time.Second, "first", "second") },
			want:  check.Failed, recorded: [][]string{{"first", "second"}}, kept: true,
		},
		{
			name:  "report before the pod is known to run",
			setup: func(w *world) { w.reportAfter(100*time.Millisecond, "early") },
			want:  check.Failed, recorded: [][]string{{"early"}}, kept: true,
		},
		{
			name: "second report is noted and changes nothing",
			setup: func(w *world) {
				w.reportAfter(5*time.Second, "first verdict")
				w.reportAfter(5 * time.Second)
			},
			want: check.Failed, recorded: [][]string{{"first verdict"}}, notes: []string{"further report was ignored: OK=true"}, kept: true,
		},
		{
			name: "pod ends without a report",
			setup: func(w *world) {
				w.exit = func() (check.Observation, error) {
					return check.Observation{Started: true, Ended: true, Detail: "container main exited with code 1 (Error)"}, nil
				}
			},
			want: check.Failed, kept: true,
			recorded: [][]string{{prefix + "checker pod ended without reporting in: container main exited with code 1 (Error)"}},
		},
		{
			name:  "report arrives just after the pod's end",
			setup: func(w *world) { w.reportAfter(11500*time.Millisecond, "in time") },
			want:  check.Failed, recorded: [][]string{{"in time"}}, kept: true,
		},
		{
			name:  "no report until the deadline",
			setup: func(w *world) { w.exit, w.exitAfter = running, time.Minute },
			want:  check.TimedOut, recorded: [][]string{{prefix + "timed out waiting for checker pod to report in"}},
		},
		{
			name: "pod not started at the deadline",
			setup: func(w *world) {
				w.start = func() (check.Observation, error) {
					return check.Observation{Detail: "container main: ContainerCreating"}, nil
				}
				w.startAfter, w.look = time.Minute, w.start // the waiting activity ends with the run
			},
			want:     check.TimedOut,
			recorded: [][]string{{prefix + "failed to see pod running within timeout", "container main: ContainerCreating"}},
		},
		{
			name: "image cannot be pulled",
			setup: func(w *world) {
				w.start = func() (check.Observation, error) {
					return check.Observation{Hopeless: "ErrImagePull", Detail: "container main: ErrImagePull: no such host"}, nil
				}
			},
			want: check.InfraFailed, // shown at once, and again after the last attempt
			recorded: slices.Repeat([][]string{{
				prefix + "error when waiting for pod to start: ErrImagePull", "container main: ErrImagePull: no such host",
			}}, 2),
			notes: []string{"attempt 1 was repeated: infra-failed", "attempt 2 was repeated: infra-failed"},
		},
		{
			name: "image can be pulled by the second attempt",
			setup: func(w *world) {
				w.start = func() (check.Observation, error) {
					if len(w.created) > 1 {
						return running()
					}
					return check.Observation{Hopeless: "ErrImagePull", Node: "node-1"}, nil
				}
				w.reportAfter(15 * time.Second)
			},
			want: check.Succeeded, kept: true, recorded: [][]string{{prefix + "error when waiting for pod to start: ErrImagePull"}, nil},
			notes: []string{"attempt 1 was repeated: infra-failed"},
		},
		{
			name: "pod with an image that cannot be pulled does not go",
			setup: func(w *world) {
				w.stuck = true
				w.start = func() (check.Observation, error) { return check.Observation{Hopeless: "ErrImagePull"}, nil }
				w.look = w.start
			},
			want:     check.InfraFailed,
			recorded: slices.Repeat([][]string{{prefix + "error when waiting for pod to start: ErrImagePull"}}, 2),
			notes:    []string{"not repeated, because pod cart-"},
		},
		{
			name: "image name that is not valid",
			setup: func(w *world) {
				w.start = func() (check.Observation, error) { return check.Observation{Hopeless: "InvalidImageName"}, nil }
			},
			want: check.InfraFailed, recorded: [][]string{{prefix + "error when waiting for pod to start: InvalidImageName"}},
		},
		{
			name: "failure that is confirmed by a crash",
			setup: func(w *world) {
				w.confirm(3)
				w.reportAfter(5*time.Second, "first")
				w.reportAfter(17*time.Second, "second")
				w.exit = func() (check.Observation, error) {
					return check.Observation{Started: true, Ended: true, Detail: "container main exited with code 1 (Error)"}, nil
				}
			},
			want: check.Failed, kept: true,
			recorded: [][]string{{prefix + "checker pod ended without reporting in: container main exited with code 1 (Error)"}},
			notes:    []string{"attempt 1 was repeated: failed: first", "attempt 2 was repeated: failed: second"},
		},
		{
			name: "failure that is not confirmed",
			setup: func(w *world) {
				w.confirm(2)
				w.reportAfter(5*time.Second, "hiccup")
				w.reportAfter(17 * time.Second)
			},
			want: check.Succeeded, flaky: true, recorded: [][]string{nil}, kept: true,
			notes: []string{"attempt 1 was repeated: failed: hiccup"},
		},
		{
			name: "failure whose pod does not exit is confirmed by another pod",
			setup: func(w *world) {
				w.confirm(2)
				w.reportAfter(5*time.Second, "first")
				w.reportAfter(25*time.Second, "second")
				w.exitAfter = 30 * time.Second
			},
			want: check.Failed, recorded: [][]string{{"second"}}, kept: true,
			notes: []string{"attempt 1 was repeated: failed: first"},
		},
		{
			name: "second report of an attempt is not that of the next one",
			setup: func(w *world) {
				w.confirm(2)
				w.reportAfter(5*time.Second, "first")
				w.reportAfter(11500*time.Millisecond, "first")
				w.reportAfter(20 * time.Second)
			},
			want: check.Succeeded, flaky: true, recorded: [][]string{nil}, kept: true,
			notes: []string{"a further report was ignored", "attempt 1 was repeated: failed: first"},
		},
		{
			name: "report of an evicted pod arrives before the next one is made",
			setup: func(w *world) {
				w.exit = func() (check.Observation, error) {
					return check.Observation{Started: true, Ended: true, Disrupted: true, Detail: "pod Evicted"}, nil
				}
				w.reportAfter(12500*time.Millisecond, "in time")
			},
			want: check.Failed, recorded: [][]string{{"in time"}}, kept: true,
		},
		{
			name: "attempt that the deadline ends takes a failure not back",
			setup: func(w *world) {
				w.confirm(2)
				w.reportAfter(5*time.Second, "broken")
				w.exit = func() (check.Observation, error) {
					if len(w.created) == 1 {
						return exited()
					}
					return check.Observation{}, errUnanswered
				}
			},
			want: check.Failed, recorded: [][]string{{"broken"}},
			notes: []string{"attempt 1 was repeated: failed: broken", "the last attempt was cut short: " + prefix + "timed out"},
		},
		{
			name: "pod deleted before it ran",
			setup: func(w *world) {
				w.start = func() (check.Observation, error) { return check.Observation{Gone: true}, nil }
			},
			want: check.Failed, kept: true,
			recorded: [][]string{{
				prefix + "error when waiting for pod to start: the khcheck check pod is deleted, waiting for start failed",
			}},
		},
		{
			name: "pod deleted while it ran",
			setup: func(w *world) {
				w.exit = func() (check.Observation, error) { return check.Observation{Started: true, Gone: true}, nil }
			},
			want: check.Failed, recorded: [][]string{{"Check execution error: pod deleted unexpectedly"}}, kept: true,
		},
		{
			name: "pod reports and does not exit",
			setup: func(w *world) {
				w.reportAfter(5 * time.Second)
				w.exit, w.exitAfter = running, 59*time.Second
			},
			want: check.TimedOut, recorded: [][]string{nil, {prefix + "timed out waiting for pod to exit"}},
			notes: []string{"before the deadline the check reported: succeeded"},
		},
		{
			name: "pod reports, and a sidecar never exits",
			setup: func(w *world) {
				w.reportAfter(5*time.Second, "from the first container")
				w.create = func(activities.Run) (activities.CreatePodResult, error) {
					return activities.CreatePodResult{Containers: 2}, nil
				}
				w.exit, w.exitAfter = running, 59*time.Second
				w.reporterExit = func() (check.Observation, error) {
					return check.Observation{Started: true, PartlyEnded: true}, nil
				}
			},
			want: check.Failed, recorded: [][]string{{"from the first container"}},
		},
		{
			name: "pod of two containers reports, and none exits",
			setup: func(w *world) {
				w.reportAfter(5 * time.Second)
				w.create = func(activities.Run) (activities.CreatePodResult, error) {
					return activities.CreatePodResult{Containers: 2}, nil
				}
				w.exit, w.exitAfter = running, 59*time.Second
			},
			want: check.TimedOut, recorded: [][]string{nil, {prefix + "timed out waiting for pod to exit"}},
			notes: []string{"before the deadline the check reported: succeeded"},
		},
		{
			name: "pod whose check has crashed beside a sidecar",
			setup: func(w *world) {
				w.exit, w.exitAfter = running, time.Minute
				w.look = func() (check.Observation, error) {
					return check.Observation{Started: true, PartlyEnded: true, Detail: "container main exited with code 1 (Error)"}, nil
				}
			},
			want: check.TimedOut,
			recorded: [][]string{{
				prefix + "timed out waiting for checker pod to report in", "container main exited with code 1 (Error)",
			}},
		},
		{
			name: "pod reported and exited while no worker was there until after the deadline",
			setup: func(w *world) {
				w.reportAfter(5*time.Second, "seen late")
				w.exit = func() (check.Observation, error) { return check.Observation{}, errUnanswered }
				w.look = exited
			},
			want: check.Failed, recorded: [][]string{{"seen late"}}, kept: true,
		},
		{
			name: "pod crashed while no worker was there until after the deadline",
			setup: func(w *world) {
				w.exitAfter, w.look = 2*time.Minute, func() (check.Observation, error) {
					return check.Observation{Started: true, Ended: true, Detail: "container main exited with code 2 (Error)"}, nil
				}
			},
			want: check.Failed, kept: true,
			recorded: [][]string{{prefix + "checker pod ended without reporting in: container main exited with code 2 (Error)"}},
		},
		{
			name: "pod whose containers have ended, though the kubelet has not said so of the pod",
			setup: func(w *world) {
				w.exitAfter, w.look = 2*time.Minute, func() (check.Observation, error) {
					return check.Observation{Started: true, PartlyEnded: true, AllEnded: true, Detail: "container main exited with code 3 (Error)"}, nil
				}
			},
			want:     check.Failed,
			recorded: [][]string{{prefix + "checker pod ended without reporting in: container main exited with code 3 (Error)"}},
		},
		{
			name: "API server is away at the deadline",
			setup: func(w *world) {
				w.exitAfter = 2 * time.Minute
				w.look = func() (check.Observation, error) { return check.Observation{}, errUnanswered }
			},
			want: check.TimedOut, recorded: [][]string{{prefix + "timed out waiting for checker pod to report in"}},
		},
		{
			name: "pod reports, does not exit, and reports again",
			setup: func(w *world) {
				w.reportAfter(5 * time.Second)
				w.exit, w.exitAfter = running, 59*time.Second
				w.whileCleaning = func() { w.env.SignalWorkflow(workflows.ReportSignal, status.NewReport(nil)) }
			},
			want: check.TimedOut, recorded: [][]string{nil, {prefix + "timed out waiting for pod to exit"}},
			notes: []string{"before the deadline the check reported: succeeded", "further report was ignored"},
		},
		{
			name: "API server refuses the pod",
			setup: func(w *world) {
				failure := check.CreateFailed("quota exceeded")
				w.create = func(activities.Run) (activities.CreatePodResult, error) {
					return activities.CreatePodResult{Failure: &failure}, nil
				}
			},
			want:     check.InfraFailed,
			recorded: slices.Repeat([][]string{{prefix + "failed to create pod for checker: quota exceeded"}}, 2),
			notes:    []string{"attempt 1 was repeated", "attempt 2 was repeated"},
		},
		{
			name: "API server does not answer until the deadline",
			setup: func(w *world) {
				w.create = func(activities.Run) (activities.CreatePodResult, error) {
					return activities.CreatePodResult{}, errors.New("connection refused")
				}
			},
			want: check.InfraFailed, recorded: [][]string{{prefix + "failed to create pod for checker: connection refused"}},
		},
		{
			name: "API server comes back",
			setup: func(w *world) {
				w.reportAfter(5 * time.Second)
				w.create = func(activities.Run) (activities.CreatePodResult, error) {
					if len(w.created) < 3 {
						return activities.CreatePodResult{}, errors.New("connection refused")
					}
					return activities.CreatePodResult{}, nil
				}
			},
			want: check.Succeeded, recorded: [][]string{nil}, kept: true,
		},
		{
			name: "state cannot be written at first",
			setup: func(w *world) {
				w.reportAfter(5*time.Second, "kept")
				w.recordErrors = slices.Repeat([]error{errors.New("connection refused")}, 5)
			},
			want: check.Failed, recorded: [][]string{{"kept"}}, kept: true,
		},
		{
			name: "evicted pod is replaced",
			setup: func(w *world) {
				w.exit = func() (check.Observation, error) {
					if len(w.created) == 1 {
						return check.Observation{Started: true, Ended: true, Disrupted: true, Detail: "pod Evicted"}, nil
					}
					return exited()
				}
				w.reportAfter(15 * time.Second)
			},
			want: check.Succeeded, recorded: [][]string{nil}, notes: []string{"attempt 1 was repeated: infra-failed: Check execution error: "}, kept: true,
		},
		{
			name: "evicted again and again",
			setup: func(w *world) {
				w.exit = func() (check.Observation, error) {
					return check.Observation{Started: true, Gone: true, Disrupted: true}, nil
				}
			},
			want: check.InfraFailed, recorded: [][]string{{"Check execution error: pod deleted expectedly"}},
			notes: []string{"attempt 1 was repeated", "attempt 2 was repeated", "attempt 3 was repeated", "the last attempt was cut short: "},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.setup(w)
			outcome, err := w.execute(t, checkRef)
			if err != nil {
				t.Fatal(err)
			}
			if outcome.Result != tt.want || outcome.Flaky != tt.flaky {
				t.Errorf("result is %s, flaky: %t, want %s, flaky: %t", outcome.Result, outcome.Flaky, tt.want, tt.flaky)
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
			if last := w.cleaned[len(w.cleaned)-1]; last.Ended != tt.kept {
				t.Errorf("clean-up of %+v, want Ended=%t", last, tt.kept)
			}
		})
	}
}

// errUnanswered ends an activity for good, as its timeouts would.
var errUnanswered = temporal.NewNonRetryableApplicationError("no answer", "Unanswered", nil)

func emptyIsNil(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	return texts
}

func TestPodsOfAnAttemptDiffer(t *testing.T) {
	w := newWorld(t)
	w.exit = func() (check.Observation, error) {
		return check.Observation{Started: true, Gone: true, Disrupted: true}, nil
	}
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	var attempts []int
	for _, run := range w.created {
		if run.UUID != runUUID {
			t.Errorf("attempt %d has run UUID %s, want %s", run.Attempt, run.UUID, runUUID)
		}
		if run.Deadline != w.created[0].Deadline {
			t.Errorf("attempt %d has deadline %s, want that of the run", run.Attempt, run.Deadline)
		}
		attempts = append(attempts, run.Attempt)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4}, attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if len(w.created[0].Avoid) != 0 || !slices.Equal(w.created[3].Avoid, []string{"node-1"}) {
		t.Errorf("the first attempt avoids %v and the last %v, want none and node-1", w.created[0].Avoid, w.created[3].Avoid)
	}
}

func TestLateReportBecomesTheOutcome(t *testing.T) {
	w := newWorld(t)
	w.exit, w.exitAfter = running, time.Minute
	w.whileCleaning = func() { w.env.SignalWorkflow(workflows.ReportSignal, status.NewReport(nil)) }
	outcome, err := w.execute(t, checkRef)
	if err != nil {
		t.Fatal(err)
	}
	if outcome.Result != check.Succeeded || len(w.recorded) != 2 || w.recorded[1].Result != check.Succeeded {
		t.Errorf("outcome is %+v after %d records, want the report that was accepted", outcome, len(w.recorded))
	}
}

// What the report API lets through must not hold up its run: a workflow that computes for more than a second is taken for
// hung, and one with a result of more than 2 MiB is ended by Temporal.
func TestLargestReports(t *testing.T) {
	tests := []struct {
		name   string
		errors []string
	}{
		{"as many errors as there may be", strings.Split(strings.Repeat("x", 131_000), "")},
		{"one long error", []string{strings.Repeat("x", 512<<10)}},
		{"one long error that takes five times as much when it is quoted", []string{strings.Repeat("\x7f", 512<<10)}},
	}
	for _, tt := range tests {
		for name, exit := range map[string]func() (check.Observation, error){"exits": exited, "does not exit": running} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				w := newWorld(t)
				w.exit = exit
				w.reportAfter(5*time.Second, tt.errors...)
				outcome, err := w.execute(t, checkRef)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.errors, w.recorded[0].Errors); diff != "" {
					t.Errorf("errors differ (-want +got):\n%.1000s", diff)
				}
				if result, err := json.Marshal(outcome); err != nil || len(result) > 1<<20 {
					t.Errorf("result has %d bytes, %v, want at most 1 MiB", len(result), err)
				}
			})
		}
	}
}

func TestDeletedCheckEndsItsRun(t *testing.T) {
	w := newWorld(t)
	w.exitAfter = time.Minute
	w.env.RegisterDelayedCallback(w.env.CancelWorkflow, 10*time.Second)
	_, err := w.execute(t, checkRef)
	if !temporal.IsCanceledError(err) {
		t.Errorf("run ends with %v, want it cancelled", err)
	}
	if len(w.recorded) != 0 || len(w.cleaned) != 1 || w.cleaned[0].Ended {
		t.Errorf("recorded %v, cleaned %v; want nothing recorded and the pod deleted", w.recorded, w.cleaned)
	}
}

// A run that is cancelled after its report keeps the verdict, and its pod is deleted at once.
func TestCancelledAfterItsReport(t *testing.T) {
	for name, containers := range map[string]int{"one container": 1, "several containers": 2} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create = func(activities.Run) (activities.CreatePodResult, error) {
				return activities.CreatePodResult{Containers: containers}, nil
			}
			w.exitAfter, w.reporterExitAfter = 50*time.Second, 50*time.Second
			w.reportAfter(5*time.Second, "its own verdict")
			w.env.RegisterDelayedCallback(w.env.CancelWorkflow, 10*time.Second)
			began := w.env.Now()
			outcome, err := w.execute(t, checkRef)
			if err != nil || outcome.Result != check.Failed {
				t.Fatalf("outcome is %+v, error %v, want the check's own verdict", outcome, err)
			}
			if diff := cmp.Diff([][]string{{"its own verdict"}}, w.texts()); diff != "" {
				t.Errorf("recorded errors (-want +got):\n%s", diff)
			}
			if len(w.cleaned) != 1 || w.cleaned[0].Ended {
				t.Errorf("cleaned %+v, want the pod deleted", w.cleaned)
			}
			if took := w.env.Now().Sub(began); took > 20*time.Second {
				t.Errorf("ended after %s, want soon after it was cancelled", took)
			}
		})
	}
}

// A report that was answered with success is noted, also when the run is cancelled between two attempts.
func TestCancelledBetweenAttemptsNotesTheReport(t *testing.T) {
	w := newWorld(t)
	accounts := w.ledgerOf(0)
	w.keepsEvidence(activities.EvidenceResult{}, nil)
	w.exit = evicted
	w.whileCleaning = func() {
		if len(w.cleaned) == 1 {
			w.env.SignalWorkflow(workflows.ReportSignal, status.NewReport([]string{"too late"}))
			w.env.CancelWorkflow()
		}
	}
	if _, err := w.executeDue(t); !temporal.IsCanceledError(err) || len(w.created) != 1 {
		t.Errorf("run ends with %v after %d attempts, want it cancelled after one", err, len(w.created))
	}
	want := []string{"a further report was ignored: OK=false, 1 errors"}
	if diff := cmp.Diff(want, (*accounts)[0].Outcome.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestRunOfACheckThatIsGoneMakesNoPod(t *testing.T) {
	w := newWorld(t)
	w.create = func(activities.Run) (activities.CreatePodResult, error) {
		return activities.CreatePodResult{CheckGone: true}, nil
	}
	_, err := w.execute(t, checkRef)
	if !temporal.IsCanceledError(err) || len(w.recorded) != 0 {
		t.Errorf("run ends with %v and %d records, want it cancelled with none", err, len(w.recorded))
	}
}

func TestJobIsCompletedHoweverItEnds(t *testing.T) {
	for name, errs := range map[string][]string{"passed": nil, "failed": {"broken"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.reportAfter(5*time.Second, errs...)
			if _, err := w.execute(t, jobRef); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]khv1.JobPhase{khv1.JobRunning, khv1.JobCompleted}, w.phases); diff != "" {
				t.Errorf("phases (-want +got):\n%s", diff)
			}
		})
	}
}

// Jobs have names that do not come again, and a series is kept for as long as the worker lives: one for all of a namespace.
func TestJobsOfANamespaceShareASeries(t *testing.T) {
	metrics, err := telemetry.NewMetrics(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []check.Ref{
		{Kind: khv1.KHJob, Namespace: "shop", Name: "migrate-1", UID: "u-1"},
		{Kind: khv1.KHJob, Namespace: "shop", Name: "migrate-2", UID: "u-2"},
		{Kind: khv1.KHJob, Namespace: "bank", Name: "migrate-1", UID: "u-3"},
		checkRef,
	} {
		w := newMeasuredWorld(t, metrics.Temporal)
		w.reportAfter(5 * time.Second)
		if _, err := w.execute(t, ref); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{
		"KHJob shop/ shop succeeded": 2, "KHJob bank/ bank succeeded": 1, "KHCheck shop/cart shop succeeded": 1,
	}
	if diff := cmp.Diff(want, counted(t, metrics, "khronicle_runs_total")); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// A run that brings its own workload makes its pod from that, and leaves the phase of a job of that name alone.
func TestGivenWorkload(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5 * time.Second)
	given := &activities.Given{Workload: check.Workload{Ref: jobRef, Timeout: "1m"}, ReportingURL: "http://elsewhere/externalCheckStatus"}
	outcome, err := w.executeInput(t, workflows.CheckRunInput{Ref: jobRef, Trigger: workflows.TriggerExternal, Timeout: time.Minute, Given: given})
	if err != nil || !outcome.OK() {
		t.Fatalf("outcome is %+v, error %v, want success", outcome, err)
	}
	if diff := cmp.Diff(given, w.created[0].Given); diff != "" {
		t.Errorf("workload of the pod (-want +got):\n%s", diff)
	}
	if len(w.phases) != 0 {
		t.Errorf("phases %v were set, want none", w.phases)
	}
}

func TestLostRunIsRecordedAndRunsNothing(t *testing.T) {
	w, created := newWorld(t), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	outcome, err := w.executeInput(t, workflows.CheckRunInput{Ref: jobRef, Trigger: workflows.TriggerJob, Timeout: time.Minute, LostSince: &created})
	if err != nil || outcome.Result != check.InfraFailed || !outcome.Started.Equal(created) {
		t.Fatalf("outcome is %+v, error %v, want an infrastructure failure", outcome, err)
	}
	want := [][]string{{"Job execution error: shop/cart: the run was lost: Temporal has no record of it any more"}}
	if diff := cmp.Diff(want, w.texts()); diff != "" {
		t.Errorf("recorded errors (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]khv1.JobPhase{khv1.JobCompleted}, w.phases); diff != "" || len(w.created) != 0 {
		t.Errorf("%d pods, phases (-want +got):\n%s", len(w.created), diff)
	}
}
