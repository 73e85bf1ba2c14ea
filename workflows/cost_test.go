package workflows_test

import (
	"os"
	"path/filepath"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
)

// The recorded histories show what a successful run and its tick cost Temporal.
func TestSuccessFitsIntoThirtyEvents(t *testing.T) {
	events, workflowTasks, activityTasks := 0, 0, 0
	for _, name := range []string{"ScheduledCheck-tick.json", "CheckRun-success.json"} {
		for _, event := range readHistory(t, name).Events {
			events++
			switch event.EventType {
			case enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
				workflowTasks++
			case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
				activityTasks++
			}
		}
	}
	t.Logf("%d events, %d workflow tasks, %d activity tasks", events, workflowTasks, activityTasks)
	if events > 30 || workflowTasks > 4 || activityTasks > 1 {
		t.Errorf("%d events, %d workflow tasks, %d activity tasks; want at most 30, 4 and 1", events, workflowTasks, activityTasks)
	}
}

func readHistory(t *testing.T, name string) *historypb.History {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(history.Events) == 0 {
		t.Fatalf("%s has no events", name)
	}
	return history
}
