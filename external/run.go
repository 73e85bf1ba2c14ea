package external

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	temporalsdk "go.temporal.io/sdk/temporal"
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

// startTimeout bounds the request for a run. stopTimeout bounds the wait for the end of a stopped run: its pod's grace
// period, and some more.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 2 * time.Minute
)

var (
	errShutdown = errors.New("shut down")
	errRunning  = errors.New("it runs already")
	errNoEnd    = errors.New("timed out when waiting for pod to shutdown")
)

// call is one call of RunOnce.
type call struct {
	ctx   context.Context
	stop  context.CancelCauseFunc
	ended chan struct{}
	// err is why stopping the run failed. It is set before ended is closed.
	err error
}

// RunOnce runs the check once and waits for its end. A worker makes a pod from OriginalPodSpec, and the outcome is in the
// check's KHState. It returns nil when the check itself reported, good or bad (see CurrentStatus), and after Shutdown.
// Otherwise the error is Kuberhealthy's for that situation. If the pod was removed, the error is one of the ErrPod errors,
// for errors.Is.
//
// When the program dies, the run continues. A check has at most one such run. A further call for the same check joins the
// open run, also from another program, and its own fields are ignored. When ctx ends, the run is cancelled for all callers that wait for it, its pod is
// deleted, and the error is that of ctx.
func (ext *Checker) RunOnce(ctx context.Context) error {
	c, err := ext.begin(ctx)
	if err != nil {
		return fmt.Errorf("run %s/%s: %w", ext.Namespace, ext.CheckName, err)
	}
	defer ext.end(c)
	w, err := ext.workload()
	if err != nil {
		return err
	}
	temporal, err := ext.temporal()
	if err != nil {
		return err
	}
	if c.ctx.Err() != nil {
		return c.stopped()
	}
	execution, err := ext.ask(temporal, w)
	if err != nil {
		return err
	}
	result, err := c.await(temporal, execution)
	switch {
	case err != nil && c.ctx.Err() != nil:
		return errors.Join(c.stopped(), c.err)
	case err != nil:
		return fmt.Errorf("run %s: %w", w.Ref, err)
	}
	return conclusionError(w.Ref, result.Conclusion)
}

// await returns the result of the run. When the call is stopped, it cancels the run and waits until its pod has ended.
func (c *call) await(temporal client.Client, run client.WorkflowRun) (result workflows.ManualRunResult, err error) {
	if err = run.Get(c.ctx, &result); c.ctx.Err() == nil {
		return result, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), stopTimeout)
	defer cancel()
	if err := temporal.CancelWorkflow(ctx, run.GetID(), run.GetRunID()); err != nil {
		c.err = fmt.Errorf("cancel the run: %w", err)
		return result, c.err
	}
	err = run.Get(ctx, &result) // the outcome, if the check was faster
	var failed *temporalsdk.WorkflowExecutionError
	if err != nil && !errors.As(err, &failed) {
		c.err = errNoEnd
	}
	return result, err
}

// stopped is the error of a stopped run. After Shutdown there is none.
func (c *call) stopped() error {
	if cause := context.Cause(c.ctx); !errors.Is(cause, errShutdown) {
		return cause
	}
	return nil
}

// conclusionError is the error of a run that ended.
func conclusionError(ref check.Ref, conclusion check.Conclusion) error {
	if conclusion.Outcome == check.Canceled {
		return fmt.Errorf("run %s: it was cancelled", ref)
	}
	if text, ok := conclusion.ExecutionError(ref); ok && !conclusion.Reported {
		return newExecutionError(text)
	}
	return nil
}

// Shutdown cancels the run in flight and waits until its pod has ended. If there is none, it returns at once.
func (ext *Checker) Shutdown() error {
	ext.mu.Lock()
	c := ext.running
	ext.mu.Unlock()
	if c == nil {
		return nil
	}
	c.stop(errShutdown)
	<-c.ended
	return c.err
}

// begin makes the call the only one of this Checker, which Shutdown can find from now on.
func (ext *Checker) begin(ctx context.Context) (*call, error) {
	ext.mu.Lock()
	defer ext.mu.Unlock()
	if ext.running != nil {
		return nil, errRunning
	}
	c := &call{ended: make(chan struct{})}
	c.ctx, c.stop = context.WithCancelCause(ctx)
	ext.running = c
	return c, nil
}

func (ext *Checker) end(c *call) {
	ext.mu.Lock()
	defer ext.mu.Unlock()
	c.stop(nil)
	ext.running = nil
	close(c.ended)
}

// ask starts the run, or finds the open one. It does not stop early when the call is stopped: a started run can be
// cancelled only when its ID is known. From then on the UUID of the run is known.
func (ext *Checker) ask(temporal client.Client, w check.Workload) (client.WorkflowRun, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	execution, err := temporal.ExecuteWorkflow(ctx, workflows.ManualRunOptions(w.Ref), workflows.ManualRun, workflows.ManualRunInput{
		Ref: w.Ref, Timeout: ext.RunTimeout, Given: &activities.Given{Workload: w, ReportingURL: ext.KuberhealthyReportingURL},
	})
	if err != nil {
		return nil, fmt.Errorf("ask for a run of %s: %w", w.Ref, err)
	}
	ext.setRunID(execution.GetRunID())
	ext.PodSpec = check.NewPod(w, check.Attempt{
		UUID: execution.GetRunID(), Attempt: 1, Deadline: time.Now().Add(ext.RunTimeout), ReportingURL: ext.KuberhealthyReportingURL,
	}, time.Now()).Spec
	return execution, nil
}

func (ext *Checker) setRunID(id string) {
	ext.mu.Lock()
	defer ext.mu.Unlock()
	ext.RunID = id
}

// workload returns what to run. The errors are Kuberhealthy's.
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
	case ext.KuberhealthyReportingURL != "" && !check.IsHTTP(ext.KuberhealthyReportingURL):
		return w, fmt.Errorf("KuberhealthyReportingURL: not a URL such as %q", DefaultKuberhealthyReportingURL)
	}
	if err := w.Validate(); err != nil {
		return w, err
	}
	var err error
	w.UID, w.Generation, err = ext.owner()
	return w, err
}

// owner finds the check or job that owns the pods. A check that is not in the cluster owns nothing.
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

// sharedClient makes the client of all Checkers without one of their own. It connects at its first use.
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
