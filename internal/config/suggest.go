package config

import (
	"regexp"
	"strings"
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
	best, least := "", min(len(name), 64)/2+1
	for _, k := range keys {
		d := distance(word(name), k.name)
		if _, leaf, nested := strings.Cut(k.name, "."); nested {
			d = min(d, distance(word(name), leaf))
		}
		if d < least {
			best, least = k.name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is how many letters have to be added, removed or replaced to make b of a, whatever their case (Levenshtein).
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
