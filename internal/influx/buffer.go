package influx

import "sync"

// buffer holds the lines of runs that are not yet written, oldest first. A full buffer drops its oldest lines, so that put
// never waits.
type buffer struct {
	limit int // in bytes

	mu     sync.Mutex
	filled *sync.Cond
	runs   []string
	size   int
	closed bool
}

func newBuffer(limit int) *buffer {
	b := &buffer{limit: limit}
	b.filled = sync.NewCond(&b.mu)
	return b
}

// put adds the lines of a run and returns the dropped ones: the oldest when the buffer is full, or the new ones after close.
func (b *buffer) put(run string) (dropped []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return []string{run}
	}
	b.runs = append(b.runs, run)
	for b.size += len(run); b.size > b.limit; {
		dropped = append(dropped, b.pop())
	}
	b.filled.Signal()
	return dropped
}

// take waits for lines and removes the oldest: up to limit bytes, but at least those of one run. It returns none when the
// buffer is closed and empty.
func (b *buffer) take(limit int) (batch []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.runs) == 0 && !b.closed {
		b.filled.Wait()
	}
	for size := 0; len(b.runs) > 0; {
		if size += len(b.runs[0]); size > limit && len(batch) > 0 {
			break
		}
		batch = append(batch, b.pop())
	}
	return batch
}

func (b *buffer) pop() string {
	oldest := b.runs[0]
	b.runs[0] = "" // frees the memory before the slice grows
	b.runs, b.size = b.runs[1:], b.size-len(oldest)
	return oldest
}

// close makes put drop new lines, and take end when the buffer is empty.
func (b *buffer) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.filled.Broadcast()
}
