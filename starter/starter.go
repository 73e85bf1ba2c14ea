// Package starter turns KHChecks into cron workflows and KHJobs into single runs, and matches both to the cluster.
// Kubernetes says what should run, and Temporal what does run. No other state matters, so any number of starters may work
// side by side.
//
// The path of one check: reconcileCheck loads what Temporal knows (schedule.go), plans (plan.go) and acts (begin.go). A loop
// of its own writes the status of each check (status.go).
package starter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"k8s.io/client-go/util/workqueue"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Cluster is what the starter needs from Kubernetes; package kube implements it.
type Cluster interface {
	Check(namespace, name string) (*khv1.KuberhealthyCheck, bool)
	// LiveCheck reads a check from the API server. It returns nil if there is no such check.
	LiveCheck(ctx context.Context, namespace, name string) (*khv1.KuberhealthyCheck, error)
	// Watches is true when the checks of a namespace are among those that Check knows.
	Watches(namespace string) bool
	Checks() []*khv1.KuberhealthyCheck
	// State returns the state of a check or job. It is nil if there is none.
	State(namespace, name string) (*khv1.KuberhealthyState, bool)
	// WriteCheckStatus writes the status of a check. written is false if the check has changed since it was read.
	WriteCheckStatus(ctx context.Context, read *khv1.KuberhealthyCheck, status khv1.CheckStatus) (written bool, err error)
	// Announce records an event of a check.
	Announce(about *khv1.KuberhealthyCheck, event check.StatusEvent)
	// Workload finds the check or job of a run. It asks the API server if the cache is behind. ok is false if the check or
	// job was deleted, or is being deleted.
	Workload(ctx context.Context, ref check.Ref) (w check.Workload, ok bool, err error)
	Job(namespace, name string) (*khv1.KuberhealthyJob, bool)
	Jobs() []*khv1.KuberhealthyJob
	OnCheckChange(f func(namespace, name string)) error
	OnJobChange(f func(namespace, name string)) error
	OnStateChange(f func(namespace, name string)) error
}

// Temporal is what the starter needs from Temporal's client.
type Temporal interface {
	ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	GetWorkflowHistory(ctx context.Context, workflowID, runID string, isLongPoll bool, filter enumspb.HistoryEventFilterType) client.HistoryEventIterator
	TerminateWorkflow(ctx context.Context, workflowID, runID, reason string, details ...any) error
	CancelWorkflow(ctx context.Context, workflowID, runID string) error
	ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
}

// DefaultBurst is how many checks may start at the same moment if Options do not say it.
const DefaultBurst = 20

// Options are the clients and settings of a starter.
type Options struct {
	Cluster  Cluster
	Temporal Temporal
	Logger   *slog.Logger
	// Workers is how many checks are reconciled at the same time. 0 means 8.
	Workers int
	// Burst is how many checks may start at the same moment. Further checks are spread over their intervals.
	// 0 means DefaultBurst.
	Burst int
	// Resync is how often all checks and jobs are compared with the workflows that are open. 0 means 1 minute.
	Resync time.Duration
}

func (o *Options) setDefaults() {
	if o.Workers == 0 {
		o.Workers = 8
	}
	if o.Burst == 0 {
		o.Burst = DefaultBurst
	}
	if o.Resync == 0 {
		o.Resync = time.Minute
	}
}

// key names a check or job to reconcile.
type key struct {
	kind            khv1.KHWorkload
	namespace, name string
}

type starter struct {
	Options
	queue  workqueue.TypedRateLimitingInterface[key]
	spread *spread
	waits  *waits
	// refused are the objects whose names are too long; each is logged once.
	refused sync.Map
	// statuses are the checks at whose status to look. schedulings has, for each check, what this process knows of its
	// schedule.
	statuses    workqueue.TypedRateLimitingInterface[key]
	schedulings sync.Map
}

// Run reconciles until ctx ends. Call it only when the cluster is synced.
func Run(ctx context.Context, o Options) error {
	o.setDefaults()
	s := &starter{Options: o, spread: newSpread(o.Burst), waits: newWaits(), statuses: newStatusQueue(), queue: workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[key](200*time.Millisecond, 30*time.Second))}
	defer s.queue.ShutDown()
	defer s.statuses.ShutDown()
	if err := s.watch(); err != nil {
		return err
	}
	var workers sync.WaitGroup
	for range s.Workers {
		workers.Go(func() {
			for s.next(ctx, s.queue, s.reconcile) {
			}
		})
	}
	for range statusWorkers {
		workers.Go(func() {
			for s.next(ctx, s.statuses, s.reconcileStatus) {
			}
		})
	}
	s.resync(ctx)
	s.queue.ShutDown()
	s.statuses.ShutDown()
	workers.Wait()
	return nil
}

// watch enqueues what changes in the cluster.
func (s *starter) watch() error {
	reconcile := s.enqueue(khv1.KHCheck)
	err := s.Cluster.OnCheckChange(func(namespace, name string) {
		reconcile(namespace, name)
		s.touchStatusOf(namespace, name)
	})
	if err != nil {
		return fmt.Errorf("watch checks: %w", err)
	}
	if err := s.Cluster.OnJobChange(s.enqueue(khv1.KHJob)); err != nil {
		return fmt.Errorf("watch jobs: %w", err)
	}
	if err := s.Cluster.OnStateChange(s.touchStatusOf); err != nil {
		return fmt.Errorf("watch states: %w", err)
	}
	return nil
}

func (s *starter) enqueue(kind khv1.KHWorkload) func(namespace, name string) {
	return func(namespace, name string) { s.queue.Add(key{kind: kind, namespace: namespace, name: name}) }
}

// next takes one object of a queue and reconciles it. It returns false when the queue is shut down.
func (s *starter) next(ctx context.Context, queue workqueue.TypedRateLimitingInterface[key], reconcile func(context.Context, key) (time.Duration, error)) bool {
	k, down := queue.Get()
	if down {
		return false
	}
	defer queue.Done(k)
	after, err := reconcile(ctx, k)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.logFailure(queue, k, err)
		queue.AddRateLimited(k)
	case after > 0:
		queue.Forget(k)
		queue.AddAfter(k, after)
	default:
		queue.Forget(k)
	}
	return true
}

// lastsFrom is the failure in a row, after about a minute, from which somebody must look at an object.
const lastsFrom = 9

// logFailure logs the first failure of several in a row, and again when they last. The error may name a workflow by the UUID of
// an open run, which is hidden.
func (s *starter) logFailure(queue workqueue.TypedRateLimitingInterface[key], k key, err error) {
	if errors.Is(err, errBehind) { // the cache will know in a moment
		return
	}
	level := slog.LevelDebug
	switch queue.NumRequeues(k) {
	case 0:
		level = slog.LevelWarn
	case lastsFrom:
		level = slog.LevelError
	}
	s.Logger.Log(context.Background(), level, "reconciling failed and is retried", "kind", k.kind, "namespace", k.namespace, "check", k.name, "error", check.HideUUIDs(err.Error()))
}

// reconcile returns how long to wait before the next look, or 0.
func (s *starter) reconcile(ctx context.Context, k key) (after time.Duration, err error) {
	switch {
	case k == housekeeping:
		return 0, s.ensureHousekeeping(ctx)
	case s.tooLong(k):
		s.noteTooLong(k)
		return 0, nil
	case k.kind == khv1.KHJob:
		return s.reconcileJob(ctx, k)
	default:
		return s.reconcileCheck(ctx, k)
	}
}
