package check

import (
	"regexp"
	"strings"
	"unicode"
)

// plainReads is how many times its limit Plain reads of a text. Hiding a run UUID does not change the length of a text.
const plainReads = 4

// uuidPattern finds UUIDs in their plain form.
var uuidPattern = regexp.MustCompile(`[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)

// HideUUIDs replaces every UUID in a text by asterisks of the same length.
func HideUUIDs(text string) string {
	return uuidPattern.ReplaceAllStringFunc(text, func(uuid string) string { return strings.Repeat("*", len(uuid)) })
}

// Plain returns a text of others in one line of at most limit bytes. Asterisks replace every UUID, because it may be that of
// an open run. Blanks replace the characters that a terminal obeys or hides.
func Plain(text string, limit int) string {
	if read := Cut(text, plainReads*limit); len(read) < len(text) {
		text = strings.TrimRight(read, "0123456789abcdefABCDEF-") // the cut may be within a UUID
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = HideUUIDs(text)
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }), " ")
	text = strings.TrimSpace(text)
	if len(text) <= limit {
		return text
	}
	const more = "…"
	return Cut(text, limit-len(more)) + more
}
