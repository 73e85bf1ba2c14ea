package rest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/khronicle/khronicle/internal/described"
	"github.com/khronicle/khronicle/reportapi/rest"
)

// values are values of a parameter, made from its schema: those that it allows, and those just outside of it.
func values(s *openapi3.Schema) (right, wrong []string) {
	switch {
	case len(s.Enum) > 0:
		for _, value := range s.Enum {
			right = append(right, value.(string))
		}
		return right, []string{"", "none", strings.ToUpper(right[0]), right[0] + " "}
	case s.Type.Is("integer"):
		return []string{fmt.Sprint(*s.Min), fmt.Sprint(*s.Max)},
			[]string{"", fmt.Sprint(*s.Min - 1), fmt.Sprint(*s.Max + 1), "1.5", "1e1", "+1", "01", " 1", "0x1", "99999999999999999999"}
	case s.Type.Is("boolean"):
		return []string{"true", "false"}, []string{"", "TRUE", "1", "yes", " true"}
	case s.Format == "date-time":
		return []string{"2026-11-22T12:00:00Z", "2026-11-22T12:00:00.123456789+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"},
			[]string{"", "2026-11-22", "2026-11-22 12:00:00Z", "2026-02-30T00:00:00Z", "now", "1795348320"}
	}
	right = []string{strings.Repeat("x", max(1, int(s.MinLength)))}
	if s.MaxLength != nil {
		right = append(right, strings.Repeat("x", int(*s.MaxLength)))
		wrong = append(wrong, strings.Repeat("x", int(*s.MaxLength)+1), strings.Repeat("ä", int(*s.MaxLength)+1), "\xff")
	}
	if s.MinLength > 0 {
		wrong = append(wrong, strings.Repeat("x", int(s.MinLength)-1))
	}
	return right, wrong
}

// one is a request that has a value of one parameter, as many times as it says.
func one(t *testing.T, handler http.Handler, operation string, p *openapi3.Parameter, value string, times int) answer {
	t.Helper()
	path, query, headers := map[string]string{"namespace": "shop", "name": "pay", "run": "schedule-1"}, url.Values{}, []string{}
	switch p.In {
	case "path":
		path[p.Name] = value
	case "header":
		headers = append(headers, p.Name, value)
	case "query":
		for range times {
			query.Add(p.Name, value)
		}
	}
	return ask(t, handler, operation, path, query.Encode(), headers...)
}

// eachParameter calls a test for each operation and each parameter that the description has. Streams have tests of their own.
func eachParameter(t *testing.T, test func(t *testing.T, operation string, p *openapi3.Parameter, s *openapi3.Schema)) {
	t.Helper()
	doc, err := described.Document()
	must(t, err)
	for _, operation := range operations(t) {
		item := doc.Paths.Find(operation)
		for _, p := range slices.Concat(item.Parameters, item.Get.Parameters) {
			if operation == "/changes" {
				continue
			}
			s := p.Value.Schema.Value
			if s.Items != nil {
				s = s.Items.Value
			}
			t.Run(operation+" "+p.Value.Name, func(t *testing.T) { test(t, operation, p.Value, s) })
		}
	}
}

// cannotBeSent is true for a value that makes another path of it, or no header.
func cannotBeSent(p *openapi3.Parameter, value string) bool {
	return p.In == "path" && (value == "" || value == "." || value == ".." || strings.Contains(value, "/")) ||
		p.In == "header" && strings.Map(printable, value) != value
}

// A value that the description allows is not refused for its form. One that it does not allow is refused, and the problem names
// the parameter and says what would be right.
func TestValuesOfParametersAreThoseOfTheDescription(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	eachParameter(t, func(t *testing.T, operation string, p *openapi3.Parameter, s *openapi3.Schema) {
		right, wrong := values(s)
		for _, value := range right {
			if got := one(t, handler, operation, p, value, 1); got.StatusCode == http.StatusBadRequest && p.Name != "cursor" && p.Name != "labels" { // these have a form of their own
				t.Errorf("%.80q is refused: %s", value, got.body)
			}
		}
		for _, value := range wrong {
			if cannotBeSent(p, value) {
				continue
			}
			got := one(t, handler, operation, p, value, 1)
			if got.StatusCode != http.StatusBadRequest {
				t.Errorf("%.80q: %d, want 400", value, got.StatusCode)
				continue
			}
			if found := problem(t, got); found.Parameter == nil || *found.Parameter != p.Name || !strings.Contains(found.Detail, " is not ") {
				t.Errorf("%.80q: %+v, want the parameter and what would be right", value, found)
			}
		}
	})
}

// A parameter that is there too often is refused.
func TestParametersAreCounted(t *testing.T) {
	handler := serving(t, shop(), nil)
	eachParameter(t, func(t *testing.T, operation string, p *openapi3.Parameter, s *openapi3.Schema) {
		if p.In != "query" || p.Name == "cursor" {
			return
		}
		value, _ := values(s)
		most := 1
		if items := p.Schema.Value.MaxItems; items != nil {
			most = int(*items)
		}
		for times, want := range map[int]bool{most: false, most + 1: true} {
			got := one(t, handler, operation, p, value[0], times)
			if refused := got.StatusCode == http.StatusBadRequest; refused != want {
				t.Errorf("%d times: %d %s", times, got.StatusCode, got.body)
			}
		}
	})
}

// Whatever one parameter is, the answer is one of those that are described, and never the fault of the server.
func TestHostileValuesOfEachParameter(t *testing.T) {
	l, open := filled(t)
	handler := serving(t, shop(), l)
	eachParameter(t, func(t *testing.T, operation string, p *openapi3.Parameter, _ *openapi3.Schema) {
		for _, value := range oddities {
			if cannotBeSent(p, value) {
				continue
			}
			got := one(t, handler, operation, p, value, 1)
			if got.StatusCode >= http.StatusInternalServerError {
				t.Errorf("%.80q: %d %s", value, got.StatusCode, got.body)
			}
			for _, secret := range open {
				if strings.Contains(string(got.body), secret) {
					t.Errorf("%.80q: shows the UUID of an open run", value)
				}
			}
		}
	})
}

// Only GET, HEAD and OPTIONS are known. The answer to another method is a problem that says so, and nothing is done.
func TestOtherMethodsAreRefused(t *testing.T) {
	l, _ := filled(t)
	handler := serving(t, shop(), l)
	methods := []string{
		http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodTrace, http.MethodConnect, "PROPFIND", "QUERY", "get", "X",
	}
	for _, operation := range operations(t) {
		address := rest.Base + strings.NewReplacer("{namespace}", "shop", "{name}", "pay", "{run}", "schedule-1").Replace(operation)
		for _, method := range methods {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("{}"))
			request.Method = method
			if got := problem(t, send(t, handler, request)); got.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want 405", method, address, got.Status)
			}
		}
	}
	for _, path := range []string{"/nothing", "/", "/checks/", "/checks/shop", "/checks/shop/pay/none", "/checks/shop/pay/runs/x/evidence/y", "/openapi.json", "//checks"} {
		for _, method := range append(methods, http.MethodGet) {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, rest.Base+path, nil)
			request.Method = method
			if got := problem(t, send(t, handler, request)); got.Status != http.StatusNotFound {
				t.Errorf("%s %s: %d, want 404", method, path, got.Status)
			}
		}
	}
}
