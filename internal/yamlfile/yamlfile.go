// Package yamlfile explains what is wrong with a YAML file: in which line, what, and which name was probably meant.
// It never shows a value of the file, because a value may be a secret.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Fault says why a text is not YAML.
type Fault struct {
	// Line begins at 1. It is 1 also when the line is unknown.
	Line int
	// Problem says in plain words what is wrong, and what to do if that is known.
	Problem string
}

// explanation is a message of the YAML library in plain words.
type explanation struct {
	problem string
	// opening is true when the fault is where something was opened, and not where the library misses its end.
	opening bool
}

// explanations are the common messages of the library's scanner and parser. Others are shown as the library writes them.
var explanations = map[string]explanation{
	"could not find expected ':'":      {problem: `a key has no ":" behind it`, opening: true},
	"did not find expected ',' or ']'": {problem: `a list that begins with "[" has no "]", or no comma between two items`, opening: true},
	"did not find expected ',' or '}'": {problem: `a mapping that begins with "{" has no "}", or no comma between two keys`, opening: true},
	"found unexpected end of stream":   {problem: "a quotation mark is not closed", opening: true},
	"did not find expected key":        {problem: "not a key with the indentation of the keys above"},
	"did not find expected '-' indicator": {
		problem: `not an item of the list above, because it does not begin with "-"`,
	},
	"did not find expected node content": {problem: "a value is missing, or a bracket has no partner"},
	"mapping values are not allowed in this context": {
		problem: `a second ":" in one value, or a wrong indentation; put a text with a colon in quotes`,
	},
	"found a tab character that violates indentation": {problem: "the indentation has a tab; use blanks"},
	"found character that cannot start any token": {
		problem: `a value begins with a tab, "@", "%" or a backquote; use blanks, or put the value in quotes`,
	},
	"did not find expected alphabetic or numeric character": {
		problem: `a value begins with "*" or "&", which have a meaning of their own; put the value in quotes`,
	},
	"found undefined tag handle": {
		problem: `a value begins with "!", which has a meaning of its own; put the value in quotes`,
	},
}

const (
	// unknownAnchor does not quote what follows the asterisk: it may be the rest of a password.
	unknownAnchor = `a value begins with "*" and refers to an anchor that does not exist; put a text in quotes`
	notText       = "a control character, or a byte that is not UTF-8"
	unreadable    = "it cannot be read"
)

// Explain explains an error that a YAML library returned for a text. For an error of another library than
// go.yaml.in/yaml/v4, it reads the text again, because only that library says where a problem is.
func Explain(err error, text []byte) Fault {
	var wrong *yaml.LoadError
	if !errors.As(err, &wrong) {
		if again := yaml.Unmarshal(text, &yaml.Node{}); again == nil {
			return foreign(err, text)
		} else if !errors.As(again, &wrong) {
			return Fault{Line: 1, Problem: unreadable}
		}
	}
	fault := explain(wrong, text)
	fault.Line = max(1, min(fault.Line, lastLine(text))) // what is missing at the end is noticed behind it
	return fault
}

func explain(wrong *yaml.LoadError, text []byte) Fault {
	known, ok := explanations[wrong.Message]
	switch {
	case wrong.Stage == yaml.ReaderStage:
		return Fault{Line: oddLine(text), Problem: notText}
	case wrong.Stage == yaml.ComposerStage:
		return Fault{Line: wrong.Mark.Line, Problem: unknownAnchor}
	case !ok && wrong.Stage != yaml.ScannerStage && wrong.Stage != yaml.ParserStage: // the message may show a value
		return Fault{Line: wrong.Mark.Line, Problem: unreadable}
	case !ok:
		return Fault{Line: wrong.Mark.Line, Problem: wrong.Message}
	case known.opening && wrong.ContextMark.Line > 0:
		return Fault{Line: wrong.ContextMark.Line, Problem: known.problem}
	}
	return Fault{Line: wrong.Mark.Line, Problem: known.problem}
}

// foreign returns the fault of an error that only another library finds. The line is in the error's text, if anywhere.
func foreign(err error, text []byte) Fault {
	fault := Fault{Line: oddLine(text), Problem: strings.TrimPrefix(err.Error(), "yaml: ")}
	before, problem, found := strings.Cut(fault.Problem, ": ")
	if found {
		if n, _ := fmt.Sscanf(before, "line %d", &fault.Line); n == 1 {
			fault.Problem = problem
		}
	}
	fault.Line = max(1, min(fault.Line, lastLine(text)))
	return fault
}

// oddLine returns the first line with a character that is not text, or 1. It serves where the library names no line.
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

// lastLine returns the number of the last line that is not empty.
func lastLine(text []byte) int {
	return 1 + bytes.Count(bytes.TrimRight(text, " \r\n"), []byte("\n"))
}
