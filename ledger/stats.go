package ledger

import (
	"errors"
	"sync"
	"time"
)

// Stats is what the writer has done since the ledger was opened.
type Stats struct {
	// Queued is how many callers wait for a transaction that has not begun.
	Queued int
	// Storing is how many callers wait for the transaction that has begun.
	Storing int
	// Batches and Rows count the transactions that were committed and the records and evidence in them.
	Batches, Rows int64
	// FailedRows counts the records and evidence that were not stored.
	FailedRows int64
	// LastError is the newest error of a transaction. It is nil once a later transaction is committed.
	LastError   error
	LastErrorAt time.Time
}

type stats struct {
	sync.Mutex
	Stats
	begun      time.Time // of the transaction in flight; zero when there is none
	rowsFailed bool      // LastError is of a transaction with rows
	now        func() time.Time
}

func (s *stats) begin(callers int) {
	s.Lock()
	defer s.Unlock()
	s.Storing, s.begun = callers, time.Now()
}

func (s *stats) end() {
	s.Lock()
	defer s.Unlock()
	s.Storing, s.begun = 0, time.Time{}
}

func (s *stats) count(requests []*request, err error) {
	var rows int64
	for _, r := range requests {
		rows += int64(len(r.changes))
		if r.evidence != nil {
			rows++
		}
	}
	s.Lock()
	defer s.Unlock()
	if err != nil {
		s.FailedRows += rows
		// A probe that fails leaves the error of the records that failed before.
		s.rowsFailed = rows > 0 || s.rowsFailed
		s.LastError, s.LastErrorAt = err, s.now()
		return
	}
	s.Batches++
	s.Rows += rows
	// On a full disk an empty transaction may succeed where one with rows does not. After a timeout it shows enough.
	if rows > 0 || !s.rowsFailed || errors.Is(s.LastError, ErrUnavailable) {
		s.LastError, s.rowsFailed = nil, false
	}
}

// failing returns the error of records that could not be stored in the last minute, if none was stored since.
func (s *stats) failing() error {
	s.Lock()
	defer s.Unlock()
	if s.rowsFailed && s.now().Sub(s.LastErrorAt) < time.Minute {
		return s.LastError
	}
	return nil
}

// timedOut is true when the newest transaction ended by a timeout: none was committed since.
func (s *stats) timedOut() bool {
	s.Lock()
	defer s.Unlock()
	return errors.Is(s.LastError, ErrUnavailable)
}

// stuck is true when the transaction in flight has lasted longer than a time.
func (s *stats) stuck(after time.Duration) bool {
	s.Lock()
	defer s.Unlock()
	return !s.begun.IsZero() && time.Since(s.begun) > after
}

// stalled is true while the database does not answer. Then a call that needs it fails at once instead of waiting.
func (l *Ledger) stalled() bool { return l.stats.timedOut() || l.stats.stuck(l.options.StallAfter) }

// Stats returns what the writer has done.
func (l *Ledger) Stats() Stats {
	l.stats.Lock()
	defer l.stats.Unlock()
	now := l.stats.Stats
	now.Queued = len(l.queue)
	if l.current.Load() == nil {
		now.LastError = ErrUnavailable
	}
	return now
}
