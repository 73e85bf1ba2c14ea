package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Expectation is the expected state of a check or job.
type Expectation struct {
	// Name is namespace/name.
	Name string
	// State is StateOK or StateFailed.
	State string
	// Error is part of one error of a failed check. Empty accepts any.
	Error string
}

// ParseExpectation reads NAMESPACE/NAME=ok, NAMESPACE/NAME=failed or NAMESPACE/NAME=failed:TEXT.
func ParseExpectation(text string) (Expectation, error) {
	name, rest, ok := strings.Cut(text, "=")
	outcome, errorText, _ := strings.Cut(rest, ":")
	state := map[string]string{"ok": StateOK, "failed": StateFailed}[outcome]
	if !ok || state == "" || strings.Count(name, "/") != 1 || state == StateOK && errorText != "" {
		return Expectation{}, fmt.Errorf("%q is not NAMESPACE/NAME=ok, NAMESPACE/NAME=failed or NAMESPACE/NAME=failed:TEXT", text)
	}
	return Expectation{Name: name, State: state, Error: errorText}, nil
}

// ParseExpectations reads the flags --expect and --since. Without --since the time is zero.
func ParseExpectations(texts []string, since string) (expected []Expectation, from time.Time, err error) {
	for _, text := range texts {
		expectation, err := ParseExpectation(text)
		if err != nil {
			return nil, from, fmt.Errorf("--expect: %w", err)
		}
		expected = append(expected, expectation)
	}
	if since != "" {
		if from, err = time.Parse(time.RFC3339, since); err != nil {
			return nil, from, fmt.Errorf("--since: %w", err)
		}
	}
	return expected, from, nil
}

// Compare returns one error for each expectation that the rows do not meet. An outcome from before since does not count.
func Compare(expected []Expectation, rows []Row, since time.Time) error {
	var errs []error
	for _, want := range expected {
		i := slices.IndexFunc(rows, func(r Row) bool { return r.Name == want.Name })
		if i < 0 {
			errs = append(errs, fmt.Errorf("%s: no such check or job", want.Name))
			continue
		}
		if rows[i].LastRun.Before(since) {
			errs = append(errs, fmt.Errorf("%s: no outcome since %s", want.Name, since.Format(time.RFC3339)))
			continue
		}
		errs = append(errs, want.compare(rows[i]))
	}
	return errors.Join(errs...)
}

func (e Expectation) compare(row Row) error {
	if row.State != e.State {
		return fmt.Errorf("%s: is %s, expected %s; errors: %q", e.Name, row.State, e.State, row.Errors)
	}
	if e.Error != "" && !strings.Contains(strings.Join(row.Errors, "\n"), e.Error) {
		return fmt.Errorf("%s: errors are %q, expected %q", e.Name, row.Errors, e.Error)
	}
	return nil
}
