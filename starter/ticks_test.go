package starter_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// The ticks between the last tick of a schedule and the beginning of the next schedule are recorded. Ticks that the ledger
// did not take before are recorded too.
func TestTicksBetweenTwoSchedules(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		start := time.Now()
		w.expect(t, 2*time.Minute)
		w.temporal.complete(w.temporal.tick(t, cartID, false))
		waiting := activities.Span{After: start, Through: start.Add(2 * time.Minute), Outcome: check.Skipped}
		w.temporal.workflows[cartID].last.Unrecorded = []activities.Span{waiting}
		w.expect(t, 5*time.Minute) // no worker is there
		w.cluster.apply(cart(every("5m")))
		w.expect(t, 5*time.Second, refused, changed, ticks, "start "+second, "start "+cartID)
		edited := w.temporal.recorded()[0].Before
		if late := time.Since(edited); late < 0 || late > 5*time.Second {
			t.Errorf("ticks are recorded up to %s ago", late)
		}
		want := []activities.TicksInput{{
			Ref: cartRef, Schedule: check.ScheduleSpec{RunInterval: "2m"}, Start: start, Before: edited,
			Spans: []activities.Span{waiting, {After: start.Add(2 * time.Minute), Through: edited.Add(-1), Outcome: check.Missed}},
		}}
		if diff := cmp.Diff(want, w.temporal.recorded()); diff != "" {
			t.Errorf("recorded ticks differ (-want +got):\n%s", diff)
		}
	})
}

// A begin may be tried any number of times: each tick is recorded by one workflow.
func TestGapIsRecordedOnceHoweverOftenABeginIsTried(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		start := time.Now()
		w.expect(t, 5*time.Minute)
		for range 10 { // 3 minutes of tries: another tick is due meanwhile
			w.temporal.failNext("execute "+cartID, errDown)
		}
		w.cluster.apply(cart(every("7m")))
		w.expect(t, 5*time.Minute, refused, changed, ticks, "start "+second, ticks, "start "+cartID)
		var due []time.Duration
		for _, in := range w.temporal.recorded() {
			for _, span := range in.Spans {
				for at := start.Add(2 * time.Minute); !at.After(span.Through); at = at.Add(2 * time.Minute) {
					if at.After(span.After) {
						due = append(due, at.Sub(start))
					}
				}
			}
		}
		if diff := cmp.Diff([]time.Duration{2 * time.Minute, 4 * time.Minute, 6 * time.Minute}, due); diff != "" {
			t.Errorf("recorded ticks after the start (-want +got):\n%s", diff)
		}
	})
}

// A schedule begins only when the ticks of the previous one are on their way into the ledger.
func TestScheduleWaitsUntilTheTicksBeforeAreRecorded(t *testing.T) {
	inWorld(t, []any{cart(suspended)}, func(t *testing.T, w *world) {
		w.expect(t, 5*time.Minute, "start "+cartID)
		w.temporal.setBefore(func(id string) {
			if id == second {
				t.Errorf("the first run starts before the ticks are recorded")
			}
			w.temporal.setBefore(nil)
			w.temporal.failNext("execute "+id, errDown, errDown)
		})
		w.cluster.apply(cart())
		w.expect(t, atOnce, changed)
		w.expect(t, time.Second, ticks, "start "+second, "start "+cartID)
	})
}

// If nothing is known about the last schedule, the ledger has the newest tick.
func TestTicksAfterTheLossOfTemporalsData(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		created := metav1.NewTime(time.Now())
		old := func(c *khv1.KuberhealthyCheck) { c.CreationTimestamp = created }
		w.cluster.apply(cart(old))
		w.idle(t)
		w.expect(t, time.Hour)
		w.temporal.lose()
		w.expect(t, time.Minute, ticks, "start "+first, "start "+cartID)
		in := w.temporal.recorded()[0]
		if !in.SinceNewest || len(in.Spans) != 1 || in.Spans[0].Outcome != check.Missed || time.Since(in.Spans[0].Through) > time.Minute {
			t.Errorf("recorded %+v, want the ticks since the newest in the ledger, as missed", in)
		}
	})
}
