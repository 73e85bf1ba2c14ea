// Package worker runs the workflows and activities of Khronicle. Any number of workers may run. When one dies, the others
// continue its work.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/workflows"
)

// maxActivities bounds the activities of one worker. Each open run has one, which only waits.
const maxActivities = 10_000

// maxLocal bounds the local activities of one worker. Each takes a moment, unless it waits for a slow ledger.
const maxLocal = 1000

// stopTimeout bounds the graceful stop.
const stopTimeout = 10 * time.Second

// Options are the clients and settings of a worker.
type Options struct {
	Temporal client.Client
	Cluster  *kube.Cluster
	// ReportingURL returns where checks that start now post their reports.
	ReportingURL func() string
	// Name is shown on the states that the worker writes.
	Name string
	// Retention returns how many finished pods and jobs stay, and for how long. It is read each time.
	Retention func() check.Retention
	// ReapInterval is how often pods and jobs that are too old are deleted.
	ReapInterval time.Duration
	// Limiter says when a pod may start.
	Limiter *activities.Limiter
	// Ledger, if any, stores the record of each run and tick.
	Ledger activities.Ledger
	// Build is the version of this worker, for records and Temporal.
	Build string
	// Exporter, if any, gets each outcome that is recorded.
	Exporter activities.Exporter
	// Deadman, if any, receives a heartbeat while Temporal and a worker work.
	Deadman activities.Deadman
	// Series are the counters of this process, from which those of deleted checks are removed. Nil means that they stay.
	Series Series
	Logger *slog.Logger
}

// Run polls until ctx ends, or until Temporal permanently refuses the worker. Call it only when the cluster is synced.
func Run(ctx context.Context, o Options) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if o.Build != "" {
		worker.SetBinaryChecksum(o.Build) // else Temporal shows the checksum of the binary
	}
	w := worker.New(o.Temporal, workflows.TaskQueue, worker.Options{
		MaxConcurrentActivityExecutionSize:      maxActivities,
		MaxConcurrentLocalActivityExecutionSize: maxLocal,
		WorkflowTaskPollerBehavior:              worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
		ActivityTaskPollerBehavior:              worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
		WorkerStopTimeout:                       stopTimeout,
		Interceptors:                            []interceptor.WorkerInterceptor{&hiding{}},
		OnFatalError:                            func(err error) { fail(fmt.Errorf("poll Temporal: %w", err)) },
	})
	workflows.Register(w)
	w.RegisterActivity(&activities.Activities{
		Cluster: o.Cluster, Runs: runs{o.Temporal, o.Build}, ReportingURL: o.ReportingURL, Recorder: o.Name, Ledger: o.Ledger, Build: o.Build,
		Limiter: o.Limiter, Exporter: o.Exporter, Deadman: o.Deadman,
	})
	if err := w.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	defer w.Stop()
	if o.Series != nil {
		f := forgetter{cluster: o.Cluster, series: o.Series, logger: o.Logger}
		go f.run(ctx)
	}
	r := reaper{cluster: o.Cluster, retention: o.Retention, logger: o.Logger}
	r.run(ctx, o.ReapInterval)
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
