// Package activities holds the side effects of a run: creating, watching and deleting its pod, and recording its
// outcome. Each activity may run more than once for the same run and then changes nothing more. What happened is
// returned as data; an error means that the platform did not let the activity do its work, and that it is to be tried
// again. The order of the steps is in package workflows.
package activities
