package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

func evicted() (check.Observation, error) {
	return check.Observation{Started: true, Ended: true, Deleting: true, Disrupted: true, Node: "node-1"}, nil
}

// drained is the pod of a drained node.
func drained() (check.Observation, error) {
	seen, err := evicted()
	seen.Detail = "pod EvictionByEvictionAPI: Eviction API: evicting"
	return seen, err
}

// firstThen makes the watch of the first attempt see first, and the watch of the others see others.
func (w *world) firstThen(first, others func() (check.Observation, error)) {
	w.watch = func() (check.Observation, error) {
		if len(w.created) == 1 {
			return first()
		}
		return others()
	}
}

// An attempt is repeated with another pod if the platform ended it, or if the check's spec wants a failure confirmed.
func TestAttemptsAreRepeatedWhenThePlatformOrTheSpecAsksForIt(t *testing.T) {
	for _, tt := range slices.Concat(refusedCases, evictedCases, confirmedCases) {
		t.Run(tt.name, tt.run)
	}
}

var refusedCases = []runCase{
	{
		name: "image cannot be pulled",
		setup: func(w *world) {
			w.watchTakes = time.Second
			w.watch = func() (check.Observation, error) {
				return check.Observation{Hopeless: "ErrImagePull", Detail: "container main: ErrImagePull: no such host"}, nil
			}
		},
		want: check.InfraFailed, removes: true, // shown at once, and again after the last attempt
		recorded: slices.Repeat([][]string{{
			prefix + "error when waiting for pod to start: ErrImagePull", "container main: ErrImagePull: no such host",
		}}, 2),
		notes: []string{
			"attempt 1 was repeated: infra-failed: " + prefix + "error when waiting for pod to start: ErrImagePull; container main: ErrImagePull: no such host",
			"attempt 2 was repeated: infra-failed", "attempt 3 was", "attempt 4 was", "attempt 5 was repeated",
		},
	},
	{
		name: "image can be pulled by the second attempt",
		setup: func(w *world) {
			w.firstThen(hopeless("ErrImagePull"), exited)
			w.reportAfter(20 * time.Second)
		},
		want: check.Succeeded, recorded: [][]string{{prefix + "error when waiting for pod to start: ErrImagePull"}, nil},
		notes: []string{"attempt 1 was repeated: infra-failed"},
	},
	{
		name: "pod with an image that cannot be pulled stays although it is deleted",
		setup: func(w *world) {
			w.stuck, w.watch, w.look = true, hopeless("ErrImagePull"), hopeless("ErrImagePull")
		},
		want: check.InfraFailed, removes: true,
		recorded: slices.Repeat([][]string{{prefix + "error when waiting for pod to start: ErrImagePull"}}, 2),
		notes:    []string{"not repeated, because pod cart-"},
	},
	{
		name: "API server refuses the pod",
		setup: func(w *world) {
			failure := check.CreateFailed("quota exceeded")
			w.creates(activities.CreatePodResult{Failure: &failure})
		},
		want:     check.InfraFailed,
		recorded: slices.Repeat([][]string{{prefix + "failed to create pod for checker: quota exceeded"}}, 2),
		notes:    []string{"attempt 1 was repeated", "attempt 2 was", "attempt 3 was", "attempt 4 was", "attempt 5 was", "attempt 6 was repeated"},
	},
	{
		name: "volume gets its secret before the second attempt",
		setup: func(w *world) {
			w.firstThen(func() (check.Observation, error) {
				return check.Observation{Hopeless: "FailedMount", Blame: check.BlameCheck, Detail: `secret "tls" not found`}, nil
			}, exited)
			w.reportAfter(20 * time.Second)
		},
		want: check.Succeeded, recorded: [][]string{{prefix + "error when waiting for pod to start: FailedMount", `secret "tls" not found`}, nil},
		notes: []string{"attempt 1 was repeated: failed: "},
	},
	{
		name: "API server finds the spec not valid",
		setup: func(w *world) {
			failure, _ := check.RefusedPod(apierrors.NewBadRequest("no such field"))
			w.creates(activities.CreatePodResult{Failure: &failure})
		},
		want: check.Failed, recorded: [][]string{{prefix + "failed to create pod for checker: no such field"}},
	},
	{
		name: "spec is edited between two attempts",
		setup: func(w *world) {
			w.create = func(in activities.Attempt) (activities.CreatePodResult, error) {
				return activities.CreatePodResult{SpecHash: "abc", SpecChanged: in.SpecHash == "abc"}, nil
			}
			w.watch = evicted
		},
		want: check.InfraFailed, recorded: [][]string{{"Check execution error: pod deleted expectedly"}},
		notes: []string{"attempt 1 was repeated", "not repeated, because the spec has changed"},
	},
}

var evictedCases = []runCase{
	{
		name: "evicted pod is replaced",
		setup: func(w *world) {
			w.firstThen(drained, exited)
			w.reportAfter(15 * time.Second)
		},
		want: check.Succeeded, recorded: [][]string{nil},
		notes: []string{"attempt 1 was repeated: infra-failed: Check execution error: pod deleted expectedly; pod EvictionByEvictionAPI: Eviction API: evicting (on node-1)"},
	},
	{
		name:  "evicted again and again",
		setup: func(w *world) { w.watch = evicted },
		want:  check.InfraFailed, recorded: [][]string{{"Check execution error: pod deleted expectedly"}}, removes: true,
		notes: []string{"attempt 1 was repeated", "attempt 2 was repeated", "attempt 3 was repeated", "the last attempt was cut short: "},
	},
	{
		name: "report of an evicted pod arrives before the next one is made",
		setup: func(w *world) {
			w.watch = evicted
			w.reportAfter(12500*time.Millisecond, "in time")
		},
		want: check.Failed, recorded: [][]string{{"in time"}},
	},
}

var confirmedCases = []runCase{
	{
		name: "failure that is confirmed by a crash",
		setup: func(w *world) {
			w.creates(activities.CreatePodResult{Attempts: 3})
			w.reportAfter(5*time.Second, "first")
			w.reportAfter(17*time.Second, "second")
			w.watch = crashed
		},
		want: check.Failed, recorded: [][]string{{prefix + "checker pod ended without reporting in: container main exited with code 1 (Error)"}},
		notes: []string{"attempt 1 was repeated: failed: first", "attempt 2 was repeated: failed: second"},
	},
	{
		name: "failure that is not confirmed",
		setup: func(w *world) {
			w.creates(activities.CreatePodResult{Attempts: 2})
			w.reportAfter(5*time.Second, "hiccup")
			w.reportAfter(17 * time.Second)
		},
		want: check.Succeeded, flaky: true, recorded: [][]string{nil}, notes: []string{"attempt 1 was repeated: failed: hiccup"},
	},
	{
		name: "failure whose pod does not exit is confirmed by another pod",
		setup: func(w *world) {
			w.creates(activities.CreatePodResult{Attempts: 2})
			w.reportAfter(5*time.Second, "first")
			w.reportAfter(25*time.Second, "second")
			w.watchTakes = 31 * time.Second
		},
		want: check.Failed, recorded: [][]string{{"second"}}, notes: []string{"attempt 1 was repeated: failed: first"},
	},
	{
		name: "second report of an attempt is not that of the next one",
		setup: func(w *world) {
			w.creates(activities.CreatePodResult{Attempts: 2})
			w.reportAfter(5*time.Second, "first")
			w.reportAfter(11500*time.Millisecond, "first")
			w.reportAfter(20 * time.Second)
		},
		want: check.Succeeded, flaky: true, recorded: [][]string{nil},
		notes: []string{"a further report was ignored", "attempt 1 was repeated: failed: first"},
	},
	{
		name: "attempt that the deadline ends takes a failure not back",
		setup: func(w *world) {
			w.creates(activities.CreatePodResult{Attempts: 2})
			w.reportAfter(5*time.Second, "broken")
			w.firstThen(exited, func() (check.Observation, error) { return check.Observation{}, errUnanswered })
		},
		want: check.Failed, recorded: [][]string{{"broken"}}, removes: true,
		notes: []string{"attempt 1 was repeated: failed: broken", "the last attempt was cut short: " + prefix + "timed out"},
	},
}

func TestPodsOfTheAttemptsOfARunDiffer(t *testing.T) {
	w := newWorld(t)
	w.watch = evicted
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	var attempts []int
	for _, in := range w.created {
		if in.UUID != runUUID || in.Deadline != w.created[0].Deadline || in.Admitted != (in.Number > 1) {
			t.Errorf("attempt %+v, want UUID and deadline of the run, and only the first to wait for its turn", in)
		}
		attempts = append(attempts, in.Number)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4}, attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if len(w.created[0].Avoid) != 0 || !slices.Equal(w.created[3].Avoid, []string{"node-1"}) {
		t.Errorf("the first attempt avoids %v and the last %v, want none and node-1", w.created[0].Avoid, w.created[3].Avoid)
	}
	if got := w.records[0]; got.Attempts != 4 || got.InfraFailures != 3 {
		t.Errorf("the record has %d attempts, %d of them ended by the platform, want 4 and 3", got.Attempts, got.InfraFailures)
	}
}

// A platform that refuses a pod is shown while the run is open, and exported only when it ends.
func TestOutcomeThatFurtherAttemptsMayChangeIsProvisional(t *testing.T) {
	w := newWorld(t)
	w.firstThen(hopeless("ErrImagePull"), exited)
	w.reportAfter(20 * time.Second)
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	var provisional []bool
	for _, in := range w.outcomes {
		provisional = append(provisional, in.Provisional)
	}
	if diff := cmp.Diff([]bool{true, false}, provisional); diff != "" {
		t.Errorf("provisional (-want +got):\n%s", diff)
	}
}
