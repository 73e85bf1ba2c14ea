package reportapi

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/khronicle/khronicle/workflows"
)

// Bounds of the reports that wait for Temporal to store them. Many clients send a report once, so Temporal may restart
// meanwhile.
const (
	// maxHeld and maxHeldBytes bound them in number and in bytes. Each may take several times its bytes of memory.
	maxHeld      = 2000
	maxHeldBytes = 16 << 20
	// holdPause is the time between two tries. The client of Temporal also tries again, for a part of the time.
	holdPause = 250 * time.Millisecond
	// holdGrace is how long a stopping server still waits for Temporal. It is shorter than what the server waits for answers.
	holdGrace = 4 * time.Second
	// answerGrace is the time for writing an answer after a wait.
	answerGrace = 10 * time.Second
)

// errTooManyHeld is answered 503: the client may send the report again.
var errTooManyHeld = errors.New("too many reports wait for Temporal")

// holding counts the reports that wait for Temporal.
type holding struct {
	mu             sync.Mutex
	reports, bytes int
}

// take counts a report of this many bytes. It returns false if there are too many reports already.
func (h *holding) take(size int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reports >= maxHeld || h.bytes+size > maxHeldBytes {
		return false
	}
	h.reports++
	h.bytes += size
	return true
}

func (h *holding) free(size int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports--
	h.bytes -= size
}

// hold passes a report of this many bytes on through send. While Temporal does not answer, it tries again.
func (s *Server) hold(ctx context.Context, size int, send func(context.Context) error) error {
	if !s.held.take(size) {
		return errTooManyHeld
	}
	defer s.held.free(size)
	// The whole report was received, so it does not matter whether its client still waits for the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workflows.ReportHold)
	defer cancel()
	defer context.AfterFunc(s.holdUntil, cancel)()
	return send(ctx)
}

// persistently calls send until Temporal has answered or ctx ends. It returns the last error.
func persistently(ctx context.Context, send func() error) error {
	for {
		err := send()
		if err == nil || answered(err) {
			return err
		}
		select {
		case <-time.After(holdPause):
		case <-ctx.Done():
			return err
		}
	}
}

// answered is true for an error with which Temporal has decided about a report. The same report would get it again.
func answered(err error) bool {
	var invalid *serviceerror.InvalidArgument
	var denied *serviceerror.PermissionDenied
	return workflows.NotFound(err) || errors.As(err, &invalid) || errors.As(err, &denied)
}
