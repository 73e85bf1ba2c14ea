package config

import "github.com/khronicle/khronicle/internal/yamlerror"

// syntaxError is an error of the YAML library in our words. The library shows what of the file only where an anchor is
// unknown; but that may be a password that begins with an asterisk.
func (p *parser) syntaxError(err error, content []byte) error {
	e := yamlerror.Of(err, content)
	if e.Anchor != "" {
		e.Problem = "a value begins with *, which has a meaning of its own; put it in quotes"
	}
	return &KeyError{File: p.file, Line: e.Line, Problem: "not YAML: " + e.Problem}
}
