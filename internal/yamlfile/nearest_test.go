package yamlfile_test

import (
	"testing"

	"github.com/khronicle/khronicle/internal/yamlfile"
)

func TestNearestFindsTheNameWithinTheSlips(t *testing.T) {
	names := []string{"image", "imagePullPolicy", "ip", "name", "timeout", "timeZone"}
	tests := []struct {
		written string
		slips   int
		want    string
	}{
		{"imagepullpolicy", 0, "imagePullPolicy"},
		{"IP", 0, "ip"},
		{"imgae", 1, "image"},
		{"imag", 1, "image"},
		{"images", 1, "image"},
		{"inage", 1, "image"},
		{"imagePulPolici", 1, ""},
		{"imagePulPolici", 2, "imagePullPolicy"},
		{"timeot", 2, "timeout"},
		{"timeo", 4, "timeout"}, // which is nearer than timeZone
		{"zone", 1, ""},
		{"it", 1, "ip"},
		{"xy", 0, ""},
		{"", 0, ""},
	}
	for _, tt := range tests {
		if got := yamlfile.Nearest(tt.written, names, tt.slips); got != tt.want {
			t.Errorf("%s within %d: %q, want %q", tt.written, tt.slips, got, tt.want)
		}
	}
}

func TestNearestTakesTheFirstOfEqualNames(t *testing.T) {
	if got := yamlfile.Nearest("cat", []string{"bat", "cut", "car"}, 1); got != "bat" {
		t.Errorf("%q, want bat", got)
	}
}

func TestDistanceCountsSlips(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"abc", "ab", 1},
		{"abc", "xabc", 1},
		{"abc", "axc", 1},
		{"kitten", "sitting", 3},
	}
	for _, tt := range tests {
		if got, back := yamlfile.Distance(tt.a, tt.b), yamlfile.Distance(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("%q and %q: %d and %d, want %d", tt.a, tt.b, got, back, tt.want)
		}
	}
}
