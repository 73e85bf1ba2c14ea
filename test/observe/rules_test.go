package observe_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/test/observe"
)

func by(n int) func(string) int { return func(string) int { return n } }

func TestFasterDividesDurationsAndNothingElse(t *testing.T) {
	for _, c := range []struct{ name, expr, want string }{
		{"a range", `increase(x[15m]) > 0`, `increase(x[15s]) > 0`},
		{"a range with a step and an offset", `max_over_time(x[1h:1m] offset 15m)`, `max_over_time(x[60s:1s] offset 15s)`},
		{"a number of seconds stays", `time() - x > 120`, `time() - x > 120`},
		{"a text stays", `x{error="gone for 5m"}`, `x{error="gone for 5m"}`},
		{"a name with digits stays", `x2m{le="1"}[5m]`, `x2m{le="1"}[5s]`},
	} {
		rules := observe.Rules{Groups: []observe.Group{{Name: "g", Rules: []observe.Rule{{Alert: "A", Expr: c.expr, For: "2m"}}}}}
		faster, err := rules.Faster(by(60))
		if err != nil {
			t.Fatal(err)
		}
		got := faster.Groups[0].Rules[0]
		if got.Expr != c.want || got.For != "2s" {
			t.Errorf("%s: got %q for %q, want %q for 2s", c.name, got.Expr, got.For, c.want)
		}
	}
}

func TestFasterRefusesFractionsOfASecond(t *testing.T) {
	rules := observe.Rules{Groups: []observe.Group{{Rules: []observe.Rule{{Alert: "TooShort", Expr: `rate(x[1m])`}}}}}
	if _, err := rules.Faster(by(7)); err == nil || !strings.Contains(err.Error(), "alert TooShort: 1m divided by 7") {
		t.Errorf("error is %v", err)
	}
}

func TestRulesSurviveReadingAndWriting(t *testing.T) {
	text, err := os.ReadFile("../../deploy/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := observe.ParseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(rules.Alerts()) < 15 {
		t.Errorf("alerts are %q", rules.Alerts())
	}
	written, err := rules.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := observe.ParseRules(written)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rules, again); diff != "" {
		t.Errorf("rules differ after writing (-before +after):\n%s", diff)
	}
	if _, err := rules.Faster(by(60)); err != nil {
		t.Errorf("the rules cannot be made 60 times faster: %v", err)
	}
}

func TestUnknownFieldOfARuleIsRefused(t *testing.T) {
	if _, err := observe.ParseRules([]byte("groups: [{name: g, rules: [{alert: A, exp: up}]}]")); err == nil {
		t.Error("a misspelt field is accepted")
	}
}
