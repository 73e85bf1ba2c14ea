package workflows_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

func ledgerDown(activities.RecordInput) error { return errors.New("database is locked") }

func ledgerRefuses(activities.RecordInput) error {
	return temporal.NewNonRetryableApplicationError("the ledger refuses", activities.RecordRefused, nil)
}

func TestRecordOfARun(t *testing.T) {
	w := newWorld(t)
	w.creates(activities.CreatePodResult{At: tick.Add(time.Second), SpecHash: "abc"})
	w.reportAfter(5*time.Second, "broken")
	began := w.env.Now().UTC()
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	if len(w.records) != 1 {
		t.Fatalf("%d records, want 1", len(w.records))
	}
	got := w.records[0]
	want := activities.RecordKey{Ref: checkRef, Trigger: check.TriggerSchedule, Tick: tick}
	if got.RecordKey != want || got.UUID != runUUID {
		t.Errorf("record is of %+v and run %s, want %+v and %s", got.RecordKey, got.UUID, want, runUUID)
	}
	if got.Attempts != 1 || got.SpecHash != "abc" || got.Revision != 1 {
		t.Errorf("record has %d attempts, spec %q, revision %d, want 1, abc, 1", got.Attempts, got.SpecHash, got.Revision)
	}
	if !got.Seen.Ended {
		t.Error("record does not say that the pod has ended")
	}
	if got.Conclusion.Outcome != check.Failed || !cmp.Equal(got.Conclusion.Errors, []string{"broken"}) || !got.Conclusion.Reported {
		t.Errorf("outcome is %+v", got.Conclusion)
	}
	for name, times := range map[string][2]time.Time{
		"Started":   {began, got.Conclusion.Started},
		"Concluded": {began.Add(5 * time.Second), got.Conclusion.Concluded},
		"Reported":  {began.Add(5 * time.Second), got.Reported},
		"Recorded":  {began.Add(11 * time.Second), got.Recorded},
		"Created":   {tick.Add(time.Second), got.Created},
	} {
		if want, got := times[0], times[1]; !got.Equal(want) {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if in := w.created[0]; in.Key != want || !in.Started.Equal(began) {
		t.Errorf("the creation of the pod opens the record of %+v, started %s", in.Key, in.Started)
	}
}

func TestRecordOfARunWhoseReportIsFasterThanTheNewsOfItsPod(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(100 * time.Millisecond)
	result, err := w.execute(t, checkRef)
	if err != nil || w.records[0].Conclusion.Node != "node-1" || result.Node != "node-1" {
		t.Errorf("nodes are %q and %q, error %v, want that of the pod", w.records[0].Conclusion.Node, result.Node, err)
	}
}

// While the ledger is down, the run ends within seconds, and its record waits in its result.
func TestRecordThatTheLedgerDoesNotTakeWaitsInTheResult(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5*time.Second, "broken")
	var last activities.RecordInput
	w.ledger = func(in activities.RecordInput) error { last = in; return ledgerDown(in) }
	began := w.env.Now()
	result, err := w.execute(t, checkRef)
	if err != nil || result.Outcome != check.Failed || len(result.Notes) != 0 {
		t.Fatalf("result is %+v, error %v; want the run to end as if the ledger were there", result, err)
	}
	want := &activities.Unrecorded{Key: activities.RecordKey{Ref: checkRef, Trigger: check.TriggerSchedule, Tick: tick}, Record: &last}
	if diff := cmp.Diff(want, result.Unrecorded); diff != "" {
		t.Errorf("what waits (-want +got):\n%s", diff)
	}
	if took := w.env.Now().Sub(began); took > 20*time.Second {
		t.Errorf("took %s, want the run not to wait for the ledger", took)
	}
}

func TestRecordThatTheLedgerTakesDoesNotWait(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5 * time.Second)
	tries := 0
	w.ledger = func(in activities.RecordInput) error {
		if tries++; tries == 1 {
			return ledgerDown(in)
		}
		return nil
	}
	result, err := w.execute(t, checkRef)
	if err != nil || result.Unrecorded != nil || len(w.records) != 1 {
		t.Errorf("result is %+v, error %v, %d records", result, err, len(w.records))
	}
}

// A record that the ledger will never take is noted, and does not wait.
func TestRecordThatTheLedgerRefusesDoesNotWait(t *testing.T) {
	w := newWorld(t)
	w.ledger = ledgerRefuses
	w.reportAfter(5 * time.Second)
	result, err := w.execute(t, checkRef)
	if err != nil || !result.OK() || !cmp.Equal(result.Notes, []string{"the ledger refuses"}) || result.Unrecorded != nil {
		t.Errorf("result is %+v, error %v", result, err)
	}
}

func TestLateReportBecomesTheOutcomeAndAmendsTheRecord(t *testing.T) {
	for name, watch := range map[string]func(*world){
		"after the deadline":     func(w *world) { w.watch, w.watchTakes = running, time.Minute },
		"after the pod was gone": func(w *world) { w.watch = crashed },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			watch(w)
			w.atTheEnd = func() { w.reportReceived(2 * time.Second) }
			result, err := w.execute(t, checkRef)
			if err != nil || result.Outcome != check.Succeeded || len(w.outcomes) != 2 || w.outcomes[1].Conclusion.Outcome != check.Succeeded {
				t.Errorf("result is %+v, error %v, recorded %v, want the report that was accepted", result, err, w.texts())
			}
			if len(w.records) != 2 || w.records[1].Conclusion.Outcome != check.Succeeded || w.records[1].Revision != 2 || w.records[0].Revision != 1 {
				t.Errorf("records are %+v, want the second to amend the first", w.records)
			}
			if result.Flaky {
				t.Error("the run is flaky, although the report is that of its only attempt")
			}
			if len(result.Notes) != 1 || !strings.HasPrefix(result.Notes[0], "the report came late; before it: "+prefix) {
				t.Errorf("notes are %q", result.Notes)
			}
		})
	}
}

// The record that waits is the newest: a late report replaces the one before.
func TestLateReportIsInTheRecordThatWaits(t *testing.T) {
	w := newWorld(t)
	w.watch, w.ledger, w.atTheEnd = crashed, ledgerDown, func() { w.report() }
	result, err := w.execute(t, checkRef)
	if err != nil || result.Unrecorded == nil {
		t.Fatalf("result is %+v, error %v", result, err)
	}
	if got := result.Unrecorded.Record; got.Revision != 2 || got.Conclusion.Outcome != check.Succeeded {
		t.Errorf("record that waits is %+v, want that of the late report", got)
	}
}

// When the ledger is down for the first record and back for the one with the late report, nothing is missing.
func TestRecordDoesNotWaitWhenTheOneWithTheLateReportIsTaken(t *testing.T) {
	w := newWorld(t)
	w.watch, w.atTheEnd = crashed, func() { w.report() }
	w.ledger = func(in activities.RecordInput) error {
		if in.Revision == 1 {
			return ledgerDown(in)
		}
		return nil
	}
	result, err := w.execute(t, checkRef)
	if err != nil || result.Unrecorded != nil || !cmp.Equal(w.results(), []check.Outcome{check.Succeeded}) {
		t.Errorf("result is %+v, error %v, the ledger has %v", result, err, w.results())
	}
}

// A report of the largest size must not stop its run. Temporal treats a workflow that computes for more than a second as
// hung, and ends one whose result is larger than 2 MiB. The state has the whole report; record and result are cut.
func TestLargestReports(t *testing.T) {
	tests := []struct {
		name   string
		errors []string
	}{
		{"as many errors as there may be", strings.Split(strings.Repeat("x", 131_000), "")},
		{"one long error", []string{strings.Repeat("x", 512<<10)}},
		{"one long error that takes five times as much when it is quoted", []string{strings.Repeat("\x7f", 512<<10)}},
	}
	for _, tt := range tests {
		for name, watch := range map[string]func() (check.Observation, error){"exits": exited, "does not exit": running} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				w := newWorld(t)
				w.watch, w.ledger = watch, ledgerDown
				w.reportAfter(5*time.Second, tt.errors...)
				result, err := w.execute(t, checkRef)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.errors, w.outcomes[0].Conclusion.Errors); diff != "" {
					t.Errorf("errors in the state differ (-want +got):\n%.1000s", diff)
				}
				const most = 32 * (4<<10 + 100) // as check.Outcome.Bounded says
				for where, conclusion := range map[string]check.Conclusion{"result": result.Conclusion, "record": result.Unrecorded.Record.Conclusion} {
					if n := len(strings.Join(conclusion.Errors, "")); n == 0 || n > most {
						t.Errorf("%s has errors of %d bytes, want at most %d", where, n, most)
					}
				}
				if encoded, err := json.Marshal(result); err != nil || len(encoded) > 1<<20 {
					t.Errorf("result has %d bytes, %v, want at most 1 MiB", len(encoded), err)
				}
			})
		}
	}
}
