package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/khronicle/khronicle/check"
)

// OpenRun names a run that may be open. First is the workflow ID of a workflow that may still have to start it.
type OpenRun struct {
	UUID  string
	First string `json:",omitempty"`
}

// AwaitRunsInput names the runs of a check or job to wait for.
type AwaitRunsInput struct {
	Ref  check.Ref
	Runs []OpenRun
}

// Pauses between two looks at a run that is open.
const (
	firstLookAtRun = 500 * time.Millisecond
	mostLookAtRun  = 5 * time.Second
)

// AwaitRuns returns when none of some runs is open.
func (a *Activities) AwaitRuns(ctx context.Context, in AwaitRunsInput) error {
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer heartbeat(ctx, cancel, nil)()
	for _, run := range in.Runs {
		if err := a.awaitRun(waiting, run); err != nil {
			return fmt.Errorf("wait for a run of %s: %w", in.Ref, err)
		}
	}
	return nil
}

func (a *Activities) awaitRun(ctx context.Context, run OpenRun) error {
	for pause := firstLookAtRun; ; pause = min(2*pause, mostLookAtRun) {
		if open, err := a.open(ctx, run.UUID, run.First); !open || err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// requestedRunOpen is true while a run of the check is open that its annotation asks for. Temporal is asked only if the
// annotation or the status says that there may be one.
func (a *Activities) requestedRunOpen(ctx context.Context, ref check.Ref) (bool, error) {
	value, ok := a.Cluster.Requested(ref)
	if !ok {
		return false, nil
	}
	return a.Runs.OpenRequest(ctx, ref, value)
}
