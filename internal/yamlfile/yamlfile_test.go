package yamlfile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/internal/yamlfile"
)

// readers are the libraries that read the files: yaml those of Khronicle, kubeyaml manifests as kubectl does.
var readers = map[string]func(text string) error{
	"yaml":     func(text string) error { return yaml.Unmarshal([]byte(text), &yaml.Node{}) },
	"kubeyaml": func(text string) error { _, err := kubeyaml.YAMLToJSON([]byte(text)); return err },
}

// The messages of the library are known by their text. A text that a new version changes fails here.
func TestExplainSaysWhereAndWhat(t *testing.T) {
	const (
		asterisk   = `a value begins with "*" or "&", which have a meaning of their own; put the value in quotes`
		tag        = `a value begins with "!", which has a meaning of its own; put the value in quotes`
		token      = "a value begins with a tab, \"@\", \"%\" or a backquote; use blanks, or put the value in quotes"
		noValue    = "a value is missing, or a bracket has no partner"
		colon      = `a second ":" in one value, or a wrong indentation; put a text with a colon in quotes`
		list       = `a list that begins with "[" has no "]", or no comma between two items`
		mapping    = `a mapping that begins with "{" has no "}", or no comma between two keys`
		quote      = "a quotation mark is not closed"
		notText    = "a control character, or a byte that is not UTF-8"
		indented   = "not a key with the indentation of the keys above"
		notAnItem  = `not an item of the list above, because it does not begin with "-"`
		noColon    = `a key has no ":" behind it`
		tabIndents = "the indentation has a tab; use blanks"
	)
	tests := []struct {
		name, text string
		line       int
		problem    string
	}{
		{"an asterisk alone", "a: 1\nb: 2\nc: 3\nname: *\nd: 4\n", 4, asterisk},
		{"an asterisk alone at the end", "a: 1\n\n\nname: *\n", 4, asterisk},
		{"an asterisk alone in the first line", "name: *\na: 1\n", 1, asterisk},
		{"an ampersand alone", "a: 1\nb: {name: &, c: d}\ne: 2\n", 2, asterisk},
		{"an unknown tag", "a: 1\nb: 2\nc: !x!foo\nd: 3\n", 3, tag},
		{"an unknown tag in the first line", "c: !x!foo\nd: 3\n", 1, tag},
		{"a directive twice", "%YAML 1.1\n%YAML 1.1\n---\na: b\n", 2, "found duplicate %YAML directive"},
		{"another version", "# a\n%YAML 3.0\n---\na: b\n", 2, "found incompatible YAML document"},
		{"a tab", "a: 1\nb: 2\n\tc: 3\n", 3, tabIndents},
		{"a backquote", "a: `x`\n", 1, token},
		{"no colon", "a: 1\nb: 2\nc 3\nd: 4\n", 3, noColon},
		{"a colon too many", "a: 1\nb: c: d\n", 2, colon},
		{"no closing quote, noticed at the end", "a: 1\nb: \"x\nc: 3\n\n\n", 2, quote},
		{"no closing bracket", "a: 1\nb: [1, 2\nc: 3\n", 2, list},
		{"no closing brace", "a: 1\nb: {c: 2\nd: 3\n", 2, mapping},
		{"nothing in a bracket, noticed behind the end", "a: 1\nb: [\n", 2, noValue},
		{"lines as on Windows", "a: 1\r\nb: [\r\n\r\n", 2, noValue},
		{"a bracket too many", "\n\n]\n", 3, noValue},
		{"indented too little", "a:\n  b: 1\n c: 2\n", 3, indented},
		{"list and mapping", "- a\n- b\nc: d\n", 3, notAnItem},
		{"a control character", "a: 1\nb: \x01\nc: 2\n", 2, notText},
		{"no UTF-8", "a: 1\nb: 2\nc: \xff\n", 3, notText},
		{
			"an anchor that does not exist", "a: 1\nb: c*d\npassword: *hunter2\n", 3,
			`a value begins with "*" and refers to an anchor that does not exist; put a text in quotes`,
		},
	}
	for _, tt := range tests {
		for reader, read := range readers {
			t.Run(tt.name+"/"+reader, func(t *testing.T) {
				err := read(tt.text)
				if err == nil {
					t.Fatal("the library reads it")
				}
				want := yamlfile.Fault{Line: tt.line, Problem: tt.problem}
				if diff := cmp.Diff(want, yamlfile.Explain(err, []byte(tt.text))); diff != "" {
					t.Errorf("explanation of %v (-want +got):\n%s", err, diff)
				}
			})
		}
	}
}

func TestExplainShowsAnErrorOfAnotherLibraryAsItIs(t *testing.T) {
	const text = "a: 1\nb: 2\n"
	tests := []struct {
		name, err string
		want      yamlfile.Fault
	}{
		{"without a line", "unsupported map key", yamlfile.Fault{Line: 1, Problem: "unsupported map key"}},
		{"with a line", "yaml: line 2: found a fault: here", yamlfile.Fault{Line: 2, Problem: "found a fault: here"}},
		{"with a line behind the end", "yaml: line 7: found a fault", yamlfile.Fault{Line: 2, Problem: "found a fault"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, yamlfile.Explain(errors.New(tt.err), []byte(text))); diff != "" {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzExplainNamesALineOfTheText(f *testing.F) {
	for _, seed := range []string{"", "a: [", "%YAML 9\n", "a: *b", "\xff\xfea\x00", "\x00", "\n\n\t", "a: \u2028\nb: [", "- !x!y\n", "a:\n\t\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := 1 + strings.Count(text, "\n")
		for reader, read := range readers {
			if err := read(text); err != nil {
				if fault := yamlfile.Explain(err, []byte(text)); fault.Line < 1 || fault.Line > lines || fault.Problem == "" {
					t.Errorf("%s: %v is explained as %+v in %d lines", reader, err, fault, lines)
				}
			}
		}
	})
}
