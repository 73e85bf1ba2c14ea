package yamlerror_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	yaml3 "go.yaml.in/yaml/v3"
	yaml2 "sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/internal/yamlerror"
)

// readers are the libraries that texts are read with, as the rooms use them.
var readers = map[string]func(text string) error{
	"version 2": func(text string) error { _, err := yaml2.YAMLToJSON([]byte(text)); return err },
	"version 3": func(text string) error { return yaml3.Unmarshal([]byte(text), &yaml3.Node{}) },
}

// Version 2 names the line in which a problem shows, version 3 that in which what is not right begins.
func TestLine(t *testing.T) {
	const (
		character = "did not find expected alphabetic or numeric character"
		tag       = "found undefined tag handle"
		noValue   = "did not find expected node content"
	)
	tests := []struct {
		name, text string
		v2, v3     int
		problem    string
	}{
		{"an asterisk alone", "a: 1\nb: 2\nc: 3\nname: *\nd: 4\n", 4, 4, character},
		{"an asterisk alone at the end", "a: 1\n\n\nname: *\n", 4, 4, character},
		{"an asterisk alone in the first line", "name: *\na: 1\n", 1, 1, character},
		{"an ampersand alone", "a: 1\nb: {name: &, c: d}\ne: 2\n", 2, 2, character},
		{"an unknown tag", "a: 1\nb: 2\nc: !x!foo\nd: 3\n", 3, 3, tag},
		{"an unknown tag in the first line", "c: !x!foo\nd: 3\n", 1, 1, tag},
		{"a directive twice", "%YAML 1.1\n%YAML 1.1\n---\na: b\n", 2, 2, "found duplicate %YAML directive"},
		{"another version", "# a\n%YAML 3.0\n---\na: b\n", 2, 2, "found incompatible YAML document"},
		{"a tab", "a: 1\nb: 2\n\tc: 3\n", 3, 2, "found a tab character that violates indentation"},
		{"a tab alone in the last line", "a:\n\t\n", 2, 2, "found character that cannot start any token"},
		{"no colon", "a: 1\nb: 2\nc 3\nd: 4\n", 4, 3, "could not find expected ':'"},
		{"a colon too many", "a: 1\nb: c: d\n", 2, 2, "mapping values are not allowed in this context"},
		{"no closing quote, noticed at the end", "a: 1\nb: \"x\nc: 3\n\n\n", 3, 2, "found unexpected end of stream"},
		{"no closing bracket", "a: 1\nb: [1, 2\nc: 3\n", 3, 2, "did not find expected ',' or ']'"},
		{"no closing brace", "a: 1\nb: {c: 2\nd: 3\n", 3, 2, "did not find expected ',' or '}'"},
		{"nothing in a bracket, noticed behind the end", "a: 1\nb: [\n", 2, 2, noValue},
		{"lines as on Windows", "a: 1\r\nb: [\r\n\r\n", 2, 2, noValue},
		{"a bracket too many", "\n\n]\n", 3, 3, noValue},
		{"indented too little", "a:\n  b: 1\n c: 2\n", 3, 3, "did not find expected key"},
		{"list and mapping", "- a\n- b\nc: d\n", 3, 3, "did not find expected '-' indicator"},
		{"a control character", "a: 1\nb: \x01\nc: 2\n", 2, 2, "control characters are not allowed"},
		{"no UTF-8", "a: 1\nb: 2\nc: \xff\n", 3, 3, "invalid leading UTF-8 octet"},
	}
	for _, tt := range tests {
		for reader, line := range map[string]int{"version 2": tt.v2, "version 3": tt.v3} {
			t.Run(tt.name+"/"+reader, func(t *testing.T) {
				err := readers[reader](tt.text)
				if err == nil {
					t.Fatal("it was read")
				}
				want := yamlerror.Error{Line: line, Problem: tt.problem}
				if diff := cmp.Diff(want, yamlerror.Of(err, []byte(tt.text))); diff != "" {
					t.Errorf("of %v (-want +got):\n%s", err, diff)
				}
			})
		}
	}
}

func TestUnknownAnchorIsNamed(t *testing.T) {
	const text = "a: 1\nb: c*d\npassword: *hunter2\n"
	for reader, read := range readers {
		want := yamlerror.Error{Line: 3, Problem: "unknown anchor 'hunter2' referenced", Anchor: "hunter2"}
		if diff := cmp.Diff(want, yamlerror.Of(read(text), []byte(text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reader, diff)
		}
	}
}

func TestErrorThatNamesNoLine(t *testing.T) {
	want := yamlerror.Error{Line: 1, Problem: "unsupported map key"}
	if diff := cmp.Diff(want, yamlerror.Of(errors.New("unsupported map key"), []byte("a: 1\nb: 2\n"))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Whatever the text, its errors are in one of its lines.
func FuzzLineIsOneOfTheText(f *testing.F) {
	for _, seed := range []string{"", "a: [", "%YAML 9\n", "a: *b", "\xff\xfea\x00", "\x00", "\n\n\t", "a: \u2028\nb: [", "- !x!y\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := 1
		for _, r := range text {
			if r == '\n' {
				lines++
			}
		}
		for reader, read := range readers {
			if err := read(text); err != nil {
				if e := yamlerror.Of(err, []byte(text)); e.Line < 1 || e.Line > lines || e.Problem == "" {
					t.Errorf("%s: %v is %+v, of %d lines", reader, err, e, lines)
				}
			}
		}
	})
}
