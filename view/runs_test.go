package view_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/view"
)

var pay = check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "pay"}

// withRuns is a view of the check pay with five closed runs, an open one and a missed tick. It returns their records, the
// newest first.
func withRuns(t *testing.T) (v *view.View, l *ledger.Ledger, records []ledger.Record) {
	t.Helper()
	l = openLedger(t)
	for i, outcome := range []check.Outcome{good, bad, good, slow, good} {
		records = append(records, record("pay", noon.Add(time.Duration(i-6)*time.Minute), outcome, time.Duration(i+1)*time.Second))
	}
	ledgertest.Fill(t, l, records)
	missed := ledger.Record{Key: record("pay", noon.Add(-time.Minute), good, 0).Key, Kind: khv1.KHCheck, Namespace: "shop", Name: "pay", Outcome: check.Missed}
	_, err := l.RecordTicks(t.Context(), []ledger.Record{missed})
	must(t, err)
	open := record("pay", noon, check.Unfinished, 0)
	open.Reported, open.Concluded, open.Recorded, open.Errors = time.Time{}, time.Time{}, time.Time{}, nil
	must(t, l.Begin(t.Context(), open))
	records = append(records, missed, open)
	slices.Reverse(records)
	return view.New(view.Options{Cluster: &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("pay")}}, Ledger: l, Now: at(noon)}), l, records
}

func TestRunsAreShownPageByPage(t *testing.T) {
	v, _, records := withRuns(t)
	for _, limit := range []int{1, 3, 7, 100} {
		var got []view.Run
		for q := (view.RunsQuery{Limit: limit}); ; {
			page, err := v.Runs(t.Context(), pay, q)
			must(t, err)
			if got = append(got, page.Runs...); page.Next == nil {
				break
			}
			q.After = *page.Next
		}
		if len(got) != len(records) {
			t.Fatalf("%d runs on pages of %d, want %d", len(got), limit, len(records))
		}
		for i, r := range records {
			run := got[i]
			if !run.Tick.Equal(r.Tick) || run.Outcome != r.Outcome || !slices.Equal(run.Errors, r.Errors) || run.String() != "shop/pay" {
				t.Errorf("run %d is %+v, want that of %+v", i, run, r)
			}
		}
	}
	page, err := v.Runs(t.Context(), pay, view.RunsQuery{Outcomes: []check.Outcome{good}, Since: records[5].Tick, Until: records[2].Tick, Limit: 10})
	must(t, err)
	if len(page.Runs) != 1 || !page.Runs[0].Tick.Equal(records[4].Tick) {
		t.Errorf("chosen runs are %+v, want that of %s", page.Runs, records[4].Tick)
	}
}

// With the UUID of an open run anyone could report.
func TestTheUUIDOfAnOpenRunIsHidden(t *testing.T) {
	v, _, records := withRuns(t)
	page, err := v.Runs(t.Context(), pay, view.RunsQuery{Limit: 10})
	must(t, err)
	for i, run := range page.Runs {
		want := records[i].WorkflowID
		if records[i].Outcome == check.Unfinished {
			want = ""
		}
		if run.UUID != want {
			t.Errorf("run %d (%q) shows the UUID %q, want %q", i, run.Outcome, run.UUID, want)
		}
		if run.Open() != (i == 0) {
			t.Errorf("run %d is open: %t", i, run.Open())
		}
	}
	if _, err := v.FindRun(t.Context(), pay, records[0].WorkflowID); !errors.Is(err, view.ErrNoRun) {
		t.Errorf("the open run is found by its UUID: error %v", err)
	}
}

func TestARunIsFoundByItsIDAndByItsUUID(t *testing.T) {
	v, _, records := withRuns(t)
	page, err := v.Runs(t.Context(), pay, view.RunsQuery{Limit: 10})
	must(t, err)
	for _, want := range page.Runs {
		ids := []string{want.ID()}
		if want.UUID != "" {
			ids = append(ids, want.UUID, strings.ToUpper(want.UUID))
		}
		for _, id := range ids {
			got, err := v.FindRun(t.Context(), pay, id)
			must(t, err)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(view.Run{})); diff != "" {
				t.Errorf("run %s (-listed +found):\n%s", id, diff)
			}
		}
	}
	for _, id := range []string{"schedule-1", "manual-" + strings.TrimPrefix(page.Runs[0].ID(), "schedule-"), "", "x", record("pay", noon, good, 0).WorkflowID} {
		if _, err := v.FindRun(t.Context(), pay, id); !errors.Is(err, view.ErrNoRun) {
			t.Errorf("run %q: error %v, want ErrNoRun", id, err)
		}
	}
	other := pay
	other.Name = "cart"
	if _, err := v.FindRun(t.Context(), other, records[1].WorkflowID); !errors.Is(err, view.ErrNoRun) {
		t.Errorf("run of another check: error %v, want ErrNoRun", err)
	}
}

func TestRunIDsAreReadAsTheyAreWritten(t *testing.T) {
	for _, id := range []view.RunID{
		{Tick: noon, Trigger: check.TriggerSchedule},
		{Tick: noon.Add(time.Microsecond), Trigger: check.TriggerManual},
		{Tick: time.UnixMicro(0), Trigger: check.TriggerJob},
		{Tick: noon, Trigger: check.TriggerFirst},
	} {
		got, err := view.ParseRunID(id.ID())
		if err != nil || !got.Tick.Equal(id.Tick) || got.Trigger != id.Trigger {
			t.Errorf("%s is read as %+v, %v", id.ID(), got, err)
		}
	}
	for _, wrong := range []string{"", "schedule", "schedule-", "-1", "moon-1", "schedule-01", "schedule-+1", "schedule--1", "schedule-9999999999999999999", "schedule-1 ", "Schedule-1", "schedule-1-1"} {
		if id, err := view.ParseRunID(wrong); err == nil {
			t.Errorf("%q is read as %+v", wrong, id)
		}
	}
}

// Without a ledger, the KHState has the last runs.
func TestRunsWithoutALedger(t *testing.T) {
	v := view.New(view.Options{Cluster: &cluster{
		checks: []*khv1.KuberhealthyCheck{newCheck("pay")}, states: []*khv1.KuberhealthyState{stateOf(khv1.KHCheck, "pay", good, slow, bad)},
	}, Now: at(noon)})
	page, err := v.Runs(t.Context(), pay, view.RunsQuery{Limit: 2})
	must(t, err)
	if len(page.Runs) != 2 || page.Next == nil {
		t.Fatalf("page is %+v, want two runs and a next page", page)
	}
	last := page.Runs[0]
	if last.Outcome != bad || last.Node != "node-1" || !slices.Equal(last.Errors, []string{"run 2 is failed"}) || last.UUID != "" || last.Duration != 2*time.Second || !last.Tick.Equal(noon.Add(-10*time.Second)) {
		t.Errorf("last run is %+v", last)
	}
	rest, err := v.Runs(t.Context(), pay, view.RunsQuery{Limit: 2, After: *page.Next})
	must(t, err)
	if len(rest.Runs) != 1 || rest.Runs[0].Outcome != good || rest.Runs[0].Errors != nil || rest.Next != nil {
		t.Errorf("second page is %+v", rest)
	}
	chosen, err := v.Runs(t.Context(), pay, view.RunsQuery{Outcomes: []check.Outcome{slow}, Since: noon.Add(-2 * time.Minute), Until: noon, Limit: 9})
	must(t, err)
	if len(chosen.Runs) != 1 || chosen.Runs[0].Outcome != slow {
		t.Errorf("chosen runs are %+v", chosen.Runs)
	}
	found, err := v.FindRun(t.Context(), pay, last.ID())
	must(t, err)
	if found.Outcome != bad {
		t.Errorf("found %+v", found)
	}
	e, err := v.Evidence(t.Context(), pay, last.ID())
	if must(t, err); len(e.Pieces) != 0 || e.Run.Outcome != bad {
		t.Errorf("evidence is %+v, want none", e)
	}
	job := pay
	job.Kind = khv1.KHJob
	for _, id := range []string{"schedule-1", "x"} {
		if _, err := v.FindRun(t.Context(), job, id); !errors.Is(err, view.ErrNoRun) {
			t.Errorf("run %s of a job of that name: error %v, want ErrNoRun", id, err)
		}
	}
}

func TestEvidenceIsShownInOrder(t *testing.T) {
	v, l, records := withRuns(t)
	failed := records[5] // the second run
	const status = `{"status": {"phase": "Failed",
		"initContainerStatuses": [{"name": "wait", "state": {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-22T11:55:00Z"}}}],
		"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 3, "reason": "Error", "message": "no card"}}},
			{"name": "helper", "state": {"running": {}}}, {"name": "late", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no image"}}}]}}`
	for _, e := range []ledger.Evidence{
		{Kind: check.EvidenceSpec, Name: "1", Content: "{}"},
		{Kind: check.EvidenceLog, Name: "1/main", Content: "end", Size: 100},
		{Kind: check.EvidenceStatus, Name: "1", Content: status},
		{Kind: check.EvidenceStatus, Name: "2", Content: "{cut"},
		{Kind: check.EvidenceReport, Content: `{"OK":false}`},
		{Kind: check.EvidenceLog, Name: "2/main", Content: "again"},
		{Kind: check.EvidenceEvents, Name: "1", Content: "events"},
	} {
		must(t, l.PutEvidence(t.Context(), failed.Key, e))
	}
	e, err := v.Evidence(t.Context(), pay, failed.WorkflowID)
	must(t, err)
	var order []string
	for _, p := range e.Pieces {
		order = append(order, p.Kind+" "+p.Name)
	}
	if want := []string{"status 1", "status 2", "events 1", "log 1/main", "log 2/main", "report ", "spec 1"}; !slices.Equal(order, want) {
		t.Errorf("pieces are %q, want %q", order, want)
	}
	log := e.Pieces[3]
	if log.Attempt != 1 || log.Container != "main" || !log.Cut() || e.Pieces[4].Attempt != 2 || e.Pieces[4].Cut() || e.Pieces[5].Attempt != 0 {
		t.Errorf("log is %+v, the next one %+v, the report %+v", log, e.Pieces[4], e.Pieces[5])
	}
	want := []view.Container{
		{Attempt: 1, Name: "wait", State: "terminated", Reason: "Completed", Finished: time.Date(2026, 11, 22, 11, 55, 0, 0, time.UTC)},
		{Attempt: 1, Name: "main", State: "terminated", ExitCode: 3, Reason: "Error", Message: "no card"},
		{Attempt: 1, Name: "helper", State: "running"},
		{Attempt: 1, Name: "late", State: "waiting", Reason: "ImagePullBackOff", Message: "no image"},
	}
	if diff := cmp.Diff(want, e.Containers); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	if none, err := v.Evidence(t.Context(), pay, records[2].WorkflowID); err != nil || len(none.Pieces) != 0 {
		t.Errorf("evidence of a success is %+v, %v", none, err)
	}
	if _, err := v.Evidence(t.Context(), pay, records[0].WorkflowID); !errors.Is(err, view.ErrNoRun) {
		t.Errorf("evidence of the open run by its UUID: error %v, want ErrNoRun", err)
	}
}
