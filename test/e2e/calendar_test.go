//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/workflows"
)

// applyCron applies a check with a cron expression.
func applyCron(t *testing.T, namespace, name, expression, zone string) {
	t.Helper()
	c := demoCheck(namespace, name, nil)
	c.Spec.RunInterval, c.Spec.Schedule, c.Spec.TimeZone = "", expression, zone
	apply(t, c)
}

// TestSundayIsZeroAndSeven: an expression with the second number of Sunday is valid, alone and in a range.
func TestSundayIsZeroAndSeven(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	applyCron(t, namespace, "sunday-is-7", "0 0 * * 7", "")
	applyCron(t, namespace, "friday-to-sunday", "*/5 * * * 5-7", "")
	for _, name := range []string{"sunday-is-7", "friday-to-sunday"} {
		awaitState(t, namespace, name, 40*time.Second, "a successful run", func(d khv1.WorkloadDetails) bool { return d.OK })
		if id := workflows.ScheduledCheckID(namespace, name); !slices.Contains(openWorkflows(t, namespace), id) {
			t.Errorf("%s has no open schedule in Temporal", id)
		}
	}
}

// TestTicksFollowTheClocksOfAZone: Temporal starts both checks each minute. For one it is the hour of its expression. For the
// other it would be that hour, if the clocks were those of the other half of the year.
func TestTicksFollowTheClocksOfAZone(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	zone, err := time.LoadLocation("Antarctica/Troll") // two hours apart
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().In(zone)
	otherHour := 2
	if now.IsDST() {
		otherHour = -2
	}
	hours := func(from int) string { return fmt.Sprintf("* %d,%d * * 0-7", (from+24)%24, (from+25)%24) } // if an hour begins meanwhile
	applyCron(t, namespace, "now", hours(now.Hour()), zone.String())
	applyCron(t, namespace, "not-now", hours(now.Hour()+otherHour), zone.String())

	records := awaitRecords(t, kept, khv1.KHCheck, namespace, "now", 90*time.Second, "a run of its schedule", func(records []ledger.Record) bool {
		return countOf(scheduledOf(records), check.Succeeded) > 0
	})
	if tick := scheduledOf(records)[0].Tick; !tick.Equal(tick.Truncate(time.Minute)) {
		t.Errorf("the tick is at %s, want a whole minute", tick)
	}
	eventually(t, 90*time.Second, "Temporal starts the other check too", func() (bool, string) {
		ids := workflowIDs(t, fmt.Sprintf("WorkflowId = '%s'", workflows.ScheduledCheckID(namespace, "not-now")))
		return len(ids) > 1, fmt.Sprintf("%d executions", len(ids))
	})
	records = awaitRecords(t, kept, khv1.KHCheck, namespace, "not-now", 10*time.Second, "its first run", func(records []ledger.Record) bool {
		return countOf(records, check.Succeeded) == 1
	})
	if ticks := scheduledOf(records); len(ticks) > 0 {
		t.Errorf("records of a schedule that has no tick:\n%s", describe(ticks...))
	}
}
