package reportapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/test/wire"
)

// FuzzReportHandler: while Temporal works, no request is answered with 5xx. An accepted report has reached one run, by its
// plain UUID. The report can be stored, and is the same when it is read again. A refused report has reached no run.
func FuzzReportHandler(f *testing.F) {
	temporal := &fakeTemporal{}
	server, err := reportapi.New(options(temporal, nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = server.Close() })
	routes := server.Routes()
	for _, body := range wire.Seeds() {
		f.Add(true, runUUID, "application/json", []byte(body))
	}
	f.Fuzz(func(t *testing.T, v3 bool, id, contentType string, body []byte) {
		path := "/externalCheckStatus"
		if v3 {
			path = "/check"
		}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
		request.Header.Set("kh-run-uuid", id)
		request.Header.Set("Content-Type", contentType)
		recorder := httptest.NewRecorder()
		temporal.stored = nil
		routes.ServeHTTP(recorder, request)
		switch code := recorder.Code; code {
		case http.StatusOK:
			checkAccepted(t, temporal)
			if recorder.Body.Len() > 0 {
				t.Errorf("success has a body: %q", recorder.Body)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
			if len(temporal.stored) > 0 {
				t.Errorf("answered %d, yet signalled %v", code, temporal.stored)
			}
			if recorder.Body.Len() == 0 || recorder.Body.Len() > 1000 {
				t.Errorf("%d bytes say why", recorder.Body.Len())
			}
		default:
			t.Errorf("answered %d", code)
		}
	})
}

func checkAccepted(t *testing.T, temporal *fakeTemporal) {
	t.Helper()
	if len(temporal.stored) != 1 {
		t.Fatalf("%d signals, want 1", len(temporal.stored))
	}
	sent := temporal.stored[0]
	if parsed, err := uuid.Parse(sent.WorkflowID); err != nil || parsed.String() != sent.WorkflowID {
		t.Errorf("workflow %q was signalled", sent.WorkflowID)
	}
	text, err := json.Marshal(sent.Report)
	if err != nil || len(text) > reportapi.MaxReport {
		t.Errorf("%d bytes to store, %v", len(text), err)
	}
	if sent.Report.OK != (len(sent.Report.Errors) == 0) {
		t.Errorf("a contradiction was passed on: %+v", sent.Report)
	}
	for _, said := range sent.Report.Errors {
		if said == "" || !utf8.ValidString(said) || strings.Contains(said, "\x00") {
			t.Errorf("%q was passed on", said)
		}
	}
	var again status.Report
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent.Report, again); diff != "" {
		t.Errorf("the run gets another report (-want +got):\n%s", diff)
	}
}
