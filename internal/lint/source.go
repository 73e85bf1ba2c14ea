package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	yamlnode "go.yaml.in/yaml/v4"
	"sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/internal/yamlfile"
)

// document is one of the documents of a file.
type document struct {
	file string
	// before is the number of lines of the file before the document.
	before int
	text   []byte
	value  any
	// node is the root of the document with its lines. It is nil if only the value could be read.
	node *yamlnode.Node
}

var (
	// separator matches the end of a document: "---" as in kubectl, and "..." as in YAML.
	separator = regexp.MustCompile(`^(---|\.\.\.)\s*(#.*)?$`)
	// template matches a Helm template, and ours the name of a kind or group of Khronicle.
	template = regexp.MustCompile(`\{\{`)
	ours     = regexp.MustCompile(`Kuberhealthy(Check|Job)|comcast\.github\.io/`)
)

// parse reads the documents of a file. A document that cannot be read is a finding; the others are still read.
func parse(file string, content []byte) (documents []document, findings []Finding) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	isJSON := strings.EqualFold(filepath.Ext(file), ".json")
	if isJSON || looksLikeJSON(content) {
		found, wrong := parseJSON(file, content)
		if wrong == nil {
			return found, nil
		}
		if isJSON && !template.Match(content) {
			return found, []Finding{*wrong}
		}
	}
	templates := 0
	for _, d := range split(file, content) {
		wrong := d.parseYAML()
		switch {
		case wrong == nil:
			documents = append(documents, d)
		case !template.Match(d.text):
			findings = append(findings, *wrong)
		case templates == 0 && ours.Match(content):
			templates++
			findings = append(findings, Finding{
				Severity: Error, File: file, Line: d.before + firstLine(d.text, template),
				Text: "is a Helm template, not YAML; lint its output: helm template … | khronicle lint -",
			})
		default: // a template without checks or jobs, or one more of this file
		}
	}
	return documents, findings
}

func looksLikeJSON(content []byte) bool {
	trimmed := bytes.TrimSpace(content)
	return len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[')
}

// parseJSON reads one JSON value after the other, as kubectl does. The lines come from reading the same text as YAML. For
// that, it replaces what only JSON allows: tabs, escaped slashes and surrogate pairs.
func parseJSON(file string, content []byte) (documents []document, wrong *Finding) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	readable := strings.NewReplacer("\t", " ", `\\`, `\\`, `\/`, "/", `\ud`, `\u0`, `\uD`, `\u0`)
	for {
		start := decoder.InputOffset()
		d := document{file: file, before: bytes.Count(content[:start], []byte("\n"))}
		err := decoder.Decode(&d.value)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			at := int64(len(content))
			if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
				at = min(syntax.Offset, at)
			}
			return documents, &Finding{
				Severity: Error, File: file, Line: 1 + bytes.Count(content[:at], []byte("\n")), Text: "is not JSON: " + err.Error(),
			}
		}
		d.text = content[start:decoder.InputOffset()]
		d.node = readNode([]byte(readable.Replace(string(d.text))))
		documents = append(documents, d)
	}
}

// split cuts YAML into its documents.
func split(file string, content []byte) []document {
	documents := []document{{file: file}}
	number := 0
	for line := range bytes.Lines(content) {
		number++
		if separator.Match(bytes.TrimRight(line, "\r\n")) {
			documents = append(documents, document{file: file, before: number})
			continue
		}
		last := &documents[len(documents)-1]
		last.text = append(last.text, line...)
	}
	return documents
}

// parseYAML reads the value as kubectl does: by YAML 1.1, in which "yes" is a boolean. Then it reads the lines.
func (d *document) parseYAML() *Finding {
	text, err := yaml.YAMLToJSON(d.text)
	if err != nil {
		return d.syntax(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&d.value); err != nil {
		return d.syntax(err)
	}
	d.node = readNode(d.text)
	return nil
}

// syntax returns the finding for a document that is not YAML.
func (d *document) syntax(err error) *Finding {
	e := yamlfile.Explain(err, d.text)
	return &Finding{Severity: Error, File: d.file, Line: d.before + e.Line, Text: "is not YAML: " + e.Problem}
}

func readNode(text []byte) *yamlnode.Node {
	var root yamlnode.Node
	if err := yamlnode.Unmarshal(text, &root); err != nil || len(root.Content) == 0 {
		return nil
	}
	return root.Content[0]
}

// firstLine returns the number of the first line that matches.
func firstLine(text []byte, pattern *regexp.Regexp) int {
	at := pattern.FindIndex(text)
	if at == nil {
		return 1
	}
	return 1 + bytes.Count(text[:at[0]], []byte("\n"))
}
