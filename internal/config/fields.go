package config

import (
	"reflect"
	"slices"
	"strings"
)

// field is a key of the file and the field of Settings that it sets.
type field struct {
	// key has a dot when it stands in a mapping, such as promMetricsConfig.suppressErrorLabel.
	key     string
	index   []int
	restart bool
}

// fields are the keys of Settings in its order.
var fields = fieldsOf(reflect.TypeFor[Settings](), field{})

func fieldsOf(t reflect.Type, outer field) []field {
	var all []field
	for f := range t.Fields() {
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		inner := field{
			key: outer.key + name, index: slices.Concat(outer.index, f.Index),
			restart: outer.restart || f.Tag.Get("reload") == "restart",
		}
		switch {
		case f.Type.Kind() != reflect.Struct:
			all = append(all, inner)
			continue
		case option != "inline":
			inner.key += "."
		}
		all = append(all, fieldsOf(f.Type, inner)...)
	}
	return all
}

// value returns a pointer to the field of the settings.
func (f field) value(s *Settings) any {
	return reflect.ValueOf(s).Elem().FieldByIndex(f.index).Addr().Interface()
}

func (f field) same(a, b *Settings) bool { return reflect.DeepEqual(f.value(a), f.value(b)) }

func findField(key string) (field, bool) {
	i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
	if i < 0 {
		return field{}, false
	}
	return fields[i], true
}

// isMapping is true for a key whose value holds other keys.
func isMapping(key string) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return strings.HasPrefix(f.key, key+".") })
}

// changed returns the keys whose values differ.
func changed(a, b *Settings) []string {
	keys := []string{}
	for _, f := range fields {
		if !f.same(a, b) {
			keys = append(keys, f.key)
		}
	}
	return keys
}
