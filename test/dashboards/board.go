package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

const (
	// tag is on each dashboard. The menu of links finds the others by it.
	tag     = "khronicle"
	runbook = "https://github.com/khronicle/khronicle/blob/main/docs/runbook.md"
)

// board is a dashboard in short form.
type board struct {
	// name is that of the file. The UID is khronicle-NAME.
	name, title, description string
	variables                []cog.Builder[dashboard.VariableModel]
	rows                     []row
}

type row struct {
	title  string
	panels []panel
}

func (b board) build() (dashboard.Dashboard, error) { //nolint:staticcheck // the older form is what every Grafana since version 10 reads from a file
	//nolint:staticcheck // as above
	d := dashboard.NewDashboardBuilder(b.title).Uid("khronicle-"+b.name).Description(b.description).Tags([]string{tag}).
		Time("now-6h", "now").Refresh("1m").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Variables(b.variables).Annotation(alertsFiring()).
		Link(dashboard.NewDashboardLinkBuilder("Khronicle").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{tag}).KeepTime(true).IncludeVars(true)).
		Link(link("Runbook", runbook, "What to do when an alert fires")).
		Link(link("Pages", "${pages}/", "Khronicle's own pages: checks, runs and evidence"))
	for id, r := range b.rows {
		d.WithRow(dashboard.NewRowBuilder(r.title).Id(uint32(1 + id)))
		for i, p := range r.panels {
			d.WithPanel(p.build(uint32(100*(1+id) + i)))
		}
	}
	return d.Build()
}

func link(title, url, tooltip string) *dashboard.DashboardLinkBuilder {
	return dashboard.NewDashboardLinkBuilder(title).Type(dashboard.DashboardLinkTypeLink).Url(url).Tooltip(tooltip).TargetBlank(true).Icon("external link")
}

// alertsFiring marks in each graph when an alert of Khronicle fired.
func alertsFiring() *dashboard.AnnotationQueryBuilder {
	return dashboard.NewAnnotationQueryBuilder().Name("Alerts").Enable(true).IconColor("red").Datasource(source).
		Expr(`ALERTS{alertname=~"Khronicle.*",alertstate="firing"}`).TitleFormat("{{alertname}}").TextFormat("{{check}}").Step("60s")
}

// source is the Prometheus that the reader chooses.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

// common variables. everything is the value of "All": a list of all names would be too long for a query.
const everything = ".*"

func dataSource() cog.Builder[dashboard.VariableModel] {
	return dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus").Description("The Prometheus that scrapes Khronicle")
}

func jobs() *dashboard.QueryVariableBuilder {
	return choice("job", "Job", "Jobs of Prometheus that scrape Khronicle's roles", `label_values(khronicle_config_last_reload_successful, job)`)
}

func namespaces() *dashboard.QueryVariableBuilder {
	return choice("namespace", "Namespace", "Namespaces of the checks", `label_values(khronicle_check_unknown{job=~"$job"}, check_namespace)`)
}

func checks() *dashboard.QueryVariableBuilder {
	return choice("check", "Check", "Checks and jobs, as namespace/name", `label_values(khronicle_check_unknown{job=~"$job",check_namespace=~"$namespace"}, check)`)
}

func pages() cog.Builder[dashboard.VariableModel] {
	return dashboard.NewTextBoxVariableBuilder("pages").Label("Pages").Description("The address of Khronicle's pages, such as https://khronicle.example.com").
		DefaultValue(dashboard.StringOrMap{String: cog.ToPtr("http://localhost:8080")})
}

// choice is a variable with the values of a label. Its first value is "All".
func choice(name, label, description, query string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Description(description).Datasource(source).
		Query(dashboard.StringOrMap{String: &query}).Definition(query).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortAlphabeticalAsc).Multi(true).IncludeAll(true).AllValue(everything)
}

// single lets the reader choose one value, and not all.
func single(v *dashboard.QueryVariableBuilder) *dashboard.QueryVariableBuilder {
	return v.Multi(false).IncludeAll(false).AllValue("")
}

// query is a query and the name of its series in the legend.
type query struct{ expr, legend string }

func (q query) build(refID string, instant bool) cog.Builder[variant] {
	built := prometheus.NewDataqueryBuilder().RefId(refID).Expr(flat(q.expr)).LegendFormat(q.legend).Datasource(source).EditorMode(prometheus.QueryEditorModeCode)
	if instant {
		return built.Instant().Format(prometheus.PromQueryFormatTable)
	}
	return built.Range()
}

// flat writes a query in one line.
func flat(expr string) string { return strings.Join(strings.Fields(expr), " ") }
