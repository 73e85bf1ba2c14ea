package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// request is what one caller waits for. It is stored as a whole or not at all.
type request struct {
	ctx      context.Context
	changes  []change
	evidence *evidenceRow
	// refusal is the answer to a caller whose row was not changed. The transaction continues.
	refusal error
	// added are the ticks among the changes that had no row before.
	added []Record
	done  chan error
}

func (r *request) size() int { return max(1, len(r.changes)) }

// send gives a request to the writer and waits for its commit. If ctx ends before that, the request may or may not be
// stored. It is safe to send it again.
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
	switch {
	case l.closed:
		return ErrClosed
	case l.current.Load() == nil || l.stalled():
		return ErrUnavailable
	}
	select {
	case l.queue <- r:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// probeEvery is the pause between two probes of a database that timed out.
const probeEvery = time.Second

// writeAll stores requests until the ledger is closed. While one transaction is written, the next requests gather and are
// then stored together. So an idle ledger writes at once, and a busy one in large batches.
func (l *Ledger) writeAll() {
	for {
		if l.stats.timedOut() {
			l.refuseQueued()
			l.probe()
		}
		select {
		case first, open := <-l.queue:
			switch {
			case !open:
				return
			case l.stats.timedOut(): // it came while a probe found that the database does not answer
				first.done <- ErrUnavailable
			default:
				l.commit(waiting(l.gather(first)))
			}
		case <-l.probeTime():
		}
	}
}

// probeTime returns when to probe a database that timed out. A database that works is never probed.
func (l *Ledger) probeTime() <-chan time.Time {
	if l.stats.timedOut() {
		return time.After(probeEvery)
	}
	return nil
}

// gather takes from the queue the requests that fit into a transaction with the first one.
func (l *Ledger) gather(first *request) []*request {
	requests, size := []*request{first}, first.size()
	for size < l.options.MaxBatch {
		select {
		case next, open := <-l.queue:
			if !open {
				return requests
			}
			requests, size = append(requests, next), size+next.size()
		default:
			return requests
		}
	}
	return requests
}

// refuseQueued answers the requests that waited for a transaction that timed out.
func (l *Ledger) refuseQueued() {
	for range len(l.queue) {
		if r, open := <-l.queue; open {
			r.done <- ErrUnavailable
		}
	}
}

// probe commits an empty transaction, which shows whether the database takes records.
func (l *Ledger) probe() {
	ctx, cancel := context.WithTimeout(context.Background(), l.options.WriteTimeout/2)
	defer cancel()
	l.stats.count(nil, l.transact(ctx, nil))
}

// waiting drops the requests whose callers no longer wait.
func waiting(requests []*request) []*request {
	left := requests[:0]
	for _, r := range requests {
		if err := r.ctx.Err(); err != nil {
			r.done <- err
			continue
		}
		left = append(left, r)
	}
	return left
}

// commit stores requests in one transaction. If the database refuses a row, each request is stored separately, so that the
// others succeed.
func (l *Ledger) commit(requests []*request) {
	if len(requests) == 0 {
		return
	}
	err := l.transact(context.Background(), requests) // not the context of one caller: it is the transaction of all
	if err != nil && len(requests) > 1 && l.store().refused(err) {
		for i := range requests {
			l.commit(requests[i : i+1])
		}
		return
	}
	l.stats.count(requests, err)
	for _, r := range requests {
		if err == nil {
			r.done <- r.refusal
		} else {
			r.done <- err
		}
	}
}

func (l *Ledger) transact(ctx context.Context, requests []*request) error {
	l.stats.begin(len(requests))
	defer l.stats.end()
	b := newBatch(l.dictionary, requests)
	err := l.store().write(ctx, func(tx transaction) error { return b.write(ctx, tx) })
	if isTimeout(err) {
		l.store().discard()
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return err
	}
	for word, id := range b.added {
		l.dictionary[word] = id
	}
	if len(l.dictionary) > maxWords {
		clear(l.dictionary)
	}
	return nil
}

// isTimeout is true for an error of a database that did not answer in time: a deadline, a connection, or the lock of a
// file.
func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout() || isBusy(err)
}

// maxWords bounds the memory of the writer: nodes of a cluster that scales come and go.
const maxWords = 20_000
