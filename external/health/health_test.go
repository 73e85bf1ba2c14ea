package health_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/health"
	"github.com/khronicle/khronicle/test/golden"
)

func TestNewWorkloadDetails(t *testing.T) {
	of := func(w khv1.KHWorkload) *khv1.KHWorkload { return &w }
	tests := []struct {
		name     string
		workload health.KHWorkload
		want     *khv1.KHWorkload
	}{
		{"check", health.KHCheck, of("KHCheck")},
		{"job", health.KHJob, of("KHJob")},
		{"open", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := khv1.WorkloadDetails{Errors: []string{}, KHWorkload: tt.want}
			if diff := cmp.Diff(want, health.NewWorkloadDetails(tt.workload)); diff != "" {
				t.Errorf("details differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewStateIsOKAndCanBeFilled(t *testing.T) {
	state := health.NewState()
	if !state.OK || state.Errors == nil || len(state.Errors) != 0 {
		t.Errorf("state is %+v", state)
	}
	state.CheckDetails["shop/cart"], state.JobDetails["shop/smoke"] = health.WorkloadDetails{}, health.WorkloadDetails{}
}

func TestAddError(t *testing.T) {
	state := health.NewState()
	state.AddError("cart is empty", "", "till is open")
	state.AddError()
	if diff := cmp.Diff([]string{"cart is empty", "till is open"}, state.Errors); diff != "" {
		t.Errorf("errors differ (-want +got):\n%s", diff)
	}
	if !state.OK {
		t.Error("adding errors changed OK, which is the caller's")
	}
}

// filled is a state with a failed check and a job that passed.
func filled() health.State {
	lastRun := metav1.NewTime(time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC))
	state := health.NewState()
	state.OK, state.CurrentMaster = false, "khronicle-0"
	state.AddError("cart is empty")
	failed := health.NewWorkloadDetails(health.KHCheck)
	failed.Errors, failed.RunDuration, failed.Namespace = []string{"cart is empty"}, "3.2s", "shop"
	failed.LastRun, failed.AuthoritativePod, failed.CurrentUUID = &lastRun, "khronicle-0", "11111111-1111-4111-8111-111111111111"
	passed := health.NewWorkloadDetails(health.KHJob)
	passed.OK, passed.Namespace, passed.Node, passed.AuthoritativePod = true, "shop", "node-1", "khronicle-0"
	state.CheckDetails["shop/cart"], state.JobDetails["shop/smoke"] = failed, passed
	return state
}

func TestWriteHTTPStatusResponse(t *testing.T) {
	state := filled()
	w := httptest.NewRecorder()
	if err := state.WriteHTTPStatusResponse(w); err != nil {
		t.Fatal(err)
	}
	if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != "application/json" {
		t.Errorf("status %d, content type %q", w.Code, got)
	}
	golden.Equal(t, "status.json", w.Body.Bytes())
	if diff := cmp.Diff(filled(), state); diff != "" {
		t.Errorf("writing changed the state (-want +got):\n%s", diff)
	}
}

// A client of this package and the status page of Khronicle show one state alike, but for the page's Metadata.
func TestStateIsWrittenAsTheStatusPageShowsIt(t *testing.T) {
	state := filled()
	var states []*khv1.KuberhealthyState
	for name, details := range map[string]health.WorkloadDetails{"cart": state.CheckDetails["shop/cart"], "smoke": state.JobDetails["shop/smoke"]} {
		states = append(states, &khv1.KuberhealthyState{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: details})
	}
	page := check.Summarize(states, func(s *khv1.KuberhealthyState) bool { return *s.Spec.KHWorkload == khv1.KHJob }, nil)
	page.CurrentMaster = state.CurrentMaster
	want, err := json.MarshalIndent(page, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := state.WriteHTTPStatusResponse(w); err != nil {
		t.Fatal(err)
	}
	want = bytes.Replace(want, []byte(",\n  \"Metadata\": {}"), nil, 1)
	if diff := cmp.Diff(string(want), w.Body.String()); diff != "" {
		t.Errorf("page differs (-want +got):\n%s", diff)
	}
}

type brokenWriter struct {
	http.ResponseWriter
	err error
}

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWriteHTTPStatusResponseToACallerThatHasGone(t *testing.T) {
	gone := errors.New("connection reset by peer")
	state := filled()
	if err := state.WriteHTTPStatusResponse(brokenWriter{httptest.NewRecorder(), gone}); !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
}
