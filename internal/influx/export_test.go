package influx

import (
	"log/slog"
	"time"
)

// Limits are bounds of an exporter that a test may lower.
type Limits struct {
	Buffer, Batch  int
	Request, Flush time.Duration
}

// NewHasty returns an exporter with short pauses and with the limits that are set.
func NewHasty(o Options, logger *slog.Logger, l Limits) (*Exporter, error) {
	b := defaults
	b.firstPause, b.longestPause, b.flush = time.Millisecond, 4*time.Millisecond, 20*time.Second
	if l.Buffer > 0 {
		b.buffer = l.Buffer
	}
	if l.Batch > 0 {
		b.batch = l.Batch
	}
	if l.Request > 0 {
		b.request = l.Request
	}
	if l.Flush > 0 {
		b.flush = l.Flush
	}
	return newExporter(o, logger, b)
}

// Lines are the points of an outcome.
var Lines = lines
