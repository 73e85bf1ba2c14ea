package apiclient_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/external/apiclient"
)

// answering is a client of a server that answers all requests so.
func answering(t *testing.T, status int, body string) *apiclient.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	client, err := apiclient.NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestDecodeReadsAnswersAndProblems(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		text   string // of the error
		absent bool
	}{
		{"an answer", http.StatusOK, `{"kind":"check","namespace":"shop","name":"pay","further":1}`, "", false},
		{"a problem", http.StatusNotFound, `{"type":"about:blank","title":"Not Found","status":404,"detail":"there is no check"}`, "404 Not Found: there is no check", true},
		{"the answer of a proxy", http.StatusBadGateway, `<html>`, "502 Bad Gateway: the answer is not that of the API", false},
		{"an answer that is cut", http.StatusOK, `{"kind":`, "read the answer of the API: ", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := apiclient.Decode[apiclient.Check](answering(t, tt.status, tt.body).GetCheck(t.Context(), "shop", "pay", nil))
			if (err == nil) != (tt.text == "") || err != nil && !strings.HasPrefix(err.Error(), tt.text) || apiclient.IsNotFound(err) != tt.absent {
				t.Errorf("error %v, not found %t, want %q, %t", err, apiclient.IsNotFound(err), tt.text, tt.absent)
			}
			if err == nil && got.Name != "pay" {
				t.Errorf("check is %+v", got)
			}
		})
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := apiclient.Decode[apiclient.Check](answering(t, http.StatusOK, "{}").GetCheck(canceled, "shop", "pay", nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

func TestALoopOverPagesEndsAfterItsFirstError(t *testing.T) {
	client, errs := answering(t, http.StatusServiceUnavailable, ""), 0
	for _, err := range client.Checks(t.Context(), apiclient.ListChecksParams{}) {
		if err != nil {
			errs++
		}
	}
	for _, err := range client.Runs(t.Context(), "shop", "pay", apiclient.ListRunsParams{}) {
		if err != nil {
			errs++
		}
	}
	if errs != 2 {
		t.Errorf("%d errors, want one of each loop", errs)
	}
}
