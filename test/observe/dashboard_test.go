package observe_test

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/khronicle/khronicle/test/observe"
)

func TestFillReplacesTheLongestNameFirst(t *testing.T) {
	v := observe.Variables{"check": "ns/dns", "checks": "all", "__range": "60s", "__rate_interval": "15s"}
	if got, want := v.Fill(`x{a="$check",b="$checks"}[$__range] y[$__rate_interval]`), `x{a="ns/dns",b="all"}[60s] y[15s]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// answering is a Prometheus that gives every query the same answer.
func answering(t *testing.T, result string) observe.Prometheus {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"matrix","result":` + result + `}}`)) // the client notices
	}))
	t.Cleanup(server.Close)
	p, err := observe.NewPrometheus(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var minute = observe.Span{From: time.Unix(0, 0), To: time.Unix(60, 0), Step: time.Second}

func TestNaNIsNoData(t *testing.T) {
	for result, want := range map[string]bool{
		`[]`: false,
		`[{"metric":{},"values":[[1,"NaN"],[2,"NaN"]]}]`: false,
		`[{"metric":{},"values":[[1,"NaN"],[2,"0"]]}]`:   true,
	} {
		panel := observe.Panel{Title: "p", Targets: []observe.Target{{Expr: "x"}}}
		results, err := answering(t, result).Panel(context.Background(), panel, nil, minute)
		if err != nil {
			t.Fatal(err)
		}
		if got := observe.HasData(results); got != want {
			t.Errorf("%s: has data is %t, want %t", result, got, want)
		}
	}
}

func TestEachPanelIsDrawnWithItsValues(t *testing.T) {
	dashboards, err := observe.Dashboards("../../deploy/dashboards")
	if err != nil || len(dashboards) != 3 {
		t.Fatalf("got %d dashboards: %v", len(dashboards), err)
	}
	p := answering(t, `[{"metric":{"check":"ns/<b>dns</b>"},"values":[[1,"1"],[2,"0"],[60,"1"]]}]`)
	for _, d := range dashboards {
		var drawn []observe.Drawn
		for _, panel := range d.Panels {
			results, err := p.Panel(context.Background(), panel, nil, minute)
			if err != nil {
				t.Fatal(err)
			}
			drawn = append(drawn, observe.Drawn{Panel: panel, Results: results})
		}
		var page strings.Builder
		if err := observe.Draw(&page, d, drawn, minute); err != nil {
			t.Fatal(err)
		}
		for _, panel := range d.Panels {
			if !strings.Contains(page.String(), html.EscapeString(panel.Title)) {
				t.Errorf("%s: panel %q is not drawn", d.Name, panel.Title)
			}
		}
		if strings.Contains(page.String(), "<b>dns") || strings.Contains(page.String(), "ZgotmplZ") {
			t.Errorf("%s: a label is not escaped, or a value was not safe", d.Name)
		}
		if !strings.Contains(page.String(), "polyline") && d.Name != "overview" {
			t.Errorf("%s has no line", d.Name)
		}
	}
}
