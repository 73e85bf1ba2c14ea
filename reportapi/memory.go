package reportapi

import (
	"sync/atomic"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// versions identify one content of a check and of its state.
type versions struct {
	namespace, name, check, state string
	// known is false when one of them has no resource version, so that a change cannot be noticed.
	known bool
}

// versionsOf returns the present versions of a check and its state. Either may be nil.
func versionsOf(c *khv1.KuberhealthyCheck, state *khv1.KuberhealthyState) versions {
	v := versions{known: true}
	if c != nil {
		v.namespace, v.name, v.check = c.Namespace, c.Name, c.ResourceVersion
		v.known = c.ResourceVersion != ""
	}
	if state != nil {
		v.namespace, v.state = state.Namespace, state.ResourceVersion
		v.known = v.known && state.ResourceVersion != ""
	}
	if c == nil && state != nil {
		v.name = state.Name
	}
	return v
}

// memory remembers what was computed for resources the last time. The zero value is empty. It may be used concurrently.
type memory[K comparable, V any] struct {
	last atomic.Pointer[map[K]V]
}

// pass is one walk through all resources. What it does not ask for is forgotten.
type pass[K comparable, V any] struct{ before, now map[K]V }

func (m *memory[K, V]) begin() pass[K, V] {
	if last := m.last.Load(); last != nil {
		return pass[K, V]{before: *last, now: make(map[K]V, len(*last))}
	}
	return pass[K, V]{now: map[K]V{}}
}

func (m *memory[K, V]) end(p pass[K, V]) { m.last.Store(&p.now) }

// get returns what was computed before, or computes it.
func (p pass[K, V]) get(key K, find func() V) V {
	value, ok := p.before[key]
	if !ok {
		value = find()
	}
	p.now[key] = value
	return value
}

// ofVersions returns what was computed for resources before, unless they may have changed since.
func ofVersions[V any](p pass[versions, V], key versions, find func() V) V {
	if !key.known {
		return find()
	}
	return p.get(key, find)
}
