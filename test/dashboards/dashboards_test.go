package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	generated = "../../deploy/dashboards"
	// scraped has the metrics that real roles and a real Temporal server showed to Prometheus. `make observe` lists them.
	scraped = "testdata/metrics.txt"
)

// read decodes the generated dashboards, by name. A field that Grafana does not know is an error.
func read(t *testing.T) map[string]dashboard.Dashboard { //nolint:staticcheck // see build
	t.Helper()
	files, err := filepath.Glob(filepath.Join(generated, "*.json"))
	if err != nil || len(files) != 3 {
		t.Fatalf("got the dashboards %q (%v), want 3", files, err)
	}
	all := map[string]dashboard.Dashboard{} //nolint:staticcheck // see build
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard //nolint:staticcheck // see build
		decoder := json.NewDecoder(bytes.NewReader(text))
		if err := decoder.Decode(&d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := d.Validate(); err != nil {
			t.Errorf("%s does not fit Grafana's schema: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = d
	}
	return all
}

// panelsOf returns the panels of a dashboard without the rows.
func panelsOf(d dashboard.Dashboard) []dashboard.Panel { //nolint:staticcheck // see build
	var all []dashboard.Panel
	for _, p := range d.Panels {
		if p.Panel != nil && p.Panel.Type != "row" {
			all = append(all, *p.Panel)
		}
	}
	return all
}

// expressions returns the queries of a panel.
func expressions(t *testing.T, p dashboard.Panel) []string {
	t.Helper()
	var all []string
	for _, target := range p.Targets {
		text, err := json.Marshal(target)
		var q struct{ Expr string }
		if err == nil {
			err = json.Unmarshal(text, &q)
		}
		if err != nil || q.Expr == "" {
			t.Errorf("panel %q has a query without an expression: %s (%v)", *p.Title, text, err)
		}
		all = append(all, q.Expr)
	}
	return all
}

// filled puts values into a query, as Grafana does.
var filled = strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$job", ".*", "$namespace", "(shop|kube-system)", "$check", ".*")

func TestGeneratedFilesAreThoseOfTheSource(t *testing.T) {
	fresh := t.TempDir()
	if err := write(fresh); err != nil {
		t.Fatal(err)
	}
	for _, b := range boards() {
		want, err := os.ReadFile(filepath.Join(fresh, b.name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(generated, b.name+".json")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("deploy/dashboards/%s.json is out of date (%v): run make generate", b.name, err)
		}
	}
}

func TestEachPanelSaysWhatItShows(t *testing.T) {
	uids := map[string]bool{}
	for name, d := range read(t) {
		if d.Uid == nil || uids[*d.Uid] {
			t.Errorf("%s has no UID of its own", name)
		} else {
			uids[*d.Uid] = true
		}
		titles := map[string]bool{}
		for _, p := range panelsOf(d) {
			if p.Title == nil || *p.Title == "" || titles[*p.Title+p.Type] {
				t.Errorf("%s: panel %d has no title of its own", name, *p.Id)
				continue
			}
			titles[*p.Title+p.Type] = true
			if p.Description == nil || !strings.HasSuffix(*p.Description, ".") {
				t.Errorf("%s: panel %q has no description that is a sentence", name, *p.Title)
			}
			if p.FieldConfig == nil || p.FieldConfig.Defaults.Unit == nil || *p.FieldConfig.Defaults.Unit == "" {
				t.Errorf("%s: panel %q has no unit", name, *p.Title)
			}
			if p.Datasource == nil || p.Datasource.Uid == nil || *p.Datasource.Uid != "${datasource}" {
				t.Errorf("%s: panel %q does not use the data source that the reader chose", name, *p.Title)
			}
			if len(expressions(t, p)) == 0 {
				t.Errorf("%s: panel %q has no query", name, *p.Title)
			}
		}
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	for name, d := range read(t) {
		taken, ids := map[[2]uint32]string{}, map[uint32]bool{}
		for _, p := range panelsOf(d) {
			if ids[*p.Id] {
				t.Errorf("%s: two panels have the ID %d", name, *p.Id)
			}
			ids[*p.Id] = true
			at := p.GridPos
			if at.X+at.W > 24 || at.W == 0 || at.H == 0 {
				t.Errorf("%s: panel %q is not within the 24 columns: %+v", name, *p.Title, *at)
			}
			for x := at.X; x < at.X+at.W; x++ {
				for y := at.Y; y < at.Y+at.H; y++ {
					if other, ok := taken[[2]uint32{x, y}]; ok {
						t.Fatalf("%s: panels %q and %q overlap", name, other, *p.Title)
					}
					taken[[2]uint32{x, y}] = *p.Title
				}
			}
		}
	}
}

// metrics are the scraped metrics: the labels by the name. A histogram has its three names.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(scraped)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{"ALERTS": {"alertname", "alertstate", "severity", "check"}}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(line, "#") {
			continue
		}
		name, labels := fields[0], append(fields[2:], "job", "instance")
		if fields[1] == "histogram" {
			all[name+"_bucket"], all[name+"_sum"], all[name+"_count"] = append(labels, "le"), labels, labels
			continue
		}
		all[name] = labels
	}
	return all
}

// unknownNames returns what a query names that Prometheus does not have: a metric, or a label of a metric.
func unknownNames(known map[string][]string, expr parser.Expr) []string {
	var missing []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		labels, ok := known[selector.Name]
		if !ok {
			missing = append(missing, "metric "+selector.Name)
			return nil
		}
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name != "__name__" && !slices.Contains(labels, matcher.Name) {
				missing = append(missing, "label "+matcher.Name+" of "+selector.Name)
			}
		}
		return nil
	})
	return missing
}

func TestQueriesNameMetricsThatRealProcessesShow(t *testing.T) {
	known, parse := metrics(t), parser.NewParser(parser.Options{})
	for name, d := range read(t) {
		for _, p := range panelsOf(d) {
			for _, text := range expressions(t, p) {
				expr, err := parse.ParseExpr(filled.Replace(text))
				if err != nil {
					t.Errorf("%s: panel %q: %v in %s", name, *p.Title, err, text)
					continue
				}
				if strings.Contains(filled.Replace(text), "$") {
					t.Errorf("%s: panel %q uses an unknown variable: %s", name, *p.Title, text)
				}
				if missing := unknownNames(known, expr); len(missing) > 0 {
					t.Errorf("%s: panel %q: nobody shows %s: %s", name, *p.Title, strings.Join(missing, ", "), text)
				}
			}
		}
	}
}

func TestAlertRulesNameMetricsThatRealProcessesShow(t *testing.T) {
	text, err := os.ReadFile("../../deploy/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	known := metrics(t)
	names := regexp.MustCompile(`\b(khronicle|kuberhealthy|temporal)_[a-z_]+`).FindAllString(string(text), -1)
	if len(names) < 20 {
		t.Fatalf("the rules name only %q", names)
	}
	for _, name := range names {
		if _, ok := known[name]; !ok {
			t.Errorf("deploy/prometheus/rules.yaml names %s, which nobody shows", name)
		}
	}
}

func TestUnknownNamesAreFound(t *testing.T) {
	known := map[string][]string{"up": {"job"}}
	for query, want := range map[string]string{
		`up{job="a"}`:                        "",
		`sum(rate(down[5m]))`:                "metric down",
		`up{job="a"} / on () up{colour="b"}`: "label colour of up",
	} {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(unknownNames(known, expr), ", "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

func TestEveryVariableOfAQueryIsOneOfTheDashboard(t *testing.T) {
	used := regexp.MustCompile(`\$\{?([a-z]+)\b`)
	for name, d := range read(t) {
		var variables []string
		for _, v := range d.Templating.List {
			variables = append(variables, v.Name)
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range used.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(variables, found[1]) {
				t.Errorf("%s uses the variable %s; it has %q", name, found[1], variables)
			}
		}
	}
}

func TestLinksToTheRunbookHaveASection(t *testing.T) {
	text, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := []string{""}
	for _, heading := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(string(text), -1) {
		sections = append(sections, strings.ToLower(heading[1]))
	}
	linked := 0
	for name, d := range read(t) {
		for _, p := range panelsOf(d) {
			for _, l := range p.Links {
				if l.Url == nil || !strings.HasPrefix(*l.Url, runbook) {
					continue
				}
				linked++
				if _, section, _ := strings.Cut(*l.Url, "#"); !slices.Contains(sections, section) {
					t.Errorf("%s: panel %q links to %s, which the runbook does not have", name, *p.Title, *l.Url)
				}
			}
		}
	}
	if linked == 0 {
		t.Error("no panel has a link to the runbook")
	}
}
