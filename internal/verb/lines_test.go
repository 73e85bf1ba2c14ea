package verb

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func TestALogIsWrittenLineByLine(t *testing.T) {
	long := strings.Repeat("ä", longestLine) // its characters are not at the borders of what is read at once
	tests := []struct {
		name, prefix, log, want string
		raw                     bool
	}{
		{"nothing", "", "", "", false},
		{"without an end", "", "one\ntwo", "one\ntwo", false},
		{"with a prefix each line has an end", "[a] ", "one\n\ntwo", "[a] one\n[a] \n[a] two\n", false},
		{"what a terminal would obey", "", "a\x1b[2J\r\u202e\xff\n", `a\x1b[2J\r\u202e\xff` + "\n", false},
		{"as it is", "", "a\x1b[2J\r\u202e\xff\n", "a\x1b[2J\r\u202e\xff\n", true},
		{"a long line", "", "x" + long + "\nend\n", "x" + long + "\nend\n", false},
		{"a character that is not complete", "", "a\xe2\x80", `a\xe2\x80`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, from := range []io.Reader{strings.NewReader(tt.log), iotest.OneByteReader(strings.NewReader(tt.log))} {
				var out bytes.Buffer
				l := &lines{out: &out, raw: tt.raw}
				if err := l.copy(tt.prefix, from); err != nil || out.String() != tt.want {
					t.Fatalf("error %v, wrote %.100q, want %.100q", err, out.String(), tt.want)
				}
			}
		})
	}
}

func TestLogsThatAreWrittenTogetherKeepTheirLines(t *testing.T) {
	var out bytes.Buffer
	l := &lines{out: &out}
	var writing sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		writing.Go(func() {
			if err := l.copy(name+" ", iotest.HalfReader(strings.NewReader(strings.Repeat(name+"\n", 1000)))); err != nil {
				t.Error(err)
			}
		})
	}
	writing.Wait()
	if strings.Count(out.String(), "a a\n") != 1000 || strings.Count(out.String(), "b b\n") != 1000 || out.Len() != 8000 {
		t.Errorf("wrote %d bytes: %.100q", out.Len(), out.String())
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestALogThatCannotBeReadOrWrittenIsAnError(t *testing.T) {
	l := &lines{out: fullDisk{}}
	if err := l.copy("", strings.NewReader("one\n")); err == nil || err.Error() != "no space left on device" {
		t.Errorf("error %v", err)
	}
	var out bytes.Buffer
	l.out = &out
	cut := io.MultiReader(strings.NewReader("one\ntw"), iotest.ErrReader(errors.New("connection reset")))
	if err := l.copy("", cut); err == nil || err.Error() != "connection reset" || out.String() != "one\ntw" {
		t.Errorf("error %v, wrote %q", err, out.String())
	}
}

func TestLastLines(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int64
		want string
	}{
		{"a\nb\nc\n", -1, "a\nb\nc\n"},
		{"a\nb\nc\n", 0, ""},
		{"a\nb\nc\n", 1, "c\n"},
		{"a\nb\nc", 2, "b\nc"},
		{"a\nb\n", 2, "a\nb\n"},
		{"a\nb\n", 9, "a\nb\n"},
		{"", 0, ""},
		{"", 3, ""},
		{"a", 0, ""},
		{"\n\n", 1, "\n"},
	} {
		if got := lastLines(tt.text, tt.n); got != tt.want {
			t.Errorf("last %d of %q: %q, want %q", tt.n, tt.text, got, tt.want)
		}
	}
}
