package main

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// intro begins the page. The first line says that nobody edits it.
const intro = `<!-- Made by "make generate" from api/openapi.yaml. Do not edit. -->
# Reference of the REST API

All paths are below ` + "`/api/v1`" + `. [api.md](api.md) says how to use them. Each operation is read with GET or HEAD.

`

// page is a Markdown document.
type page struct{ strings.Builder }

func (p *page) add(format string, args ...any) { fmt.Fprintf(&p.Builder, format, args...) }

// render returns the reference of an OpenAPI description.
func render(text []byte) (string, error) {
	var d description
	if err := yaml.Unmarshal(text, &d); err != nil {
		return "", err
	}
	if len(d.Paths) == 0 {
		return "", fmt.Errorf("there are no paths")
	}
	p := &page{}
	p.add("%s", intro)
	for _, one := range d.Paths {
		p.add("- [`%s`](#%s): %s\n", one.name, link("GET "+one.name), lower(one.value.Get.Summary))
	}
	p.add("- [Objects and values](#objects-and-values)\n")
	for _, one := range d.Paths {
		if err := p.operation(&d, one); err != nil {
			return "", fmt.Errorf("%s: %w", one.name, err)
		}
	}
	p.add("\n## Objects and values\n")
	for _, one := range d.Components.Schemas {
		if err := p.object(one); err != nil {
			return "", fmt.Errorf("%s: %w", one.name, err)
		}
	}
	return p.String(), nil
}

func (p *page) operation(d *description, one named[path]) error {
	get := one.value.Get
	p.add("\n## GET %s\n\n%s\n", one.name, strings.TrimSpace(sentence(get.Summary)+"\n"+get.Description))
	if all := slices.Concat(one.value.Parameters, get.Parameters); len(all) > 0 {
		p.add("\n| parameter | in | value | meaning |\n|---|---|---|---|\n")
		for _, listed := range all {
			found, err := d.parameter(listed)
			if err != nil {
				return err
			}
			value, err := found.Schema.words()
			if err != nil {
				return fmt.Errorf("%s: %w", found.Name, err)
			}
			p.add("| `%s` | %s | %s | %s |\n", found.Name, found.In, value, cell(found.Description))
		}
	}
	p.add("\n| status | body | meaning |\n|---|---|---|\n")
	for _, listed := range get.Responses {
		found, err := d.response(listed.value)
		if err != nil {
			return err
		}
		body, err := found.body()
		if err != nil {
			return err
		}
		p.add("| %s | %s | %s |\n", listed.name, body, cell(found.Description))
	}
	return nil
}

func (r response) body() (string, error) {
	var kinds []string
	for _, one := range r.Content {
		words, err := one.value.Schema.words()
		if err != nil {
			return "", err
		}
		if one.value.Schema.Ref == "" {
			words = "text"
		}
		kinds = append(kinds, fmt.Sprintf("%s, `%s`", words, one.name))
	}
	return strings.Join(kinds, "; "), nil
}

func (p *page) object(one named[schema]) error {
	s := one.value
	p.add("\n### %s\n", one.name)
	if s.Description != "" {
		p.add("\n%s\n", strings.TrimSpace(s.Description))
	}
	if len(s.Enum) > 0 {
		p.add("\nOne of %s.\n", codes(s.Enum))
	}
	if len(s.Properties) == 0 {
		return nil
	}
	p.add("\n| field | value | meaning |\n|---|---|---|\n")
	for _, field := range s.Properties {
		value, err := field.value.words()
		if err != nil {
			return fmt.Errorf("%s: %w", field.name, err)
		}
		if !slices.Contains(s.Required, field.name) {
			value += ", may be absent"
		}
		p.add("| `%s` | %s | %s |\n", field.name, value, cell(field.value.Description))
	}
	return nil
}

// words says which values a schema has.
func (s schema) words() (string, error) {
	switch {
	case s.Ref != "":
		return fmt.Sprintf("[%s](#%s)", last(s.Ref), link(last(s.Ref))), nil
	case s.Type == "array" && s.Items != nil:
		items, err := s.Items.words()
		if s.MaxItems > 0 {
			return fmt.Sprintf("up to %d times: %s", s.MaxItems, items), err
		}
		return "list of " + items, err
	case s.Type == "object" && s.Values != nil:
		values, err := s.Values.words()
		return "names with " + values, err
	case s.Format == "date-time":
		return "time", nil
	case s.Type == "string" && s.MaxLength > 0:
		return fmt.Sprintf("text, at most %d characters", s.MaxLength), nil
	case s.Type == "string":
		return "text", nil
	case s.Type == "boolean":
		return "true or false", nil
	case s.Type == "integer":
		return "whole number" + s.bounds(), nil
	case s.Type == "number":
		return "number" + s.bounds(), nil
	}
	return "", fmt.Errorf("values of the type %q cannot be shown", s.Type)
}

func (s schema) bounds() string {
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf(" from %d to %d", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		return fmt.Sprintf(" from %d on", *s.Minimum)
	}
	return ""
}

// codes returns words as code, with commas between them.
func codes(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

// cell is a text in one cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// link is the address of a heading, as GitHub makes it.
func link(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return -1
	}, strings.ToLower(heading))
}

func lower(text string) string {
	if text == "" {
		return text
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// sentence ends a text with a full stop.
func sentence(text string) string { return strings.TrimSuffix(text, ".") + "." }
