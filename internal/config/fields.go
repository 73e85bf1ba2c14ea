package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// field is a key of the file and the field of Settings that it sets.
type field struct {
	// key has a dot when it stands in a mapping, such as promMetricsConfig.suppressErrorLabel.
	key     string
	index   []int
	restart bool
	// least is the least value of a duration.
	least time.Duration
}

// fields are the keys of Settings in its order.
var fields = fieldsOf(reflect.TypeFor[Settings](), field{})

func fieldsOf(t reflect.Type, outer field) []field {
	var all []field
	for f := range t.Fields() {
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		inner := field{
			key: outer.key + name, index: slices.Concat(outer.index, f.Index),
			restart: outer.restart || f.Tag.Get("reload") == "restart", least: leastOf(f.Tag),
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

func leastOf(tag reflect.StructTag) time.Duration {
	text, ok := tag.Lookup("least")
	if !ok {
		return 0
	}
	least, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return least
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

// Key describes a key of the file.
type Key struct {
	// Name has a dot when the key stands in a mapping, such as promMetricsConfig.suppressErrorLabel.
	Name string
	// Default is the value when the key is absent. It is nil for a key without effect.
	Default any
	// Least is the least value of a duration. A smaller one is raised.
	Least time.Duration
	// Restart is true when the key is read only at the start of the process.
	Restart bool
	// WithoutEffect says why the key has no effect. It is empty for other keys.
	WithoutEffect string
}

// Keys returns all keys that the file may have. Those without effect come last.
func Keys(defaults Settings) []Key {
	var keys []Key
	for _, f := range fields {
		value := reflect.ValueOf(f.value(&defaults)).Elem().Interface()
		keys = append(keys, Key{Name: f.key, Default: value, Least: f.least, Restart: f.restart})
	}
	for _, name := range slices.Sorted(maps.Keys(withoutEffect)) {
		keys = append(keys, Key{Name: name, WithoutEffect: withoutEffect[name]})
	}
	return keys
}
