// Package starter turns KHChecks into cron workflows and KHJobs into single runs, and keeps both in step with the
// cluster. It holds nothing in memory that matters: what should run is in Kubernetes, what does run is in Temporal, and
// any number of starters may work side by side.
package starter

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"k8s.io/client-go/util/workqueue"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// Cluster is what the starter needs of Kubernetes; package kube has it.
type Cluster interface {
	Check(namespace, name string) (*khv1.KuberhealthyCheck, bool)
	// LiveCheck asks the API server; it returns nil when there is no such check.
	LiveCheck(ctx context.Context, namespace, name string) (*khv1.KuberhealthyCheck, error)
	// Watches is true when the checks of a namespace are among those that Check knows.
	Watches(namespace string) bool
	Checks() []*khv1.KuberhealthyCheck
	Job(namespace, name string) (*khv1.KuberhealthyJob, bool)
	Jobs() []*khv1.KuberhealthyJob
	OnCheckChange(f func(namespace, name string)) error
	OnJobChange(f func(namespace, name string)) error
}

// Temporal is what the starter needs of Temporal's client.
type Temporal interface {
	ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	TerminateWorkflow(ctx context.Context, workflowID, runID, reason string, details ...any) error
	CancelWorkflow(ctx context.Context, workflowID, runID string) error
	ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
}

// Options are what a starter works with.
type Options struct {
	Cluster  Cluster
	Temporal Temporal
	Logger   *slog.Logger
	// Workers is how many checks are reconciled at the same time. 0 means 8.
	Workers int
	// Burst is how many checks may start at the same moment before further ones are spread over their intervals. 0 means 20.
	Burst int
	// Resync is how often every check is compared with its workflow again. 0 means 10 minutes.
	Resync time.Duration
}

func (o *Options) setDefaults() {
	if o.Workers == 0 {
		o.Workers = 8
	}
	if o.Burst == 0 {
		o.Burst = 20
	}
	if o.Resync == 0 {
		o.Resync = 10 * time.Minute
	}
}

// key names what is to be reconciled.
type key struct {
	kind            khv1.KHWorkload
	namespace, name string
}

type starter struct {
	Options
	queue  workqueue.TypedRateLimitingInterface[key]
	spread *spread
}

// Run reconciles until ctx ends. The cluster must be synced before.
func Run(ctx context.Context, o Options) error {
	o.setDefaults()
	s := &starter{Options: o, spread: newSpread(o.Burst), queue: workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[key](200*time.Millisecond, 30*time.Second))}
	defer s.queue.ShutDown()
	if err := s.Cluster.OnCheckChange(s.enqueue(khv1.KHCheck)); err != nil {
		return fmt.Errorf("watch checks: %w", err)
	}
	if err := s.Cluster.OnJobChange(s.enqueue(khv1.KHJob)); err != nil {
		return fmt.Errorf("watch jobs: %w", err)
	}
	var workers sync.WaitGroup
	for range s.Workers {
		workers.Go(func() {
			for s.next(ctx) {
			}
		})
	}
	s.resync(ctx)
	s.queue.ShutDown()
	workers.Wait()
	return nil
}

func (s *starter) enqueue(kind khv1.KHWorkload) func(namespace, name string) {
	return func(namespace, name string) { s.queue.Add(key{kind: kind, namespace: namespace, name: name}) }
}

// next reconciles one object; it returns false when the queue is shut down.
func (s *starter) next(ctx context.Context) bool {
	k, down := s.queue.Get()
	if down {
		return false
	}
	defer s.queue.Done(k)
	after, err := s.reconcile(ctx, k)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.Logger.Error("reconcile", "kind", k.kind, "namespace", k.namespace, "check", k.name, "error", err)
		s.queue.AddRateLimited(k)
	case after > 0:
		s.queue.Forget(k)
		s.queue.AddAfter(k, after)
	default:
		s.queue.Forget(k)
	}
	return true
}

func (s *starter) reconcile(ctx context.Context, k key) (after time.Duration, err error) {
	switch k.kind {
	case housekeeping.kind:
		return 0, s.ensureHousekeeping(ctx)
	case khv1.KHJob:
		return s.reconcileJob(ctx, k)
	}
	return s.reconcileCheck(ctx, k)
}

// resync enqueues, again and again, the housekeeping, every check, and every schedule whose check is gone.
func (s *starter) resync(ctx context.Context) {
	ticker := time.NewTicker(s.Resync)
	defer ticker.Stop()
	for {
		s.queue.Add(housekeeping)
		if err := s.enqueueOrphans(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Error("list schedules", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, c := range s.Cluster.Checks() {
				s.enqueue(khv1.KHCheck)(c.Namespace, c.Name)
			}
			for _, j := range s.Cluster.Jobs() {
				s.enqueue(khv1.KHJob)(j.Namespace, j.Name)
			}
		}
	}
}
