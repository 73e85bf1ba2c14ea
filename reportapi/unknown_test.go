package reportapi_test

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/test/golden"
	"github.com/khronicle/khronicle/view"
)

// fakeCluster has the checks and jobs of its states too.
type fakeCluster struct {
	fakeStates
	checks []*khv1.KuberhealthyCheck
	jobs   []*khv1.KuberhealthyJob
}

func (f fakeCluster) Checks() []*khv1.KuberhealthyCheck { return f.checks }

func (f fakeCluster) Jobs() []*khv1.KuberhealthyJob { return f.jobs }

// existing is the metadata of an object that appeared this long before noon.
func existing(name string, age time.Duration) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "ns", Name: name, CreationTimestamp: metav1.NewTime(noon.Add(-age))}
}

// every is a check that exists since yesterday and runs at this interval, for a minute at most.
func every(name, interval string, change ...func(*khv1.KuberhealthyCheck)) *khv1.KuberhealthyCheck {
	c := &khv1.KuberhealthyCheck{ObjectMeta: existing(name, 24*time.Hour), Spec: khv1.CheckConfig{
		RunInterval: interval, Timeout: "1m", PodSpec: corev1.PodSpec{Containers: []corev1.Container{{Name: "check", Image: "example/check:1"}}},
	}}
	for _, apply := range change {
		apply(c)
	}
	return c
}

func job(name string, phase khv1.JobPhase) *khv1.KuberhealthyJob {
	return &khv1.KuberhealthyJob{ObjectMeta: existing(name, 2*time.Minute), Spec: khv1.JobConfig{Timeout: "1m", Phase: phase}}
}

// hourLater is a cluster an hour after its last outcomes, which came at noon.
func hourLater() fakeCluster {
	suspend := func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true }
	daily := func(c *khv1.KuberhealthyCheck) { c.Spec.RunInterval, c.Spec.Schedule = "", "0 6 * * *" }
	broken := func(c *khv1.KuberhealthyCheck) { c.Spec.Timeout = "soon" }
	appeared := func(age time.Duration) func(*khv1.KuberhealthyCheck) {
		return func(c *khv1.KuberhealthyCheck) { c.ObjectMeta = existing(c.Name, age) }
	}
	return fakeCluster{
		fakeStates: fakeStates{
			state("ns", "seldom", khv1.KHCheck), state("ns", "daily", khv1.KHCheck), state("ns", "often", khv1.KHCheck),
			state("ns", "failing", khv1.KHCheck, "it failed", "twice"), state("ns", "paused", khv1.KHCheck),
			state("ns", "broken", khv1.KHCheck, `Check execution error: spec.timeout: "soon" is not a duration above 0, such as "5m"`),
			state("ns", "gone", khv1.KHCheck), state("ns", "done", khv1.KHJob),
		},
		checks: []*khv1.KuberhealthyCheck{
			every("seldom", "2h"), every("daily", "", daily), every("often", "1m"), every("failing", "1m"), every("paused", "1m", suspend),
			every("broken", "1m", broken), every("never-ran", "1m"), every("starting", "1m", appeared(-59*time.Minute)),
			every("paused-at-birth", "1m", suspend),
		},
		jobs: []*khv1.KuberhealthyJob{job("done", khv1.JobCompleted), job("stuck", khv1.JobRunning), job("waiting", "")},
	}
}

func TestWhatIsUnknown(t *testing.T) {
	for name, ignore := range map[string]bool{"unknown": false, "unknown-ignored": true} {
		t.Run(name, func(t *testing.T) {
			o := options(&fakeTemporal{}, nil)
			o.View = showing(hourLater(), noon.Add(time.Hour))
			o.Presentation = func() reportapi.Presentation { return reportapi.Presentation{IgnoreUnknown: ignore} }
			golden.Equal(t, name+".golden", shown(t, start(t, o), "/?namespace=other"))
		})
	}
}

// A check and a job of the same name have two series, or Prometheus could read none.
func TestCheckAndJobOfOneNameAreUnknown(t *testing.T) {
	o := options(&fakeTemporal{}, nil)
	o.View = showing(fakeCluster{checks: []*khv1.KuberhealthyCheck{every("twin", "1m")}, jobs: []*khv1.KuberhealthyJob{job("twin", "")}}, noon.Add(30*time.Second))
	golden.Equal(t, "unknown-twins.golden", shown(t, start(t, o)))
}

// The page and the metrics follow the clock. No event says that an outcome is overdue.
func TestCheckBecomesUnknownAndIsKnownAgain(t *testing.T) {
	last := state("ns", "dns", khv1.KHCheck)
	o := options(&fakeTemporal{}, nil)
	var sinceNoon atomic.Int64
	o.View = view.New(view.Options{
		Cluster: fakeCluster{fakeStates: fakeStates{last}, checks: []*khv1.KuberhealthyCheck{every("dns", "5m")}},
		Now:     func() time.Time { return noon.Add(time.Duration(sinceNoon.Load())) },
	})
	r := start(t, o)
	// Half a minute for the end of the pod, the interval, the timeout, and the least grace.
	const due = 30*time.Second + 5*time.Minute + time.Minute + 30*time.Second
	const text = "unknown: ns/dns: no run has ended since 2026-11-22T12:00:00Z; one was due by 2026-11-22T12:07:00Z"
	bodies := map[string]string{} // by the expected result
	steps := []struct {
		at      time.Duration
		lastRun time.Duration
		unknown string
	}{
		{0, 0, ""},
		{due, 0, ""},
		{due + time.Nanosecond, 0, text},
		{due + 48*time.Hour, 0, text},
		{due + 48*time.Hour + time.Second, due + 48*time.Hour, ""},
	}
	for _, step := range steps {
		sinceNoon.Store(int64(step.at))
		last.Spec.LastRun = &metav1.Time{Time: noon.Add(step.lastRun)}
		var page struct {
			OK           bool
			Errors       []string
			CheckDetails map[string]khv1.WorkloadDetails
		}
		if err := json.Unmarshal([]byte(r.get(t, "/").Body), &page); err != nil {
			t.Fatal(err)
		}
		families, healthy := scrape(t, r), step.unknown == ""
		shown, label := page.CheckDetails["ns/dns"], seriesOf(families["kuberhealthy_check"])[0].Labels["error"]
		value := func(name string) float64 { return seriesOf(families[name])[0].Value }
		unknown := value("khronicle_check_unknown") == 1
		if page.OK != healthy || shown.OK != healthy || unknown == healthy || (value("kuberhealthy_cluster_state") == 1) != healthy || label != step.unknown {
			t.Errorf("%s after noon: healthy is %t; page %+v, unknown %t, error %q", step.at, healthy, page, unknown, label)
		}
		if len(page.Errors) > 1 || len(page.Errors) == 1 && page.Errors[0] != step.unknown {
			t.Errorf("%s after noon: errors %q, want %q", step.at, page.Errors, step.unknown)
		}
		if got, want := value("khronicle_check_last_outcome_timestamp_seconds"), noon.Add(step.lastRun).Unix(); got != float64(want) {
			t.Errorf("%s after noon: last outcome %v, want %d", step.at, got, want)
		}
		if body := r.get(t, "/metrics").Body; step.unknown != "" {
			if earlier, ok := bodies[step.unknown]; ok && earlier != body {
				t.Errorf("%s after noon the metrics of the same unknown check differ:\n%s\nbefore:\n%s", step.at, body, earlier)
			}
			bodies[step.unknown] = body
		}
	}
}

// Without a clock in its options, a view uses the real time. One check ended its last run an hour ago and is overdue,
// the other one was created just now and is not.
func TestTheClockIsThePresentByDefault(t *testing.T) {
	last := state("ns", "dns", khv1.KHCheck)
	last.Spec.LastRun = &metav1.Time{Time: time.Now().Add(-time.Hour)}
	o := options(&fakeTemporal{}, nil)
	o.View = view.New(view.Options{Cluster: fakeCluster{fakeStates: fakeStates{last}, checks: []*khv1.KuberhealthyCheck{every("dns", "1m"), every("rare", "1h", func(c *khv1.KuberhealthyCheck) {
		c.CreationTimestamp = metav1.NewTime(time.Now())
	})}}})
	got := map[string]float64{}
	for _, s := range seriesOf(scrape(t, start(t, o))["khronicle_check_unknown"]) {
		got[s.Labels["check"]] = s.Value
	}
	if got["ns/dns"] != 1 || got["ns/rare"] != 0 || len(got) != 2 {
		t.Errorf("unknown: %v, want ns/dns alone", got)
	}
}
