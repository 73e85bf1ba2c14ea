package starter_test

import (
	"testing"
	"time"

	"github.com/khronicle/khronicle/workflows"
)

func TestHousekeepingIsStarted(t *testing.T) {
	const id = workflows.HousekeepingID
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.temporal.failNext("execute "+id, errDown, errDown)
		w.expect(t, 5*time.Second)
		started := w.temporal.get(t, id)
		if !started.open() || started.workflowType != "Housekeeping" || started.CronSchedule != workflows.HousekeepingSchedule {
			t.Errorf("%s is started as %s, %q", id, started.workflowType, started.CronSchedule)
		}
		w.expect(t, time.Hour)
		if again := w.temporal.get(t, id); again.runID != started.runID {
			t.Error("it was started again while it was open")
		}
		w.temporal.terminate(id)
		w.expect(t, time.Minute)
		if !w.temporal.get(t, id).open() {
			t.Error("it was not started anew after somebody terminated it")
		}
	})
}
