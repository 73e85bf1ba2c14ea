package demo_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/cmd/khcheck/demo"
	"github.com/khronicle/khronicle/cmd/khcheck/internal/reports"
	"github.com/khronicle/khronicle/cmd/khcheck/settings"
)

func TestRunReportsAndExitsAsConfigured(t *testing.T) {
	const success = `{"Errors":[],"OK":true}`
	tests := []struct {
		name string
		env  map[string]string
		want []string
		code int
	}{
		{"success", nil, []string{success}, 0},
		{"success with an exit code", map[string]string{"EXIT_CODE": "3"}, []string{success}, 3},
		{
			"failure",
			map[string]string{"REPORT_FAILURE": "true"},
			[]string{`{"Errors":["Test has failed!"],"OK":false}`},
			0,
		},
		{
			"failure with texts",
			map[string]string{"REPORT_FAILURE": "true", "REPORT_ERRORS": "disk is full|fan stands"},
			[]string{`{"Errors":["disk is full","fan stands"],"OK":false}`},
			0,
		},
		{
			"texts mean failure",
			map[string]string{"REPORT_ERRORS": "disk is full"},
			[]string{`{"Errors":["disk is full"],"OK":false}`},
			0,
		},
		{
			"blank texts are sent as they are",
			map[string]string{"REPORT_ERRORS": "|"},
			[]string{`{"Errors":["",""],"OK":false}`},
			0,
		},
		{"texts held back", map[string]string{"REPORT_FAILURE": "false", "REPORT_ERRORS": "x"}, []string{success}, 0},
		{"no report", map[string]string{"SKIP_REPORT": "true", "EXIT_CODE": "137"}, nil, 137},
		{
			"delays",
			map[string]string{"REPORT_DELAY": "1ms", "EXIT_DELAY": "1ms"},
			[]string{success},
			0,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bodies := reports.Receive(t)
			env := settings.New(func(name string) string { return test.env[name] })
			c := demo.FromEnv(env)
			if problems := env.Problems(); problems != nil {
				t.Fatalf("configuration: %q", problems)
			}

			if code := c.Run(t.Context()); code != test.code {
				t.Errorf("got exit code %d, want %d", code, test.code)
			}
			if diff := cmp.Diff(test.want, bodies.All()); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunExitsWithOneWhenTheReportIsNotDelivered(t *testing.T) {
	t.Setenv("KH_REPORTING_URL", "")
	if code := (demo.Config{}).Run(t.Context()); code != 1 {
		t.Errorf("got exit code %d, want 1", code)
	}
	if code := (demo.Config{ExitCode: 4}).Run(t.Context()); code != 4 {
		t.Errorf("got exit code %d, want the configured 4", code)
	}
}

func TestRunThatIsInterruptedDoesNotReport(t *testing.T) {
	bodies := reports.Receive(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	if code := (demo.Config{ReportDelay: time.Hour}).Run(ctx); code != 1 {
		t.Errorf("got exit code %d, want 1", code)
	}
	if got := bodies.All(); got != nil {
		t.Errorf("got reports %q, want none", got)
	}
}

func TestRunReportsBeforeItStays(t *testing.T) {
	bodies := reports.Receive(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() { ended <- demo.Config{ExitDelay: time.Hour}.Run(ctx) }()

	<-bodies
	select {
	case code := <-ended:
		t.Fatalf("ended with %d before the exit delay was over", code)
	default:
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

func TestFromEnvSaysWhatIsWrong(t *testing.T) {
	variables := map[string]string{
		"REPORT_FAILURE": "perhaps", "REPORT_DELAY": "5", "EXIT_DELAY": "-1s", "EXIT_CODE": "256", "SKIP_REPORT": "no!",
	}
	env := settings.New(func(name string) string { return variables[name] })
	demo.FromEnv(env)
	want := []string{
		`SKIP_REPORT="no!": want true or false`,
		`REPORT_DELAY="5": want a duration that is not negative, such as 90s, 10m or, for a day, 24h`,
		`EXIT_DELAY="-1s": want a duration that is not negative, such as 90s, 10m or, for a day, 24h`,
		`EXIT_CODE="256": want a whole number from 0 to 255`,
		`REPORT_FAILURE="perhaps": want true or false`,
	}
	if diff := cmp.Diff(want, env.Problems()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestLogLines(t *testing.T) {
	reports.Receive(t)
	c := demo.FromEnv(settings.New(func(name string) string { return map[string]string{"LOG_LINES": "3", "SKIP_REPORT": "true"}[name] }))
	var out strings.Builder
	c.Out = &out
	if code := c.Run(t.Context()); code != 0 || out.String() != "line 1 of 3\nline 2 of 3\nline 3 of 3\n" {
		t.Errorf("exit code %d, output %q", code, out.String())
	}
}
