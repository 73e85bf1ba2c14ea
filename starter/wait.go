package starter

import (
	"context"
	"sync"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// The first and the longest pause between two looks at the run that a changed check waits for.
const (
	firstWait = 500 * time.Millisecond
	mostWait  = 5 * time.Second
)

// waits remembers which run each changed check waits for, so that each look reads that run alone. A restarted starter finds
// the run through the schedule.
type waits struct {
	mu   sync.Mutex
	runs map[key]waiting
}

type waiting struct {
	workflowID string
	next       time.Duration
}

func newWaits() *waits { return &waits{runs: map[key]waiting{}} }

// begin returns after how long to look at the run for the first time.
func (w *waits) begin(k key, workflowID string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs[k] = waiting{workflowID, 2 * firstWait}
	return firstWait
}

// again returns after how long to look at the run again.
func (w *waits) again(k key) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := w.runs[k]
	after := waiting.next
	waiting.next = min(2*after, mostWait)
	w.runs[k] = waiting
	return after
}

func (w *waits) find(k key) (workflowID string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting, ok := w.runs[k]
	return waiting.workflowID, ok
}

func (w *waits) end(k key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.runs, k)
}

// stillWaits returns how long to wait before the next look at a check that waits for a run. It is 0 for a check that does
// not wait. A deleted or suspended check does not wait.
func (s *starter) stillWaits(ctx context.Context, k key, c *khv1.KuberhealthyCheck) (after time.Duration, err error) {
	workflowID, ok := s.waits.find(k)
	if !ok {
		return 0, nil
	}
	if c != nil && !c.Spec.Suspend {
		open, err := s.isOpen(ctx, workflowID)
		if err != nil {
			return 0, err
		}
		if open {
			return s.waits.again(k), nil
		}
	}
	s.waits.end(k)
	return 0, nil
}
