package kube

import (
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// States returns the cached states, which must not be changed. A state that somebody deleted stays for a moment, until
// housekeeping has restored it: its outcome is still the last one of its check. A state that is being deleted is left out
// if its check or job was deleted.
func (c *Cluster) States() []*khv1.KuberhealthyState {
	present := slices.DeleteFunc(c.states.list(""), func(state *khv1.KuberhealthyState) bool {
		return state.DeletionTimestamp != nil && len(c.named(state.Namespace, state.Name)) == 0
	})
	return append(present, c.removed.since(time.Now().Add(-restoredWithin), c.isMissed)...)
}

// State returns a cached state, which must not be changed.
func (c *Cluster) State(namespace, name string) (*khv1.KuberhealthyState, bool) {
	return c.states.get(namespace, name)
}

// WithoutState returns the cached checks and jobs that have no cached state, or one that shows no run.
func (c *Cluster) WithoutState() []check.Ref {
	var refs []check.Ref
	add := func(ref check.Ref) {
		if state, ok := c.State(ref.Namespace, check.StateName(ref.Name)); !ok || !check.ShowsRun(state) {
			refs = append(refs, ref)
		}
	}
	for _, found := range c.Checks() {
		add(check.FromCheck(found).Ref)
	}
	for _, job := range c.Jobs() {
		add(check.FromJob(job).Ref)
	}
	return refs
}

// named returns the cached check and the cached job of a name.
func (c *Cluster) named(namespace, name string) []metav1.Object {
	var found []metav1.Object
	if one, ok := c.Check(namespace, name); ok {
		found = append(found, one)
	}
	if job, ok := c.Job(namespace, name); ok {
		found = append(found, job)
	}
	return found
}

// isMissed is true for a deleted state whose owner is cached, unless a new state is cached too.
func (c *Cluster) isMissed(state *khv1.KuberhealthyState) bool {
	if _, ok := c.states.get(state.Namespace, state.Name); ok {
		return false
	}
	return slices.ContainsFunc(c.named(state.Namespace, state.Name), func(owner metav1.Object) bool {
		return metav1.IsControlledBy(state, owner)
	})
}

// restoredWithin is how long a deleted state stays in memory. Housekeeping restores it sooner.
const restoredWithin = time.Minute

// removedStates remembers the states that were deleted a moment ago. It is an informer's event handler.
type removedStates struct {
	mu     sync.Mutex
	states map[string]removedState
}

type removedState struct {
	state *khv1.KuberhealthyState
	at    time.Time
}

// since returns the states that were deleted after a time and that satisfy a condition. It forgets all others.
func (r *removedStates) since(after time.Time, ok func(*khv1.KuberhealthyState) bool) []*khv1.KuberhealthyState {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*khv1.KuberhealthyState
	for key, removed := range r.states {
		if removed.at.Before(after) || !ok(removed.state) {
			delete(r.states, key)
			continue
		}
		found = append(found, removed.state)
	}
	return found
}

func (r *removedStates) OnAdd(obj any, _ bool) {
	if state, ok := obj.(*khv1.KuberhealthyState); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.states, state.Namespace+"/"+state.Name)
	}
}

func (*removedStates) OnUpdate(any, any) {}

func (r *removedStates) OnDelete(obj any) {
	if missed, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = missed.Obj
	}
	state, ok := obj.(*khv1.KuberhealthyState)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.states == nil {
		r.states = map[string]removedState{}
	}
	r.states[state.Namespace+"/"+state.Name] = removedState{state, time.Now()}
}
