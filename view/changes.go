package view

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/khronicle/khronicle/check"
)

// Change is a check or job that was added, changed or deleted. That its statistics alone are different is no change.
type Change struct {
	// Position is where it stands among the changes; see Watch.
	Position string
	Ref      check.Ref
	// Check is nil when the check or job was deleted.
	Check *Check
}

const (
	// lookEvery is the time between two looks for changes, while somebody watches.
	lookEvery = time.Second
	// maxChanges is how many changes are remembered for those who are slow or come again.
	maxChanges = 4096
)

// changes are the newest changes. They are found by comparing snapshots, so none is lost: at worst, two become one.
type changes struct {
	// look returns the present snapshot.
	look func() *Snapshot

	mu sync.Mutex
	// origin is part of each position, because another process counts differently.
	origin string
	last   *Snapshot
	// list has the changes before the number next.
	list []Change
	next int
	// more is closed when there are more changes.
	more chan struct{}
	// watchers is how many there are. stop ends looking when the last of them has left.
	watchers int
	stop     context.CancelFunc
}

func newChanges(look func() *Snapshot) *changes {
	return &changes{look: look, origin: strings.ToLower(rand.Text()[:8]), more: make(chan struct{})}
}

// Watcher reads changes. One goroutine may use it.
type Watcher struct {
	*changes
	at int
}

// Watch begins to watch from a position on, which is that of a change. It is complete if no later change was forgotten.
// Otherwise, and for the empty position, it begins with the present, and whoever watches must read a snapshot. Close ends
// it.
func (v *View) Watch(position string) (w *Watcher, complete bool) {
	c := v.changes
	c.mu.Lock()
	defer c.mu.Unlock()
	c.update()
	if c.watchers++; c.watchers == 1 {
		ctx, stop := context.WithCancel(context.Background())
		c.stop = stop
		go c.lookOften(ctx)
	}
	w = &Watcher{changes: c, at: c.next}
	if at, ok := c.after(position); ok {
		w.at, complete = at, true
	}
	return w, complete
}

// Close ends watching.
func (w *Watcher) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watchers--; w.watchers == 0 {
		w.stop()
	}
}

// Position is that of the last change that was read.
func (w *Watcher) Position() string { return w.position(w.at) }

// Next waits for changes. complete is false if some were forgotten, because the watcher is slow. Then the changes are none,
// and whoever watches must read a snapshot. The error is that of ctx.
func (w *Watcher) Next(ctx context.Context) (found []Change, complete bool, err error) {
	for {
		w.mu.Lock()
		oldest := w.next - len(w.list)
		more := w.more
		switch {
		case w.at < oldest:
			w.at = w.next
			w.mu.Unlock()
			return nil, false, nil
		case w.at < w.next:
			found = slices.Clone(w.list[w.at-oldest:])
			w.at = w.next
			w.mu.Unlock()
			return found, true, nil
		}
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, true, context.Cause(ctx)
		case <-more:
		}
	}
}

func (c *changes) lookOften(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		c.update()
		c.mu.Unlock()
	}
}

// update finds what has changed since the last look.
func (c *changes) update() {
	present, last := c.look(), c.last
	c.last = present
	if last == nil || last == present {
		return
	}
	before := c.next
	for _, now := range present.Checks {
		if old := last.byRef[keyOf(now.Ref)]; old == nil || old != now && !old.sameOutcome(now) {
			c.add(Change{Ref: now.Ref, Check: now})
		}
	}
	for _, old := range last.Checks {
		if present.byRef[keyOf(old.Ref)] == nil {
			c.add(Change{Ref: old.Ref})
		}
	}
	if c.next == before {
		return
	}
	c.list = slices.Clone(c.list[max(0, len(c.list)-maxChanges):])
	close(c.more)
	c.more = make(chan struct{})
}

func (c *changes) add(one Change) {
	c.next++
	one.Position = c.position(c.next)
	c.list = append(c.list, one)
}

// position is that of the change after which this many have happened.
func (c *changes) position(n int) string { return fmt.Sprintf("%s-%d", c.origin, n) }

// after is the inverse of position. ok is false if the position is of another process, or if later changes were forgotten.
func (c *changes) after(position string) (n int, ok bool) {
	origin, number, _ := strings.Cut(position, "-")
	n, err := strconv.Atoi(number)
	return n, err == nil && origin == c.origin && n >= c.next-len(c.list) && n <= c.next
}
