// Package telemetry makes the logger and the metrics that every role uses.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"

	"github.com/khronicle/khronicle/check"
)

var uuidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// NewLogger returns a logger that writes lines of level and above to w. A run UUID is the credential of its run: wherever
// one would appear, its short ID is written, which also ends the name of the run's pod.
func NewLogger(w io.Writer, level slog.Level, json bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: hideRunUUID}
	if json {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func hideRunUUID(_ []string, attr slog.Attr) slog.Attr {
	switch attr.Value.Kind() {
	case slog.KindString, slog.KindAny:
		if _, isSource := attr.Value.Any().(*slog.Source); isSource {
			return attr
		}
		text := fmt.Sprint(attr.Value.Any())
		if hidden := uuidPattern.ReplaceAllStringFunc(text, check.ID); hidden != text {
			return slog.String(attr.Key, hidden)
		}
	}
	return attr
}
