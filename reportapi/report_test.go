package reportapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"

	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/workflows"
)

var paths = []string{"/externalCheckStatus", "/check"}

// stored is the signal of a report to the run of these tests.
func stored(report status.Report) signal {
	return signal{WorkflowID: runUUID, Name: workflows.ReportSignal, Report: report}
}

func passed() status.Report { return status.NewReport(nil) }

func failed(errors ...string) status.Report { return status.NewReport(errors) }

// Temporal's answer for a workflow that is unknown or closed.
func gone(context.Context, signal) error {
	return serviceerror.NewNotFound("workflow execution already completed")
}

// TestWireVectors sends the dialects and mistakes of existing clients (D1 to D14 of the contract) on both report paths.
func TestWireVectors(t *testing.T) {
	const (
		noUUID  = "header kh-run-uuid is missing: set it to the value of KH_RUN_UUID\n"
		badUUID = "header kh-run-uuid is not a run UUID: set it to the value of KH_RUN_UUID\n"
		unknown = "no such run is open: the run UUID is unknown, or the run has ended\n"
	)
	header := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	tests := []struct {
		name   string
		body   string
		change func(*http.Request)
		answer func(context.Context, signal) error
		want   answer
		stored []signal
	}{
		{"D1 v3 without errors", `{"ok":true,"currentUUID":""}`, nil, nil, answer{Status: 200}, []signal{stored(passed())}},
		{"D2 v3 failed", `{"ok":false,"errors":["a","b"],"currentUUID":""}`, nil, nil, answer{Status: 200}, []signal{stored(failed("a", "b"))}},
		{"D3 v2", `{"Errors":[],"OK":true}`, nil, nil, answer{Status: 200}, []signal{stored(passed())}},
		{"D3 v2 with null errors", `{"Errors":null,"OK":true}`, nil, nil, answer{Status: 200}, []signal{stored(passed())}},
		{"D4 v2 without errors", `{"OK":true}`, nil, nil, answer{Status: 200}, []signal{stored(passed())}},
		{"D5 content type with charset", `{"OK":true}`, header("Content-Type", "application/json; charset=utf-8"), nil, answer{Status: 200}, []signal{stored(passed())}},
		{"D5 content type in capitals", `{"OK":true}`, header("Content-Type", "Application/JSON"), nil, answer{Status: 200}, []signal{stored(passed())}},
		{"D7 no header", `{"OK":true}`, func(r *http.Request) { r.Header.Del("kh-run-uuid") }, nil, answer{Status: 400, Body: noUUID}, nil},
		{"D7 empty header", `{"OK":true}`, header("kh-run-uuid", ""), nil, answer{Status: 400, Body: noUUID}, nil},
		{"D7 unknown run", `{"OK":true}`, header("kh-run-uuid", uuid.NewString()), gone, answer{Status: 400, Body: unknown}, nil},
		{"D7 not a UUID", `{"OK":true}`, header("kh-run-uuid", "test-UUID-1234"), nil, answer{Status: 400, Body: badUUID}, nil},
		{"D8 OK with errors", `{"OK":true,"Errors":["a"]}`, nil, nil, answer{Status: 400, Body: "report is OK and has errors: send OK false, or no errors\n"}, nil},
		{"D8 not OK without errors", `{"OK":false,"Errors":[]}`, nil, nil, answer{Status: 400, Body: "report is not OK and has no errors: say what is wrong in Errors\n"}, nil},
		{"D8 empty error", `{"OK":false,"Errors":["a",""]}`, nil, nil, answer{Status: 400, Body: "report has an empty error text\n"}, nil},
		{"D8 broken JSON", `{"OK":true`, nil, nil, answer{Status: 400, Body: "report is not a JSON object with \"OK\" and \"Errors\": unexpected end of JSON input\n"}, nil},
		{"D8 no body", ``, nil, nil, answer{Status: 400, Body: "report is not a JSON object with \"OK\" and \"Errors\": unexpected end of JSON input\n"}, nil},
		{"D8 neither key", `{}`, nil, nil, answer{Status: 400, Body: "report is not a JSON object with \"OK\" and \"Errors\"\n"}, nil},
		{"D10 after the deadline", `{"OK":true}`, nil, gone, answer{Status: 400, Body: unknown}, nil},
		{"D12 UUID in capitals", `{"OK":true}`, header("kh-run-uuid", strings.ToUpper(runUUID)), nil, answer{Status: 200}, []signal{stored(passed())}},
		{"D12 header names as they come", `{"OK":true}`, func(r *http.Request) {
			r.Header = http.Header{"KH-RUN-uuid": {runUUID}, "content-type": {"application/json"}}
		}, nil, answer{Status: 200}, []signal{stored(passed())}},
		{"error that is not UTF-8", "{\"OK\":false,\"Errors\":[\"a\xff\"]}", nil, nil, answer{Status: 200}, []signal{stored(failed("a\uFFFD"))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range paths {
				temporal := &fakeTemporal{answer: tt.answer}
				r := start(t, options(temporal, nil))
				request := r.report(t, path, runUUID, tt.body)
				if tt.change != nil {
					tt.change(request)
				}
				got := r.send(t, request)
				if diff := cmp.Diff(tt.want, answer{Status: got.Status, Body: got.Body}); diff != "" {
					t.Errorf("%s: answer differs (-want +got):\n%s", path, diff)
				}
				if diff := cmp.Diff(tt.stored, temporal.signals()); diff != "" {
					t.Errorf("%s: signals differ (-want +got):\n%s", path, diff)
				}
			}
		})
	}
}

// Clients such as curl name a type of their own, and some name none.
func TestAnyContentTypeIsTaken(t *testing.T) {
	tests := []struct{ name, contentType string }{
		{"D5 text", "text/plain"},
		{"D5 none", ""},
		{"form", "application/x-www-form-urlencoded"},
		{"another JSON", "application/json-patch+json"},
		{"two types", "application/json, text/plain"},
		{"multipart", "multipart/form-data; boundary=x"},
		{"nonsense", ";;"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/check", "/externalCheckStatus"} {
				temporal := &fakeTemporal{}
				r := start(t, options(temporal, nil))
				request := r.report(t, path, runUUID, `{"OK":true}`)
				request.Header.Set("Content-Type", tt.contentType)
				if tt.contentType == "" {
					request.Header.Del("Content-Type")
				}
				if got := r.send(t, request); got.Status != http.StatusOK {
					t.Errorf("%s: %d, want 200", path, got.Status)
				}
				if got := len(temporal.signals()); got != 1 {
					t.Errorf("%s: %d signals, want 1", path, got)
				}
			}
		})
	}
}

// D6: v3's Go client uses GET to test whether the server is there. Any answer is right, if it comes at once.
func TestOtherMethodsAreAnsweredAtOnce(t *testing.T) {
	temporal := &fakeTemporal{}
	r := start(t, options(temporal, nil))
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			request := r.request(t, method, path, nil)
			request.Header.Set("kh-run-uuid", runUUID)
			if got := r.send(t, request); got.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want 405", method, path, got.Status)
			}
		}
	}
	if got := temporal.signals(); got != nil {
		t.Errorf("signals were sent: %v", got)
	}
}

// A report may reach only the workflow of a run, whose ID is a plain UUID.
func TestOnlyTheCanonicalUUIDIsTaken(t *testing.T) {
	temporal := &fakeTemporal{}
	r := start(t, options(temporal, nil))
	refused := []string{
		"khcheck/ns/dns", "khcheck/ns/dns/first/4b3626f183", "khjob/ns/smoke/4b3626f183", "report", "*", "..",
		"urn:uuid:" + runUUID, "URN:UUID:" + runUUID, "{" + runUUID + "}", strings.ReplaceAll(runUUID, "-", ""),
		runUUID + "0", runUUID[:35], "g" + runUUID[1:], runUUID + "," + runUUID, runUUID + "/x", "(" + runUUID + ")",
		strings.Repeat("a", 10000),
	}
	for _, id := range refused {
		for _, path := range paths {
			if got := r.send(t, r.report(t, path, id, `{"OK":true}`)); got.Status != http.StatusBadRequest {
				t.Errorf("%s with %.60q: %d, want 400", path, id, got.Status)
			}
		}
	}
	if got := temporal.signals(); got != nil {
		t.Errorf("workflows were reached: %v", got)
	}
}

// D9 and D14: the server passes on every report of an open run, in order. The run uses the first one.
func TestFurtherReportsAreAccepted(t *testing.T) {
	for _, second := range []status.Report{failed("a"), passed()} {
		temporal := &fakeTemporal{}
		r := start(t, options(temporal, nil))
		for _, report := range []status.Report{failed("a"), second} {
			body, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.send(t, r.report(t, "/check", runUUID, string(body))); got.Status != http.StatusOK || got.Body != "" {
				t.Errorf("%d %q, want 200 and no body", got.Status, got.Body)
			}
		}
		if diff := cmp.Diff([]signal{stored(failed("a")), stored(second)}, temporal.signals()); diff != "" {
			t.Errorf("signals differ (-want +got):\n%s", diff)
		}
	}
}

// Replicas share only Temporal. A report and its repetition may come to different ones.
func TestAnyReplica(t *testing.T) {
	temporal := oneRun()
	first, second := start(t, options(temporal, nil)), start(t, options(temporal, nil))
	send := func(r *running, body string, want int) {
		t.Helper()
		if got := r.send(t, r.report(t, "/check", runUUID, body)); got.Status != want {
			t.Errorf("%d %q, want %d", got.Status, got.Body, want)
		}
	}
	send(first, `{"OK":false,"Errors":["a"]}`, http.StatusOK)
	send(second, `{"OK":false,"Errors":["a"]}`, http.StatusOK)
	send(second, `{"OK":true}`, http.StatusOK)
	temporal.answer = gone
	send(first, `{"OK":true}`, http.StatusBadRequest)
	send(second, `{"OK":true}`, http.StatusBadRequest)
	if diff := cmp.Diff([]signal{stored(failed("a")), stored(failed("a")), stored(passed())}, temporal.signals()); diff != "" {
		t.Errorf("signals differ (-want +got):\n%s", diff)
	}
}

// D13: whatever a check sends, the report that reaches the run is small enough for Temporal and the API server. A report
// that cannot be recorded would delay its run for ever.
func TestLargeReports(t *testing.T) {
	list := func(n int, text string) string {
		return `{"OK":false,"Errors":[` + strings.Repeat(`"`+text+`",`, n-1) + `"` + text + `"]}`
	}
	fill := func(size int, c string) string {
		const frame = `{"OK":false,"Errors":[""]}`
		return `{"OK":false,"Errors":["` + strings.Repeat(c, (size-len(frame))/len(c)) + `"]}`
	}
	tests := []struct {
		name, body string
		want       int
	}{
		{"10,000 errors", list(10000, "this is wrong"), http.StatusOK},
		{"just small enough", fill(reportapi.MaxReport, "x"), http.StatusOK},
		{"one byte too large", fill(reportapi.MaxReport+1, "x"), http.StatusRequestEntityTooLarge},
		{"1 MiB", fill(1<<20, "x"), http.StatusRequestEntityTooLarge},
		{"20 MiB", fill(20<<20, "x"), http.StatusRequestEntityTooLarge},
		{"1 MiB of white space", strings.Repeat(" ", 1<<20) + `{"OK":true}`, http.StatusRequestEntityTooLarge},
		{"a character that JSON writes with six", fill(reportapi.MaxReport, "<"), http.StatusRequestEntityTooLarge},
		{"bytes that become three", fill(reportapi.MaxReport, "\xff"), http.StatusRequestEntityTooLarge},
		{"such a character, less of it", fill(reportapi.MaxReport/8, "<"), http.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			temporal := &fakeTemporal{}
			r := start(t, options(temporal, nil))
			got := r.send(t, r.report(t, "/check", runUUID, tt.body))
			if got.Status != tt.want {
				t.Fatalf("%d %.100q, want %d", got.Status, got.Body, tt.want)
			}
			for _, s := range temporal.signals() {
				text, err := json.Marshal(s.Report)
				if err != nil || len(text) > reportapi.MaxReport {
					t.Errorf("%d bytes to store, %v, want at most %d", len(text), err, reportapi.MaxReport)
				}
			}
			if got := len(temporal.signals()); (got == 1) != (tt.want == http.StatusOK) {
				t.Errorf("%d signals", got)
			}
			if again := r.send(t, r.report(t, "/check", runUUID, `{"OK":true}`)); again.Status != http.StatusOK {
				t.Errorf("the next report got %d", again.Status)
			}
		})
	}
}

// A client that disconnects in the middle of its report has not reported.
func TestBrokenBodyIsNoReport(t *testing.T) {
	temporal := &fakeTemporal{}
	r := start(t, options(temporal, nil))
	body, write := io.Pipe()
	request := r.request(t, http.MethodPost, "/externalCheckStatus", body)
	request.Header.Set("kh-run-uuid", runUUID)
	request.ContentLength = 100
	go func() {
		_, _ = write.Write([]byte(`{"OK":true}`))
		_ = write.CloseWithError(errors.New("the client is gone"))
	}()
	if response, err := r.client.Do(request); err == nil {
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%d, want 400", response.StatusCode)
		}
	}
	for counted(t, r)["malformed"] != 1 { // the server notices after the client
		if t.Context().Err() != nil {
			t.Fatal("the broken report was not counted")
		}
	}
	if got := temporal.signals(); got != nil {
		t.Errorf("it was passed on: %v", got)
	}
}
