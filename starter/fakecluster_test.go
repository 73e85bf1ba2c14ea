package starter_test

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// fakeCluster holds checks and jobs, by namespace/name, and calls whoever watches them, as informers do.
type fakeCluster struct {
	mu         sync.Mutex
	checks     map[string]*khv1.KuberhealthyCheck
	jobs       map[string]*khv1.KuberhealthyJob
	onCheck    []func(namespace, name string)
	onJob      []func(namespace, name string)
	refuse     error                   // answer to OnCheckChange
	refuseJobs error                   // answer to OnJobChange
	live       *khv1.KuberhealthyCheck // in the API server and not in the cache
	liveErrors []error
	namespaces []string // empty means all
	looks      map[string]int

	states      map[string]*khv1.KuberhealthyState
	onState     []func(namespace, name string)
	refuseState error // answer to OnStateChange
	version     int
	// statuses counts the requests to write a status, and events are those that were announced.
	statuses     int
	events       []string
	statusErrors []error
}

func newCluster() *fakeCluster {
	return &fakeCluster{
		checks: map[string]*khv1.KuberhealthyCheck{}, jobs: map[string]*khv1.KuberhealthyJob{}, looks: map[string]int{},
		states: map[string]*khv1.KuberhealthyState{},
	}
}

func (f *fakeCluster) Check(namespace, name string) (*khv1.KuberhealthyCheck, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks[name]++
	c, ok := f.checks[namespace+"/"+name]
	return c, ok
}

// asked returns how often a check was read since its last change.
func (f *fakeCluster) asked(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks[name]
}

func (f *fakeCluster) LiveCheck(_ context.Context, namespace, name string) (*khv1.KuberhealthyCheck, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.liveErrors) > 0 {
		err := f.liveErrors[0]
		f.liveErrors = f.liveErrors[1:]
		return nil, err
	}
	if f.live != nil {
		return f.live, nil
	}
	return f.checks[namespace+"/"+name], nil
}

// keepLive makes the API server have a check that is not in the cache. nil makes the two agree.
func (f *fakeCluster) keepLive(c *khv1.KuberhealthyCheck) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = c
}

func (f *fakeCluster) Watches(namespace string) bool {
	return len(f.namespaces) == 0 || slices.Contains(f.namespaces, namespace)
}

func (f *fakeCluster) Checks() []*khv1.KuberhealthyCheck {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.checks))
}

// Job does not return a job that is being deleted, as package kube.
func (f *fakeCluster) Job(namespace, name string) (*khv1.KuberhealthyJob, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, ok := f.jobs[namespace+"/"+name]
	return j, ok && j.DeletionTimestamp == nil
}

func (f *fakeCluster) Jobs() []*khv1.KuberhealthyJob {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Values(f.jobs)), func(j *khv1.KuberhealthyJob) bool { return j.DeletionTimestamp != nil })
}

func (f *fakeCluster) Workload(_ context.Context, ref check.Ref) (w check.Workload, ok bool, err error) {
	if ref.Kind == khv1.KHJob {
		j, ok := f.Job(ref.Namespace, ref.Name)
		return w, ok && j.UID == ref.UID, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.checks[ref.Namespace+"/"+ref.Name]
	if !ok {
		c, ok = f.live, f.live != nil
	}
	return w, ok && c.UID == ref.UID, nil
}

// OnCheckChange calls f for existing checks too, as an informer does.
func (f *fakeCluster) OnCheckChange(call func(namespace, name string)) error {
	if f.refuse != nil {
		return f.refuse
	}
	for _, c := range f.Checks() {
		call(c.Namespace, c.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onCheck = append(f.onCheck, call)
	return nil
}

func (f *fakeCluster) OnJobChange(call func(namespace, name string)) error {
	if f.refuseJobs != nil {
		return f.refuseJobs
	}
	for _, j := range f.Jobs() {
		call(j.Namespace, j.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onJob = append(f.onJob, call)
	return nil
}

func (f *fakeCluster) State(namespace, name string) (*khv1.KuberhealthyState, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	state, ok := f.states[namespace+"/"+name]
	return state, ok
}

func (f *fakeCluster) OnStateChange(call func(namespace, name string)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuseState != nil {
		return f.refuseState
	}
	f.onState = append(f.onState, call)
	return nil
}

// WriteCheckStatus writes a status if the check is the one that was read, as the API server does.
func (f *fakeCluster) WriteCheckStatus(_ context.Context, read *khv1.KuberhealthyCheck, status khv1.CheckStatus) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statuses++
	if len(f.statusErrors) > 0 {
		err := f.statusErrors[0]
		f.statusErrors = f.statusErrors[1:]
		return false, err
	}
	present, ok := f.checks[read.Namespace+"/"+read.Name]
	if !ok || present.UID != read.UID || present.ResourceVersion != read.ResourceVersion {
		return false, nil
	}
	written := present.DeepCopy()
	written.Status = status
	f.version++
	written.ResourceVersion = strconv.Itoa(f.version)
	f.checks[read.Namespace+"/"+read.Name] = written
	return true, nil
}

func (f *fakeCluster) Announce(about *khv1.KuberhealthyCheck, event check.StatusEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, about.Name+": "+event.Reason)
}

// annotate sets an annotation of a check, and notifies. The generation stays.
func (f *fakeCluster) annotate(namespace, name, annotation, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.checks[namespace+"/"+name].DeepCopy()
	f.version++
	c.ResourceVersion = strconv.Itoa(f.version)
	c.Annotations = map[string]string{annotation: value}
	f.checks[namespace+"/"+name] = c
	notify(f.onCheck, namespace, name)
}

// record writes a state, and notifies.
func (f *fakeCluster) record(state *khv1.KuberhealthyState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states[state.Namespace+"/"+state.Name] = state
	notify(f.onState, state.Namespace, state.Name)
}

// apply creates or changes a check or job, and notifies. The generation increases, as in the API server.
func (f *fakeCluster) apply(object any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch o := object.(type) {
	case *khv1.KuberhealthyCheck:
		o.Generation = 1
		if present, ok := f.checks[o.Namespace+"/"+o.Name]; ok && present.UID == o.UID {
			o.Generation, o.Status = present.Generation+1, present.Status
		}
		f.version++
		o.ResourceVersion = strconv.Itoa(f.version)
		f.checks[o.Namespace+"/"+o.Name] = o
		f.looks[o.Name] = 0
		notify(f.onCheck, o.Namespace, o.Name)
	case *khv1.KuberhealthyJob:
		f.jobs[o.Namespace+"/"+o.Name] = o
		notify(f.onJob, o.Namespace, o.Name)
	}
}

// forget deletes a check, and notifies.
func (f *fakeCluster) forget(namespace, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.checks, namespace+"/"+name)
	notify(f.onCheck, namespace, name)
}

// forgetJob deletes a job, and notifies.
func (f *fakeCluster) forgetJob(namespace, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.jobs, namespace+"/"+name)
	notify(f.onJob, namespace, name)
}

func notify(all []func(namespace, name string), namespace, name string) {
	for _, call := range all {
		call(namespace, name)
	}
}
