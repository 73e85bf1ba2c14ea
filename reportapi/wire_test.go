package reportapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/test/wire"
)

// oneRun is a Temporal in which only the run of these tests is open.
func oneRun() *fakeTemporal {
	return &fakeTemporal{answer: func(ctx context.Context, s signal) error {
		if s.WorkflowID != runUUID {
			return gone(ctx, s)
		}
		return nil
	}}
}

func sendWire(t *testing.T, r *running, request wire.Request) wire.Answer {
	t.Helper()
	got, err := request.Send(t.Context(), strings.TrimPrefix(r.url, "http://"), runUUID)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWireAccepted(t *testing.T) {
	cases := wire.AcceptedCases()
	t.Logf("%d requests", len(cases))
	for _, tt := range cases {
		t.Run(tt.Name, func(t *testing.T) {
			temporal := oneRun()
			r := start(t, options(temporal, nil))
			got := sendWire(t, r, tt.Request)
			if got.Status != http.StatusOK || got.Body != "" {
				t.Errorf("%d %q, want 200 and no body", got.Status, got.Body)
			}
			if diff := cmp.Diff([]signal{stored(tt.Report)}, temporal.signals()); diff != "" {
				t.Errorf("signals differ (-want +got):\n%.2000s", diff)
			}
		})
	}
}

// One server gets all requests that must be refused, one after the other. It continues to work, and no request reaches the
// run.
func TestWireRefused(t *testing.T) {
	temporal := oneRun()
	r := start(t, options(temporal, nil))
	cases := wire.RefusedCases()
	t.Logf("%d requests", len(cases))
	for _, tt := range cases {
		t.Run(tt.Name, func(t *testing.T) {
			got := sendWire(t, r, tt.Request)
			if got.Status != tt.Status || got.Status >= http.StatusInternalServerError {
				t.Errorf("%d %.200q, want %d", got.Status, got.Body, tt.Status)
			}
			silent := tt.Method == http.MethodHead || tt.Status == http.StatusNoContent || tt.Status == http.StatusExpectationFailed
			if said := len(got.Body); said > 300 || said == 0 && !silent {
				t.Errorf("%d bytes say why: %.400q", said, got.Body)
			}
			if got.Took > 5*time.Second {
				t.Errorf("answered after %s", got.Took)
			}
			if signals := temporal.signals(); signals != nil {
				t.Fatalf("it reached the run: %v", signals)
			}
		})
	}
	if got := r.send(t, r.report(t, "/check", runUUID, `{"OK":true}`)); got.Status != http.StatusOK {
		t.Errorf("a valid report afterwards: %d, want 200", got.Status)
	}
	if counts := counted(t, r); counts["unavailable"] != 0 || counts["accepted"] != 1 {
		t.Errorf("counted %v, want one accepted and none unavailable", counts)
	}
}

func TestWireThatIsNotTheHTTPSpokenHere(t *testing.T) {
	temporal := oneRun()
	r := start(t, options(temporal, nil))
	for _, tt := range wire.NotHTTP() {
		if got := sendWire(t, r, tt.Request); got.Status != tt.Status {
			t.Errorf("%s: %d %q, want %d", tt.Name, got.Status, got.Body, tt.Status)
		}
	}
	if signals := temporal.signals(); signals != nil {
		t.Errorf("they reached the run: %v", signals)
	}
}

func TestWireNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	check := func(name string) {
		if seen[name] {
			t.Errorf("two cases are named %q", name)
		}
		seen[name] = true
	}
	for _, c := range wire.AcceptedCases() {
		check(c.Name)
	}
	for _, c := range wire.RefusedCases() {
		check(c.Name)
	}
}
