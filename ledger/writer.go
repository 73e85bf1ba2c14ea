package ledger

import (
	"context"
	"sync"
	"time"
)

// request is what one caller waits for. It is stored as a whole or not at all.
type request struct {
	ctx      context.Context
	changes  []change
	evidence *evidenceRow
	// refusal is the answer to a caller whose row was not changed; it is no fault of the transaction.
	refusal error
	// standing are those of the changes that are ticks, and are stored as given.
	standing []Account
	done     chan error
}

func (r *request) size() int { return max(1, len(r.changes)) }

// send hands a request to the writer and waits for its commit. When ctx ends before that, it is not known whether it
// will be stored: to send it again is safe.
func (l *Ledger) send(ctx context.Context, r *request) error {
	r.ctx, r.done = ctx, make(chan error, 1)
	if err := l.enqueue(r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Ledger) enqueue(r *request) error {
	l.sending.RLock()
	defer l.sending.RUnlock()
	if l.closed {
		return ErrClosed
	}
	select {
	case l.queue <- r:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// writeAll stores requests until the ledger is closed. While one transaction is on its way to the disk the next ones
// gather, and go together: an idle ledger writes at once, a busy one in large batches.
func (l *Ledger) writeAll() {
	for first := range l.queue {
		batch, size := []*request{first}, first.size()
	gather:
		for size < l.options.MaxBatch {
			select {
			case next, open := <-l.queue:
				if !open {
					break gather
				}
				batch, size = append(batch, next), size+next.size()
			default:
				break gather
			}
		}
		l.stats.storing(len(batch))
		l.commit(waiting(batch))
		l.stats.storing(0)
	}
}

// waiting leaves out whom nobody waits for any more.
func waiting(batch []*request) []*request {
	kept := batch[:0]
	for _, r := range batch {
		if err := r.ctx.Err(); err != nil {
			r.done <- err
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

// commit stores a batch in one transaction. A row that the database refuses must not fail its neighbours: then each
// request is stored by itself.
func (l *Ledger) commit(batch []*request) {
	if len(batch) == 0 {
		return
	}
	err := l.transact(batch)
	if err != nil && len(batch) > 1 && l.store.refused(err) {
		for i := range batch {
			l.commit(batch[i : i+1])
		}
		return
	}
	l.stats.count(batch, err)
	for _, r := range batch {
		if err == nil {
			r.done <- r.refusal
		} else {
			r.done <- err
		}
	}
}

func (l *Ledger) transact(batch []*request) error {
	// Not the context of a caller: others' rows are in it too.
	ctx, cancel := context.WithTimeout(context.Background(), l.options.WriteTimeout)
	defer cancel()
	b := newBook(l.words, batch)
	if err := l.store.write(ctx, func(tx transaction) error { return b.write(ctx, tx) }); err != nil {
		return err
	}
	for word, id := range b.learned {
		l.words[word] = id
	}
	if len(l.words) > maxWords {
		clear(l.words)
	}
	return nil
}

// maxWords bounds the memory of the writer: nodes of a cluster that scales come and go.
const maxWords = 20_000

// Stats is what the writer has done since the ledger was opened.
type Stats struct {
	// Queued is how many callers wait for a transaction that has not begun.
	Queued int
	// Storing is how many callers wait for the transaction that has begun.
	Storing int
	// Batches and Rows count the transactions that were committed and the accounts and evidence in them.
	Batches, Rows int64
	// FailedRows counts those that were not stored.
	FailedRows int64
	// LastError is the newest error of a transaction; it is nil again once one like it is committed.
	LastError   error
	LastErrorAt time.Time
}

type stats struct {
	sync.Mutex
	Stats
	rowsFailed bool // LastError is of a transaction with rows
	now        func() time.Time
}

func (s *stats) storing(callers int) {
	s.Lock()
	defer s.Unlock()
	s.Storing = callers
}

func (s *stats) count(batch []*request, err error) {
	var rows int64
	for _, r := range batch {
		rows += int64(len(r.changes))
		if r.evidence != nil {
			rows++
		}
	}
	s.Lock()
	defer s.Unlock()
	if err != nil {
		s.FailedRows += rows
		s.LastError, s.LastErrorAt, s.rowsFailed = err, s.now(), rows > 0
		return
	}
	s.Batches++
	s.Rows += rows
	if rows > 0 || !s.rowsFailed { // on a full disk there may be room for a ping
		s.LastError, s.rowsFailed = nil, false
	}
}

// failing returns the error of accounts that could not be stored in the last minute, if none was since.
func (s *stats) failing() error {
	s.Lock()
	defer s.Unlock()
	if s.rowsFailed && s.now().Sub(s.LastErrorAt) < time.Minute {
		return s.LastError
	}
	return nil
}

// Stats returns what the writer has done.
func (l *Ledger) Stats() Stats {
	l.stats.Lock()
	defer l.stats.Unlock()
	now := l.stats.Stats
	now.Queued = len(l.queue)
	return now
}
