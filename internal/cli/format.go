package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// Format is the format of a command's output.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// ParseFormat returns the format of the flag --output.
func ParseFormat(text string) (Format, error) {
	if format := Format(text); format == Text || format == JSON {
		return format, nil
	}
	return "", fmt.Errorf("--output: %q is not text or json", text)
}

// writeJSON writes a value as indented JSON.
func writeJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// writeList writes a list as JSON, or as a table.
func writeList[T any](out io.Writer, format Format, list []T, table func(io.Writer, []T)) error {
	if format == JSON {
		return writeJSON(out, append([]T{}, list...)) // an empty list is [], not null
	}
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	table(columns, list)
	return columns.Flush()
}
