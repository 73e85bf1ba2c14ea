package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"
	"k8s.io/klog/v2"
)

// saidAgainAfter is how long a warning or an error is not repeated.
const saidAgainAfter = 10 * time.Minute

// lastsFrom is the attempt from which a failing activity lasts: somebody must look at it.
const lastsFrom = 10

// Quiet returns a logger that does not repeat itself. Something that fails again and again is logged once, and again after a
// while, with the number of repetitions. Temporal's SDK logs each failure of an activity as an error. Here the first one is a
// warning, because the activity is retried. An error follows if the failure lasts. What a cancelled activity returns is no
// failure.
func Quiet(logger *slog.Logger) *slog.Logger {
	return slog.New(quiet{logger.Handler(), &said{lines: map[string]saidLine{}}})
}

// clientGo is for the logger of client-go, which a process can set only before it is used.
var clientGo sync.Once

// LogClientGo makes client-go log to this logger, once in a process. client-go's own format would show run UUIDs.
func LogClientGo(logger *slog.Logger) {
	clientGo.Do(func() { klog.SetSlogLogger(logger) })
}

// quiet is the handler of a quiet logger.
type quiet struct {
	slog.Handler
	said *said
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.said}
}

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.said} }

func (q quiet) Handle(ctx context.Context, record slog.Record) error {
	line := readLine(record)
	record.Level, record.Message = line.judge(record)
	if !q.Enabled(ctx, record.Level) {
		return nil
	}
	if record.Level >= slog.LevelWarn {
		repeated, again := q.said.before(line.key(record), record.Time)
		if again {
			return nil
		}
		if repeated > 0 {
			record.AddAttrs(slog.Int("repeated", repeated))
		}
	}
	return q.Handler.Handle(ctx, record)
}

// line is what decides about a record.
type line struct {
	err     error
	attempt int64
	// what are the attributes in words, without the number of the attempt.
	what strings.Builder
}

// Names of attributes of Temporal's SDK.
const (
	sdkError   = "Error"
	sdkAttempt = "Attempt"
)

func readLine(record slog.Record) *line {
	l := &line{}
	record.Attrs(func(attr slog.Attr) bool {
		if err, ok := attr.Value.Any().(error); ok && attr.Key == sdkError {
			l.err = err
		}
		switch value := attr.Value.Resolve(); {
		case attr.Key != sdkAttempt:
			fmt.Fprintf(&l.what, " %s=%v", attr.Key, value)
		case value.Kind() == slog.KindInt64:
			l.attempt = value.Int64()
		}
		return true
	})
	return l
}

func (l *line) key(record slog.Record) string {
	return record.Level.String() + record.Message + l.what.String()
}

// judge returns the level and the message of a record. It changes those of Temporal's SDK.
func (l *line) judge(record slog.Record) (slog.Level, string) {
	switch record.Message {
	case "Activity error.":
		return l.failure()
	case "RecordActivityHeartbeat with error":
		if ended(l.err) {
			return slog.LevelInfo, "activity stops: it was cancelled, or its run has ended"
		}
	}
	return record.Level, record.Message
}

func (l *line) failure() (slog.Level, string) {
	var application *temporal.ApplicationError
	switch {
	case ended(l.err):
		return slog.LevelDebug, "activity was cancelled"
	case errors.As(l.err, &application) && application.NonRetryable():
		return slog.LevelWarn, "activity failed"
	case l.attempt == lastsFrom:
		return slog.LevelError, "activity still fails and is retried"
	case l.attempt > 1:
		return slog.LevelDebug, "activity failed and is retried"
	}
	return slog.LevelWarn, "activity failed and is retried"
}

// ended is true for the error of an activity that was cancelled, or whose run has ended.
func ended(err error) bool {
	var canceled *serviceerror.Canceled
	var notFound *serviceerror.NotFound
	return errors.Is(err, context.Canceled) || temporal.IsCanceledError(err) || errors.As(err, &canceled) || errors.As(err, &notFound)
}

// said remembers the lines of the last minutes.
type said struct {
	mu    sync.Mutex
	lines map[string]saidLine
}

type saidLine struct {
	at       time.Time
	repeated int
}

// before counts a line. again is true if the same line was logged a short time before. repeated is how often it was left out
// since then.
func (s *said) before(key string, at time.Time) (repeated int, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.lines[key]
	if ok && at.Sub(known.at) < saidAgainAfter {
		known.repeated++
		s.lines[key] = known
		return known.repeated, true
	}
	s.forget(at)
	s.lines[key] = saidLine{at: at}
	return known.repeated, false
}

// mostLines bounds the lines that are remembered.
const mostLines = 10_000

// forget drops the lines that may be logged again, if there are too many. Then the others are dropped too.
func (s *said) forget(at time.Time) {
	if len(s.lines) < mostLines {
		return
	}
	for key, known := range s.lines {
		if at.Sub(known.at) >= saidAgainAfter {
			delete(s.lines, key)
		}
	}
	if len(s.lines) >= mostLines {
		clear(s.lines)
	}
}
