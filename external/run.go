package external

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/health"
	"github.com/khronicle/khronicle/external/khcheckcrd"
	"github.com/khronicle/khronicle/external/khjobcrd"
	"github.com/khronicle/khronicle/workflows"
)

// stopTimeout bounds the wait for the end of a run that was told to stop: its pod's grace period, and some more.
const stopTimeout = 2 * time.Minute

var (
	errShutdown = errors.New("shut down")
	errRunning  = errors.New("it runs already")
)

// asked is a run in flight.
type asked struct {
	stop  context.CancelCauseFunc
	ended chan struct{}
	err   error // why it did not stop in order; set before ended is closed
}

// RunOnce runs the check once and waits for its end: a worker makes a pod from OriginalPodSpec, and what comes of it stands
// in the check's KHState. It returns nil when the check itself gave a verdict, good or bad (see CurrentStatus), and after
// Shutdown. Otherwise the error is what Kuberhealthy says of that situation; a pod that went away is one of the ErrPod
// errors, for errors.Is.
//
// When the program dies, the run goes on. While it is open, a new call for the same check, of any program, is given that run.
// When ctx ends, the run is cancelled, its pod is deleted, and the error is that of ctx.
func (ext *Checker) RunOnce(ctx context.Context) error {
	w, err := ext.workload()
	if err != nil {
		return err
	}
	temporal, err := ext.temporal()
	if err != nil {
		return err
	}
	ctx, run, err := ext.begin(ctx)
	if err != nil {
		return fmt.Errorf("run %s: %w", w.Ref, err)
	}
	defer ext.end(run)
	execution, err := ext.ask(ctx, temporal, w)
	if err != nil {
		return stopped(ctx, err)
	}
	var result workflows.ScheduledCheckResult
	if err := execution.Get(ctx, &result); ctx.Err() != nil {
		run.err = cancelRun(temporal, execution)
		return stopped(ctx, err)
	} else if err != nil {
		return fmt.Errorf("run %s: %w", w.Ref, err)
	}
	ext.setRunID(result.RunUUID)
	return verdict(w.Ref, result.Outcome)
}

// stopped is the error of a run that may have been told to stop.
func stopped(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errShutdown):
		return nil
	case cause != nil:
		return cause
	}
	return err
}

// verdict is the error of a run that ended.
func verdict(ref check.Ref, outcome *check.Outcome) error {
	if outcome == nil || outcome.Result == check.Canceled {
		return fmt.Errorf("run %s: it was cancelled", ref)
	}
	if text, ok := outcome.ExecutionError(ref); ok && !outcome.Reported {
		return newExecutionError(text)
	}
	return nil
}

// Shutdown cancels the run in flight and waits until its pod is gone. Without one it returns at once.
func (ext *Checker) Shutdown() error {
	ext.mu.Lock()
	run := ext.running
	ext.mu.Unlock()
	if run == nil {
		return nil
	}
	run.stop(errShutdown)
	<-run.ended
	return run.err
}

// begin makes the call the one run in flight of this Checker.
func (ext *Checker) begin(ctx context.Context) (context.Context, *asked, error) {
	ext.mu.Lock()
	defer ext.mu.Unlock()
	if ext.running != nil {
		return nil, nil, errRunning
	}
	ctx, stop := context.WithCancelCause(ctx)
	ext.running = &asked{stop: stop, ended: make(chan struct{})}
	return ctx, ext.running, nil
}

func (ext *Checker) end(run *asked) {
	ext.mu.Lock()
	defer ext.mu.Unlock()
	run.stop(nil)
	ext.running = nil
	close(run.ended)
}

// ask starts the run, or finds the one that is open.
func (ext *Checker) ask(ctx context.Context, temporal client.Client, w check.Workload) (client.WorkflowRun, error) {
	runUUID := uuid.NewString()
	ext.setRunID(runUUID)
	ext.PodSpec = check.NewPod(w, check.Run{
		UUID: runUUID, Attempt: 1, Deadline: time.Now().Add(ext.RunTimeout), ReportingURL: ext.KuberhealthyReportingURL,
	}, time.Now()).Spec
	execution, err := temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: workflows.ExternalRunID(w.Ref), TaskQueue: workflows.TaskQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    workflows.SearchAttributesOf(w.Ref),
		StaticSummary:            fmt.Sprintf("%s %s (%s)", w.Kind, w.Ref, workflows.TriggerExternal),
	}, workflows.ScheduledCheck, workflows.ScheduledCheckInput{
		Ref: w.Ref, Trigger: workflows.TriggerExternal, Timeout: ext.RunTimeout, RunUUID: runUUID,
		Given: &activities.Given{Workload: w, ReportingURL: ext.KuberhealthyReportingURL},
	})
	if err != nil {
		return nil, fmt.Errorf("ask for a run of %s: %w", w.Ref, err)
	}
	return execution, nil
}

func (ext *Checker) setRunID(id string) {
	ext.mu.Lock()
	defer ext.mu.Unlock()
	ext.RunID = id
}

// cancelRun ends a run before its time and waits until its pod is gone.
func cancelRun(temporal client.Client, run client.WorkflowRun) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := temporal.CancelWorkflow(ctx, run.GetID(), run.GetRunID()); err != nil {
		return fmt.Errorf("cancel the run: %w", err)
	}
	if err := run.Get(ctx, nil); err != nil && ctx.Err() != nil {
		return errors.New("timed out when waiting for pod to shutdown")
	}
	return nil
}

// workload is what is to run. The errors are Kuberhealthy's.
func (ext *Checker) workload() (check.Workload, error) {
	w := check.Workload{
		Ref:     check.Ref{Kind: ext.KHWorkload, Namespace: ext.Namespace, Name: ext.CheckName},
		Timeout: ext.RunTimeout.String(), PodSpec: *ext.OriginalPodSpec.DeepCopy(),
		ExtraLabels: ext.ExtraLabels, ExtraAnnotations: ext.ExtraAnnotations,
	}
	switch {
	case ext.CheckName == "":
		return w, errors.New("check name can not be empty")
	case ext.Namespace == "":
		return w, errors.New("check namespace can not be empty")
	case ext.KubeClient == nil:
		return w, errors.New("kubeClient can not be nil")
	case ext.RunTimeout <= 0:
		return w, fmt.Errorf("RunTimeout: %q is not a duration above 0: set it before the run", ext.RunTimeout)
	}
	if err := w.Validate(); err != nil {
		return w, err
	}
	var err error
	w.UID, w.Generation, err = ext.owner()
	return w, err
}

// owner finds the check or job to which the pods belong. One that is not in the cluster owns nothing.
func (ext *Checker) owner() (types.UID, int64, error) {
	var meta metav1.ObjectMeta
	var err error
	switch {
	case ext.KHWorkload == health.KHJob && ext.KHJobClient != nil:
		var job khjobcrd.KuberhealthyJob
		job, err = ext.KHJobClient.KuberhealthyJobs(ext.Namespace).Get(ext.CheckName, metav1.GetOptions{})
		meta = job.ObjectMeta
	case ext.KHWorkload == health.KHCheck && ext.KHCheckClient != nil:
		var found *khcheckcrd.KuberhealthyCheck
		found, err = ext.KHCheckClient.Get(metav1.GetOptions{}, khv1.CheckResource, ext.Namespace, ext.CheckName)
		meta = found.ObjectMeta
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return "", 0, fmt.Errorf("find the owner of the pods of %s/%s: %w", ext.Namespace, ext.CheckName, err)
	}
	return meta.UID, meta.Generation, nil
}

// sharedClient makes the client of all Checkers that have none of their own. It connects at its first use.
var sharedClient = sync.OnceValues(func() (client.Client, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, fmt.Errorf("read the TEMPORAL_* settings: %w", err)
	}
	shared, err := client.NewLazyClient(options)
	if err != nil {
		return nil, fmt.Errorf("make Temporal client: %w", err)
	}
	return shared, nil
})

func (ext *Checker) temporal() (client.Client, error) {
	if ext.TemporalClient != nil {
		return ext.TemporalClient, nil
	}
	return sharedClient()
}
