//go:build linux

package proc

import (
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	tail := " S 1 2 2 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 999 1"
	for _, comm := range []string{"sh", "a b", "x) S (y", ")("} {
		state, start, err := parseStat("12 (" + comm + ")" + tail)
		if err != nil || state != 'S' || start != 4711 {
			t.Errorf("parseStat of command %q = %c, %d, %v; want S, 4711", comm, state, start, err)
		}
	}
	for _, bad := range []string{"", "12 (sh) S 1", "12 (sh)" + strings.Replace(tail, "4711", "x", 1)} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) succeeded", bad)
		}
	}
}

func TestParseInnermost(t *testing.T) {
	tests := []struct {
		name, status string
		want         int
		ok           bool
	}{
		{"nested", "Name:\tx\nNSpid:\t900\t7\nNSpgid:\t1\n", 7, true},
		{"flat", "NSpid:\t900\n", 900, true},
		{"absent", "Name:\tx\n", 0, false},
		{"empty", "NSpid:\n", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parseInnermost(tt.status)
			if got != tt.want || ok != tt.ok {
				t.Errorf("parseInnermost() = %d, %v; want %d, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}
