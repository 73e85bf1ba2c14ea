package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// filters are the filters of the overview as the URL has them.
type filters struct {
	Namespace, State, Text, Labels string
	page                           int
}

// maxParameter is the longest value of a parameter, in bytes.
const maxParameter = 1000

// parameter returns a parameter of a request. The error is a problem.
func parameter(query url.Values, name string) (string, error) {
	value := strings.TrimSpace(strings.Join(query[name], ","))
	if len(value) > maxParameter {
		return "", wrong(name, value, fmt.Sprintf("at most %d bytes long", maxParameter))
	}
	return value, nil
}

// wrong is the problem of a parameter.
func wrong(name, value, want string) error {
	return &problem{http.StatusBadRequest, fmt.Sprintf("The parameter %s: %s is not %s.", name, strconv.QuoteToASCII(check.Cut(value, 64)), want)}
}

// filtersOf reads the filters of a request. The error is a problem.
func filtersOf(query url.Values) (f filters, chosen view.Filter, err error) {
	for name, into := range map[string]*string{"namespace": &f.Namespace, "state": &f.State, "text": &f.Text, "labels": &f.Labels} {
		if *into, err = parameter(query, name); err != nil {
			return f, chosen, err
		}
	}
	if f.page, err = pageOf(query); err != nil {
		return f, chosen, err
	}
	chosen = view.Filter{Namespaces: words(f.Namespace), Text: f.Text}
	for _, word := range words(f.State) {
		state := view.State(word)
		if !slices.Contains(view.States, state) {
			return f, chosen, wrong("state", word, "failing, unknown, paused or healthy")
		}
		chosen.States = append(chosen.States, state)
	}
	if f.Labels != "" {
		if chosen.Labels, err = labels.Parse(f.Labels); err != nil {
			return f, chosen, wrong("labels", f.Labels, "a label selector such as team=billing,tier!=test")
		}
	}
	return f, chosen, nil
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// pageOf reads the number of a page, from 1 on.
func pageOf(query url.Values) (int, error) {
	text := query.Get("page")
	if text == "" {
		return 1, nil
	}
	page, err := strconv.Atoi(text)
	if err != nil || page < 1 {
		return 0, wrong("page", text, "a whole number from 1 on")
	}
	return page, nil
}

// Any is true if a filter is set.
func (f filters) Any() bool { return f.Namespace+f.State+f.Text+f.Labels != "" }

// address is the path and query of a page of the list with these filters.
func (f filters) address(path string, page int) string {
	query := url.Values{}
	for name, value := range map[string]string{"namespace": f.Namespace, "state": f.State, "text": f.Text, "labels": f.Labels} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if page > 1 {
		query.Set("page", strconv.Itoa(page))
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// pager is the part of a list that a page shows.
type pager struct {
	// First and Last count from 1, and are 0 for an empty list.
	First, Last, Total int
	// Previous and Next are addresses, or empty.
	Previous, Next string
}

// cut returns the part of a list that a page of a size shows. A page after the last one is the last one.
func cut[T any](list []T, page, size int, address func(page int) string) ([]T, pager) {
	last := max(1, (len(list)+size-1)/size)
	page = min(page, last)
	from, to := (page-1)*size, min(page*size, len(list))
	shown := pager{First: min(from+1, to), Last: to, Total: len(list)}
	if page > 1 {
		shown.Previous = address(page - 1)
	}
	if page < last {
		shown.Next = address(page + 1)
	}
	return list[from:to], shown
}
