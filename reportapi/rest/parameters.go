package rest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v4"
)

// parameter is one parameter of an operation, as the description has it.
type parameter struct {
	Ref    string `yaml:"$ref"`
	Name   string `yaml:"name"`
	In     string `yaml:"in"`
	Schema schema `yaml:"schema"`
}

// schema is the part of a schema that parameters use.
type schema struct {
	Ref       string   `yaml:"$ref"`
	Type      string   `yaml:"type"`
	Format    string   `yaml:"format"`
	Enum      []string `yaml:"enum"`
	Minimum   int      `yaml:"minimum"`
	Maximum   int      `yaml:"maximum"`
	MinLength int      `yaml:"minLength"`
	MaxLength int      `yaml:"maxLength"`
	MaxItems  int      `yaml:"maxItems"`
	Items     *schema  `yaml:"items"`
}

// document is the part of the description that is about parameters.
type document struct {
	Paths map[string]struct {
		Parameters []parameter `yaml:"parameters"`
		Get        struct {
			Parameters []parameter `yaml:"parameters"`
		} `yaml:"get"`
	} `yaml:"paths"`
	Components struct {
		Parameters map[string]parameter `yaml:"parameters"`
		Schemas    map[string]schema    `yaml:"schemas"`
	} `yaml:"components"`
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// parametersOf returns the parameters of each operation by its route, such as /api/v1/checks/:namespace/:name.
func parametersOf(description []byte) (map[string][]parameter, error) {
	var d document
	if err := yaml.Unmarshal(description, &d); err != nil {
		return nil, err
	}
	all := make(map[string][]parameter, len(d.Paths))
	for path, item := range d.Paths {
		route := Base + placeholder.ReplaceAllString(path, ":$1")
		all[route] = []parameter{}
		for _, p := range slices.Concat(item.Parameters, item.Get.Parameters) {
			resolved, err := d.parameter(p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			all[route] = append(all[route], resolved)
		}
	}
	return all, nil
}

func (d *document) parameter(p parameter) (parameter, error) {
	if name, isRef := strings.CutPrefix(p.Ref, "#/components/parameters/"); isRef {
		p = d.Components.Parameters[name]
	}
	if p.Name == "" {
		return p, fmt.Errorf("there is no parameter %s", p.Ref)
	}
	return p, d.resolve(&p.Schema)
}

func (d *document) resolve(s *schema) error {
	if name, isRef := strings.CutPrefix(s.Ref, "#/components/schemas/"); isRef {
		*s = d.Components.Schemas[name]
	}
	if s.Items != nil {
		items := *s.Items // the description may use it twice
		s.Items = &items
		return d.resolve(s.Items)
	}
	if s.Type == "" {
		return fmt.Errorf("there is no schema %s", s.Ref)
	}
	return nil
}

// check holds the parameters of a request against the description.
func (a *API) check(c echo.Context) error {
	query, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return &problem{status: http.StatusBadRequest, detail: "the query cannot be read: its parameters are NAME=VALUE, with & between them"}
	}
	parameters := a.parameters[c.Path()]
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.ContainsFunc(parameters, func(p parameter) bool { return p.In == "query" && p.Name == name }) {
			return unknownParameter(name, parameters)
		}
	}
	for _, p := range parameters {
		if err := p.check(p.values(c, query)); err != nil {
			return err
		}
	}
	return nil
}

func unknownParameter(name string, parameters []parameter) error {
	var known []string
	for _, p := range parameters {
		if p.In == "query" {
			known = append(known, p.Name)
		}
	}
	detail := "the operation has no parameter " + shorten(name)
	if len(known) > 0 {
		detail += ": it has " + enumeration(known)
	}
	return &problem{http.StatusBadRequest, name, detail}
}

// values returns what a request has for a parameter.
func (p parameter) values(c echo.Context, query url.Values) []string {
	switch p.In {
	case "query":
		return query[p.Name]
	case "header":
		return c.Request().Header.Values(p.Name)
	}
	if value, err := url.PathUnescape(c.Param(p.Name)); err == nil {
		return []string{value}
	}
	return []string{c.Param(p.Name)}
}

func (p parameter) check(values []string) error {
	s := p.Schema
	if s.Items != nil {
		if len(values) > s.MaxItems {
			return &problem{http.StatusBadRequest, p.Name, fmt.Sprintf("%s: there are %d, and there may be %d", p.Name, len(values), s.MaxItems)}
		}
		s = *s.Items
	} else if len(values) > 1 {
		return &problem{http.StatusBadRequest, p.Name, fmt.Sprintf("%s: there are %d, and there may be one", p.Name, len(values))}
	}
	for _, value := range values {
		if !s.allows(value) {
			return wrong(p.Name, value, s.want())
		}
	}
	return nil
}

// allows is true if a value is as the schema says.
func (s schema) allows(value string) bool {
	switch {
	case len(s.Enum) > 0:
		return slices.Contains(s.Enum, value)
	case s.Type == "boolean":
		return value == "true" || value == "false"
	case s.Type == "integer":
		n, err := strconv.Atoi(value)
		return err == nil && n >= s.Minimum && n <= s.Maximum && strconv.Itoa(n) == value
	case s.Format == "date-time":
		_, err := time.Parse(time.RFC3339, value)
		return err == nil
	}
	length := utf8.RuneCountInString(value)
	return utf8.ValidString(value) && length >= s.MinLength && length <= s.MaxLength
}

// want says what would be right.
func (s schema) want() string {
	switch {
	case len(s.Enum) > 0:
		return enumeration(s.Enum)
	case s.Type == "boolean":
		return "true or false"
	case s.Type == "integer":
		return fmt.Sprintf("a whole number from %d to %d", s.Minimum, s.Maximum)
	case s.Format == "date-time":
		return "a time such as 2026-11-22T12:00:00Z"
	}
	return fmt.Sprintf("a text of %d to %d characters in UTF-8", s.MinLength, s.MaxLength)
}

// enumeration returns, for example, "a, b or c".
func enumeration(words []string) string {
	n := len(words)
	if n == 1 {
		return words[0]
	}
	return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
}
