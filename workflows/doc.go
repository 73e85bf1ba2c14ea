// Package workflows holds the durable part of Khronicle: ScheduledCheck, the cron workflow of one check, and CheckRun,
// one run of a check. Workflows order the steps. Package activities does the steps, and package check says what their
// results mean. contract.go has every name by which other rooms reach the workflows.
package workflows
