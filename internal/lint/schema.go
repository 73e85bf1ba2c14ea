package lint

import (
	_ "embed" // the schema
	"encoding/json"
	"fmt"
	"regexp"
	"sync"
)

// schemaJSON has, for each kind, what the API server knows about its fields. It is made of the CustomResourceDefinitions
// by `make generate`, and a test keeps it in step: the image is built without deploy/.
//
//go:embed schema.json
var schemaJSON []byte

// schema is the part of OpenAPI that the CustomResourceDefinitions use.
type schema struct {
	Type                 string             `json:"type,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	AdditionalProperties *schema            `json:"additionalProperties,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	Required             []string           `json:"required,omitempty"`
	Default              any                `json:"default,omitempty"`
	Format               string             `json:"format,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Minimum              *int64             `json:"minimum,omitempty"`
	Maximum              *int64             `json:"maximum,omitempty"`
	MinLength            int                `json:"minLength,omitempty"`
	MaxItems             *int               `json:"maxItems,omitempty"`
	IntOrString          bool               `json:"x-kubernetes-int-or-string,omitempty"`

	pattern *regexp.Regexp
}

// schemas returns the schema of each kind. They are read once and never changed.
var schemas = sync.OnceValue(func() map[string]*schema {
	var all map[string]*schema
	if err := json.Unmarshal(schemaJSON, &all); err != nil {
		panic(fmt.Sprintf("read the embedded schema: %v", err))
	}
	for _, s := range all {
		s.Properties["metadata"] = metadataSchema()
		s.prepare()
	}
	return all
})

func (s *schema) prepare() {
	if s.Pattern != "" {
		s.pattern = regexp.MustCompile(s.Pattern)
	}
	for _, inner := range s.Properties {
		inner.prepare()
	}
	for _, inner := range []*schema{s.AdditionalProperties, s.Items} {
		if inner != nil {
			inner.prepare()
		}
	}
}

// metadataSchema is that of every object, which definitions do not repeat. What the API server writes is not looked into.
func metadataSchema() *schema {
	anything, words := &schema{}, &schema{Type: "string"}
	texts := &schema{Type: "object", AdditionalProperties: words}
	return &schema{Type: "object", Properties: map[string]*schema{
		"name": words, "generateName": words, "namespace": words, "labels": texts, "annotations": texts,
		"finalizers": {Type: "array", Items: words}, "ownerReferences": anything, "managedFields": anything,
		"uid": words, "resourceVersion": words, "selfLink": words, "generation": {Type: "integer"},
		"creationTimestamp": anything, "deletionTimestamp": anything, "deletionGracePeriodSeconds": {Type: "integer"},
	}}
}
