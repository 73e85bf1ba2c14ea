package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/khronicle/khronicle/check"
)

func TestParseTimeout(t *testing.T) {
	const want = ` is not a duration above 0, such as "5m"`
	tests := []struct {
		name, value string
		want        time.Duration
		err         string
	}{
		{"nothing is the default", "", 5 * time.Minute, ""},
		{"minutes", "15m", 15 * time.Minute, ""},
		{"a part of a second", "1ms", time.Millisecond, ""},
		{"no duration", "abc", 0, `spec.timeout: "abc"` + want},
		{"no unit", "5", 0, `spec.timeout: "5"` + want},
		{"zero", "0", 0, `spec.timeout: "0"` + want},
		{"negative", "-5m", 0, `spec.timeout: "-5m"` + want},
		{"blank", " ", 0, `spec.timeout: " "` + want},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := check.ParseTimeout(tt.value)
			if got != tt.want || errorText(err) != tt.err {
				t.Errorf("got %s %q, want %s %q", got, errorText(err), tt.want, tt.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestValidate(t *testing.T) {
	const noContainers = "no containers found in checks PodSpec"
	tests := []struct {
		name   string
		change func(*check.Workload)
		want   string
	}{
		{"valid", func(*check.Workload) {}, ""},
		{"valid with schedule", func(w *check.Workload) { w.Schedule = &check.ScheduleSpec{RunInterval: "1m"} }, ""},
		{"job without a schedule", func(w *check.Workload) { w.Schedule = nil }, ""},
		{"timeout", func(w *check.Workload) { w.Timeout = "abc" }, `spec.timeout: "abc" is not a duration above 0, such as "5m"`},
		{"schedule", func(w *check.Workload) { w.Schedule = &check.ScheduleSpec{RunInterval: "0s"} }, `spec.runInterval: "0s" is not a duration of at least 1s, such as "10m"`},
		{"no containers", func(w *check.Workload) { w.PodSpec.Containers = nil }, noContainers},
		{"only init containers", func(w *check.Workload) {
			w.PodSpec = corev1.PodSpec{InitContainers: []corev1.Container{{Name: "i", Image: "i"}}}
		}, noContainers},
		{"no image", func(w *check.Workload) { w.PodSpec.Containers[1].Image = "" }, "no image found in check's PodSpec for container side."},
		{"the timeout is said first", func(w *check.Workload) { w.Timeout, w.PodSpec.Containers = "0", nil }, `spec.timeout: "0" is not a duration above 0, such as "5m"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := userWorkload()
			tt.change(&w)
			if got := errorText(w.Validate()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Whoever corrects a manifest wants to see all faults at once. The first one is the text of a run.
func TestFaultsAreAllSaid(t *testing.T) {
	const (
		timeout  = `spec.timeout: spec.timeout: "abc" is not a duration above 0, such as "5m"`
		interval = `spec.runInterval: spec.runInterval: "0s" is not a duration of at least 1s, such as "10m"`
		zone     = `spec.timeZone: spec.timeZone: "Moon" is not an IANA time zone, such as "Europe/Berlin"`
		schedule = `spec.schedule: spec.schedule: "daily" is not a cron expression of five fields, such as "*/5 * * * *": want 5 fields, not 1`
		alone    = `spec.timeZone: spec.timeZone: "UTC" is not used without spec.schedule`
		empty    = "spec.podSpec.containers: no containers found in checks PodSpec"
		image    = "spec.podSpec.containers[1].image: no image found in check's PodSpec for container side."
	)
	tests := []struct {
		name     string
		schedule *check.ScheduleSpec
		change   func(*check.Workload)
		want     []string
	}{
		{"none", &check.ScheduleSpec{RunInterval: "1m"}, func(*check.Workload) {}, nil},
		{"cron", &check.ScheduleSpec{Schedule: "0 3 * * *", TimeZone: "Europe/Berlin", RunInterval: "ignored"}, func(*check.Workload) {}, nil},
		{
			"interval, timeout and containers", &check.ScheduleSpec{RunInterval: "0s"},
			func(w *check.Workload) { w.Timeout, w.PodSpec.Containers = "abc", nil },
			[]string{timeout, interval, empty},
		},
		{
			"expression, zone and image", &check.ScheduleSpec{Schedule: "daily", TimeZone: "Moon"},
			func(w *check.Workload) { w.PodSpec.Containers[1].Image = "" },
			[]string{zone, schedule, image},
		},
		{"zone alone", &check.ScheduleSpec{TimeZone: "UTC"}, func(*check.Workload) {}, []string{alone}},
		{"job", nil, func(w *check.Workload) { w.Timeout = "abc" }, []string{timeout}},
		{"path of reports", nil, func(w *check.Workload) { w.ReportPath = "check" }, []string{
			`metadata.annotations[khronicle.github.io/report-path]: metadata.annotations[khronicle.github.io/report-path]: "check" is not ` +
				"/externalCheckStatus or /check, which Kuberhealthy v3's clients need",
		}},
		{"path of Kuberhealthy v3", nil, func(w *check.Workload) { w.ReportPath = "/check" }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := userWorkload()
			w.Schedule = tt.schedule
			tt.change(&w)
			var got []string
			for _, fault := range w.Faults() {
				got = append(got, fault.Field+": "+fault.Err.Error())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			first := ""
			if len(tt.want) > 0 {
				_, first, _ = strings.Cut(tt.want[0], ": ")
			}
			if err := errorText(w.Validate()); err != first {
				t.Errorf("Validate says %q, want the first, %q", err, first)
			}
		})
	}
}

func TestRefString(t *testing.T) {
	if got := checkRef.String(); got != "ns/dns" {
		t.Errorf("got %s, want ns/dns", got)
	}
}

// Counters do not have the name of a job, because it may be another each time.
func TestCounterLabel(t *testing.T) {
	for want, ref := range map[string]check.Ref{"ns/dns": checkRef, "ns/": jobRef, "ns/pod": {Namespace: "ns", Name: "pod"}} {
		if got := ref.CounterLabel(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if jobRef.Name != "smoke" {
		t.Errorf("the job is now called %q", jobRef.Name)
	}
}
