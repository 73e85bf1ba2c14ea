package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Check returns a cached check, which must not be changed. It does not return a check that is being deleted.
func (c *Cluster) Check(namespace, name string) (*khv1.KuberhealthyCheck, bool) {
	found, ok := c.checks.get(namespace, name)
	return found, ok && found.DeletionTimestamp == nil
}

// Requested returns the value of the annotation for which a cached check has a run to start or to follow.
func (c *Cluster) Requested(ref check.Ref) (value string, ok bool) {
	found, ok := c.Check(ref.Namespace, ref.Name)
	if !ok || found.UID != ref.UID {
		return "", false
	}
	return check.OpenRequest(found)
}

// Checks returns the cached checks, which must not be changed. It leaves out those that are being deleted.
func (c *Cluster) Checks() []*khv1.KuberhealthyCheck { return living(c.checks.list("")) }

// Job returns a cached job, which must not be changed. It does not return a job that is being deleted.
func (c *Cluster) Job(namespace, name string) (*khv1.KuberhealthyJob, bool) {
	found, ok := c.jobs.get(namespace, name)
	return found, ok && found.DeletionTimestamp == nil
}

// Jobs returns the cached jobs, which must not be changed. It leaves out those that are being deleted.
func (c *Cluster) Jobs() []*khv1.KuberhealthyJob { return living(c.jobs.list("")) }

// living removes the objects that are being deleted. A finalizer may delay their deletion for long.
func living[T metav1.Object](objects []T) []T {
	return slices.DeleteFunc(objects, func(object T) bool { return object.GetDeletionTimestamp() != nil })
}

// IsJob is true when the state belongs to a job: the state says so, or there is a job and no check of its name.
func (c *Cluster) IsJob(state *khv1.KuberhealthyState) bool {
	if kind := state.Spec.KHWorkload; kind != nil {
		return *kind == khv1.KHJob
	}
	_, isCheck := c.checks.get(state.Namespace, state.Name)
	_, isJob := c.jobs.get(state.Namespace, state.Name)
	return isJob && !isCheck
}

// OnCheckChange calls f with the name of each check that appears, changes or is deleted. A change of the status alone does
// not count.
func (c *Cluster) OnCheckChange(f func(namespace, name string)) error {
	handler := named(f)
	call := handler.UpdateFunc
	handler.UpdateFunc = func(before, after any) {
		was, ok := before.(*khv1.KuberhealthyCheck)
		is, alsoOK := after.(*khv1.KuberhealthyCheck)
		if !ok || !alsoOK || checkDiffers(was, is) {
			call(before, after)
		}
	}
	return c.checks.onChange(handler)
}

// checkDiffers is true when two versions of a check differ in more than their status.
func checkDiffers(was, is *khv1.KuberhealthyCheck) bool {
	return was.UID != is.UID || was.Generation != is.Generation || was.DeletionTimestamp.IsZero() != is.DeletionTimestamp.IsZero() ||
		!maps.Equal(was.Annotations, is.Annotations) || !equality.Semantic.DeepEqual(was.Spec, is.Spec)
}

// OnJobChange calls f with the name of each job that appears, changes or is deleted.
func (c *Cluster) OnJobChange(f func(namespace, name string)) error { return c.jobs.onChange(named(f)) }

// OnStateChange calls f with the name of each state that appears, changes or is deleted.
func (c *Cluster) OnStateChange(f func(namespace, name string)) error {
	return c.states.onChange(named(f))
}

func named(f func(namespace, name string)) cache.ResourceEventHandlerFuncs {
	call := func(obj any) {
		if key, err := cache.DeletionHandlingObjectToName(obj); err == nil {
			f(key.Namespace, key.Name)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: call, UpdateFunc: func(_, obj any) { call(obj) }, DeleteFunc: call}
}

// Workload returns the check or job of ref. It reads the API server if the cache is older than the wanted generation. ok is
// false when the check or job was deleted, is being deleted, or was replaced by another of the same name.
func (c *Cluster) Workload(ctx context.Context, ref check.Ref) (w check.Workload, ok bool, err error) {
	if w, ok = c.cachedWorkload(ref); ok && w.UID == ref.UID && w.Generation >= ref.Generation {
		return w, true, nil
	}
	w, ok, err = c.liveWorkload(ctx, ref)
	return w, ok && w.UID == ref.UID, err
}

// errDeleting is the error of an object that is being deleted. A finalizer may delay the deletion for long.
var errDeleting = errors.New("it is being deleted")

func unlessDeleting(object metav1.Object, err error) error {
	if err == nil && object.GetDeletionTimestamp() != nil {
		return errDeleting
	}
	return err
}

func (c *Cluster) cachedWorkload(ref check.Ref) (w check.Workload, ok bool) {
	if ref.Kind == khv1.KHJob {
		job, ok := c.Job(ref.Namespace, ref.Name)
		if ok {
			w = check.FromJob(job)
		}
		return w, ok
	}
	found, ok := c.Check(ref.Namespace, ref.Name)
	if ok {
		w = check.FromCheck(found)
	}
	return w, ok
}

// liveWorkload reads the check or job of a kind and name from the API server. ok is false if there is none, or if it is
// being deleted.
func (c *Cluster) liveWorkload(ctx context.Context, ref check.Ref) (w check.Workload, ok bool, err error) {
	if ref.Kind == khv1.KHJob {
		var job *khv1.KuberhealthyJob
		job, err = c.typed.Jobs(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		w, err = check.FromJob(job), unlessDeleting(job, err)
	} else {
		var found *khv1.KuberhealthyCheck
		found, err = c.typed.Checks(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		w, err = check.FromCheck(found), unlessDeleting(found, err)
	}
	switch {
	case apierrors.IsNotFound(err), errors.Is(err, errDeleting):
		return w, false, nil
	case err != nil:
		return w, false, fmt.Errorf("get %s %s: %w", ref.Kind, ref, err)
	}
	return w, true, nil
}

// Lives is true when the API server has a check or job of this name that is not being deleted.
func (c *Cluster) Lives(ctx context.Context, namespace, name string) (bool, error) {
	for _, kind := range []khv1.KHWorkload{khv1.KHCheck, khv1.KHJob} {
		_, ok, err := c.liveWorkload(ctx, check.Ref{Kind: kind, Namespace: namespace, Name: name})
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// WriteState writes one state with one request. build makes the new state from the present one (nil if there is none). It
// returns nil to leave the state as it is. If another writer was faster, build is called again with what that writer wrote.
func (c *Cluster) WriteState(ctx context.Context, namespace, name string, build func(present *khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
	states := c.typed.States(namespace)
	present, ok := c.states.get(namespace, name)
	lost := func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
	}
	err := retry.OnError(retry.DefaultRetry, lost, func() error {
		err := writeState(ctx, states, present, ok, build)
		if lost(err) {
			var getErr error
			present, getErr = states.Get(ctx, name, metav1.GetOptions{})
			if ok = getErr == nil; !ok && !apierrors.IsNotFound(getErr) {
				return getErr
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write khstate %s/%s: %w", namespace, name, err)
	}
	return nil
}

type stateWriter interface {
	Create(ctx context.Context, state *khv1.KuberhealthyState, o metav1.CreateOptions) (*khv1.KuberhealthyState, error)
	Update(ctx context.Context, state *khv1.KuberhealthyState, o metav1.UpdateOptions) (*khv1.KuberhealthyState, error)
}

func writeState(ctx context.Context, states stateWriter, present *khv1.KuberhealthyState, exists bool, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
	if !exists {
		present = nil
	}
	wanted := build(present)
	if wanted == nil {
		return nil
	}
	if exists {
		_, err := states.Update(ctx, wanted, metav1.UpdateOptions{FieldManager: fieldManager})
		return err
	}
	wanted.ResourceVersion = ""
	_, err := states.Create(ctx, wanted, metav1.CreateOptions{FieldManager: fieldManager})
	return err
}

// LiveCheck reads a check from the API server. It returns nil if there is none.
func (c *Cluster) LiveCheck(ctx context.Context, namespace, name string) (*khv1.KuberhealthyCheck, error) {
	found, err := c.typed.Checks(namespace).Get(ctx, name, metav1.GetOptions{})
	switch err := unlessDeleting(found, err); {
	case apierrors.IsNotFound(err), errors.Is(err, errDeleting):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get khcheck %s/%s: %w", namespace, name, err)
	}
	return found, nil
}

// SetJobPhase writes the phase of a job and nothing else. It succeeds if the job was deleted or replaced by another of the
// same name.
func (c *Cluster) SetJobPhase(ctx context.Context, ref check.Ref, phase khv1.JobPhase) error {
	patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"spec":{"phase":%q}}`, ref.UID, phase)
	_, err := c.typed.Jobs(ref.Namespace).Patch(ctx, ref.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	if present, ok, getErr := c.liveWorkload(ctx, ref); ok && getErr == nil && present.UID != ref.UID {
		return nil
	}
	return fmt.Errorf("set phase of khjob %s to %s: %w", ref, phase, err)
}

// DeleteState deletes a cached state. It succeeds without a deletion if the state was deleted or written since.
func (c *Cluster) DeleteState(ctx context.Context, state *khv1.KuberhealthyState) error {
	err := c.typed.States(state.Namespace).Delete(ctx, state.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &state.UID, ResourceVersion: &state.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete khstate %s/%s: %w", state.Namespace, state.Name, err)
	}
	return nil
}

// DeleteJob deletes a job. It succeeds if the job was deleted or replaced by another of the same name.
func (c *Cluster) DeleteJob(ctx context.Context, job *khv1.KuberhealthyJob) error {
	err := c.typed.Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &job.UID}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete khjob %s/%s: %w", job.Namespace, job.Name, err)
	}
	return nil
}
