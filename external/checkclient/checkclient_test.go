package checkclient_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/external/checkclient"
)

const runUUID = "5d0e1a2b-6b1f-4c3c-9e2b-0d4f4a4f3d11"

// setEnv gives the test the environment of a checker pod.
func setEnv(t *testing.T, url, uuid, deadline string) {
	t.Helper()
	t.Setenv("KH_REPORTING_URL", url)
	t.Setenv("KH_RUN_UUID", uuid)
	t.Setenv("KH_CHECK_RUN_DEADLINE", deadline)
}

func TestReportIsWhatTheContractSays(t *testing.T) {
	tests := []struct {
		name   string
		report func() error
		want   string
	}{
		{"success", checkclient.ReportSuccess, `{"Errors":[],"OK":true}`},
		{"failure", failure("a", "b \"quoted\"\nline"), `{"Errors":["a","b \"quoted\"\nline"],"OK":false}`},
		{"failure without errors is success as in v2", failure(), `{"Errors":[],"OK":true}`},
		{"failure with a blank error is left to the server to refuse", failure(""), `{"Errors":[""],"OK":false}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			endpoint := newEndpoint(t, answer(http.StatusOK, ""))
			setEnv(t, endpoint.URL+"/externalCheckStatus", runUUID, "")

			if err := test.report(); err != nil {
				t.Fatalf("report: %v", err)
			}

			want := []received{{
				Method: "POST", Path: "/externalCheckStatus", UUID: runUUID,
				ContentType: "application/json", Body: test.want,
			}}
			if diff := cmp.Diff(want, endpoint.requests()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func failure(messages ...string) func() error {
	return func() error { return checkclient.ReportFailure(messages) }
}

func TestReportNeedsItsEnvironment(t *testing.T) {
	tests := []struct {
		name, url, uuid, want string
	}{
		{
			"no URL", "", runUUID,
			"failed to fetch the kuberhealthy url: fetched KH_REPORTING_URL environment variable but it was blank",
		},
		{
			"no UUID", "http://127.0.0.1:1/", "",
			"failed to fetch the kuberhealthy run uuid: fetched KH_RUN_UUID environment variable but it was blank",
		},
		{
			"neither", "", "",
			"failed to fetch the kuberhealthy url: fetched KH_REPORTING_URL environment variable but it was blank",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			setEnv(t, test.url, test.uuid, "")
			for name, report := range map[string]func() error{
				"ReportSuccess": checkclient.ReportSuccess, "ReportFailure": failure("broken"),
			} {
				if err := report(); err == nil || err.Error() != test.want {
					t.Errorf("%s: got %v, want %s", name, err, test.want)
				}
			}
		})
	}
}

func TestGetDeadline(t *testing.T) {
	tests := []struct {
		name, text string
		want       time.Time
		wantErr    string
	}{
		{name: "unix seconds", text: "1735689600", want: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)},
		{name: "blank", text: "", wantErr: "fetched KH_CHECK_RUN_DEADLINE environment variable but it was blank"},
		{
			name: "not a number", text: "tomorrow",
			wantErr: `unable to parse KH_CHECK_RUN_DEADLINE: strconv.Atoi: parsing "tomorrow": invalid syntax`,
		},
		{
			name: "fraction", text: "1735689600.5",
			wantErr: `unable to parse KH_CHECK_RUN_DEADLINE: strconv.Atoi: parsing "1735689600.5": invalid syntax`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			setEnv(t, "", "", test.text)
			got, err := checkclient.GetDeadline()
			if test.wantErr != "" {
				if err == nil || err.Error() != test.wantErr {
					t.Fatalf("got error %v, want %s", err, test.wantErr)
				}
				if !got.IsZero() {
					t.Errorf("got %v with an error, want the zero time", got)
				}
				return
			}
			if err != nil || !got.Equal(test.want) {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestDebugLogsTheAnswerAndNeverTheUUID(t *testing.T) {
	endpoint := newEndpoint(t, answer(http.StatusOK, ""))
	setEnv(t, endpoint.URL, runUUID, "")
	for _, on := range []bool{false, true} {
		got := logOf(t, on, checkclient.ReportSuccess)
		if answered := strings.Contains(got, `"msg":"report answered","http_status":200`); answered != on {
			t.Errorf("Debug=%v: logged %q", on, got)
		}
		if strings.Contains(got, runUUID) {
			t.Errorf("Debug=%v: the log holds the run UUID: %s", on, got)
		}
	}
}

// logOf returns what slog's default logger wrote while report ran.
func logOf(t *testing.T, debug bool, report func() error) string {
	t.Helper()
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	checkclient.Debug = debug
	defer func() {
		checkclient.Debug = false
		slog.SetDefault(before)
	}()
	if err := report(); err != nil {
		t.Fatalf("report: %v", err)
	}
	return log.String()
}
