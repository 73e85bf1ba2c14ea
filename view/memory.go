package view

import (
	"sync/atomic"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// versions identify one content of a check or job and of its state.
type versions struct {
	namespace, name, check, job, state string
	// known is false when one of them has no resource version, so that a change cannot be noticed.
	known bool
}

// versionsOf returns the present versions of a check or job and of its state. Each may be nil.
func versionsOf(c *khv1.KuberhealthyCheck, j *khv1.KuberhealthyJob, state *khv1.KuberhealthyState) versions {
	v := versions{known: true}
	if state != nil {
		v.namespace, v.name, v.state = state.Namespace, state.Name, state.ResourceVersion
		v.known = state.ResourceVersion != ""
	}
	if c != nil {
		v.namespace, v.name, v.check = c.Namespace, c.Name, c.ResourceVersion
		v.known = v.known && c.ResourceVersion != ""
	}
	if j != nil {
		v.namespace, v.name, v.job = j.Namespace, j.Name, j.ResourceVersion
		v.known = v.known && j.ResourceVersion != ""
	}
	return v
}

// Memory remembers what was computed for things that do not change. The zero value is empty. It may be used concurrently.
type Memory[K comparable, V any] struct {
	last atomic.Pointer[map[K]V]
}

// Pass is one walk through all things. What it does not ask for is forgotten.
type Pass[K comparable, V any] struct{ before, now map[K]V }

// Begin begins a walk.
func (m *Memory[K, V]) Begin() Pass[K, V] {
	if last := m.last.Load(); last != nil {
		return Pass[K, V]{before: *last, now: make(map[K]V, len(*last))}
	}
	return Pass[K, V]{now: map[K]V{}}
}

// End ends a walk.
func (m *Memory[K, V]) End(p Pass[K, V]) { m.last.Store(&p.now) }

// Get returns what was computed before, or computes it.
func (p Pass[K, V]) Get(key K, find func() V) V {
	value, ok := p.before[key]
	if !ok {
		value = find()
	}
	p.now[key] = value
	return value
}

// ofVersions returns what was computed for resources before, unless they may have changed since.
func ofVersions[V any](p Pass[versions, V], key versions, find func() V) V {
	if !key.known {
		return find()
	}
	return p.Get(key, find)
}
