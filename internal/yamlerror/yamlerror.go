// Package yamlerror says where a text is not YAML. It reads the errors of the YAML libraries and never the text's values.
package yamlerror

import (
	"bytes"
	"regexp"
	"strconv"
	"unicode"
	"unicode/utf8"
)

var (
	pattern = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?:offset \d+: )?(.*)$`)
	anchor  = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	// fromZero are the errors of a library's parser, as opposed to those of its scanner: it counts their lines from 0.
	fromZero = regexp.MustCompile(`^(did not find expected (<|node content|'-' indicator|key|',' or)|found undefined tag handle|found incompatible YAML|found duplicate %)`)
)

// Error is an error of a YAML library.
type Error struct {
	// Line begins at 1. It is 1 too where nothing tells the line.
	Line int
	// Problem is what the library says, without a line.
	Problem string
	// Anchor is the anchor that is not known, if that is the problem. The problem shows it too, and nothing else of the text:
	// it may be the rest of a password that begins with an asterisk.
	Anchor string
}

// Of reads an error of go.yaml.in/yaml, version 2 or 3, that arose from this text. Version 2 names the line in which the
// problem shows, version 3 that in which what is not right begins.
func Of(err error, text []byte) Error {
	e := Error{Problem: err.Error()}
	if match := pattern.FindStringSubmatch(e.Problem); match != nil {
		e.Problem = match[2]
		e.Line, _ = strconv.Atoi(match[1]) // digits, or none
		if e.Line > 0 && fromZero.MatchString(e.Problem) {
			e.Line++
		}
	}
	if match := anchor.FindStringSubmatch(e.Problem); match != nil {
		e.Anchor = match[1]
		e.Line = lineOf(text, "*"+e.Anchor)
	}
	if e.Line == 0 {
		e.Line = oddLine(text)
	}
	e.Line = min(e.Line, lastLine(text)) // what is missing at the end is missed behind it
	return e
}

// oddLine returns the first line with something that is not text, or 1 if there is none: for the errors in which a library
// names no line.
func oddLine(text []byte) int {
	line := 1
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1, unicode.IsControl(r) && r != '\t' && r != '\r':
			return line
		}
		text = text[size:]
	}
	return 1
}

// lineOf returns the line in which a word first appears.
func lineOf(text []byte, word string) int {
	before, _, _ := bytes.Cut(text, []byte(word))
	return 1 + bytes.Count(before, []byte("\n"))
}

// lastLine returns the last line that is not empty.
func lastLine(text []byte) int {
	return 1 + bytes.Count(bytes.TrimRight(text, " \r\n"), []byte("\n"))
}
