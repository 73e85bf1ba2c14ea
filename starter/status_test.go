package starter_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// status returns the status of the check cart, after a time.
func (w *world) status(t *testing.T, within time.Duration) khv1.CheckStatus {
	t.Helper()
	time.Sleep(within) // of fake time
	synctest.Wait()
	w.cluster.mu.Lock()
	defer w.cluster.mu.Unlock()
	c, ok := w.cluster.checks["shop/cart"]
	if !ok {
		t.Fatal("there is no check cart")
	}
	return c.Status
}

// conditions returns the conditions of the check cart as "type status reason", after a time.
func (w *world) conditions(t *testing.T, within time.Duration) (found []string) {
	t.Helper()
	for _, c := range w.status(t, within).Conditions {
		found = append(found, c.Type+" "+string(c.Status)+" "+c.Reason)
	}
	return found
}

// writes returns how many statuses were written since the last call, and the events.
func (w *world) writes() (statuses int, events []string) {
	w.cluster.mu.Lock()
	defer w.cluster.mu.Unlock()
	statuses, events = w.cluster.statuses, w.cluster.events
	w.cluster.statuses, w.cluster.events = 0, nil
	return statuses, events
}

// ended records that a run of the check cart has ended now.
func (w *world) ended(outcome check.Outcome, errors ...string) {
	ref := cartRef
	if c, ok := w.cluster.Check("shop", "cart"); ok {
		ref = check.FromCheck(c).Ref
	}
	conclusion := check.Conclusion{Outcome: outcome, Errors: errors, Reported: true, Started: time.Now(), Concluded: time.Now()}
	state := check.NewState(nil, ref, "a-run", "worker-0", conclusion)
	check.AddRecentRun(state, check.NewRecentRun(time.Now(), conclusion))
	w.cluster.record(state)
}

const (
	scheduled = "Ready True Scheduled"
	// written is within the longest time that a starter takes to write a status.
	written = time.Second
)

func TestStatusFollowsTheRuns(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.cluster.apply(cart()) // its creation is in fake time, too
		steps := []struct {
			name   string
			act    func()
			want   []string
			events []string
		}{
			{"it begins", func() {}, []string{scheduled, "Healthy Unknown NoRunYet"}, nil},
			{"it succeeds", func() { w.ended(check.Succeeded) }, []string{scheduled, "Healthy True Succeeded"}, nil},
			{"it fails", func() { w.ended(check.Failed, "out of stock") }, []string{scheduled, "Healthy False Failed"}, []string{"cart: CheckFailing"}},
			{"it recovers", func() { w.ended(check.Succeeded) }, []string{scheduled, "Healthy True Succeeded"}, []string{"cart: CheckRecovered"}},
			{"it stops", func() { time.Sleep(10 * time.Minute) }, []string{scheduled, "Healthy Unknown Overdue"}, []string{"cart: CheckUnknown"}},
			{"it runs again", func() { w.ended(check.Succeeded) }, []string{scheduled, "Healthy True Succeeded"}, []string{"cart: CheckRecovered"}},
		}
		for _, step := range steps {
			step.act()
			if diff := cmp.Diff(step.want, w.conditions(t, written)); diff != "" {
				t.Errorf("%s: conditions differ (-want +got):\n%s", step.name, diff)
			}
			if statuses, events := w.writes(); statuses != 1 || !cmp.Equal(events, step.events) {
				t.Errorf("%s: %d writes and events %v, want 1 and %v", step.name, statuses, events, step.events)
			}
		}
	})
}

// At a steady state a run costs no request: the time of the last run is written every ten minutes.
func TestSteadyStateWritesTheTimeAlone(t *testing.T) {
	inWorld(t, []any{cart(every("1m"))}, func(t *testing.T, w *world) {
		w.ended(check.Succeeded)
		w.status(t, written)
		w.writes()
		for range 60 {
			time.Sleep(time.Minute)
			w.ended(check.Succeeded)
		}
		if shown := w.status(t, written).LastRunTime; time.Since(shown.Time) >= 10*time.Minute {
			t.Errorf("the last run is shown as of %s", time.Since(shown.Time))
		}
		if statuses, events := w.writes(); statuses != 6 || events != nil {
			t.Errorf("%d writes in an hour, want 6; events %v", statuses, events)
		}
	})
}

// Starters that see the same change at the same time write it once or, if the first write is not visible yet, are refused.
func TestStartersSideBySideWriteAStatusOnce(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.start(t)
		w.start(t)
		w.status(t, time.Minute)
		w.writes()
		w.ended(check.Failed, "out of stock")
		w.status(t, time.Minute)
		if statuses, events := w.writes(); statuses != 1 || !cmp.Equal(events, []string{"cart: CheckFailing"}) {
			t.Errorf("%d writes, events %v", statuses, events)
		}
	})
}

func TestStatusOfAnEditedCheck(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.ended(check.Succeeded)
		w.status(t, written)
		w.cluster.apply(cart(every("3m")))
		status := w.status(t, written)
		if ready := meta.FindStatusCondition(status.Conditions, khv1.ConditionReady); ready.Reason != check.ReasonScheduling || status.ObservedGeneration != 2 {
			t.Errorf("while the first run is open: %+v", status)
		}
		w.temporal.complete(w.temporal.uuid(t, first))
		status = w.status(t, soon)
		ready, healthy := meta.FindStatusCondition(status.Conditions, khv1.ConditionReady), meta.FindStatusCondition(status.Conditions, khv1.ConditionHealthy)
		if ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != 2 || healthy.ObservedGeneration != 1 || status.Schedule != "every 3m" {
			t.Errorf("before the run of the new spec: %+v", status)
		}
		w.ended(check.Succeeded)
		status = w.status(t, written)
		if healthy := meta.FindStatusCondition(status.Conditions, khv1.ConditionHealthy); healthy.ObservedGeneration != 2 {
			t.Errorf("after the run of the new spec: %+v", healthy)
		}
	})
}

func TestStatusOfChecksThatDoNotRun(t *testing.T) {
	long := strings.Repeat("long-", 50)
	tests := []struct {
		name   string
		change func(*khv1.KuberhealthyCheck)
		want   []string
		events []string
	}{
		{"suspended", suspended, []string{"Ready True Suspended", "Healthy Unknown Paused"}, nil},
		{
			"not valid",
			func(c *khv1.KuberhealthyCheck) { c.Spec.Timeout = "abc" },
			[]string{"Ready False Invalid", "Stalled True Invalid", "Healthy Unknown NoRunYet"},
			[]string{"cart: CheckInvalid"},
		},
		{
			"a namespace that makes the name too long",
			func(c *khv1.KuberhealthyCheck) { c.Namespace = long },
			[]string{"Ready False Invalid", "Stalled True Invalid", "Healthy Unknown NoRunYet"},
			[]string{"cart: CheckInvalid"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := cart(tt.change)
			inWorld(t, []any{c}, func(t *testing.T, w *world) {
				time.Sleep(written)
				synctest.Wait()
				w.cluster.mu.Lock()
				status := w.cluster.checks[c.Namespace+"/cart"].Status
				w.cluster.mu.Unlock()
				var got []string
				for _, c := range status.Conditions {
					got = append(got, c.Type+" "+string(c.Status)+" "+c.Reason)
				}
				_, events := w.writes()
				if diff := cmp.Diff(tt.want, got); diff != "" || !cmp.Equal(tt.events, events) {
					t.Errorf("events %v; conditions differ (-want +got):\n%s", events, diff)
				}
			})
		})
	}
}

func TestStatusSaysWhyACheckIsNotScheduled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{cluster: newCluster(), temporal: newTemporal()}
		w.cluster.apply(cart())
		const run = "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"
		w.temporal.failNext("describe", errors.New("describe "+run+": no connection"), errDown, errDown, errDown, errDown, errDown, errDown)
		w.start(t)
		ready := meta.FindStatusCondition(w.status(t, written).Conditions, khv1.ConditionReady)
		if ready.Reason != check.ReasonScheduling || !strings.HasPrefix(ready.Message, "scheduling failed and is tried again: ") || strings.Contains(ready.Message, run) {
			t.Errorf("condition %+v", ready)
		}
		w.stop()
		if log := w.log.String(); !strings.Contains(log, "no connection") || strings.Contains(log, run) {
			t.Errorf("log, want the failure without the UUID of a run:\n%s", log)
		}
		w.start(t)
		if diff := cmp.Diff([]string{scheduled, "Healthy Unknown NoRunYet"}, w.conditions(t, time.Minute)); diff != "" {
			t.Errorf("later: conditions differ (-want +got):\n%s", diff)
		}
	})
}

// A starter that begins while Temporal does not answer still shows outcomes.
func TestStatusNeedsNoTemporal(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.ended(check.Succeeded)
		w.status(t, written)
		w.stop()
		for range 1000 {
			w.temporal.failNext("describe", errDown)
			w.temporal.failNext("list", errDown)
		}
		w.start(t)
		w.ended(check.Failed, "out of stock")
		if diff := cmp.Diff([]string{scheduled, "Healthy False Failed"}, w.conditions(t, written)); diff != "" {
			t.Errorf("conditions differ (-want +got):\n%s", diff)
		}
	})
}

func TestStatusThatIsRefusedIsTriedAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.cluster.statusErrors = []error{errDown, errDown}
		w.cluster.apply(cart())
		if diff := cmp.Diff([]string{scheduled, "Healthy Unknown NoRunYet"}, w.conditions(t, 10*time.Second)); diff != "" {
			t.Errorf("conditions differ (-want +got):\n%s", diff)
		}
		w.stop()
		if !strings.Contains(w.log.String(), "connection refused") {
			t.Errorf("log:\n%s", w.log.String())
		}
	})
}

// What somebody changed or removed by hand is back within a minute.
func TestStatusThatWasChangedIsRestored(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.status(t, written)
		w.cluster.mu.Lock()
		w.cluster.checks["shop/cart"] = cart(func(c *khv1.KuberhealthyCheck) { c.Generation, c.ResourceVersion = 1, "by hand" })
		w.cluster.mu.Unlock()
		if diff := cmp.Diff([]string{scheduled, "Healthy Unknown NoRunYet"}, w.conditions(t, time.Minute+written)); diff != "" {
			t.Errorf("conditions differ (-want +got):\n%s", diff)
		}
	})
}

func TestNextRunIsThatOfTheSchedule(t *testing.T) {
	inWorld(t, []any{cart(every("7m"))}, func(t *testing.T, w *world) {
		w.status(t, written) // before the first run has ended
		want := w.temporal.get(t, cartID).executionTime
		if next := w.status(t, written).NextRunTime; next == nil || !next.Time.Equal(want.Truncate(time.Second)) {
			t.Errorf("next run %s, want %s", next, want)
		}
	})
}
