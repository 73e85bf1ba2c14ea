package config

import (
	"bytes"
	"regexp"
	"strconv"
	"unicode"
	"unicode/utf8"
)

var (
	yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?:offset \d+: )?(.*)$`)
	anchor    = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	// beforeLine are the errors of the YAML library's parser, as opposed to those of its scanner, whose lines it counts
	// from 0.
	beforeLine = regexp.MustCompile(`^(did not find expected (<|node content|'-' indicator|key|',' or)|found undefined tag handle|found incompatible YAML|found duplicate %)`)
)

// syntaxError is an error of the YAML library in our words. The library shows what of the file only where an anchor is
// unknown; but that may be a password that begins with an asterisk.
func (p *parser) syntaxError(err error, content []byte) error {
	problem, line := err.Error(), oddLine(content)
	if match := yamlError.FindStringSubmatch(problem); match != nil {
		problem = match[2]
		if match[1] != "" {
			line, _ = strconv.Atoi(match[1]) // digits
			if beforeLine.MatchString(problem) {
				line++
			}
		}
	}
	if match := anchor.FindStringSubmatch(problem); match != nil {
		problem = "a value begins with *, which has a meaning of its own; put it in quotes"
		line = lineOf(content, "*"+match[1])
	}
	return &KeyError{File: p.file, Line: line, Problem: "not YAML: " + problem}
}

// oddLine returns the first line with something that is not text, or 1 if there is none: for the errors in which the
// library names no line.
func oddLine(content []byte) int {
	line := 1
	for len(content) > 0 {
		r, size := utf8.DecodeRune(content)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1, unicode.IsControl(r) && r != '\t' && r != '\r':
			return line
		}
		content = content[size:]
	}
	return 1
}

// lineOf returns the line in which a text first appears.
func lineOf(content []byte, text string) int {
	before, _, _ := bytes.Cut(content, []byte(text))
	return 1 + bytes.Count(before, []byte("\n"))
}
