package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/khronicle/khronicle/internal/yamlfile"
)

// KeyError is one thing that is wrong in the file.
type KeyError struct {
	File string
	// Line begins at 1. It is 0 when it is unknown.
	Line int
	// Key is empty when the file cannot be read as YAML at all.
	Key, Problem string
}

func (e *KeyError) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Key == "" {
		return where + ": " + e.Problem
	}
	return where + ": " + e.Key + ": " + e.Problem
}

// parser collects the settings of a file and what is wrong with them.
type parser struct {
	file     string
	settings Settings
	lines    map[string]int // of each key in the file
	set      map[string]int // lines of the keys that have set a value
	errors   []*KeyError
	warnings []*KeyError
}

// Parse reads the content of a file. Keys that are absent or empty keep their defaults. The error joins one KeyError for
// each fault, and shows no secret. The warnings name each key that has no effect, or another one than its author may expect.
func Parse(file string, content []byte, defaults Settings) (s Settings, warnings []string, err error) {
	p := &parser{file: file, settings: defaults, lines: map[string]int{}, set: map[string]int{}}
	document, err := p.document(content)
	if err != nil {
		return Settings{}, nil, err
	}
	p.mapping("", document)
	p.validate()
	byLine := func(a, b *KeyError) int { return cmp.Compare(a.Line, b.Line) }
	slices.SortStableFunc(p.errors, byLine)
	slices.SortStableFunc(p.warnings, byLine)
	var errs []error
	for _, e := range p.errors {
		errs = append(errs, e)
	}
	if len(errs) > 0 {
		return Settings{}, nil, errors.Join(errs...)
	}
	for _, w := range p.warnings {
		warnings = append(warnings, w.Error())
	}
	return p.settings, warnings, nil
}

// document returns the mapping of the file's first document, or nil for an empty file.
func (p *parser) document(content []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, p.notYAML(err, content)
	}
	if err := decoder.Decode(&second); err == nil {
		p.warn(second.Line, "---", "only the first document is read")
	} else if !errors.Is(err, io.EOF) {
		return nil, p.notYAML(err, content)
	}
	root := first.Content[0]
	if isNull(root) {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, &KeyError{File: p.file, Line: root.Line, Problem: `not a mapping of keys to values such as "logLevel: info"`}
	}
	return root, nil
}

func (p *parser) notYAML(err error, content []byte) error {
	fault := yamlfile.Explain(err, content)
	return &KeyError{File: p.file, Line: fault.Line, Problem: "not YAML: " + fault.Problem}
}

// mapping reads the keys of a mapping. The prefix is the mapping's own key and a dot.
func (p *parser) mapping(prefix string, n *yaml.Node) {
	if n == nil {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, content := resolve(n.Content[i]), resolve(n.Content[i+1])
		line, key := n.Content[i].Line, prefix+name.Value
		switch {
		case name.Kind != yaml.ScalarNode:
			p.fail(line, prefix+"?", kinds[name.Kind]+" as a key")
		case name.ShortTag() == "!!merge":
			p.fail(line, prefix+"<<", "merging is not supported; write the keys out")
		case !isMapping(key):
			p.key(line, key, content)
		case content.Kind == yaml.MappingNode:
			p.mapping(key+".", content)
		case !isNull(content):
			p.fail(line, key, `not a mapping such as "suppressErrorLabel: true"`)
		}
	}
}

func (p *parser) key(line int, key string, n *yaml.Node) {
	f, known := findField(key)
	why, ineffective := withoutEffect[key]
	if !known && !ineffective {
		p.warn(line, word(key), "unknown"+suggestion(key))
		return
	}
	if before, twice := p.lines[key]; twice {
		p.warn(line, key, fmt.Sprintf("also in line %d; the last one counts", before))
	}
	p.lines[key] = line
	switch {
	case ineffective:
		p.warn(line, key, "has no effect: "+why)
	case isBlank(n):
	default:
		if err := decode(n, f.value(&p.settings)); err != nil {
			p.fail(line, key, err.Error())
			return
		}
		p.set[key] = line
	}
}

// validate checks what values must be beyond their type.
func (p *parser) validate() {
	s := &p.settings
	for _, f := range fields {
		if age, ok := f.value(s).(*time.Duration); ok {
			p.raise(f.key, age, f.least)
		}
	}
	for _, fault := range s.faults() {
		p.ifSet(fault, p.fail)
	}
	for _, doubt := range s.doubts() {
		p.ifSet(doubt, p.warn)
	}
	if s.Influx.Enabled {
		p.need("influxURL", s.Influx.URL)
		p.need("influxDB", s.Influx.Database)
	}
}

// ifSet reports a problem with a key whose value is that of the file.
func (p *parser) ifSet(found problem, report func(line int, key, problem string)) {
	if line, set := p.set[found.key]; set {
		report(line, found.key, found.text)
	}
}

// raise sets a value that is too small to the least one, as Kuberhealthy does.
func (p *parser) raise(key string, value *time.Duration, least time.Duration) {
	if line, set := p.set[key]; set && *value < least {
		p.warn(line, key, fmt.Sprintf("raised from %s to %s, as in Kuberhealthy", *value, least))
		*value = least
	}
}

// need fails when enableInflux is set without a key that it needs. It is silent when that key has an error of its own.
func (p *parser) need(key, value string) {
	failed := slices.ContainsFunc(p.errors, func(e *KeyError) bool { return e.Key == key })
	if value == "" && !failed {
		p.fail(p.lines["enableInflux"], "enableInflux", key+" is missing")
	}
}

func (p *parser) fail(line int, key, problem string) {
	p.errors = append(p.errors, &KeyError{File: p.file, Line: line, Key: key, Problem: problem})
}

func (p *parser) warn(line int, key, problem string) {
	p.warnings = append(p.warnings, &KeyError{File: p.file, Line: line, Key: key, Problem: problem})
}

var wordPattern = regexp.MustCompile(`^[\w.-]{1,64}`)

// word returns the beginning of a key, which may be shown. The rest may be a secret value, if the blank after the colon is
// missing.
func word(key string) string { return cmp.Or(wordPattern.FindString(key), "?") }

// suggestion names the key that an unknown one was probably meant to be. A key of a mapping may be written without it.
func suggestion(written string) string {
	var names []string
	keys := map[string]string{} // by what may be written for them
	add := func(name, key string) { names, keys[name] = append(names, name), key }
	for _, f := range fields {
		add(f.key, f.key)
		if _, leaf, nested := strings.Cut(f.key, "."); nested {
			add(leaf, f.key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(withoutEffect)) {
		add(key, key)
	}
	nearest := yamlfile.Nearest(word(written), names, min(len(written), 64)/2)
	if nearest == "" {
		return ""
	}
	return "; did you mean " + keys[nearest] + "?"
}
