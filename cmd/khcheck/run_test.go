package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/cmd/khcheck/internal/reports"
	"github.com/khronicle/khronicle/cmd/khcheck/settings"
	"github.com/khronicle/khronicle/external/checkclient"
)

// checkerPod gives the test the environment of a checker pod whose run has a minute left, and passes the reports on.
func checkerPod(t *testing.T, variables map[string]string) reports.Received {
	t.Helper()
	bodies := reports.Receive(t)
	t.Setenv("KH_CHECK_RUN_DEADLINE", strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10))
	for name, value := range variables {
		t.Setenv(name, value)
	}
	return bodies
}

func TestRunReportsOnce(t *testing.T) {
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(shop.Close)
	const success = `{"Errors":[],"OK":true}`
	failed := func(text string) []string { return []string{`{"Errors":["` + text + `"],"OK":false}`} }
	tests := []struct {
		name string
		args string
		env  map[string]string
		want []string
	}{
		{"http passes", "http", map[string]string{"CHECK_URL": shop.URL}, []string{success}},
		{
			"http fails", "http",
			map[string]string{"CHECK_URL": shop.URL + "/x"},
			failed("GET " + shop.URL + "/x: status 404, want 200"),
		},
		{"dns passes", "dns", map[string]string{"HOSTNAME": "localhost"}, []string{success}},
		{"demo passes", "demo", nil, []string{success}},
		{"demo fails", "demo", map[string]string{"REPORT_FAILURE": "true"}, failed("Test has failed!")},
		{
			"wrong configuration", "http",
			map[string]string{"CHECK_URL": shop.URL, "COUNT": "many"},
			failed(`COUNT=\"many\": want a whole number from 1 to 10000`),
		},
		{
			"wrong configuration of demo", "demo",
			map[string]string{"EXIT_CODE": "x"},
			failed(`EXIT_CODE=\"x\": want a whole number from 0 to 255`),
		},
		{
			"no deadline", "http",
			map[string]string{"CHECK_URL": shop.URL, "KH_CHECK_RUN_DEADLINE": ""},
			failed("fetched KH_CHECK_RUN_DEADLINE environment variable but it was blank"),
		},
		{
			"unknown sub-command", "htp", nil,
			failed(`unknown sub-command \"htp\": want one of http, dns, pod-status, demo, serve`),
		},
		{
			"no sub-command", "", nil,
			failed(`unknown sub-command \"\": want one of http, dns, pod-status, demo, serve`),
		},
		{
			"more than a sub-command", "http now", nil,
			failed(`unknown sub-command \"http now\": want one of http, dns, pod-status, demo, serve`),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bodies := checkerPod(t, test.env)
			if code := run(t.Context(), strings.Fields(test.args)); code != 0 {
				t.Errorf("got exit code %d, want 0: the report was delivered", code)
			}
			if diff := cmp.Diff(test.want, bodies.All()); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPodStatusOutsideAClusterReportsIt(t *testing.T) {
	bodies := checkerPod(t, map[string]string{"KUBERNETES_SERVICE_HOST": ""})
	if code := run(t.Context(), []string{"pod-status"}); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	if got := bodies.All(); len(got) != 1 || !strings.Contains(got[0], "connect to the API server: ") {
		t.Errorf("got reports %q, want one that there is no API server", got)
	}
}

func TestRunExitsWithOneWhenTheReportIsNotDelivered(t *testing.T) {
	checkerPod(t, map[string]string{"KH_REPORTING_URL": "", "HOSTNAME": "localhost"})
	if code := run(t.Context(), []string{"dns"}); code != 1 {
		t.Errorf("got exit code %d, want 1", code)
	}
}

func TestCheckThatIsToldToStopDoesNotReport(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	}))
	t.Cleanup(shop.Close)
	bodies := checkerPod(t, map[string]string{"CHECK_URL": shop.URL})

	if code := run(ctx, []string{"http"}); code != 1 {
		t.Errorf("got exit code %d, want 1", code)
	}
	if got := bodies.All(); got != nil {
		t.Errorf("got reports %q, want none", got)
	}
}

func TestCheckThatRunsOutOfTimeReportsIt(t *testing.T) {
	bodies := checkerPod(t, map[string]string{"KH_CHECK_RUN_DEADLINE": "1"})
	stuck := func(ctx context.Context) []string {
		<-ctx.Done()
		return []string{"still looking"}
	}
	if code := check(t.Context(), settings.New(os.Getenv), stuck); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	want := []string{`{"Errors":["still looking"],"OK":false}`}
	if diff := cmp.Diff(want, bodies.All()); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func TestLookUntilKeepsTimeForTheReport(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name       string
		left, want time.Duration
	}{
		{"a long run keeps five seconds", 5 * time.Minute, 5*time.Minute - 5*time.Second},
		{"twenty seconds keep five", 20 * time.Second, 15 * time.Second},
		{"twelve seconds keep a quarter", 12 * time.Second, 9 * time.Second},
		{"four seconds keep a quarter", 4 * time.Second, 3 * time.Second},
		{"a deadline that is over stays", -time.Second, -time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := lookUntil(now, now.Add(test.left)).Sub(now); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestLogHasOneLineOfJSONAnEvent(t *testing.T) {
	checkerPod(t, nil)
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(newLogger(&log))
	checkclient.Debug = true
	t.Cleanup(func() {
		checkclient.Debug = false
		slog.SetDefault(before)
	})

	run(t.Context(), []string{"demo"})

	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	var events []string
	for _, line := range lines {
		_, event, _ := strings.Cut(line, `,"event":`)
		if !strings.HasPrefix(line, `{"time":"`) {
			t.Errorf("line %q does not begin with a time", line)
		}
		events = append(events, event)
	}
	if len(events) != 4 || events[2] != `"report answered","http_status":200}` || events[3] != `"ended","exit_code":0}` {
		t.Errorf("got events %q, want started, sending report, report answered with its status, ended", events)
	}
}
