package config

import (
	"regexp"
	"strings"

	"github.com/khronicle/khronicle/internal/spelling"
)

var wordPattern = regexp.MustCompile(`^[\w.-]{1,64}`)

// word returns the beginning of a key that may be shown. Where a blank is missing after a colon, the rest of the key is a
// value, and may be a secret.
func word(name string) string {
	if found := wordPattern.FindString(name); found != "" {
		return found
	}
	return "?"
}

// suggestion names the known key that is nearest to an unknown one, if any is near.
func suggestion(name string) string {
	var names []string
	known := map[string]string{} // the key by what may be written for it: a key of a mapping also without that
	for _, k := range keys {
		names = append(names, k.name)
		known[k.name] = k.name
		if _, leaf, nested := strings.Cut(k.name, "."); nested {
			names = append(names, leaf)
			known[leaf] = k.name
		}
	}
	nearest := spelling.Nearest(word(name), names, min(len(name), 64)/2)
	if nearest == "" {
		return ""
	}
	return "; did you mean " + known[nearest] + "?"
}
