package starter_test

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/workflows"
)

// A schedule that somebody terminated or cancelled by hand is back within a minute.
func TestTerminatedScheduleIsReplacedWithinAMinute(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.temporal.terminate(cartID)
		w.expect(t, time.Minute, "start "+cartID) // the first run of the revision has been
		if next := w.temporal.get(t, cartID).executionTime; time.Until(next) > 2*time.Minute {
			t.Errorf("the next tick is at %s", next)
		}
	})
}

// Comparing all checks costs one list, and no request for each check.
func TestResyncAsksOnceForAllChecks(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		for i := range 15 {
			w.cluster.apply(cart(func(c *khv1.KuberhealthyCheck) {
				c.Name, c.UID = "cart-"+strconv.Itoa(i), types.UID("uid-"+strconv.Itoa(i))
			}))
		}
		synctest.Wait()
		w.temporal.asked()
		w.temporal.forget()
		w.expect(t, time.Hour)
		if asked := w.temporal.asked(); len(asked) != 0 {
			t.Errorf("described %v, want no workflow", asked)
		}
	})
}

func TestChangeWithoutAnEventIsSeenWithinAMinute(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		synctest.Wait()
		w.cluster.onCheck, w.cluster.onJob = nil, nil
		w.cluster.apply(smoke(""))
		w.expect(t, time.Minute, "start "+workflows.JobRunID(smokeRef))
		w.cluster.apply(cart())
		w.expect(t, time.Minute, "start "+first, "start "+cartID)
		w.temporal.complete(w.temporal.uuid(t, first))
		w.cluster.apply(cart(suspended))
		w.expect(t, time.Minute, changed, "start "+cartID)
		w.cluster.forget("shop", "cart")
		w.expect(t, time.Minute, deleted)
	})
}

// The checks of these schedules were deleted while no starter was there to see it.
func TestScheduleWithoutACheckIsEnded(t *testing.T) {
	const safe = "terminate khcheck/bank/safe: the check was deleted"
	tests := []struct {
		name       string
		namespaces []string
		want       []string
	}{
		{"of all namespaces", nil, []string{safe, deleted}},
		{"of the watched namespaces", []string{"shop"}, []string{deleted}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{cluster: newCluster(), temporal: newTemporal()}
				w.cluster.namespaces = tt.namespaces
				for _, id := range []string{cartID, "khcheck/bank/safe", "khcheck/bank/safe/first/1", "khjob/bank/audit/1", "somebody/elses"} {
					w.temporal.begin(id, "ScheduledCheck")
				}
				time.Sleep(time.Minute)
				w.start(t)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				slices.Sort(w.temporal.did) // their order does not matter
				w.expect(t, atOnce, tt.want...)
				w.expect(t, time.Hour)
			})
		})
	}
}

func TestListThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{cluster: newCluster(), temporal: newTemporal()}
		w.temporal.begin(cartID, "ScheduledCheck")
		w.temporal.failNext("list", errDown)
		w.start(t)
		w.expect(t, 50*time.Second)
		w.expect(t, 20*time.Second, deleted)
	})
}
