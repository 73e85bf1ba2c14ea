package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"
)

// KeyError is one thing that is wrong in the file.
type KeyError struct {
	File string
	// Line begins at 1. 0 means that it is not known.
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

// parser collects what a file says.
type parser struct {
	file     string
	settings Settings
	lines    map[string]int // of the keys that were met
	wrong    []*KeyError
	notes    []*KeyError
}

// Parse reads the content of a file. Keys that are absent or empty keep their defaults. Everything that is wrong is in
// the error, as KeyErrors that show no secret; what is accepted and yet does not mean what its author may think is in the
// warnings.
func Parse(file string, content []byte, defaults Settings) (s Settings, warnings []string, err error) {
	p := &parser{file: file, settings: defaults, lines: map[string]int{}}
	document, err := p.document(content)
	if err != nil {
		return Settings{}, nil, err
	}
	p.mapping("", document)
	p.judge()
	byLine := func(a, b *KeyError) int { return cmp.Compare(a.Line, b.Line) }
	slices.SortStableFunc(p.wrong, byLine)
	slices.SortStableFunc(p.notes, byLine)
	var errs []error
	for _, wrong := range p.wrong {
		errs = append(errs, wrong)
	}
	for _, note := range p.notes {
		warnings = append(warnings, note.Error())
	}
	if err := errors.Join(errs...); err != nil {
		return Settings{}, nil, err
	}
	return p.settings, warnings, nil
}

// document returns the mapping that the file is, or nil for an empty file.
func (p *parser) document(content []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, p.syntaxError(err, content)
	}
	if err := decoder.Decode(&second); err == nil {
		p.note(second.Line, "---", "only the first document is read")
	} else if !errors.Is(err, io.EOF) {
		return nil, p.syntaxError(err, content)
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

// mapping reads the keys of a mapping, whose own name is the prefix of theirs.
func (p *parser) mapping(prefix string, n *yaml.Node) {
	if n == nil {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, content := resolve(n.Content[i]), resolve(n.Content[i+1])
		line := n.Content[i].Line
		switch {
		case name.Kind != yaml.ScalarNode:
			p.fail(line, prefix+"?", kinds[name.Kind]+" as a key")
		case name.ShortTag() == "!!merge":
			p.fail(line, prefix+"<<", "merging is not supported; write the keys out")
		case prefix == "" && name.Value == mapping:
			p.nested(line, content)
		default:
			p.key(line, prefix+name.Value, content)
		}
	}
}

func (p *parser) nested(line int, n *yaml.Node) {
	switch {
	case n.Kind == yaml.MappingNode:
		p.mapping(mapping+".", n)
	case !isNull(n):
		p.fail(line, mapping, `not a mapping such as "suppressErrorLabel: true"`)
	}
}

func (p *parser) key(line int, name string, n *yaml.Node) {
	k, known := find(name)
	if !known {
		p.note(line, word(name), "unknown"+suggestion(name))
		return
	}
	if before, twice := p.lines[name]; twice {
		p.note(line, name, fmt.Sprintf("also in line %d; the last one counts", before))
	}
	p.lines[name] = line
	if k.useless != "" {
		p.note(line, name, "has no effect: "+k.useless)
		return
	}
	if blank(n) {
		return
	}
	if err := k.read(&p.settings, n); err != nil {
		p.fail(line, name, err.Error())
	}
}

// judge looks at the values together.
func (p *parser) judge() {
	for _, least := range leasts {
		at := least.at(&p.settings)
		if line, set := p.lines[least.key]; set && *at < least.value {
			p.note(line, least.key, fmt.Sprintf("raised from %s to %s, as in Kuberhealthy", *at, least.value))
			*at = least.value
		}
	}
	if influx := p.settings.Influx; influx.Enabled {
		p.need("influxURL", influx.URL)
		p.need("influxDB", influx.Database)
	}
}

// need fails for a key without which enableInflux cannot be, unless something else is wrong with it.
func (p *parser) need(name, value string) {
	if value == "" && !p.failed(name) {
		p.fail(p.lines["enableInflux"], "enableInflux", name+" is missing")
	}
}

func (p *parser) failed(name string) bool {
	return slices.ContainsFunc(p.wrong, func(e *KeyError) bool { return e.Key == name })
}

func (p *parser) fail(line int, key, problem string) {
	p.wrong = append(p.wrong, &KeyError{File: p.file, Line: line, Key: key, Problem: problem})
}

func (p *parser) note(line int, key, problem string) {
	p.notes = append(p.notes, &KeyError{File: p.file, Line: line, Key: key, Problem: problem})
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
