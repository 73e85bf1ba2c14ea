package verb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// longestLine is how much of a line is written at once, in bytes. Longer lines of several logs are broken.
const longestLine = 64 << 10

// lines writes logs line by line. Several logs may be written at the same time.
type lines struct {
	mu  sync.Mutex
	out io.Writer
	// raw is true to write what a terminal would obey as it is.
	raw bool
}

// copy writes a log to its end, with a prefix before each line.
func (l *lines) copy(prefix string, from io.Reader) error {
	reader := bufio.NewReaderSize(from, longestLine)
	var rest []byte // the beginning of a character whose end has not been read
	for {
		part, err := reader.ReadSlice('\n')
		text := append(rest, part...)
		rest = nil
		if errors.Is(err, bufio.ErrBufferFull) {
			whole := wholeCharacters(text)
			text, rest = text[:whole], bytes.Clone(text[whole:])
		}
		if len(text) > 0 {
			if err := l.write(prefix, text); err != nil {
				return err
			}
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// write writes a line or a part of one. A line with a prefix ends with a newline, because another log may follow.
func (l *lines) write(prefix string, text []byte) error {
	line := string(text)
	if !l.raw {
		line = printable(line)
	}
	if prefix != "" && !strings.HasSuffix(line, "\n") {
		line += "\n"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.out, prefix+line)
	return err
}

// wholeCharacters returns how many bytes of a text are before a character at its end that is not complete.
func wholeCharacters(text []byte) int {
	for i := len(text) - 1; i >= max(0, len(text)-utf8.UTFMax); i-- {
		if utf8.RuneStart(text[i]) {
			if utf8.FullRune(text[i:]) {
				break
			}
			return i
		}
	}
	return len(text)
}

// lastLines returns the last n lines of a text, or all for less than 0.
func lastLines(text string, n int64) string {
	if n < 0 {
		return text
	}
	end := len(strings.TrimSuffix(text, "\n"))
	for at := end; ; n-- {
		if n == 0 {
			return text[min(at+1, len(text)):]
		}
		if at = strings.LastIndexByte(text[:at], '\n'); at < 0 {
			return text
		}
	}
}
