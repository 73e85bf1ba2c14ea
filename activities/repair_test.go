package activities_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// waitingRuns are closed runs with records that wait. They ended from a time on, a second apart.
func waitingRuns(from time.Time, n int) *fakeRuns {
	f := &fakeRuns{unrecorded: map[string]activities.Unrecorded{}}
	for i := range n {
		run := activities.WaitingRun{UUID: fmt.Sprint("run-", i), RunID: fmt.Sprint("execution-", i), Closed: from.Add(time.Duration(i) * time.Second)}
		record := finishedRun()
		record.UUID, record.Tick = run.UUID, from.Add(time.Duration(i)*time.Second)
		f.waiting = append(f.waiting, run)
		f.unrecorded[run.UUID] = activities.Unrecorded{
			Key: record.RecordKey, Record: &record, Evidence: []check.Piece{{Kind: check.EvidenceLog, Name: "1/main", Content: run.UUID}},
		}
	}
	return f
}

// repair runs the activity and returns what it did.
func repair(t *testing.T, runs *fakeRuns, kept activities.Ledger, in activities.RepairInput) activities.RepairResult {
	t.Helper()
	a, env := worker(&fakeCluster{})
	a.Runs, a.Ledger = runs, kept
	encoded, err := env.ExecuteActivity(a.RepairRecords, in)
	return value[activities.RepairResult](t, encoded, err)
}

func finishedRuns(kept *fakeLedger) (uuids []string) {
	for _, record := range kept.finished {
		uuids = append(uuids, record.WorkflowID)
	}
	return uuids
}

func lateReport() activities.LateReport {
	return activities.LateReport{Key: finishedRun().RecordKey, Piece: check.Piece{Kind: check.EvidenceLate, Content: "late"}}
}

// emptyIsNone is for results that went through JSON.
var emptyIsNone = cmpopts.EquateEmpty()

func TestRepairEntersRecordsThatWaitTheOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		since := now.Add(-time.Hour)
		runs, kept := waitingRuns(since.Add(time.Minute), 3), &fakeLedger{}
		got := repair(t, runs, kept, activities.RepairInput{Since: since, Late: []activities.LateReport{lateReport()}})
		if diff := cmp.Diff(activities.RepairResult{Until: now.Add(-time.Minute), Entered: 3}, got, emptyIsNone); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"run-0", "run-1", "run-2"}, finishedRuns(kept)); diff != "" {
			t.Errorf("entered (-want +got):\n%s", diff)
		}
		if len(kept.evidence) != 4 || kept.evidence[0].Kind != check.EvidenceLate || kept.evidence[1].Content != "run-0" {
			t.Errorf("evidence is %v, want the late report and that of each run", kept.evidence)
		}
		if !runs.since.Equal(since) {
			t.Errorf("listed runs since %s, want %s", runs.since, since)
		}
	})
}

func TestRepairGoesNoFurtherThanWhatIsEntered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Now().Add(-time.Hour)
		tests := []struct {
			name   string
			slow   time.Duration
			unread string
			until  time.Time
			n      int
		}{
			{"after 20 s", 6 * time.Second, "", since.Add(3*time.Second - time.Millisecond), 4},
			{"when a result cannot be read", 0, "run-2", since.Add(time.Second - time.Millisecond), 9},
		}
		for _, tt := range tests {
			runs, kept := waitingRuns(since, 10), &fakeLedger{}
			runs.slow, runs.unread = tt.slow, tt.unread
			got := repair(t, runs, kept, activities.RepairInput{Since: since.Add(-time.Second)})
			if !got.Until.Equal(tt.until) || got.Entered != tt.n {
				t.Errorf("%s: result is %+v, want %d entered, and to go on from %s", tt.name, got, tt.n, tt.until)
			}
			runs.slow, runs.unread = 0, ""
			got = repair(t, runs, kept, activities.RepairInput{Since: got.Until})
			seen := map[string]bool{}
			for _, uuid := range finishedRuns(kept) {
				seen[uuid] = true
			}
			if len(seen) != 10 || !got.Until.Equal(time.Now().Add(-time.Minute)) {
				t.Errorf("%s: %d runs are entered in the end, until %s, want 10", tt.name, len(seen), got.Until)
			}
		}
	})
}

// After a long outage, each minute has more waiting records than one repair enters. Each repair continues where the one
// before ended.
func TestRepairGoesOnWhereTheOneBeforeEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, kept := waitingRuns(time.Now().Add(-50*time.Second), 50), &fakeLedger{}
		runs.slow = time.Second
		var got activities.RepairResult
		for range 4 {
			time.Sleep(30 * time.Second)
			got = repair(t, runs, kept, activities.RepairInput{Since: got.Until})
		}
		seen := map[string]bool{}
		for _, uuid := range finishedRuns(kept) {
			seen[uuid] = true
		}
		if len(seen) != 50 {
			t.Errorf("%d of 50 records are entered after four repairs, until %s", len(seen), got.Until)
		}
	})
}

// After a very long outage more records wait than can be listed together.
func TestRepairEntersMoreRecordsThanAreListedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, kept := waitingRuns(time.Now().Add(-time.Hour), 500), &fakeLedger{}
		runs.listed = 20
		got := repair(t, runs, kept, activities.RepairInput{})
		for n, uuid := range finishedRuns(kept) {
			if want := fmt.Sprint("run-", n); uuid != want {
				t.Fatalf("record %d is that of %s, want %s: the oldest first, each once", n, uuid, want)
			}
		}
		if got.Entered != 500 || !got.Until.Equal(time.Now().Add(-time.Minute)) {
			t.Errorf("result %+v, want 500 entered", got)
		}
	})
}

// Temporal may list a run late: the next repair still finds it.
func TestRepairFindsARunThatIsListedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, kept := waitingRuns(time.Now(), 2), &fakeLedger{}
		first := *late
		first.waiting = late.waiting[1:]
		time.Sleep(5 * time.Second)
		got := repair(t, &first, kept, activities.RepairInput{Since: time.Now().Add(-time.Hour)})
		repair(t, late, kept, activities.RepairInput{Since: got.Until})
		if uuids := finishedRuns(kept); !slices.Contains(uuids, "run-0") {
			t.Errorf("entered %v, want run-0 as well", uuids)
		}
	})
}

// A record that the ledger will never take does not prevent the others from being entered.
func TestRepairLeavesOutWhatTheLedgerRefuses(t *testing.T) {
	for name, refuse := range map[string]error{"another run's": ledger.ErrOtherRun, "not valid": ledger.ErrInvalid} {
		synctest.Test(t, func(t *testing.T) {
			kept := &answering{fakeLedger{refuse: refuse}}
			runs := waitingRuns(time.Now().Add(-time.Hour), 3)
			for uuid, left := range runs.unrecorded {
				left.Evidence = nil
				runs.unrecorded[uuid] = left
			}
			got := repair(t, runs, kept, activities.RepairInput{})
			if !got.Until.Equal(time.Now().Add(-time.Minute)) || len(kept.finished) != 3 {
				t.Errorf("%s: result is %+v after %v, want all of them tried", name, got, finishedRuns(&kept.fakeLedger))
			}
		})
	}
}

// answering is a ledger that answers a ping, whatever it answers to records.
type answering struct{ fakeLedger }

func (a *answering) Ping(context.Context) error { return nil }

func TestRepairDoesNothingWhileTheLedgerDoesNotAnswer(t *testing.T) {
	for name, kept := range map[string]*fakeLedger{"refuses": {refuse: ledger.ErrUnavailable}, "hangs": {hang: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				since := time.Now().Add(-time.Hour)
				runs := waitingRuns(since, 3)
				kept.open = []ledger.Record{openRun("a", "run-0", time.Hour)}
				began := time.Now()
				got := repair(t, runs, kept, activities.RepairInput{Since: since, Late: []activities.LateReport{lateReport()}})
				want := activities.RepairResult{Until: since, Late: []activities.LateReport{lateReport()}}
				if diff := cmp.Diff(want, got); diff != "" || len(kept.finished) > 0 || !runs.since.IsZero() {
					t.Errorf("finished %v, result (-want +got):\n%s", kept.finished, diff)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("took %s: the next heartbeat waits for it", took)
				}
			})
		})
	}
	got := repair(t, waitingRuns(tick, 3), nil, activities.RepairInput{Since: tick, Late: []activities.LateReport{lateReport()}})
	if diff := cmp.Diff(activities.RepairResult{Until: tick}, got); diff != "" {
		t.Errorf("result without a ledger (-want +got):\n%s", diff)
	}
}

// openRun is the open record of a run whose deadline was this long ago.
func openRun(name, uuid string, ago time.Duration) ledger.Record {
	deadline := time.Now().Add(-ago)
	return ledger.Record{
		Key:  ledger.Key{CheckUID: "u-" + name, Trigger: check.TriggerSchedule, Tick: deadline.Add(-time.Minute)},
		Kind: khv1.KHCheck, Namespace: "shop", Name: name, Started: deadline.Add(-time.Minute), Deadline: deadline, Attempts: 2,
		WorkflowID: uuid, RunID: "execution", WorkerBuild: "v1",
	}
}

func TestRepairClosesTheRecordsOfLostRuns(t *testing.T) {
	elsewhere := func(r ledger.Record) ledger.Record { r.Namespace = "bank"; return r }
	const m = time.Minute
	synctest.Test(t, func(t *testing.T) {
		tests := []struct {
			name string
			open ledger.Record
			lost bool
		}{
			{"after its deadline", openRun("a", "lost", 2*m+time.Second), true},
			{"soon after its deadline", openRun("a", "lost", 2*m-time.Second), false},
			{"before its deadline", openRun("a", "lost", -m), false},
			{"while Temporal has it open", openRun("a", "open", time.Hour), false},
			{"of a namespace that another worker watches", elsewhere(openRun("a", "lost", time.Hour)), false},
		}
		for _, tt := range tests {
			kept := &fakeLedger{open: []ledger.Record{tt.open}}
			got := repair(t, &fakeRuns{open: []string{"open"}}, kept, activities.RepairInput{})
			if tt.lost != (got.Lost == 1) || tt.lost != (len(kept.finished) == 1) {
				t.Errorf("%s: result is %+v, finished %v, want it lost: %t", tt.name, got, kept.finished, tt.lost)
			}
			if !tt.lost {
				continue
			}
			record := kept.finished[0]
			want := tt.open
			want.Outcome, want.WorkerBuild, want.Errors = check.InfraFailed, "", record.Errors
			if diff := cmp.Diff(want, record); diff != "" || len(record.Errors) != 1 {
				t.Errorf("%s: errors %q, record (-want +got):\n%s", tt.name, record.Errors, diff)
			}
		}
	})
}

func TestRepairLooksAtAllOpenRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &fakeLedger{}
		for n := range 250 {
			uuid := "lost"
			if n%5 == 0 {
				uuid = "open"
			}
			kept.open = append(kept.open, openRun(fmt.Sprintf("%03d", n), uuid, time.Hour))
		}
		got := repair(t, &fakeRuns{open: []string{"open"}}, kept, activities.RepairInput{})
		if got.Lost != 200 || len(kept.open) != 50 {
			t.Errorf("%d lost, %d stay open, want 200 and 50", got.Lost, len(kept.open))
		}
	})
}

// A run that has just ended may not be listed yet. Its record waits in its result, and would be refused later: a lost run is
// recorded with the same revision.
func TestARunWhoseRecordWaitsIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := waitingRuns(time.Now(), 1)
		runs.waiting = nil
		kept := &fakeLedger{open: []ledger.Record{openRun("a", "run-0", time.Hour)}}
		got := repair(t, runs, kept, activities.RepairInput{})
		if got.Lost != 0 || got.Entered != 1 || len(kept.finished) != 1 || kept.finished[0].Outcome != check.Failed {
			t.Errorf("result is %+v, finished %+v, want the record of the run itself", got, kept.finished)
		}
	})
}

// If one part of a repair fails, the other parts stay done. Otherwise the next repair would do them again.
func TestRepairReturnsWhatItDidAlthoughTemporalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Now().Add(-time.Hour)
		kept := &fakeLedger{open: []ledger.Record{openRun("a", "lost", time.Hour)}}
		got := repair(t, &fakeRuns{down: true}, kept, activities.RepairInput{Since: since, Late: []activities.LateReport{lateReport()}})
		if diff := cmp.Diff(activities.RepairResult{Until: since}, got, emptyIsNone); diff != "" || len(kept.evidence) != 1 || len(kept.finished) > 0 {
			t.Errorf("evidence %v, finished %v, result (-want +got):\n%s", kept.evidence, kept.finished, diff)
		}
	})
}
