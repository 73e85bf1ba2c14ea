package workflows

import "go.temporal.io/sdk/worker"

// Register makes a worker able to run the workflows of this package.
func Register(registry worker.WorkflowRegistry) {
	registry.RegisterWorkflow(ScheduledCheck)
	registry.RegisterWorkflow(CheckRun)
	registry.RegisterWorkflow(ManualRun)
	registry.RegisterWorkflow(CompleteJob)
	registry.RegisterWorkflow(RecordTicks)
	registry.RegisterWorkflow(Housekeeping)
}
