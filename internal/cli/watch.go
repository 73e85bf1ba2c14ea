package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/khronicle/khronicle/view"
)

// WatchOptions say how often the table of checks is drawn, and which lines stand below it.
type WatchOptions struct {
	Every  time.Duration
	Footer []string
}

// Watch draws the table of checks every o.Every until ctx ends, and once more then. It returns the last rows. On a terminal each
// table replaces the one before. Elsewhere only the last table is written. reading is the context of requests; it outlives ctx.
func Watch(ctx, reading context.Context, shown *view.View, temporal Temporal, o WatchOptions, out io.Writer) ([]Row, error) {
	live := isTerminal(out)
	for {
		done := ctx.Err() != nil
		snapshot := shown.Snapshot()
		rows, unknown := Rows(reading, snapshot, temporal)
		var page bytes.Buffer
		if err := WriteRows(&page, rows, snapshot.At); err != nil {
			return rows, err
		}
		if unknown != nil {
			fmt.Fprintln(&page, "Temporal does not answer, so the next runs are unknown:", unknown)
		}
		for _, line := range o.Footer {
			fmt.Fprintln(&page, line)
		}
		if live {
			fmt.Fprint(out, "\033[H\033[2J")
		}
		if live || done {
			if _, err := page.WriteTo(out); err != nil {
				return rows, fmt.Errorf("write table: %w", err)
			}
		}
		if done {
			return rows, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(o.Every):
		}
	}
}

// isTerminal is true if out is a terminal.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
