package reportapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/test/golden"
)

// series is one time series of a scrape.
type series struct {
	Labels map[string]string
	Value  float64
}

// scrape reads /metrics as Prometheus does.
func scrape(t *testing.T, r *running) map[string]*dto.MetricFamily {
	t.Helper()
	got := r.get(t, "/metrics")
	if got.Status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", got.Status, got.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(got.Body))
	if err != nil {
		t.Fatalf("parse metrics: %v\n%s", err, got.Body)
	}
	return families
}

func seriesOf(family *dto.MetricFamily) []series {
	var all []series
	for _, metric := range family.GetMetric() {
		s := series{Labels: map[string]string{}, Value: metric.GetGauge().GetValue() + metric.GetCounter().GetValue()}
		for _, label := range metric.GetLabel() {
			s.Labels[label.GetName()] = label.GetValue()
		}
		all = append(all, s)
	}
	return all
}

// counted returns the results of reports that have been counted at all.
func counted(t *testing.T, r *running) map[string]float64 {
	t.Helper()
	counts := map[string]float64{}
	for _, s := range seriesOf(scrape(t, r)["khronicle_reports_total"]) {
		if s.Value > 0 {
			counts[s.Labels["result"]] = s.Value
		}
	}
	return counts
}

func TestMetricsText(t *testing.T) {
	r := start(t, options(&fakeTemporal{}, cluster()))
	golden.Equal(t, "metrics.golden", []byte(r.get(t, "/metrics").Body))
}

func TestMetricsUnderKuberhealthysNames(t *testing.T) {
	labels := func(pairs ...string) map[string]string {
		all := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i]] = pairs[i+1]
		}
		return all
	}
	const timedOut = "Check execution error: prod/web: timed out waiting for checker pod to report in"
	want := map[string][]series{
		"kuberhealthy_running":       {{labels("current_master", "khronicle-0"), 1}},
		"kuberhealthy_cluster_state": {{labels(), 0}},
		"kuberhealthy_check": {
			{labels("check", "ns/dns", "namespace", "ns", "status", "1", "error", ""), 1},
			{labels("check", "prod/web", "namespace", "prod", "status", "0", "error", timedOut), 0},
		},
		"kuberhealthy_check_duration_seconds": {
			{labels("check", "ns/dns", "namespace", "ns"), 3.25},
			{labels("check", "prod/web", "namespace", "prod"), 0},
		},
		"kuberhealthy_job":                  {{labels("check", "ns/smoke", "namespace", "ns", "status", "1", "error", ""), 1}},
		"kuberhealthy_job_duration_seconds": {{labels("check", "ns/smoke", "namespace", "ns"), 3.25}},
	}
	help := map[string]string{
		"kuberhealthy_running":                "Shows if kuberhealthy is running error free",
		"kuberhealthy_cluster_state":          "Shows the status of the cluster",
		"kuberhealthy_check":                  "Shows the status of a Kuberhealthy check",
		"kuberhealthy_check_duration_seconds": "Shows the check run duration of a Kuberhealthy check",
		"kuberhealthy_job":                    "Shows the status of a Kuberhealthy job",
		"kuberhealthy_job_duration_seconds":   "Shows the job run duration of a Kuberhealthy job",
	}
	r := start(t, options(&fakeTemporal{}, cluster()))
	families := scrape(t, r)
	for name := range want {
		family := families[name]
		if family.GetType() != dto.MetricType_GAUGE || family.GetHelp() != help[name] {
			t.Errorf("%s is a %s, %q", name, family.GetType(), family.GetHelp())
		}
		if diff := cmp.Diff(want[name], seriesOf(family)); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", name, diff)
		}
		delete(families, name)
	}
	own := []string{"khronicle_check_last_outcome_timestamp_seconds", "khronicle_reports_total"}
	if diff := cmp.Diff(own, slices.Sorted(maps.Keys(families))); diff != "" {
		t.Errorf("other metrics differ (-want +got):\n%s", diff)
	}
}

// The delay is that of the last recorded run. The page has the same content as Kuberhealthy's.
func TestStartDelayOfTheLastRun(t *testing.T) {
	ran := func(s *khv1.KuberhealthyState, delays ...time.Duration) *khv1.KuberhealthyState {
		for i, delay := range delays {
			at := noon.Add(time.Duration(i) * time.Minute)
			check.AddRecentRun(s, check.NewRecentRun(at, check.Conclusion{Outcome: check.Succeeded, Started: at.Add(delay), Concluded: at.Add(delay + time.Second)}))
		}
		return s
	}
	unknown := state("ns", "unknown", khv1.KHCheck)
	check.AddRecentRun(unknown, check.NewRecentRun(time.Time{}, check.Conclusion{Outcome: check.Failed, Started: noon}))
	broken := state("ns", "broken", khv1.KHCheck)
	broken.Annotations = map[string]string{check.AnnotationRecentRuns: "[{"}
	states := fakeStates{
		ran(state("ns", "dns", khv1.KHCheck), time.Hour, 1500*time.Millisecond), ran(state("ns", "once", khv1.KHJob), 0),
		ran(state("prod", "early", khv1.KHCheck), -time.Second), unknown, broken, state("ns", "v2", khv1.KHCheck),
	}
	r := start(t, options(&fakeTemporal{}, states))
	got := map[string]float64{}
	for _, s := range seriesOf(scrape(t, r)["khronicle_check_start_delay_seconds"]) {
		got[s.Labels["workload"]+" "+s.Labels["check_namespace"]+" "+s.Labels["check"]] = s.Value
	}
	want := map[string]float64{"KHCheck ns ns/dns": 1.5, "KHJob ns ns/once": 0, "KHCheck prod prod/early": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delays (-want +got):\n%s", diff)
	}
	plain := start(t, options(&fakeTemporal{}, fakeStates{state("ns", "dns", khv1.KHCheck)}))
	page := start(t, options(&fakeTemporal{}, fakeStates{states[0]})).get(t, "/").Body
	if want := plain.get(t, "/").Body; page != want {
		t.Errorf("the page is %s, want as without the last runs: %s", page, want)
	}
}

func TestClusterStateMetricIsTheStatusPagesOK(t *testing.T) {
	r := start(t, options(&fakeTemporal{}, fakeStates{state("ns", "dns", khv1.KHCheck)}))
	if got := seriesOf(scrape(t, r)["kuberhealthy_cluster_state"]); len(got) != 1 || got[0].Value != 1 {
		t.Errorf("got %v, want 1", got)
	}
}

// A check chooses its error text. In Kuberhealthy, a text with a line break made the whole scrape unreadable.
func TestMetricsSurviveAnyErrorText(t *testing.T) {
	tests := []struct {
		name   string
		errors []string
		want   string
	}{
		{"line break", []string{"a\nkuberhealthy_cluster_state 1\nb"}, "a\nkuberhealthy_cluster_state 1\nb"},
		{"carriage return", []string{"a\rb"}, "a\rb"},
		{"quote", []string{`say "no"`}, `say 'no'`}, // as Kuberhealthy writes it
		{"backslash", []string{`C:\new\`}, `C:\new\`},
		{"brace", []string{`"} 1`}, `'} 1`},
		{"not UTF-8", []string{"a\xff\xfe", "b\xc3"}, "a\uFFFD|b\uFFFD"},
		{"zero byte", []string{"a\x00b"}, "a\x00b"},
		{"several", []string{"a", "b"}, "a|b"},
		{"long", []string{strings.Repeat("é", 100_000)}, strings.Repeat("é", 100_000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			states := fakeStates{state("ns", "dns", khv1.KHCheck, tt.errors...), state("ns", "other", khv1.KHCheck)}
			r := start(t, options(&fakeTemporal{}, states))
			families := scrape(t, r)
			got := seriesOf(families["kuberhealthy_check"])
			if len(got) != 2 || got[0].Labels["error"] != tt.want || got[1].Labels["check"] != "ns/other" {
				t.Errorf("got %.300v, want the error %.100q and the other check", got, tt.want)
			}
			if cluster := seriesOf(families["kuberhealthy_cluster_state"]); len(cluster) != 1 || cluster[0].Value != 0 {
				t.Errorf("cluster state is %v, want 0", cluster)
			}
		})
	}
}

// The cases are those of Kuberhealthy's own test, and others with characters of more than a byte.
func TestErrorLabelOfThePresentation(t *testing.T) {
	tests := []struct {
		name, text   string
		presentation reportapi.Presentation
		want         map[string]string // of the labels error, if any
	}{
		{"as it is", "12345678910", reportapi.Presentation{}, map[string]string{"error": "12345678910"}},
		{"suppressed", "12345678910", reportapi.Presentation{SuppressErrorLabel: true}, nil},
		{"suppressed and cut", "12345678910", reportapi.Presentation{SuppressErrorLabel: true, ErrorLabelMaxLength: 4}, nil},
		{"cut to 4", "12345678910", reportapi.Presentation{ErrorLabelMaxLength: 4}, map[string]string{"error": "1234"}},
		{"shorter than 10", "123", reportapi.Presentation{ErrorLabelMaxLength: 10}, map[string]string{"error": "123"}},
		{"below 0 is unlimited", "123", reportapi.Presentation{ErrorLabelMaxLength: -1}, map[string]string{"error": "123"}},
		{"a character is not split", "äöü", reportapi.Presentation{ErrorLabelMaxLength: 3}, map[string]string{"error": "ä"}},
		{"nor the only one", "€", reportapi.Presentation{ErrorLabelMaxLength: 2}, map[string]string{"error": ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(&fakeTemporal{}, fakeStates{state("ns", "dns", khv1.KHCheck, tt.text), state("ns", "once", khv1.KHJob, tt.text)})
			o.Presentation = func() reportapi.Presentation { return tt.presentation }
			families := scrape(t, start(t, o))
			for family, name := range map[string]string{"kuberhealthy_check": "ns/dns", "kuberhealthy_job": "ns/once"} {
				labels := map[string]string{"check": name, "namespace": "ns", "status": "0"}
				maps.Copy(labels, tt.want)
				if diff := cmp.Diff([]series{{labels, 0}}, seriesOf(families[family])); diff != "" {
					t.Errorf("%s differs (-want +got):\n%s", family, diff)
				}
			}
		})
	}
}

// If a collector describes its metrics, the registry fixes their labels. But the label error must appear and disappear
// without a restart, while others scrape.
func TestPresentationChangesWhileTheServerRuns(t *testing.T) {
	var present atomic.Pointer[reportapi.Presentation]
	present.Store(&reportapi.Presentation{})
	o := options(&fakeTemporal{}, cluster())
	o.Presentation = func() reportapi.Presentation { return *present.Load() }
	r := start(t, o)
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	defer others.Wait()
	defer stop()
	others.Go(func() {
		for ctx.Err() == nil {
			if got := r.get(t, "/metrics"); got.Status != http.StatusOK {
				t.Errorf("scrape: %d %s", got.Status, got.Body)
				return
			}
		}
	})
	for _, suppress := range []bool{false, true, false, true, true, false} {
		cluster := map[string]string{"cluster": fmt.Sprint("suppress ", suppress)}
		present.Store(&reportapi.Presentation{SuppressErrorLabel: suppress, Metadata: cluster})
		for _, s := range seriesOf(scrape(t, r)["kuberhealthy_check"]) {
			if _, shown := s.Labels["error"]; shown == suppress {
				t.Errorf("suppress is %t and the labels are %v", suppress, s.Labels)
			}
		}
		var page struct{ Metadata map[string]string }
		if err := json.Unmarshal([]byte(r.get(t, "/").Body), &page); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(cluster, page.Metadata); diff != "" {
			t.Errorf("metadata differs (-want +got):\n%s", diff)
		}
	}
}

func TestMetricsShowZeroForADurationThatCannotBeRead(t *testing.T) {
	odd := state("ns", "dns", khv1.KHCheck)
	odd.Spec.RunDuration = "soon"
	r := start(t, options(&fakeTemporal{}, fakeStates{odd}))
	if got := seriesOf(scrape(t, r)["kuberhealthy_check_duration_seconds"]); len(got) != 1 || got[0].Value != 0 {
		t.Errorf("got %v, want 0", got)
	}
}

func TestEachReportIsCountedOnce(t *testing.T) {
	temporal := &fakeTemporal{}
	r := start(t, options(temporal, nil))
	for _, result := range seriesOf(scrape(t, r)["khronicle_reports_total"]) {
		if result.Value != 0 {
			t.Errorf("%v before the first report", result)
		}
	}
	send := func(uuid, body string) { r.send(t, r.report(t, "/externalCheckStatus", uuid, body)) }
	send(runUUID, `{"OK":true}`)
	send(runUUID, `{"OK":false,"Errors":["a"]}`)
	send("", `{"OK":true}`)
	send("x", `{"OK":true}`)
	send(runUUID, `{`)
	send(runUUID, `{"OK":true,"Errors":["a"]}`)
	send(runUUID, `{"OK":false}`)
	send(runUUID, `{"OK":false,"Errors":[""]}`)
	send(runUUID, strings.Repeat(" ", 1<<20))
	for _, path := range []string{"/check", "/externalCheckStatus"} {
		request := r.report(t, path, runUUID, `{"OK":true}`)
		request.Header.Set("Content-Encoding", "gzip")
		r.send(t, request)
	}
	temporal.answer = gone
	send(runUUID, `{"OK":true}`)
	want := map[string]float64{
		"accepted": 2, "no-uuid": 1, "bad-uuid": 1, "malformed": 1, "contradictory": 3, "too-large": 1, "unsupported": 2, "unknown-run": 1,
	}
	if diff := cmp.Diff(want, counted(t, r)); diff != "" {
		t.Errorf("counts differ (-want +got):\n%s", diff)
	}
}

func TestReportsAndScrapesAtTheSameTime(t *testing.T) {
	temporal := &fakeTemporal{}
	r := start(t, options(temporal, cluster()))
	const clients, each = 8, 12 // as many as one run may have
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range each {
				if got := r.send(t, r.report(t, "/check", runUUID, `{"OK":true}`)); got.Status != http.StatusOK {
					t.Errorf("report: %d", got.Status)
				}
				if got := r.get(t, "/metrics"); got.Status != http.StatusOK {
					t.Errorf("scrape: %d", got.Status)
				}
			}
		})
	}
	group.Wait()
	if got := counted(t, r)["accepted"]; got != clients*each || len(temporal.signals()) != clients*each {
		t.Errorf("%v counted and %d signalled, want %d", got, len(temporal.signals()), clients*each)
	}
}
