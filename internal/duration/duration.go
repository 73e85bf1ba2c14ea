// Package duration writes durations for people, and helps those who write one that Go does not read. Go has no unit above the
// hour.
package duration

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// units are units that people use and Go does not know, and those that both know.
var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour,
	"d": day, "day": day, "w": 7 * day, "week": 7 * day, "y": 365 * day, "yr": 365 * day, "year": 365 * day,
}

var (
	part  = regexp.MustCompile(`(\d+(?:\.\d+)?)\s*([A-Za-z]+)`)
	whole = regexp.MustCompile(`^(\s*\d+(\.\d+)?\s*[A-Za-z]+)+\s*$`)
)

// Hint returns what to write in place of a text that time.ParseDuration refuses, for example `; write "24h"` for "1d". It is
// empty if the text has no meaning. It can be appended to what is wanted.
func Hint(text string) string {
	if _, err := time.ParseDuration(text); err == nil || !whole.MatchString(text) {
		return ""
	}
	var total float64
	for _, match := range part.FindAllStringSubmatch(text, -1) {
		number, err := strconv.ParseFloat(match[1], 64)
		unit, ok := unitOf(strings.ToLower(match[2]))
		if err != nil || !ok {
			return ""
		}
		total += number * float64(unit)
	}
	const most = 1 << 62
	if total > most {
		return ""
	}
	return fmt.Sprintf("; write %q", Short(time.Duration(total)))
}

// unitOf returns the unit of a word in the singular or plural. "ms" is not the plural of "m".
func unitOf(word string) (unit time.Duration, ok bool) {
	if singular, plural := strings.CutSuffix(word, "s"); plural && len(singular) > 1 {
		word = singular
	}
	unit, ok = units[word]
	return unit, ok
}

// Short returns a duration without zero parts: 5m, not 5m0s.
func Short(d time.Duration) string {
	text := d.String()
	if cut, ok := strings.CutSuffix(text, "m0s"); ok {
		text = cut + "m"
	}
	if cut, ok := strings.CutSuffix(text, "h0m"); ok {
		text = cut + "h"
	}
	return text
}
