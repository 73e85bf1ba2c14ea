package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
)

// a gives the activities their names; its methods are never called here.
var a *activities.Activities

// Bounds of the activities.
const (
	// heartbeatTimeout is how long after a worker's death another worker takes over its wait.
	heartbeatTimeout = 20 * time.Second
	// requestTimeout bounds one call to the API server, Temporal or the ledger.
	requestTimeout = 10 * time.Second
	// Bounds of a local activity: one try, and all tries. They fit into one workflow task.
	localTry  = 5 * time.Second
	localOver = 8 * time.Second
)

// step is a short activity, and its name in the Temporal UI.
type step struct {
	summary string
	do      any
}

// shortly runs a step as a local activity. If that does not succeed within a few seconds, it runs as a normal activity with
// durable retries and the options durable. A permanent failure is not retried.
func shortly(ctx workflow.Context, s step, durable workflow.ActivityOptions, in, result any) error {
	began := workflow.Now(ctx)
	err := locally(ctx, s, 0, in, result)
	if err == nil || ctx.Err() != nil || refused(err) {
		return err
	}
	if within := durable.ScheduleToCloseTimeout; within > 0 { // that is for both
		if durable.ScheduleToCloseTimeout = within - workflow.Now(ctx).Sub(began); durable.ScheduleToCloseTimeout <= 0 {
			return err
		}
	}
	durable.Summary = s.summary
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, durable), s.do, in).Get(ctx, result)
}

// locally runs a step as a local activity, for a number of attempts, or as many as fit into a few seconds.
func locally(ctx workflow.Context, s step, attempts int32, in, result any) error {
	return workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		Summary:                s.summary,
		StartToCloseTimeout:    localTry,
		ScheduleToCloseTimeout: localOver,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: time.Second, MaximumAttempts: attempts,
		},
	}), s.do, in).Get(ctx, result)
}

// refused is true for a permanent error of an activity.
func refused(err error) bool {
	var application *temporal.ApplicationError
	return errors.As(err, &application) && application.NonRetryable()
}

// persistently returns the options of a short call that is retried until it succeeds, or for a time. 0 means for ever.
func persistently(within time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout:    requestTimeout,
		ScheduleToCloseTimeout: within,
		RetryPolicy:            retryPolicy(200*time.Millisecond, 10*time.Second),
	}
}

func retryPolicy(initial, longest time.Duration) *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: initial, BackoffCoefficient: 2, MaximumInterval: longest}
}

// reason is the innermost text of an activity's error: what the API server said.
func reason(err error) string {
	var application *temporal.ApplicationError
	if errors.As(err, &application) {
		return application.Message()
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		if last := timeout.Unwrap(); last != nil {
			return reason(last)
		}
		return "no answer before the deadline"
	}
	return err.Error()
}
