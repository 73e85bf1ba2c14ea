// Package settings reads a check's configuration from its environment and collects what is wrong with it. So one report names
// everything that has to be changed. The package never sends a report and never ends the process.
package settings

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Env reads environment variables. An empty variable counts as not set.
type Env struct {
	get      func(string) string
	problems []string
}

// New returns an Env that looks variables up with get, usually os.Getenv.
func New(get func(string) string) *Env { return &Env{get: get} }

// Problems returns what is wrong with the variables read so far: the variable, its value and what would be right.
func (e *Env) Problems() []string { return e.problems }

// Reject adds a problem: the variable's value is wrong, and want would be right.
func (e *Env) Reject(name, want string) {
	e.problems = append(e.problems, fmt.Sprintf("%s=%q: want %s", name, e.get(name), want))
}

// String returns the variable, or fallback if it is not set.
func (e *Env) String(name, fallback string) string {
	if value := e.get(name); value != "" {
		return value
	}
	return fallback
}

// Int returns a whole number from least to most, or fallback if the variable is not set.
func (e *Env) Int(name string, fallback, least, most int) int {
	text := e.String(name, strconv.Itoa(fallback))
	value, err := strconv.Atoi(text)
	if err != nil || value < least || value > most {
		e.Reject(name, fmt.Sprintf("a whole number from %d to %d", least, most))
		return fallback
	}
	return value
}

// Bool returns true or false, or fallback if the variable is not set.
func (e *Env) Bool(name string, fallback bool) bool {
	text := e.String(name, strconv.FormatBool(fallback))
	value, err := strconv.ParseBool(text)
	if err != nil {
		e.Reject(name, "true or false")
		return fallback
	}
	return value
}

// Duration returns a duration that is not negative, or fallback if the variable is not set.
func (e *Env) Duration(name string, fallback time.Duration) time.Duration {
	text := e.String(name, fallback.String())
	value, err := time.ParseDuration(text)
	if err != nil || value < 0 {
		e.Reject(name, "a duration that is not negative, such as 90s, 10m or, for a day, 24h")
		return fallback
	}
	return value
}

// List returns the parts of a list that is separated by commas, without surrounding spaces and without empty parts. It is nil if
// the variable is not set.
func (e *Env) List(name string) []string {
	var parts []string
	for part := range strings.SplitSeq(e.get(name), ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
