// Package activities holds the side effects of a run: creating, watching and deleting its pod, and recording its
// outcome. Each activity may run more than once for the same run, and then changes nothing more. It returns as data what
// happened. An error means that the platform did not let the activity do its work, and that it should be retried. The
// order of the steps is in package workflows.
package activities
