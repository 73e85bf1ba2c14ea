package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/internal/cli"
)

func TestFilesAndBuffersAreNoTerminals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if cli.IsTerminal(file) || cli.IsTerminal(&bytes.Buffer{}) {
		t.Error("a file or a buffer is taken for a terminal")
	}
}

func TestErrorTextFitsIntoACell(t *testing.T) {
	tests := []struct {
		name string
		errs []string
		want string
	}{
		{"none", nil, "-"},
		{"one line", []string{"broken\nsecond line"}, "broken"},
		{"characters that a terminal obeys are escaped", []string{"one\x1b[31m\ttwo"}, `one\x1b[31m two`},
		{"two errors", []string{"broken", "empty"}, "broken (+1)"},
		{"long line", []string{strings.Repeat("ä", 101)}, strings.Repeat("ä", 100) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cli.ErrorText(tt.errs); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
