package check_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/khronicle/khronicle/check"
)

func TestPlain(t *testing.T) {
	stars := strings.Repeat("*", 36)
	tests := []struct{ name, text, want string }{
		{"as it is", "no route to 10.0.0.1", "no route to 10.0.0.1"},
		{"lines", "a\n\n\tb\r\n", "a b"},
		{"terminal", "\x1b[31mred", "[31mred"},
		{"direction", "abc\u202edef", "abc def"},
		{"bytes", "a\xffb", "a\uFFFDb"},
		{"a UUID", "run " + runUUID + " failed", "run " + stars + " failed"},
		{"a UUID in upper case", strings.ToUpper(runUUID), stars},
		{"long", strings.Repeat("ä", 50), strings.Repeat("ä", 28) + "…"},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := check.Plain(tt.text, 60); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Wherever a text is cut, no part of a UUID stays that helps to guess the rest.
func FuzzPlain(f *testing.F) {
	f.Add("", 60)
	f.Add(strings.Repeat("\n", 210), 60)
	f.Add(strings.Repeat("x", 50), 60)
	f.Fuzz(func(t *testing.T, before string, limit int) {
		limit = min(max(limit, 10), 1000)
		got := check.Plain(before+" "+runUUID+" after", limit)
		if len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("%d bytes, want %d: %q", len(got), limit, got)
		}
		if !strings.Contains(before, runUUID[:13]) && strings.Contains(got, runUUID[:13]) {
			t.Errorf("shows a part of the UUID: %q", got)
		}
	})
}
