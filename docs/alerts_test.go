package docs_test

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// alert is an alert of deploy/prometheus/rules.yaml. Promtool checks all else of it.
type alert struct {
	Alert               string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var rules struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/rules.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, group := range rules.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("deploy/prometheus/rules.yaml has no alerts")
	}
	return all
}

func TestAlertsHaveASeverityASummaryAndADescription(t *testing.T) {
	for _, a := range alerts(t) {
		if severity := a.Labels["severity"]; !slices.Contains([]string{"critical", "warning", "info"}, severity) {
			t.Errorf("%s: severity is %q, want critical, warning or info", a.Alert, severity)
		}
		for _, annotation := range []string{"summary", "description"} {
			if a.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", a.Alert, annotation)
			}
		}
	}
}

func TestEachAlertHasItsOwnNameAndATestInWhichItFires(t *testing.T) {
	tests := read(t, "deploy/prometheus/rules_test.yaml")
	seen := map[string]bool{}
	for _, a := range alerts(t) {
		if seen[a.Alert] {
			t.Errorf("there are two alerts %s", a.Alert)
		}
		seen[a.Alert] = true
		if fires := `ALERTS{alertname="` + a.Alert + `", alertstate="firing"`; !strings.Contains(tests, fires) {
			t.Errorf("deploy/prometheus/rules_test.yaml has no test in which %s fires", a.Alert)
		}
	}
}

func TestEachAlertHasASectionOfTheRunbook(t *testing.T) {
	sections := headings(documents(t)["docs/runbook.md"], 2)
	var names []string
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
		if !slices.Contains(sections, a.Alert) {
			t.Errorf("docs/runbook.md has no section %s", a.Alert)
		}
		if got, want := a.Annotations["runbook_url"], blob+"docs/runbook.md#"+fragment(a.Alert); got != want {
			t.Errorf("%s: runbook_url is %q, want %q", a.Alert, got, want)
		}
	}
	for _, section := range sections {
		if strings.HasPrefix(section, "Khronicle") && !slices.Contains(names, section) {
			t.Errorf("docs/runbook.md has a section %s, which is no alert", section)
		}
	}
}
