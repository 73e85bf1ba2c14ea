package duration_test

import (
	"testing"

	"github.com/khronicle/khronicle/internal/duration"
)

func TestHintSaysWhatToWrite(t *testing.T) {
	for text, want := range map[string]string{
		"1d":          `; write "24h"`,
		"1w":          `; write "168h"`,
		"1y":          `; write "8760h"`,
		"1d12h":       `; write "36h"`,
		"0.5d":        `; write "12h"`,
		"30D":         `; write "720h"`,
		"2 days":      `; write "48h"`,
		"5min":        `; write "5m"`,
		"90 secs":     `; write "1m30s"`,
		"1 hour":      `; write "1h"`,
		"1h 30m":      `; write "1h30m"`,
		" 10m":        `; write "10m"`,
		"5M":          `; write "5m"`,
		"1d5ms":       "",
		"10":          "",
		"":            "",
		"abc":         "",
		"d":           "",
		"1 fortnight": "",
		"1month":      "",
		"1d!":         "",
		"10m":         "",
		"-1m":         "",
		"1000000y":    "",
	} {
		if got := duration.Hint(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
