package measure_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/test/browse"
	"github.com/khronicle/khronicle/test/scale/measure"
)

func TestRequestsAndBytesPerRun(t *testing.T) {
	r := measure.Result{Runs: 4}
	r.SetRequests(map[string]int{"create pods": 4, "delete pods": 2})
	r.SetBytes(map[string]int64{"ledger": 1000, "temporal": 0}, map[string]int64{"ledger": 1400, "temporal": 4000})
	if diff := cmp.Diff(map[string]float64{"create pods": 1, "delete pods": 0.5}, r.Requests); diff != "" || r.RequestsPerRun != 1.5 {
		t.Errorf("%.2f requests, want 1.5; -want +got:\n%s", r.RequestsPerRun, diff)
	}
	if diff := cmp.Diff(map[string]float64{"ledger": 100, "temporal": 1000}, r.BytesPerRun); diff != "" {
		t.Errorf("bytes -want +got:\n%s", diff)
	}
}

func TestResultWithoutRunsHasNoCosts(t *testing.T) {
	var r measure.Result
	r.SetRequests(map[string]int{"watch pods": 1})
	r.SetBytes(map[string]int64{"ledger": 1}, map[string]int64{"ledger": 2})
	if len(r.Requests) != 0 || r.RequestsPerRun != 0 || len(r.BytesPerRun) != 0 {
		t.Errorf("got %+v, want no costs", r)
	}
}

func TestOpenPagesAreInTheResult(t *testing.T) {
	var r measure.Result
	r.SetPages(browse.Figures{Pages: 2, Loads: 10, LoadBytes: 1000, Events: 4, EventBytes: 200, P99: 12}, measure.Used{CPU: 3 * time.Second, Span: time.Minute})
	if r.Pages.CPU != 50 || r.Pages.BytesPerSecond != 10 {
		t.Errorf("got %+v, want 50 ms of CPU a second, and 10 bytes a second for each page", r.Pages)
	}
	var text strings.Builder
	if err := r.Write(&text); err != nil || !strings.Contains(text.String(), "2 open: 10 loads (p50 0 ms, p99 12 ms, 100 bytes each), 4 events (50 bytes each), 0 failures") {
		t.Errorf("error %v, the result is\n%s", err, text.String())
	}
	if r.SetPages(browse.Figures{}, measure.Used{Span: time.Minute}); r.Pages.BytesPerSecond != 0 {
		t.Errorf("without a page, each receives %v bytes a second", r.Pages.BytesPerSecond)
	}
}

func TestWriteTellsASaturatedMachine(t *testing.T) {
	for share, want := range map[float64]bool{0.01: true, 0.4: false} {
		var text strings.Builder
		r := measure.Result{MachineIdle: share, Costs: []measure.Cost{{Part: "worker", CPUPerRun: 30, NetCPUPerRun: 28, Idle: 10, RSS: 64 << 20}}}
		if err := r.Write(&text); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(text.String(), "WARNING"); got != want {
			t.Errorf("idle share %v: warning %t, want %t:\n%s", share, got, want, text.String())
		}
		if got := strings.Join(strings.Fields(text.String()), " "); !strings.HasSuffix(got, " worker 28.0 30.0 10.0 64") {
			t.Errorf("the costs of the worker are not in the table:\n%s", text.String())
		}
	}
}
