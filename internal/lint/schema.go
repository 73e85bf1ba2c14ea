package lint

import (
	_ "embed" // the schema
	"encoding/json"
	"fmt"
	"regexp"
	"sync"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// schemaJSON has the OpenAPI schema of each kind. It is a copy, because the image is built without deploy/:
// `make generate` makes it from the CustomResourceDefinitions, and a test compares the two.
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

// schemas returns the schema of each kind. It reads them once; nobody changes them.
var schemas = sync.OnceValue(func() map[string]*schema {
	var all map[string]*schema
	if err := json.Unmarshal(schemaJSON, &all); err != nil {
		panic(fmt.Sprintf("read the embedded schema: %v", err))
	}
	for _, s := range all {
		s.Properties["metadata"] = metadataSchema()
		s.prepare()
	}
	all[khv1.CheckKind].Properties["status"] = &schema{} // the API server ignores it, whatever it holds
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

// metadataSchema returns the schema of metadata, which the definitions leave out. Fields that the API server writes may hold
// anything.
func metadataSchema() *schema {
	anything, word := &schema{}, &schema{Type: "string"}
	texts := &schema{Type: "object", AdditionalProperties: word}
	return &schema{Type: "object", Properties: map[string]*schema{
		"name": word, "generateName": word, "namespace": word, "labels": texts, "annotations": texts,
		"finalizers": {Type: "array", Items: word}, "ownerReferences": anything, "managedFields": anything,
		"uid": word, "resourceVersion": word, "selfLink": word, "generation": {Type: "integer"},
		"creationTimestamp": anything, "deletionTimestamp": anything, "deletionGracePeriodSeconds": {Type: "integer"},
	}}
}
