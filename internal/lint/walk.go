package lint

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	yamlnode "go.yaml.in/yaml/v4"

	"github.com/khronicle/khronicle/internal/yamlfile"
)

// hints describe the values of required fields.
var hints = map[string]string{
	"spec.timeout":            `the time that one run may take, such as "5m"`,
	"spec.podSpec":            "the pod to run, as in the spec of a Pod",
	"spec.podSpec.containers": "at least one container",
}

// moved says where the fields of Kuberhealthy v3 belong.
var moved = map[string]string{
	"spec.podSpec.spec":     "its fields belong directly into spec.podSpec (Kuberhealthy v3 has them here)",
	"spec.podSpec.metadata": "write the labels to spec.extraLabels and the annotations to spec.extraAnnotations",
	"spec.singleRunOnly":    "a check that runs once is of kind KuberhealthyJob",
}

// walk compares a value with its schema, as the API server does. It returns the value without its wrong parts, and whether
// anything is left.
func (o *object) walk(s *schema, value any, path string) (pruned any, ok bool) {
	switch {
	case s.IntOrString:
		return value, o.walkIntOrString(s, value, path)
	case s.Type == "object":
		return o.walkObject(s, value, path)
	case s.Type == "array":
		return o.walkArray(s, value, path)
	case s.Type == "integer":
		return value, o.walkInteger(s, value, path)
	case s.Type == "string":
		content, ok := value.(string)
		if !ok {
			o.wrongType(value, path, "string")
		} else if utf8.RuneCountInString(content) < s.MinLength {
			o.errorf(path, "%q is shorter than %d characters", content, s.MinLength)
		}
		return value, ok
	case s.Type == "boolean":
		_, ok := value.(bool)
		if !ok {
			o.wrongType(value, path, "boolean")
		}
		return value, ok
	default:
		return value, true
	}
}

func (o *object) walkObject(s *schema, value any, path string) (any, bool) {
	fields, ok := value.(map[string]any)
	if !ok {
		o.wrongType(value, path, "object")
		return nil, false
	}
	pruned := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		inner, known := s.Properties[key]
		at := child(path, key)
		if s.AdditionalProperties != nil {
			inner, known, at = s.AdditionalProperties, true, entry(path, key)
		}
		switch {
		case !known:
			o.breakf(at, "unknown field%s", o.hint(s, key, path))
		case fields[key] != nil: // null is absent
			if left, ok := o.walk(inner, fields[key], at); ok {
				pruned[key] = left
			}
		}
	}
	for _, key := range s.Required {
		if fields[key] == nil {
			o.missing(s.Properties[key], child(path, key))
		}
	}
	return pruned, true
}

func (o *object) missing(s *schema, path string) {
	if s.Default != nil {
		return
	}
	want := hints[path]
	if want == "" {
		want = article(s.Type)
	}
	o.breakf(path, "missing; want %s", want)
}

// walkArray leaves nil in place of a wrong item, so that the indexes of the others stay right.
func (o *object) walkArray(s *schema, value any, path string) (any, bool) {
	items, ok := value.([]any)
	if !ok {
		o.wrongType(value, path, "array")
		return nil, false
	}
	if s.MaxItems != nil && len(items) > *s.MaxItems {
		o.errorf(path, "has %d items, want at most %d", len(items), *s.MaxItems)
	}
	pruned := make([]any, len(items))
	for i, value := range items {
		if left, ok := o.walk(s.Items, value, item(path, i)); ok {
			pruned[i] = left
		}
	}
	return pruned, true
}

func (o *object) walkInteger(s *schema, value any, path string) bool {
	number, ok := value.(json.Number)
	if !ok {
		o.wrongType(value, path, "integer")
		return false
	}
	least, most := int64(math.MinInt64), int64(math.MaxInt64)
	if s.Format == "int32" {
		least, most = math.MinInt32, math.MaxInt32
	}
	if s.Minimum != nil {
		least = *s.Minimum
	}
	if s.Maximum != nil {
		most = *s.Maximum
	}
	n, err := number.Int64()
	if err != nil {
		o.breakf(path, "%s is not an integer of at most 64 bits", number)
		return false
	}
	if n < least || n > most {
		o.breakf(path, "%s is not an integer from %d to %d", number, least, most)
		return false
	}
	return true
}

func (o *object) walkIntOrString(s *schema, value any, path string) bool {
	var content string
	switch value := value.(type) {
	case string:
		content = value
	case json.Number:
		content = value.String()
		if _, err := value.Int64(); err != nil {
			o.breakf(path, "%s is neither an integer nor a string: write %q", value, content)
			return false
		}
	default:
		o.wrongType(value, path, "string or integer")
		return false
	}
	if s.pattern != nil && !s.pattern.MatchString(content) {
		o.breakf(path, `%q is not a quantity, such as "100m" or "64Mi"`, content)
		return false
	}
	return true
}

// wrongType reports the type of a value and the type that it should have. For a scalar that should be a string, it shows the
// scalar of the file in quotes.
func (o *object) wrongType(value any, path, want string) {
	node, _ := find(o.node, path)
	switch isScalar := node != nil && node.Kind == yamlnode.ScalarNode; {
	case value == nil:
		o.breakf(path, "is empty, want %s", article(want))
	case want != "string" || !isScalar:
		o.breakf(path, "is %s, want %s", describe(value), article(want))
	case path == "spec.timeout" || path == "spec.runInterval":
		o.breakf(path, "%s is %s, want a duration, such as %q", node.Value, describe(value), inSeconds(value))
	default:
		o.breakf(path, "%s is %s, want a string: write %q", node.Value, describe(value), node.Value)
	}
}

// inSeconds returns a bare number as seconds, and an example for any other value.
func inSeconds(value any) string {
	if number, ok := value.(json.Number); ok && !strings.HasPrefix(number.String(), "-") && number != "0" {
		return number.String() + "s"
	}
	return "5m"
}

func describe(value any) string {
	switch value := value.(type) {
	case string:
		return "the string " + strconv.Quote(value)
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

func article(kind string) string {
	switch kind {
	case "array":
		return "a list"
	case "object", "integer":
		return "an " + kind
	case "boolean":
		return "true or false"
	case "":
		return "a value"
	default:
		return "a " + kind
	}
}

// hint suggests which field an unknown field was meant to be. That is a field with a similar name, a field inside a field
// of the object, or a field of spec.
func (o *object) hint(s *schema, key, path string) string {
	if where := moved[child(path, key)]; where != "" {
		return "; " + where
	}
	names := slices.Sorted(maps.Keys(s.Properties))
	if name := yamlfile.Nearest(key, names, min(1, len(key)/3)); name != "" {
		return "; did you mean " + child(path, name)
	}
	for _, name := range names {
		inner, at := s.Properties[name], child(path, name)
		if inner.Items != nil {
			inner, at = inner.Items, at+"[]"
		}
		if _, ok := inner.Properties[key]; ok {
			return "; did you mean " + child(at, key)
		}
	}
	if name := yamlfile.Nearest(key, names, len(key)/3); name != "" {
		return "; did you mean " + child(path, name)
	}
	if o.specFields[key] != nil && path != "spec" {
		return "; did you mean " + child("spec", key)
	}
	return ""
}
