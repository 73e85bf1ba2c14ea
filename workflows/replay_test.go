package workflows_test

import (
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/worker"

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
	}
	for _, file := range files {
		name := filepath.Base(file[:len(file)-len(".json")])
		delete(missing, name)
		t.Run(name, func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflow(workflows.CheckRun)
			replayer.RegisterWorkflow(workflows.ScheduledCheck)
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Error(err)
			}
		})
	}
	for name := range missing {
		t.Errorf("there is no recorded history %s", name)
	}
}
