package cli

import "fmt"

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
