package activities

import (
	"cmp"
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"go.temporal.io/sdk/activity"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Workloads are the checks and jobs of a cluster, with their states.
type Workloads interface {
	Workload(ctx context.Context, ref check.Ref) (w check.Workload, ok bool, err error)
	// Watches is true for a namespace whose pods the worker watches.
	Watches(namespace string) bool
	// Requested returns the value of the annotation for which a cached check has a run to start or to follow.
	Requested(ref check.Ref) (value string, ok bool)
	// State returns a cached state, which must not be changed.
	State(namespace, name string) (*khv1.KuberhealthyState, bool)
	// WithoutState returns the cached checks and jobs that have no cached state, or one that shows no run.
	WithoutState() []check.Ref
	WriteState(ctx context.Context, namespace, name string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error
	SetJobPhase(ctx context.Context, ref check.Ref, phase khv1.JobPhase) error
}

// RecordOutcomeInput is the outcome of one run.
type RecordOutcomeInput struct {
	Ref        check.Ref
	UUID       string
	Conclusion check.Conclusion
	// Pod is the name of the pod of the last attempt, if it had one.
	Pod string `json:",omitempty"`
	// Provisional is true when further attempts may change the conclusion. It is shown, but not exported.
	Provisional bool `json:",omitempty"`
	// Tick is the tick of the run. It is zero where the tick is not known.
	Tick time.Time `json:",omitzero"`
}

// RecordOutcomeResult says whether the conclusion was written.
type RecordOutcomeResult struct {
	// CheckGone is true when nothing was written because the check or job no longer exists.
	CheckGone bool `json:",omitempty"`
}

// RecordOutcome writes the conclusion of a run to the state of its check. It writes nothing when the check was deleted, when
// its namespace is being deleted, or when the state shows a later run. A workload without a UID was never in the cluster, so
// it cannot have been deleted. If the API server will never accept its state, there is none. The conclusion is exported too,
// if there is an exporter.
func (a *Activities) RecordOutcome(ctx context.Context, in RecordOutcomeInput) (result RecordOutcomeResult, err error) {
	if in.Ref.UID != "" {
		if _, ok, err := a.Cluster.Workload(ctx, in.Ref); err != nil || !ok {
			return RecordOutcomeResult{CheckGone: err == nil}, err
		}
	}
	conclusion := in.Conclusion
	// A report may arrive before the event that the pod runs.
	conclusion.Node = cmp.Or(conclusion.Node, a.nodeOf(in.Ref.Namespace, in.Pod))
	supersedes := false
	err = a.Cluster.WriteState(ctx, in.Ref.Namespace, check.StateName(in.Ref.Name),
		func(present *khv1.KuberhealthyState) *khv1.KuberhealthyState {
			if supersedes = present == nil || check.Supersedes(present, in.Conclusion); !supersedes {
				return nil
			}
			state := check.NewState(present, in.Ref, in.UUID, a.Recorder, conclusion)
			check.AddRecentRun(state, check.NewRecentRun(in.Tick, conclusion))
			return state
		})
	if namespaceGoes(err) {
		return RecordOutcomeResult{CheckGone: true}, nil
	}
	if in.Ref.UID == "" && hasNoState(err) {
		activity.GetLogger(ctx).Warn("outcome of a program's run has no state", "namespace", in.Ref.Namespace, "check", in.Ref.Name, "error", err)
		return result, nil
	}
	if err == nil && supersedes && a.Exporter != nil && !in.Provisional {
		a.Exporter.Export(in.Ref, conclusion)
	}
	return result, err
}

// namespaceGoes is true for the refusal to make an object in a namespace that is being deleted. The checks in it are about to
// be deleted too.
func namespaceGoes(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// hasNoState is true for the error of a state that cannot be written for a program's run. Its name is not valid, its
// namespace does not exist, or the worker may not write to it. A check in the cluster has a valid name and a namespace, so
// its state waits until the role is corrected.
func hasNoState(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err) ||
		apierrors.IsForbidden(err) || noNamespace(err)
}

// noNamespace is true when the namespace does not exist, and false when another writer deletes the state again and again.
func noNamespace(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && apierrors.IsNotFound(err) && status.Status().Details != nil &&
		status.Status().Details.Kind == "namespaces"
}

// nodeOf returns the node of a pod from the cache, or an empty string.
func (a *Activities) nodeOf(namespace, name string) string {
	if pod, ok := a.Cluster.Pod(namespace, name); ok {
		return pod.Spec.NodeName
	}
	return ""
}
