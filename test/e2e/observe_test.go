//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/needs"
	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/test/observe"
	"github.com/khronicle/khronicle/test/wait"
)

var observeFolder = flag.String("observe", "", "folder into which TestEveryAlertFiresAndEveryPanelHasData writes what it saw")

const (
	prometheusPort = "18490"
	// scraping is the interval of scrapes and of the alert rules.
	scraping = time.Second
	// faster divides the durations of the alert rules.
	faster = 60
	// fasterForHeartbeats does so for KhronicleHeartbeatNotSent, which counts heartbeats: one in 30 s.
	fasterForHeartbeats = 5
)

// prometheus is Debian's Prometheus, with a folder of its own. It scrapes the three roles and Temporal.
func (s *stack) prometheus() *exec.Cmd {
	folder := filepath.Join(s.state, "prometheus")
	return exec.Command("prometheus", "--config.file", filepath.Join(folder, "prometheus.yaml"), "--storage.tsdb.path", filepath.Join(folder, "data"),
		"--web.listen-address", "127.0.0.1:"+prometheusPort, "--log.level", "warn")
}

// prometheusConfig is the configuration file of Prometheus. Its jobs have the names that docs/install.md proposes.
var prometheusConfig = fmt.Sprintf(`
global: {scrape_interval: %[1]s, evaluation_interval: %[1]s, scrape_timeout: %[1]s}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: khronicle
    static_configs: [{targets: ["127.0.0.1:%[2]s", "127.0.0.1:%[3]s", "127.0.0.1:%[4]s"]}]
  - job_name: temporal
    static_configs: [{targets: ["127.0.0.1:%[5]s"]}]
`, scraping, workerPort, starterPort, reportPort, temporalMetricsPort)

// outside is a service that fails until it is repaired.
type outside struct {
	*httptest.Server
	broken atomic.Bool
}

func newOutside(t *testing.T) *outside {
	o := &outside{}
	o.broken.Store(true)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if o.broken.Load() {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(o.Close)
	return o
}

// observed is what happens in the test.
type observed struct {
	t          *testing.T
	prometheus observe.Prometheus
	began      time.Time
	namespace  string
	alerts     map[string]*fault
}

// fault is what was done to make an alert fire.
type fault struct {
	what, repair     string
	caused, repaired time.Time
}

func (o *observed) span(to time.Time) observe.Span {
	return observe.Span{From: o.began, To: to, Step: scraping}
}

// cause notes a fault, which the caller causes at this moment.
func (o *observed) cause(alert, what, repair string) {
	o.alerts[alert] = &fault{what: what, repair: repair, caused: time.Now()}
}

// repaired notes that the faults behind these alerts are repaired at this moment.
func (o *observed) repaired(alerts ...string) {
	for _, alert := range alerts {
		o.alerts[alert].repaired = time.Now()
	}
}

// fired returns when an alert fired since its fault.
func (o *observed) fired(alert string) []time.Time {
	o.t.Helper()
	times, err := o.prometheus.Times(o.t.Context(), alert, observe.Span{From: o.alerts[alert].caused, To: time.Now(), Step: scraping})
	if err != nil {
		o.t.Fatal(err)
	}
	return times
}

func (o *observed) awaitFiring(within time.Duration, alerts ...string) {
	o.t.Helper()
	for _, alert := range alerts {
		eventually(o.t, within, alert+" fires", func() (bool, string) {
			return len(o.fired(alert)) > 0, "it has not fired since the fault"
		})
	}
}

func (o *observed) awaitResolved(within time.Duration, alerts ...string) {
	o.t.Helper()
	for _, alert := range alerts {
		eventually(o.t, within, alert+" is resolved", func() (bool, string) {
			times, now := o.fired(alert), time.Now()
			return len(times) > 0 && now.Sub(times[len(times)-1]) > 3*scraping, fmt.Sprintf("fired %d times, last %s ago", len(times), now.Sub(times[max(len(times)-1, 0)]))
		})
	}
}

// observeStack starts the stack anew, with a ledger in PostgreSQL and two services outside, and Prometheus beside it.
func observeStack(t *testing.T, postgres *ledgertest.Postgres, influx, deadman *outside) *observed {
	t.Helper()
	roles := []string{"worker", "starter", "reportapi"}
	for _, name := range roles {
		under.stop(name)
	}
	var err error
	if under.ledger, err = postgres.Database(); err != nil {
		t.Fatal(err)
	}
	under.roleEnv = []string{"KHRONICLE_DEADMAN_URL=" + deadman.URL + "/secret"}
	writeConfig(t, influxConfig(influx))
	writeRules(t)
	for _, name := range append(roles, "prometheus") {
		if err := under.start(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, name := range append(roles, "prometheus") {
			under.stop(name)
		}
	})
	if err := under.ready(time.Minute, roles...); err != nil {
		t.Fatal(err)
	}
	address := "http://127.0.0.1:" + prometheusPort
	eventually(t, 20*time.Second, "Prometheus is ready", func() (bool, string) {
		return wait.Answers(t.Context(), address+"/-/ready"), "it does not answer; see prometheus.log"
	})
	prometheus, err := observe.NewPrometheus(address)
	if err != nil {
		t.Fatal(err)
	}
	return &observed{t: t, prometheus: prometheus, began: time.Now(), namespace: newNamespace(t), alerts: map[string]*fault{}}
}

func influxConfig(influx *outside) string {
	return defaultConfig + "enableInflux: true\ninfluxDB: checks\ninfluxURL: " + influx.URL + "\n"
}

// writeRules gives Prometheus the alert rules of this project, made faster.
func writeRules(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := observe.ParseRules(text)
	if err == nil {
		rules, err = rules.Faster(func(alert string) int {
			if alert == "KhronicleHeartbeatNotSent" {
				return fasterForHeartbeats
			}
			return faster
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	if text, err = rules.YAML(); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(under.state, "prometheus")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"rules.yaml": text, "prometheus.yaml": []byte(prometheusConfig)} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryAlertFiresAndEveryPanelHasData causes a fault for each alert rule. A real Prometheus sees it fire and resolve.
// Then the query of each panel of the dashboards returns data of that time. `make observe` runs it.
func TestEveryAlertFiresAndEveryPanelHasData(t *testing.T) {
	if *observeFolder == "" {
		t.Skip("takes minutes, and writes files; runs only with -observe")
	}
	if _, err := exec.LookPath("prometheus"); err != nil {
		needs.Missing(t, "prometheus is not installed (Debian package prometheus)")
	}
	if err := os.MkdirAll(*observeFolder, 0o755); err != nil {
		t.Fatal(err)
	}
	postgres, err := ledgertest.NewPostgres()
	postgres = ledgertest.Need(t, postgres, err)
	t.Cleanup(func() {
		if err := postgres.Close(); err != nil {
			t.Error(err)
		}
	})
	influx, deadman := newOutside(t), newOutside(t)
	o := observeStack(t, postgres, influx, deadman)

	o.checksGoWrong(influx)
	o.ledgerGoesDown(postgres)
	worst := time.Now()
	o.repairChecks(influx, deadman)
	o.engineGoesDown()
	o.everythingIsWellAgain()

	end := time.Now()
	o.write("metrics.txt", o.scrapedMetrics(end))
	o.write("alerts.md", o.alertTable())
	o.panels(worst, end)
}

// checksGoWrong makes checks fail in every way that has an alert, and breaks what does not stop the engine.
func (o *observed) checksGoWrong(influx *outside) {
	t, ns := o.t, o.namespace
	o.cause("KhronicleHeartbeatNotSent", "the dead man's switch answers 400", "it answers 204")
	o.cause("KhronicleInfluxDBDropsPoints", "InfluxDB answers 400", "it answers 204")
	regular := demoCheck(ns, "regular", nil)
	regular.Spec.RunInterval = "10s"
	apply(t, regular)

	o.cause("KhronicleCheckFailing", "a check reports an error", "it reports none")
	failing := demoCheck(ns, "failing", env{"REPORT_ERRORS": "the till is closed"})
	failing.Spec.RunInterval = "10s"
	apply(t, failing)

	o.cause("KhronicleTicksSkipped", "runs of 25 s with an interval of 10 s", "runs are short")
	slow := demoCheck(ns, "slow", env{"REPORT_DELAY": "25s"})
	slow.Spec.RunInterval = "10s"
	apply(t, slow)

	o.cause("KhronicleRunsInfraFailed", "no scheduler looks at a pod", "the check is deleted")
	unscheduled := demoCheck(ns, "unscheduled", nil)
	unscheduled.Spec.Timeout, unscheduled.Spec.PodSpec.SchedulerName = "4s", "night-shift"
	apply(t, unscheduled)

	o.cause("KhronicleJobFailed", "a job reports an error", "the job is deleted")
	applyJob(t, demoJob(ns, "once", env{"REPORT_ERRORS": "the shelf is empty"}))

	o.flakyRun()
	o.cause("KhronicleAttemptsInfraFailed", "a pod is evicted", "")
	apply(t, demoCheck(ns, "evicted", env{"REPORT_DELAY": "6s"}))
	evict(t, awaitPod(t, ns, "evicted", corev1.PodRunning))

	o.cause("KhronicleWorkflowStuck", "a workflow of a type that the worker does not know", "it is terminated")
	failWorkflowTask(t)
	o.repaired("KhronicleWorkflowStuck")
	o.cause("KhronicleConfigurationWrong", "a wrong duration in the configuration file", "it is right")
	writeConfig(t, influxConfig(influx)+"maxKHJobAge: \"15 minutes\"\n")

	o.awaitFiring(time.Minute, "KhronicleCheckFailing", "KhronicleJobFailed", "KhronicleRunsInfraFailed", "KhronicleAttemptsInfraFailed",
		"KhronicleCheckFlaky", "KhronicleTicksSkipped", "KhronicleHeartbeatNotSent", "KhronicleConfigurationWrong",
		"KhronicleInfluxDBDropsPoints", "KhronicleWorkflowStuck")
}

// flakyRun makes the first attempt of a run fail, and no other.
func (o *observed) flakyRun() {
	t, ns := o.t, o.namespace
	o.cause("KhronicleCheckFlaky", "the first attempt of a run reports an error", "")
	maps := under.kube.core.CoreV1().ConfigMaps(ns)
	weather := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "weather"}, Data: map[string]string{"errors": "a hiccup"}}
	if _, err := maps.Create(t.Context(), weather, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	flaky := demoCheck(ns, "flaky", env{"REPORT_DELAY": "2s"})
	flaky.Spec.Attempts = 3
	container := &flaky.Spec.PodSpec.Containers[0]
	container.Env = append(container.Env, corev1.EnvVar{Name: "REPORT_ERRORS", ValueFrom: &corev1.EnvVarSource{
		ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "weather"}, Key: "errors", Optional: new(true)},
	}})
	apply(t, flaky)
	eventually(t, 30*time.Second, "the first attempt has its errors", func() (bool, string) {
		pods := podsOf(t, ns, "flaky")
		return len(pods) > 0 && pods[0].Status.Phase != corev1.PodPending, fmt.Sprint(len(pods))
	})
	if err := maps.Delete(t.Context(), "weather", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// ledgerGoesDown ends the database of the ledger for a moment, while a worker is there to notice.
func (o *observed) ledgerGoesDown(postgres *ledgertest.Postgres) {
	t := o.t
	o.cause("KhronicleLedgerDown", "PostgreSQL is down", "PostgreSQL runs")
	if err := postgres.Crash(); err != nil {
		t.Fatal(err)
	}
	o.awaitFiring(30*time.Second, "KhronicleLedgerDown")
	if err := postgres.Start(); err != nil {
		t.Fatal(err)
	}
	o.repaired("KhronicleLedgerDown")
}

func (o *observed) repairChecks(influx, deadman *outside) {
	t, ns := o.t, o.namespace
	influx.broken.Store(false)
	deadman.broken.Store(false)
	writeConfig(t, influxConfig(influx))
	for _, name := range []string{"failing", "slow"} {
		edit(t, ns, name, func(c *khv1.KuberhealthyCheck) { c.Spec.PodSpec = demoPod(nil) })
	}
	if err := under.kube.checks(ns).Delete(t.Context(), "unscheduled", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := under.kube.jobs(ns).Delete(t.Context(), "once", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	o.repaired("KhronicleCheckFailing", "KhronicleTicksSkipped", "KhronicleRunsInfraFailed", "KhronicleJobFailed",
		"KhronicleHeartbeatNotSent", "KhronicleInfluxDBDropsPoints", "KhronicleConfigurationWrong")
}

// engineGoesDown stops the worker for long enough that checks are unknown. Meanwhile each other part is away for a moment.
func (o *observed) engineGoesDown() {
	t := o.t
	const noWorker, worker = "no worker runs", "a worker runs"
	for _, alert := range []string{"KhronicleHeartbeatStopped", "KhronicleCheckUnknown", "KhronicleTicksMissed", "KhronicleRunsLate"} {
		o.cause(alert, noWorker, worker)
	}
	under.kill("worker")

	o.cause("KhronicleReportsRefused", "Temporal is down when a report comes", "Temporal runs")
	under.kill("temporal")
	if status := post(t, uuid.NewString(), `{"OK":true,"Errors":[]}`); status != http.StatusServiceUnavailable {
		t.Errorf("report while Temporal is down is answered %d, want 503", status)
	}
	if err := under.start("temporal"); err != nil {
		t.Fatal(err)
	}
	o.repaired("KhronicleReportsRefused")

	o.cause("KhronicleStateUnknown", "no report API runs", "a report API runs")
	under.kill("reportapi")
	o.awaitFiring(30*time.Second, "KhronicleStateUnknown")
	if err := under.start("reportapi"); err != nil {
		t.Fatal(err)
	}
	if err := under.ready(time.Minute, "reportapi"); err != nil {
		t.Fatal(err)
	}
	o.repaired("KhronicleStateUnknown")

	o.awaitFiring(time.Minute, "KhronicleHeartbeatStopped", "KhronicleCheckUnknown", "KhronicleReportsRefused")
	startWorker(t)
	o.repaired("KhronicleHeartbeatStopped", "KhronicleCheckUnknown", "KhronicleTicksMissed", "KhronicleRunsLate")
	o.awaitFiring(time.Minute, "KhronicleTicksMissed", "KhronicleRunsLate")
}

// everythingIsWellAgain waits until every alert of the rules has fired and is resolved.
func (o *observed) everythingIsWellAgain() {
	text, err := os.ReadFile("../../deploy/prometheus/rules.yaml")
	if err != nil {
		o.t.Fatal(err)
	}
	rules, err := observe.ParseRules(text)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, alert := range rules.Alerts() {
		if o.alerts[alert] == nil {
			o.t.Errorf("no fault of this test makes %s fire", alert)
			continue
		}
		o.awaitFiring(time.Minute, alert)
		o.awaitResolved(time.Minute, alert)
	}
}

// alertTable says of each alert by what and when it fired, and when it was resolved. Times are seconds.
func (o *observed) alertTable() string {
	var names []string
	for name := range o.alerts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return o.alerts[a].caused.Compare(o.alerts[b].caused) })
	var table strings.Builder
	fmt.Fprintf(&table, "Durations of the rules divided by %d, of KhronicleHeartbeatNotSent by %d. Seconds; \"fault\" and \"repair\" since the start.\n\n", faster, fasterForHeartbeats)
	table.WriteString("| alert | fault | at | fires after | repair | at | resolved after |\n|---|---|---|---|---|---|---|\n")
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()) }
	for _, name := range names {
		f, times := o.alerts[name], o.fired(name)
		resolved := times[len(times)-1].Add(scraping)
		repair, at, after := cmp.Or(f.repair, "it ends by itself"), "", seconds(resolved.Sub(times[0]))+" of firing"
		if !f.repaired.IsZero() && resolved.After(f.repaired) {
			at, after = seconds(f.repaired.Sub(o.began)), seconds(resolved.Sub(f.repaired))
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s | %s |\n", name, f.what, seconds(f.caused.Sub(o.began)), seconds(times[0].Sub(f.caused)), repair, at, after)
	}
	o.t.Log("\n" + table.String())
	return table.String()
}

// variables are the values of a dashboard's variables for one check.
func (o *observed) variables(check string, to time.Time) observe.Variables {
	return observe.Variables{
		"job": "khronicle", "namespace": o.namespace, "check": check,
		"__rate_interval": "15s", "__range": fmt.Sprintf("%.0fs", to.Sub(o.began).Seconds()),
	}
}

// panels runs the queries of every panel, and draws each dashboard as it was when most was wrong, and at the end.
func (o *observed) panels(worst, end time.Time) {
	dashboards, err := observe.Dashboards("../../deploy/dashboards")
	if err != nil || len(dashboards) == 0 {
		o.t.Fatalf("got %d dashboards: %v", len(dashboards), err)
	}
	var table strings.Builder
	table.WriteString("| dashboard | panel | queries | series | values | check |\n|---|---|---|---|---|---|\n")
	for _, d := range dashboards {
		checks := []string{".*"}
		if d.Name == "check" {
			checks = nil
			for _, name := range []string{"regular", "failing", "slow", "flaky", "evicted"} {
				checks = append(checks, o.namespace+"/"+name)
			}
		}
		for _, panel := range d.Panels {
			if panel.Type != "row" {
				table.WriteString(o.panel(d, panel, checks, end))
			}
		}
		o.draw(d, checks[min(1, len(checks)-1)], "fault", worst)
		o.draw(d, checks[0], "end", end)
	}
	o.t.Log("\n" + table.String())
	o.write("panels.md", table.String())
}

// panel returns a line on a panel, with the first check for which it has data. Without data the test fails.
func (o *observed) panel(d observe.Dashboard, panel observe.Panel, checks []string, end time.Time) string {
	for _, check := range checks {
		results := o.run(panel, check, end)
		if !observe.HasData(results) {
			continue
		}
		series, values := 0, 0
		for _, r := range results {
			series += len(r.Series)
			for _, s := range r.Series {
				values += len(s.Values)
			}
		}
		return fmt.Sprintf("| %s | %s | %d | %d | %d | %s |\n", d.Name, panel.Title, len(results), series, values, strings.TrimPrefix(check, o.namespace+"/"))
	}
	o.t.Errorf("%s: panel %q has no data", d.Title, panel.Title)
	return fmt.Sprintf("| %s | %s | %d | 0 | 0 | |\n", d.Name, panel.Title, len(panel.Targets))
}

func (o *observed) run(panel observe.Panel, check string, end time.Time) []observe.Result {
	results, err := o.prometheus.Panel(o.t.Context(), panel, o.variables(check, end), o.span(end))
	if err != nil {
		o.t.Fatal(err)
	}
	return results
}

// draw writes a page with the panels of a dashboard, and a picture of it where Chromium is installed.
func (o *observed) draw(d observe.Dashboard, check, when string, end time.Time) {
	var drawn []observe.Drawn
	for _, panel := range d.Panels {
		one := observe.Drawn{Panel: panel}
		if panel.Type != "row" {
			one.Results = o.run(panel, check, end)
		}
		drawn = append(drawn, one)
	}
	var page strings.Builder
	if err := observe.Draw(&page, d, drawn, o.span(end)); err != nil {
		o.t.Fatal(err)
	}
	name := d.Name + "-" + when
	o.write(name+".html", page.String())
	folder, err := filepath.Abs(*observeFolder)
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		o.t.Logf("no picture of %s: chromium is not installed", name)
		return
	}
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	path := filepath.Join(folder, name)
	out, err := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--user-data-dir="+o.t.TempDir(), fmt.Sprintf("--window-size=%d,%d", observe.Width+16, observe.PageHeight(d)),
		"--screenshot="+path+".png", "file://"+path+".html").CombinedOutput()
	if err != nil {
		o.t.Errorf("picture of %s: %v\n%s", name, err, out)
	}
}

func (o *observed) write(name, content string) {
	if err := os.WriteFile(filepath.Join(*observeFolder, name), []byte(content), 0o644); err != nil {
		o.t.Error(err)
	}
}

// scrapedMetrics lists the metrics that Prometheus has scraped, each with its type and its labels. The tests of tools/dashboards
// compare the dashboards with such a list.
func (o *observed) scrapedMetrics(end time.Time) string {
	list, err := o.prometheus.Metrics(o.t.Context(), o.span(end),
		`{job="khronicle",__name__=~"(khronicle|kuberhealthy|temporal|process)_.*|go_goroutines|up"}`, `{job="temporal",__name__=~"(service|persistence)_.*"}`)
	if err != nil {
		o.t.Fatal(err)
	}
	return list
}
