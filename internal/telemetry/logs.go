// Package telemetry makes the logger and the metrics that every role uses.
package telemetry

import (
	"io"
	"log/slog"
	"regexp"
	"strings"

	"github.com/khronicle/khronicle/check"
)

var uuidPattern = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// NewLogger returns a logger that writes lines of level and above to w. A run UUID is the credential of its run, so the logger
// writes the short hash in its place. The name of the run's pod ends in the same hash.
func NewLogger(w io.Writer, level slog.Leveler, json bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(hidingWriter{w}, options))
	}
	return slog.New(slog.NewTextHandler(hidingWriter{w}, options))
}

// hidingWriter hides run UUIDs in finished lines. In attributes it could miss some: a value may show its UUID only when the
// handler formats it.
type hidingWriter struct{ lines io.Writer }

// Write takes one line, as slog's handlers write them.
func (w hidingWriter) Write(line []byte) (int, error) {
	hidden := uuidPattern.ReplaceAllFunc(line, func(uuid []byte) []byte {
		return []byte(check.ShortHash(strings.ToLower(string(uuid))))
	})
	if _, err := w.lines.Write(hidden); err != nil {
		return 0, err
	}
	return len(line), nil
}
