package program_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/tools/image/internal/program"
)

func TestParsePlatforms(t *testing.T) {
	got, err := program.ParsePlatforms("linux/amd64,darwin/arm64")
	if want := []program.Platform{{OS: "linux", Arch: "amd64"}, {OS: "darwin", Arch: "arm64"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for text, want := range map[string]string{
		"": `platform ""`, "linux": `"linux": want OS/ARCH`, "linux/": "want OS/ARCH", "linux/amd64,": `platform ""`, "linux/../x": "want OS/ARCH",
		"linux/amd64,linux/amd64": "linux/amd64 is named twice", "linux amd64": "want OS/ARCH",
	} {
		if _, err := program.ParsePlatforms(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePlatforms(%q) = %v, want an error with %q", text, err, want)
		}
	}
}
