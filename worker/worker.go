// Package worker runs the workflows and activities of Khronicle. Any number of workers may run; when one dies, the
// others take over what it was doing.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/workflows"
)

// maxActivities bounds the activities of one worker. A run in flight holds one, which only waits.
const maxActivities = 4000

// heartbeatThrottle is how soon after one heartbeat another is sent. An activity sends few, and one that matters.
const heartbeatThrottle = time.Second

// stopTimeout bounds the graceful stop.
const stopTimeout = 10 * time.Second

// Options are what a worker works with.
type Options struct {
	Temporal client.Client
	Cluster  *kube.Cluster
	// ReportingURL returns where checks that start now post their reports.
	ReportingURL func() string
	// Name is shown on the states that the worker writes.
	Name string
	// Retention returns which finished pods and jobs are kept now.
	Retention func() check.Retention
	// ReapInterval is how often pods and jobs that are too old are looked for.
	ReapInterval time.Duration
	// Ledger, if any, keeps the account of each run, and Build is the version of this worker in it.
	Ledger activities.Ledger
	Build  string
	// Exporter, if any, gets each outcome that is recorded.
	Exporter activities.Exporter
	// Heart, if any, beats as long as Temporal and a worker work.
	Heart  activities.Heart
	Logger *slog.Logger
}

// Run polls until ctx ends, or until Temporal refuses the worker for good. The cluster must be synced before.
func Run(ctx context.Context, o Options) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	w := worker.New(o.Temporal, workflows.TaskQueue, worker.Options{
		MaxConcurrentActivityExecutionSize: maxActivities,
		WorkflowTaskPollerBehavior:         worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
		ActivityTaskPollerBehavior:         worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
		MaxHeartbeatThrottleInterval:       heartbeatThrottle,
		WorkerStopTimeout:                  stopTimeout,
		OnFatalError:                       func(err error) { fail(fmt.Errorf("poll Temporal: %w", err)) },
	})
	workflows.Register(w)
	w.RegisterActivity(&activities.Activities{
		Cluster: o.Cluster, ReportingURL: o.ReportingURL, Recorder: o.Name, Retention: o.Retention,
		Ledger: o.Ledger, Build: o.Build, Exporter: o.Exporter, Heart: o.Heart, Executions: executions{o.Temporal},
	})
	if err := w.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	defer w.Stop()
	r := reaper{cluster: o.Cluster, retention: o.Retention, logger: o.Logger}
	r.run(ctx, o.ReapInterval)
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
