package check_test

import (
	"testing"
	"time"

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

func TestRefString(t *testing.T) {
	if got := checkRef.String(); got != "ns/dns" {
		t.Errorf("got %s, want ns/dns", got)
	}
}
