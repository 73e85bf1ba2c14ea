package starter_test

import (
	"errors"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/khronicle/khronicle/workflows"
)

// starts returns how often the housekeeping was asked for, and whether it is open.
func (f *fakeTemporal) starts() (asked int, open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.housekeeping), f.housekept
}

func TestHousekeepingIsStartedAndSeenTo(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.expect(t, atOnce)
		if asked, open := w.temporal.starts(); asked != 1 || !open {
			t.Fatalf("asked for %d times, open: %t; want it at the start", asked, open)
		}
		o := w.temporal.housekeeping[0]
		if o.ID != "khronicle/housekeeping" || o.TaskQueue != "khronicle" || o.CronSchedule != "@every 30s" {
			t.Errorf("workflow %s on %s, %q", o.ID, o.TaskQueue, o.CronSchedule)
		}
		if o.WorkflowIDConflictPolicy != enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL || o.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE {
			t.Errorf("policies are %s and %s", o.WorkflowIDConflictPolicy, o.WorkflowIDReusePolicy)
		}
		if o.WorkflowExecutionTimeout != 0 || o.TypedSearchAttributes.Size() != 0 {
			t.Errorf("it ends after %s and has %d search attributes", o.WorkflowExecutionTimeout, o.TypedSearchAttributes.Size())
		}
		w.expect(t, 10*time.Minute) // it runs: that it cannot be started is no error
		if asked, open := w.temporal.starts(); asked != 2 || !open {
			t.Errorf("asked for %d times, open: %t; want it again at the resync, and no more", asked, open)
		}
		w.temporal.mu.Lock()
		w.temporal.housekept = false // someone terminated it
		w.temporal.mu.Unlock()
		w.expect(t, 10*time.Minute)
		if asked, open := w.temporal.starts(); asked != 3 || !open {
			t.Errorf("asked for %d times, open: %t; want it started anew", asked, open)
		}
	})
}

func TestHousekeepingThatCannotBeStartedIsTriedAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.stop()
		w.temporal = newTemporal()
		w.temporal.errors["execute "+workflows.HousekeepingID] = []error{errors.New("unavailable"), errors.New("unavailable")}
		w.start(t)
		w.expect(t, 5*time.Second)
		if asked, open := w.temporal.starts(); asked != 1 || !open {
			t.Errorf("%d starts, open: %t; want it to be tried until it is there", asked, open)
		}
	})
}
