package reportapi_test

import (
	"strings"
	"testing"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/test/golden"
)

// shown is what people and Prometheus see: the pages of these paths, and the metrics of the state.
func shown(t *testing.T, r *running, paths ...string) []byte {
	t.Helper()
	var text strings.Builder
	for _, path := range append([]string{"/"}, paths...) {
		text.WriteString("GET " + path + "\n" + r.get(t, path).Body + "\n\n")
	}
	scrape(t, r) // Prometheus can read it
	text.WriteString("GET /metrics\n")
	for line := range strings.Lines(r.get(t, "/metrics").Body) {
		if strings.Contains(line, "kuberhealthy_") || strings.Contains(line, "khronicle_check_") {
			text.WriteString(line)
		}
	}
	return []byte(text.String())
}

// changed is a state of a check in which something is different.
func changed(name string, change func(*khv1.WorkloadDetails)) *khv1.KuberhealthyState {
	s := state("ns", name, khv1.KHCheck)
	change(&s.Spec)
	return s
}

func TestWhatIsShown(t *testing.T) {
	presenting := func(p reportapi.Presentation) func() reportapi.Presentation {
		return func() reportapi.Presentation { return p }
	}
	failing := fakeStates{state("ns", "web", khv1.KHCheck, "12345678910"), state("ns", "once", khv1.KHJob, "123")}
	tests := []struct {
		name         string
		states       fakeStates
		presentation func() reportapi.Presentation
		paths        []string
	}{
		{name: "no-states"},
		{name: "check-ok", states: fakeStates{state("ns", "dns", khv1.KHCheck)}},
		{name: "check-failing", states: fakeStates{state("ns", "web", khv1.KHCheck,
			"line one\nline two\r\n\tline three", `says "no" & <b>`, `C:\new\table\`, "größer als 5 €: 不行", strings.Repeat("long ", 400),
		)}},
		{name: "jobs", states: fakeStates{state("ns", "once", khv1.KHJob), state("ns", "bad", khv1.KHJob, "it failed")}},
		{name: "error-label-suppressed", states: failing, presentation: presenting(reportapi.Presentation{SuppressErrorLabel: true})},
		{name: "error-label-of-4", states: failing, presentation: presenting(reportapi.Presentation{ErrorLabelMaxLength: 4})},
		{name: "error-label-of-10", states: failing, presentation: presenting(reportapi.Presentation{ErrorLabelMaxLength: 10})},
		{
			name: "namespaces",
			states: fakeStates{
				state("b", "dns", khv1.KHCheck, "b is down"), state("a", "dns", khv1.KHCheck), state("a", "web", khv1.KHCheck, "a is slow"),
				state("c", "once", khv1.KHJob),
			},
			paths: []string{"/?namespace=c", "/?namespace=b,c", "/?namespace=,a,", "/?namespace=other"},
		},
		{name: "never-finished", states: fakeStates{
			// What Kuberhealthy writes when the first run of a check starts.
			changed("fresh", func(d *khv1.WorkloadDetails) {
				*d = khv1.WorkloadDetails{OK: true, Errors: []string{}, RunDuration: "0s", Namespace: "ns", CurrentUUID: runUUID}
			}),
			state("ns", "dns", khv1.KHCheck),
		}},
		{name: "without-recorder", states: fakeStates{changed("web", func(d *khv1.WorkloadDetails) {
			d.AuthoritativePod, d.OK, d.Errors = "", false, []string{"hidden with its check"}
		})}},
		{name: "metadata", presentation: presenting(reportapi.Presentation{Metadata: map[string]string{
			"zone": "eu", "cluster": "prod-1", "note": "<größer>",
		}})},
		{name: "errors-decide", states: fakeStates{
			changed("ok-with-errors", func(d *khv1.WorkloadDetails) { d.Errors = []string{"", "but something is wrong"} }),
			changed("not-ok-without", func(d *khv1.WorkloadDetails) { d.OK = false }),
		}},
		{name: "not-ok-without-errors", states: fakeStates{changed("web", func(d *khv1.WorkloadDetails) { d.OK, d.LastRun = false, nil })}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(&fakeTemporal{}, tt.states)
			o.Presentation = tt.presentation
			golden.Equal(t, tt.name+".golden", shown(t, start(t, o), tt.paths...))
		})
	}
}
