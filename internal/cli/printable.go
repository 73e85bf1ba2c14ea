package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

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
