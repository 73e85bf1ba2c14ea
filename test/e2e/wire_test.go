//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// exchange is one request to the report API and what it must be answered.
type exchange struct {
	name                         string
	method, path, body, mimeType string
	// uuid is sent in place of the run's; "-" sends none. header is sent in place of kh-run-uuid.
	uuid, header string
	want         int
}

func (x exchange) send(t *testing.T, runUUID string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), or(x.method, http.MethodPost), reportBase+or(x.path, "/check"), strings.NewReader(x.body))
	if err != nil {
		t.Fatal(err)
	}
	if id := or(x.uuid, runUUID); id != "-" {
		request.Header[or(x.header, "kh-run-uuid")] = []string{id}
	}
	if mimeType := or(x.mimeType, "application/json"); mimeType != "-" {
		request.Header.Set("Content-Type", mimeType)
	}
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%s: %v", x.name, err)
	}
	defer response.Body.Close()
	if response.StatusCode != x.want {
		t.Errorf("%s is answered %d, want %d", x.name, response.StatusCode, x.want)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%s is answered after %s", x.name, took)
	}
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// openRun starts a run that waits for a report of the test's own.
func openRun(t *testing.T, namespace, name string) corev1.Pod {
	t.Helper()
	apply(t, demoCheck(namespace, name, env{"REPORT_DELAY": "5m"}))
	return awaitPod(t, namespace, name, corev1.PodRunning)
}

// TestWireAccepted sends each dialect of a valid report to a run of its own.
func TestWireAccepted(t *testing.T) {
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprintf("fault %d", i)
	}
	tests := []struct {
		exchange
		ok     bool
		errors []string
	}{
		{exchange{name: "d1-v3-success", body: `{"ok":true,"currentUUID":""}`, want: 200}, true, []string{}},
		{exchange{name: "d2-v3-failure", body: `{"ok":false,"errors":["a","b"],"currentUUID":""}`, want: 200}, false, []string{"a", "b"}},
		{exchange{name: "d3-v2-success", body: `{"Errors":[],"OK":true}`, want: 200}, true, []string{}},
		{exchange{name: "d3-v2-null", body: `{"Errors":null,"OK":true}`, want: 200}, true, []string{}},
		{exchange{name: "d4-v2-path", path: "/externalCheckStatus", body: `{"Errors":["x"],"OK":false}`, want: 200}, false, []string{"x"}},
		{exchange{name: "d5-charset", mimeType: "application/json; charset=utf-8", body: `{"OK":true}`, want: 200}, true, []string{}},
		{exchange{name: "d5-v2-path-any-type", path: "/externalCheckStatus", mimeType: "-", body: `{"OK":true}`, want: 200}, true, []string{}},
		{exchange{name: "d12-header-case", header: "KH-Run-UUID", body: `{"OK":true}`, want: 200}, true, []string{}},
		{exchange{name: "d13-many-errors", body: `{"OK":false,"Errors":["` + strings.Join(many, `","`) + `"]}`, want: 200}, false, many},
		{exchange{name: "multi-line", body: `{"OK":false,"Errors":["one\ntwo \\ \"three\""]}`, want: 200}, false, []string{"one\ntwo \\ \"three\""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			pod := openRun(t, namespace, tt.name)
			tt.send(t, pod.Labels["kuberhealthy-run-id"])
			state := awaitState(t, namespace, tt.name, 10*time.Second, "an outcome", anyState)
			if diff := cmp.Diff(tt.errors, state.Errors); diff != "" || state.OK != tt.ok {
				t.Errorf("OK=%t, errors (-want +got):\n%s", state.OK, diff)
			}
			scrape(t)
		})
	}
}

// TestWireRefused sends everything that must be refused to one run, which stays open and then takes a valid report.
func TestWireRefused(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	pod := openRun(t, namespace, "patient")
	runUUID := pod.Labels["kuberhealthy-run-id"]
	good := `{"OK":true,"Errors":[]}`
	for _, x := range []exchange{
		{name: "D5 text/plain", mimeType: "text/plain", body: good, want: 415},
		{name: "D5 no content type", mimeType: "-", body: good, want: 415},
		{name: "D6 GET /check", method: http.MethodGet, want: 405},
		{name: "D6 GET /externalCheckStatus", method: http.MethodGet, path: "/externalCheckStatus", want: 405},
		{name: "D7 no UUID", uuid: "-", body: good, want: 400},
		{name: "D7 unknown UUID", uuid: uuid.NewString(), body: good, want: 400},
		{name: "D7 not a UUID", uuid: "x,app=kuberhealthy", body: good, want: 400},
		{name: "workflow ID of the schedule", uuid: "khcheck/" + namespace + "/patient", body: good, want: 400},
		{name: "D8 OK with errors", body: `{"OK":true,"Errors":["a"]}`, want: 400},
		{name: "D8 not OK without errors", body: `{"OK":false,"Errors":[]}`, want: 400},
		{name: "D8 empty error", body: `{"OK":false,"Errors":[""]}`, want: 400},
		{name: "D8 broken JSON", body: `{"OK":fal`, want: 400},
		{name: "empty body", body: "", want: 400},
		{name: "array", body: `[]`, want: 400},
		{name: "OK as text", body: `{"OK":"yes"}`, want: 400},
		{name: "errors as text", body: `{"OK":false,"Errors":"x"}`, want: 400},
		{name: "D13 1 MiB", body: `{"OK":false,"Errors":["` + strings.Repeat("x", 1<<20) + `"]}`, want: 413},
		{name: "trailing slash", path: "/externalCheckStatus/", body: good, want: 404},
	} {
		x.send(t, runUUID)
	}
	if _, err := under.kube.states(namespace).Get(t.Context(), "patient", getOptions); !gone(err) {
		t.Fatalf("a refused report changed the state (error %v)", err)
	}
	exchange{name: "a valid report", body: `{"OK":false,"Errors":["valid"]}`, want: 200}.send(t, runUUID)
	state := awaitState(t, namespace, "patient", 10*time.Second, "an outcome", anyState)
	if diff := cmp.Diff([]string{"valid"}, state.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

// TestWireRepeated: of several reports of a run the first counts, and after the end of the run none does (D9, D10, D14).
func TestWireRepeated(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	c := demoCheck(namespace, "talkative", env{"REPORT_DELAY": "5s"})
	apply(t, c)
	pod := awaitPod(t, namespace, "talkative", corev1.PodRunning)
	runUUID := pod.Labels["kuberhealthy-run-id"]
	first := exchange{name: "first verdict", body: `{"OK":false,"Errors":["first"]}`, want: 200}
	first.send(t, runUUID)
	exchange{name: "D9 the same again", body: first.body, want: 200}.send(t, runUUID)
	exchange{name: "D14 another verdict", body: `{"OK":true}`, want: 200}.send(t, runUUID)
	settled(t, runUUID)
	exchange{name: "D10 after the end", body: `{"OK":true}`, want: 400}.send(t, runUUID)
	state := awaitState(t, namespace, "talkative", time.Second, "the first verdict", func(s khv1.WorkloadDetails) bool {
		return len(s.Errors) == 1 && s.Errors[0] == "first"
	})
	if state.CurrentUUID != runUUID {
		t.Errorf("state shows another run: %+v", state)
	}
}
