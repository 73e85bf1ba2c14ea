package view

import (
	"iter"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// Filter chooses checks and jobs. The zero value chooses all.
type Filter struct {
	// Kind, Namespaces and States choose by these. Empty means all.
	Kind       khv1.KHWorkload
	Namespaces []string
	States     []State
	// Labels chooses by the labels of the KHCheck or KHJob. Nil means all.
	Labels labels.Selector
	// Text is a part of namespace/name, of an error or of why the spec is not valid, in upper or lower case.
	Text string
}

// prepare returns the filter with its text in lower case.
func (f Filter) prepare() Filter {
	f.Text = strings.ToLower(f.Text)
	return f
}

func (f Filter) has(c *Check) bool {
	return (f.Kind == "" || f.Kind == c.Kind) &&
		(len(f.Namespaces) == 0 || slices.Contains(f.Namespaces, c.Namespace)) &&
		(len(f.States) == 0 || slices.Contains(f.States, c.State)) &&
		(f.Labels == nil || f.Labels.Matches(labels.Set(c.Labels))) &&
		(f.Text == "" || strings.Contains(c.search, f.Text))
}

// Position is a place in the order of checks: after the check of this kind, namespace and name, which need not exist.
type Position struct {
	Kind            khv1.KHWorkload
	Namespace, Name string
}

// Page is a part of the checks that a filter chooses.
type Page struct {
	Checks []*Check
	// Total is how many checks the filter chooses.
	Total int
	// Next is where the next page begins. It is nil on the last page.
	Next *Position
}

// Page returns at most limit of the checks that a filter chooses, from a position on. Nil is the beginning.
func (s *Snapshot) Page(f Filter, after *Position, limit int) Page {
	page, more := Page{Checks: []*Check{}}, false
	for c := range s.Matching(f) {
		page.Total++
		switch {
		case after != nil && compare(keyOf(c.Ref), refKey{after.Kind, after.Namespace, after.Name}) <= 0:
		case len(page.Checks) < limit:
			page.Checks = append(page.Checks, c)
		default:
			more = true
		}
	}
	if n := len(page.Checks); more && n > 0 {
		last := page.Checks[n-1]
		page.Next = &Position{last.Kind, last.Namespace, last.Name}
	}
	return page
}

// Matching returns the checks that a filter chooses, in their order.
func (s *Snapshot) Matching(f Filter) iter.Seq[*Check] {
	f = f.prepare()
	return func(yield func(*Check) bool) {
		for _, c := range s.Checks {
			if f.has(c) && !yield(c) {
				return
			}
		}
	}
}
