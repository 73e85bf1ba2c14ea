package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// orDash returns the text of a table's cell, "-" if it is empty.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// between returns the time from one time to another as text, "-" if one of them is not known.
func between(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	return to.Sub(from).Round(time.Millisecond).String()
}

// firstLine returns the first line of the first text, without characters that break a table or that a terminal obeys.
func firstLine(texts []string) string {
	if len(texts) == 0 {
		return "-"
	}
	line, _, _ := strings.Cut(texts[0], "\n")
	return Printable([]byte(strings.ReplaceAll(line, "\t", " ")))
}

// Printable escapes the characters that a terminal would obey or hide, such as \x1b and \u202e.
func Printable(content []byte) string {
	var text strings.Builder
	for len(content) > 0 {
		r, n := utf8.DecodeRune(content)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&text, `\x%02x`, content[0])
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			text.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			text.WriteString(quoted[1 : len(quoted)-1])
		}
		content = content[n:]
	}
	return text.String()
}
