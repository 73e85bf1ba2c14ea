// Package workflows holds the durable part of Khronicle: ScheduledCheck, the cron workflow of one check, and CheckRun,
// one run of a check. They order the steps; what a step does is in package activities, what its result means in package
// check. contract.go has every name by which other rooms reach them.
package workflows
