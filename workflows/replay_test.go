package workflows_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/workflows"
)

// TestReplay replays every recorded history under testdata: a change of a workflow that no longer fits a run in flight
// fails here. `make record` makes the files.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{
		"CheckRun-success": true, "CheckRun-reported-failure": true, "CheckRun-no-report": true, "CheckRun-deadline": true,
		"CheckRun-pod-deleted": true, "CheckRun-pod-evicted": true, "CheckRun-worker-killed": true, "CheckRun-second-report": true,
		"CheckRun-sidecar": true, "CheckRun-evidence": true, "CheckRun-external": true, "CheckRun-canceled": true,
		"ScheduledCheck-first": true, "ScheduledCheck-external": true, "ScheduledCheck-lost-job": true,
		"CheckRun-repeated": true, "ScheduledCheck-tick": true, "ScheduledCheck-paused": true, "KeepAccount-gap": true, "Housekeeping-tick": true,
	}
	for _, file := range files {
		name := filepath.Base(file[:len(file)-len(".json")])
		delete(missing, name)
		t.Run(name, func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflow(workflows.CheckRun)
			replayer.RegisterWorkflow(workflows.ScheduledCheck)
			replayer.RegisterWorkflow(workflows.KeepAccount)
			replayer.RegisterWorkflow(workflows.Housekeeping)
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Error(err)
			}
		})
	}
	for name := range missing {
		t.Errorf("there is no recorded history %s", name)
	}
}

// TestReplayOfARunWhoseCheckIsGone replays runs to whom a newer worker said that the check is gone, while the steps that followed
// were an older worker's, which does not read that. Only how the run ends may depend on it.
func TestReplayOfARunWhoseCheckIsGone(t *testing.T) {
	for _, name := range []string{"CheckRun-pod-deleted", "CheckRun-no-report", "CheckRun-evidence", "CheckRun-second-report", "CheckRun-deadline"} {
		t.Run(name, func(t *testing.T) {
			file, err := os.Open(filepath.Join("testdata", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
			if err != nil {
				t.Fatal(err)
			}
			gone, err := converter.GetDefaultDataConverter().ToPayloads(activities.RecordOutcomeResult{CheckGone: true})
			if err != nil {
				t.Fatal(err)
			}
			scheduled, told := map[int64]string{}, 0
			for _, event := range history.Events {
				if asked := event.GetActivityTaskScheduledEventAttributes(); asked != nil {
					scheduled[event.EventId] = asked.ActivityType.GetName()
				}
				if done := event.GetActivityTaskCompletedEventAttributes(); done != nil && scheduled[done.ScheduledEventId] == "RecordOutcome" {
					done.Result = gone
					told++
				}
			}
			if told == 0 {
				t.Fatal("the history has no RecordOutcome")
			}
			last := slices.IndexFunc(history.Events, func(event *historypb.HistoryEvent) bool {
				return event.EventType == enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES && event.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()["KhOutcome"] != nil
			})
			history.Events = history.Events[:last-1] // without the workflow task in which the run ends
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflow(workflows.CheckRun)
			if err := replayer.ReplayWorkflowHistory(nil, history); err != nil {
				t.Error(err)
			}
		})
	}
}
