package reportapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/test/golden"
)

func state(namespace, name string, kind khv1.KHWorkload, errors ...string) *khv1.KuberhealthyState {
	if errors == nil {
		errors = []string{}
	}
	return &khv1.KuberhealthyState{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: khv1.WorkloadDetails{
			OK: len(errors) == 0, Errors: errors, RunDuration: "3.25s", Namespace: namespace, Node: "node-1",
			LastRun:          &metav1.Time{Time: noon},
			AuthoritativePod: "worker-0", CurrentUUID: runUUID, KHWorkload: &kind,
		},
	}
}

// cluster has two checks and a job that have run, and a check that has not.
func cluster() fakeStates {
	fresh := state("prod", "fresh", khv1.KHCheck, "not to be seen")
	fresh.Spec.AuthoritativePod = ""
	web := state("prod", "web", khv1.KHCheck, "Check execution error: prod/web: timed out waiting for checker pod to report in")
	web.Spec.RunDuration = ""
	return fakeStates{web, fresh, state("ns", "smoke", khv1.KHJob), state("ns", "dns", khv1.KHCheck)}
}

func TestStatusPage(t *testing.T) {
	r := start(t, options(&fakeTemporal{}, cluster()))
	got := r.get(t, "/")
	if got.Status != http.StatusOK {
		t.Errorf("%d, want 200, also when not OK", got.Status)
	}
	if want := "application/json"; got.Header.Get("Content-Type") != want {
		t.Errorf("content type is %q, want %q", got.Header.Get("Content-Type"), want)
	}
	golden.Equal(t, "status.golden", []byte(got.Body))
}

// The page of Kuberhealthy v2.8 for one check that failed. Keys, their order, indentation and types are the same, and there
// is no line break at the end.
func TestStatusPageIsKuberhealthysByteForByte(t *testing.T) {
	const kuberhealthys = `{"OK":false,"Errors":["boom"],"CheckDetails":{"ns/a":{"OK":false,"Errors":["boom"],` +
		`"RunDuration":"3.2s","Namespace":"ns","Node":"n1","LastRun":"2024-01-01T00:00:00Z",` +
		`"AuthoritativePod":"kuberhealthy-x","uuid":"` + runUUID + `"}},"JobDetails":{},"CurrentMaster":"kuberhealthy-x","Metadata":{}}`
	var want bytes.Buffer
	if err := json.Indent(&want, []byte(kuberhealthys), "", "  "); err != nil {
		t.Fatal(err)
	}
	failed := state("ns", "a", khv1.KHCheck, "boom")
	failed.Spec.RunDuration, failed.Spec.Node, failed.Spec.AuthoritativePod = "3.2s", "n1", "kuberhealthy-x"
	failed.Spec.LastRun = &metav1.Time{Time: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)}
	o := options(&fakeTemporal{}, fakeStates{failed})
	o.Name = "kuberhealthy-x"
	if diff := cmp.Diff(want.String(), start(t, o).get(t, "/").Body); diff != "" {
		t.Errorf("page differs (-want +got):\n%s", diff)
	}
}

func TestStatusPageOfNamespaces(t *testing.T) {
	all := []string{"ns/dns", "ns/smoke", "prod/web"}
	tests := []struct {
		name, query string
		want        []string
		ok          bool
	}{
		{"no filter", "", all, false},
		{"one", "?namespace=ns", []string{"ns/dns", "ns/smoke"}, true},
		{"two", "?namespace=prod,ns", all, false},
		{"empty parts are ignored", "?namespace=,ns,", []string{"ns/dns", "ns/smoke"}, true},
		{"nothing but commas", "?namespace=,", all, false},
		{"empty", "?namespace=", all, false},
		{"unknown", "?namespace=other", nil, true},
		{"other parameters", "?x=ns", all, false},
	}
	r := start(t, options(&fakeTemporal{}, cluster()))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := r.get(t, "/"+tt.query)
			var page struct {
				OK                       bool
				CheckDetails, JobDetails map[string]struct{}
			}
			if err := json.Unmarshal([]byte(got.Body), &page); err != nil {
				t.Fatalf("%d %q: %v", got.Status, got.Body, err)
			}
			var names []string
			for _, name := range all {
				_, isCheck := page.CheckDetails[name]
				_, isJob := page.JobDetails[name]
				if isCheck || isJob {
					names = append(names, name)
				}
			}
			if diff := cmp.Diff(tt.want, names); diff != "" || page.OK != tt.ok {
				t.Errorf("OK is %t, want %t; names differ (-want +got):\n%s", page.OK, tt.ok, diff)
			}
		})
	}
}

func TestStatusPageTakesNoBody(t *testing.T) {
	r := start(t, options(&fakeTemporal{}, cluster()))
	sized := r.request(t, http.MethodGet, "/", strings.NewReader("{}"))
	chunked := r.request(t, http.MethodGet, "/", struct{ *strings.Reader }{strings.NewReader("{}")})
	chunked.ContentLength = -1
	for name, request := range map[string]*http.Request{"sized": sized, "chunked": chunked} {
		if got := r.send(t, request); got.Status != http.StatusBadRequest || got.Body != "" {
			t.Errorf("%s: %d %q, want 400 and no body", name, got.Status, got.Body)
		}
	}
	// A client that reports to the wrong path must not see the page as a success.
	if got := r.send(t, r.report(t, "/", runUUID, `{"OK":true}`)); got.Status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d, want 405", got.Status)
	}
}

// Before the states have been read, an empty page would mean that all is well.
func TestNoStatusBeforeTheStatesHaveBeenRead(t *testing.T) {
	o := options(&fakeTemporal{}, cluster())
	var behind atomic.Bool
	behind.Store(true)
	o.Synced = func(context.Context) error {
		if behind.Load() {
			return errors.New("not read yet")
		}
		return nil
	}
	r := start(t, o)
	if got := r.get(t, "/"); got.Status != http.StatusServiceUnavailable || got.Body != "not read yet\n" {
		t.Errorf("%d %q, want 503 and the reason", got.Status, got.Body)
	}
	if got := slices.Sorted(maps.Keys(scrape(t, r))); !slices.Equal(got, []string{"khronicle_reports_total"}) {
		t.Errorf("metrics are %v, want none of the status", got)
	}
	if got := r.send(t, r.report(t, "/check", runUUID, `{"OK":true}`)); got.Status != http.StatusOK {
		t.Errorf("report: %d, want 200", got.Status)
	}
	behind.Store(false)
	if got := r.get(t, "/"); got.Status != http.StatusOK {
		t.Errorf("%d once they are read, want 200", got.Status)
	}
	if scrape(t, r)["kuberhealthy_cluster_state"] == nil {
		t.Error("no status in the metrics once they are read")
	}
}

// The page is made from the present states, so it cannot be out of date.
func TestStatusPageFollowsTheStates(t *testing.T) {
	states := cluster()
	r := start(t, options(&fakeTemporal{}, states))
	first := r.get(t, "/").Body
	*states[0] = *state("prod", "web", khv1.KHCheck)
	second := r.get(t, "/").Body
	if !strings.Contains(first, `"OK": false,`+"\n  "+`"Errors": [`) || !strings.HasPrefix(second, "{\n  \"OK\": true,\n  \"Errors\": [],") {
		t.Errorf("first\n%s\nthen\n%s", first, second)
	}
}

// Whoever asks for HTML gets the page of all checks. Everyone else gets Kuberhealthy's JSON at the same address.
func TestBrowsersGetAPageAndProgramsJSON(t *testing.T) {
	r := start(t, options(&fakeTemporal{}, cluster()))
	for accept, want := range map[string]string{
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html; charset=utf-8",
		"*/*": "application/json", "": "application/json", "application/json": "application/json", "text/html;q=0.1, application/json": "application/json",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept)
		got, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != want || !strings.HasPrefix(got.Header.Get("Vary"), "Accept") {
			t.Errorf("Accept: %s: %d %v, want %s", accept, got.StatusCode, got.Header, want)
		}
	}
}
