package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/check"
)

// hiding removes the run UUID from the errors of activities. The API server, webhooks and policies may quote it, and these
// texts are shown in Temporal and in logs. While the run is open, anybody could report with it.
type hiding struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (*hiding) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &hidingActivity{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type hidingActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

func (h *hidingActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	result, err := h.Next.ExecuteActivity(ctx, in)
	execution := activity.GetInfo(ctx).WorkflowExecution
	return result, withoutRuns(err, execution.ID, execution.RunID)
}

// withoutRuns returns an error without run UUIDs in its text. An error that has none is returned as it is. IDs that are no
// UUIDs, such as that of a tick, are no secret.
func withoutRuns(err error, ids ...string) error {
	if err == nil {
		return nil
	}
	hide := func(text string) string {
		for _, id := range ids {
			if uuid.Validate(id) == nil {
				text = check.HideRunIn(text, id)
			}
		}
		return text
	}
	if hide(err.Error()) == err.Error() {
		return err
	}
	var application *temporal.ApplicationError
	if !errors.As(err, &application) {
		return temporal.NewApplicationError(hide(err.Error()), fmt.Sprintf("%T", err))
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: application.NonRetryable(), NextRetryDelay: application.NextRetryDelay()}
	if cause := application.Unwrap(); cause != nil {
		options.Cause = errors.New(hide(cause.Error()))
	}
	return temporal.NewApplicationErrorWithOptions(hide(application.Message()), application.Type(), options)
}
