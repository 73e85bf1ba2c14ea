package influx

import "sync"

// buffer holds the lines of runs that are not yet written, oldest first. It never makes anyone wait for room: when it is
// full, the oldest give way.
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

// put adds the lines of a run and returns those that gave way: the oldest, or these themselves after close.
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

// take waits for lines and removes the oldest, up to limit bytes but of one run at least. It returns none once the buffer
// is closed and empty.
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
	b.runs[0] = "" // or the memory would be held until the slice grows
	b.runs, b.size = b.runs[1:], b.size-len(oldest)
	return oldest
}

// close lets take end once everything is taken.
func (b *buffer) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.filled.Broadcast()
}
