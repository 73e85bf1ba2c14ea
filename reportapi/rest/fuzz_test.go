package rest_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/khronicle/khronicle/internal/described"
	"github.com/khronicle/khronicle/view"
)

// oddities are values that parameters seldom have.
var oddities = []string{
	"", " ", "0", "-1", "1e3", "٣", "9223372036854775808", "true", "null", "[]", "{}", "%", "%00", "\x00", "\xff\xfe", "a\nb", "\u202e", "'; DROP TABLE records; --",
	"../../etc/passwd", "..", ".", "<svg onload=alert(1)>", "shop/pay", "shop", "pay", "none", "a=b,c in (d),!e", "a in (", "team", "!", "=", ",",
	"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2026-11-22T12:00:00Z", "2026-11-22T12:00:00+14:00", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00-23:59",
	"schedule-1", "schedule--9223372036854775808", "manual-253402300799999999", "schedule-1795348320000000", "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913",
	"bnVsbA", "eyJydW4iOiIifQ", "eyJydW4iOiJzY2hlZHVsZS0xIn0", "e30", "W10", "IiI", "MQ", strings.Repeat("x", 1024), strings.Repeat("ä", 700),
	`W/"x"`, "*", `"`, "text/html", "check", "job", "healthy", "paused", "running", "uptime-7d",
}

// asked is one request for an operation.
type asked struct {
	operation string
	path      map[string]string
	query     string
	headers   []string
}

// random makes a request with random parameters: right ones, odd ones, too many, and unknown ones.
func random(t testing.TB, r *rand.Rand) asked {
	t.Helper()
	doc, err := described.Document()
	must(t, err)
	operation := operations(t)[r.IntN(len(operations(t)))]
	if operation == "/changes" { // stream_test.go: its answers have no end
		operation = "/checks"
	}
	a := asked{operation: operation, path: map[string]string{"namespace": "shop", "name": "pay", "run": "schedule-1"}}
	query := url.Values{}
	item := doc.Paths.Find(operation)
	for _, p := range slices.Concat(item.Parameters, item.Get.Parameters) {
		for range []int{0, 1, 1, 1, 2, 101}[min(r.IntN(40), 5)] {
			switch value := valueOf(r, p.Value.Schema.Value); p.Value.In {
			case "query":
				query.Add(p.Value.Name, value)
			case "header":
				a.headers = append(a.headers, p.Value.Name, strings.Map(printable, value))
			case "path":
				if r.IntN(3) == 0 && value != "" && value != "." && value != ".." && !strings.Contains(value, "/") {
					a.path[p.Value.Name] = value
				}
			}
		}
	}
	if r.IntN(20) == 0 {
		query.Add(oddities[r.IntN(len(oddities))], "1")
	}
	a.query = query.Encode()
	if r.IntN(20) == 0 {
		a.query += oddities[r.IntN(len(oddities))]
	}
	return a
}

// printable drops what no header can have.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}

// valueOf is a right value in most cases.
func valueOf(r *rand.Rand, s *openapi3.Schema) string {
	if s.Items != nil {
		s = s.Items.Value
	}
	switch {
	case r.IntN(4) == 0:
		return oddities[r.IntN(len(oddities))]
	case len(s.Enum) > 0:
		return s.Enum[r.IntN(len(s.Enum))].(string)
	case s.Type.Is("boolean"):
		return fmt.Sprint(r.IntN(2) == 0)
	case s.Type.Is("integer"):
		return fmt.Sprint(1 + r.IntN(500))
	case s.Format == "date-time":
		return fmt.Sprintf("2026-11-22T11:%02d:00Z", r.IntN(60))
	}
	return []string{"shop", "pay", "cart", "a", "team=billing"}[r.IntN(5)]
}

// wantSound fails the test if an answer is not as described, is the fault of the server, or shows what it must not.
func wantSound(t testing.TB, handler http.Handler, a asked, secrets []string) int {
	t.Helper()
	got := ask(t, handler, a.operation, a.path, a.query, a.headers...)
	if got.StatusCode >= http.StatusInternalServerError {
		t.Errorf("%+v: %d %s", a, got.StatusCode, got.body)
	}
	for _, secret := range secrets {
		if bytes.Contains(got.body, []byte(secret)) {
			t.Errorf("%+v: shows the UUID of an open run", a)
		}
	}
	return got.StatusCode
}

// Whatever the parameters are, with a ledger or without, the answer is one of those that are described, and no 5xx.
func TestNoParametersBreakTheAPI(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	l, open := filled(t)
	for name, records := range map[string]view.Ledger{"with a ledger": l, "without": nil} {
		t.Run(name, func(t *testing.T) {
			handler, statuses := serving(t, shop(), records), map[int]int{}
			for range 3000 {
				statuses[wantSound(t, handler, random(t, r), open)]++
				if t.Failed() {
					break
				}
			}
			t.Log("answers by status:", statuses)
			if statuses[http.StatusOK] < 100 || statuses[http.StatusBadRequest] < 100 || statuses[http.StatusNotFound] < 20 {
				t.Errorf("answers by status are %v: the parameters are too uniform", statuses)
			}
		})
	}
}

// FuzzQuery asks each operation with any query and any name.
func FuzzQuery(f *testing.F) {
	f.Add("limit=1&state=failing", "shop", "pay", "schedule-1")
	f.Add("since=2026-11-22T11:00:00Z&outcome=running&cursor=e30", "shop", "pay", "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913")
	f.Add("labels=a+in+(b)&text=%ff&show=state&kind=job", "none", "\xff", "x")
	l, open := filled(f)
	handler := serving(f, shop(), l)
	f.Fuzz(func(t *testing.T, query, namespace, name, run string) {
		for _, part := range []string{namespace, name, run} {
			if part == "" || part == "." || part == ".." || strings.Contains(part, "/") {
				return // another path
			}
		}
		for _, operation := range operations(t) {
			if operation == "/changes" {
				continue
			}
			wantSound(t, handler, asked{operation, map[string]string{"namespace": namespace, "name": name, "run": run}, query, nil}, open)
		}
	})
}
