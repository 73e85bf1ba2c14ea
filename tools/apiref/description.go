package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// description is the part of an OpenAPI document that is shown.
type description struct {
	Paths      ordered[path] `yaml:"paths"`
	Components struct {
		Parameters map[string]parameter `yaml:"parameters"`
		Responses  map[string]response  `yaml:"responses"`
		Schemas    ordered[schema]      `yaml:"schemas"`
	} `yaml:"components"`
}

type path struct {
	Parameters []parameter `yaml:"parameters"`
	Get        struct {
		Summary     string            `yaml:"summary"`
		Description string            `yaml:"description"`
		Parameters  []parameter       `yaml:"parameters"`
		Responses   ordered[response] `yaml:"responses"`
	} `yaml:"get"`
}

type parameter struct {
	Ref         string `yaml:"$ref"`
	Name        string `yaml:"name"`
	In          string `yaml:"in"`
	Required    bool   `yaml:"required"`
	Description string `yaml:"description"`
	Schema      schema `yaml:"schema"`
}

type response struct {
	Ref         string          `yaml:"$ref"`
	Description string          `yaml:"description"`
	Content     ordered[medium] `yaml:"content"`
}

type medium struct {
	Schema schema `yaml:"schema"`
}

type schema struct {
	Ref         string          `yaml:"$ref"`
	Type        string          `yaml:"type"`
	Format      string          `yaml:"format"`
	Description string          `yaml:"description"`
	Enum        []string        `yaml:"enum"`
	Minimum     *int            `yaml:"minimum"`
	Maximum     *int            `yaml:"maximum"`
	MaxLength   int             `yaml:"maxLength"`
	MaxItems    int             `yaml:"maxItems"`
	Items       *schema         `yaml:"items"`
	Values      *schema         `yaml:"additionalProperties"`
	Required    []string        `yaml:"required"`
	Properties  ordered[schema] `yaml:"properties"`
}

// ordered is a mapping in the order of the document.
type ordered[T any] []named[T]

type named[T any] struct {
	name  string
	value T
}

// UnmarshalYAML reads a mapping.
func (o *ordered[T]) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want a mapping", node.Line)
	}
	for i := 0; i < len(node.Content); i += 2 {
		one := named[T]{name: node.Content[i].Value}
		if err := node.Content[i+1].Decode(&one.value); err != nil {
			return err
		}
		*o = append(*o, one)
	}
	return nil
}

// last returns the last part of a reference, such as Check of #/components/schemas/Check.
func last(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

func (d *description) parameter(p parameter) (parameter, error) {
	if p.Ref != "" {
		p = d.Components.Parameters[last(p.Ref)]
	}
	if p.Name == "" {
		return p, fmt.Errorf("there is no parameter %s", p.Ref)
	}
	return p, nil
}

func (d *description) response(r response) (response, error) {
	if r.Ref != "" {
		found, ok := d.Components.Responses[last(r.Ref)]
		if !ok {
			return r, fmt.Errorf("there is no response %s", r.Ref)
		}
		return found, nil
	}
	return r, nil
}
