package workflows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/workflows"
)

var followed = []check.Piece{{Kind: check.EvidenceLog, Name: "main", Content: "interrupted"}}

func evictedWithLogs() (check.Observation, error) {
	seen, _ := evicted()
	seen.Logs = followed
	return seen, nil
}

func encoded(report *check.ReceivedReport) string {
	if report == nil {
		return ""
	}
	content, _ := report.Evidence()
	return string(content)
}

func TestWhichAttemptsKeepEvidence(t *testing.T) {
	failure := check.InvalidSpec(errors.New("bad"))
	tests := []struct {
		name     string
		setup    func(w *world)
		attempts []int // whose evidence is stored
		report   string
		logs     int      // how many attempts had their logs followed
		when     [][2]int // how many outcomes were recorded and pods deleted by then
	}{
		{"success", func(w *world) { w.reportAfter(5 * time.Second) }, nil, "", 0, nil},
		{"reported failure", func(w *world) { w.reportAfter(5*time.Second, "broken") }, []int{1}, `{"Errors":["broken"],"OK":false}`, 0, [][2]int{{1, 0}}},
		{"crash", func(w *world) { w.watch = crashed }, []int{1}, "", 0, [][2]int{{1, 0}}},
		{"deadline", func(w *world) { w.watch, w.watchTakes = running, time.Minute }, []int{1}, "", 0, [][2]int{{1, 0}}},
		{
			"reported and did not exit",
			func(w *world) { w.watch, w.watchTakes = running, 2*time.Minute; w.reportAfter(5 * time.Second) },
			[]int{1},
			`{"Errors":[],"OK":true}`, 0,
			[][2]int{{2, 0}},
		},
		{"spec is not valid", func(w *world) { w.creates(activities.CreatePodResult{Failure: &failure}) }, nil, "", 0, nil},
		{
			"evicted until the deadline", func(w *world) { w.watch = evictedWithLogs },
			[]int{1, 2, 3, 4},
			"", 3,
			[][2]int{{0, 0}, {0, 0}, {0, 0}, {1, 0}},
		},
		{
			"evicted and then OK", func(w *world) { w.firstThen(evictedWithLogs, exited); w.reportAfter(20 * time.Second) },
			[]int{1},
			"", 1,
			[][2]int{{0, 0}},
		},
		{
			"image that cannot be pulled", func(w *world) { w.watchTakes, w.watch = time.Second, hopeless("ErrImagePull") },
			[]int{1, 2, 3, 4, 6},
			"", 0,
			[][2]int{{1, 0}, {1, 1}, {1, 2}, {1, 3}, {2, 5}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			var when [][2]int
			w.evidence = func(activities.EvidenceInput) (activities.EvidenceResult, error) {
				when = append(when, [2]int{len(w.outcomes), len(w.removed)})
				return activities.EvidenceResult{}, nil
			}
			tt.setup(w)
			if _, err := w.execute(t, checkRef); err != nil {
				t.Fatal(err)
			}
			var attempts []int
			logs := 0
			for _, in := range w.kept {
				attempts = append(attempts, in.Attempt)
				if cmp.Equal(in.Logs, followed) {
					logs++
				}
				if in.UUID != runUUID || in.Tick != tick || in.Ref != checkRef || in.Pod.Name != podOf(checkRef, in.Attempt) {
					t.Errorf("evidence of %+v was collected", in)
				}
				if got := encoded(in.Report); got != tt.report || in.Further != nil {
					t.Errorf("report is %s, want %q, and further %s", got, tt.report, encoded(in.Further))
				}
			}
			for what, diff := range map[string]string{
				"attempts": cmp.Diff(tt.attempts, attempts), "logs": cmp.Diff(tt.logs, logs), "recorded, deleted": cmp.Diff(tt.when, when),
			} {
				if diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			if len(w.records) != 1 || len(w.records[0].Seen.Logs) != 0 {
				t.Errorf("records are %+v, want one without the logs", w.records)
			}
		})
	}
}

// A record takes a limited number of pieces. Of many attempts, the evidence of the first four and of the last is stored.
func TestEvidenceOfTheFirstFourAndTheLastAttemptIsStored(t *testing.T) {
	w := newWorld(t)
	w.creates(activities.CreatePodResult{Attempts: 7})
	w.watch, w.watchTakes = crashed, time.Second
	if _, err := w.execute(t, checkRef); err != nil {
		t.Fatal(err)
	}
	var attempts []int
	for _, in := range w.kept {
		attempts = append(attempts, in.Attempt)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4, 7}, attempts); diff != "" || len(w.created) != 7 {
		t.Errorf("%d attempts; evidence of (-want +got):\n%s", len(w.created), diff)
	}
}

// What the ledger did not take waits in the result of the run, although the ledger has the record.
func TestEvidenceThatTheLedgerDoesNotTakeWaitsInTheResult(t *testing.T) {
	w := newWorld(t)
	pieces := []check.Piece{{Kind: check.EvidenceSpec, Name: "1", Content: "{}"}, {Kind: check.EvidenceLog, Name: "1/main", Content: "panic"}}
	w.evidence = func(activities.EvidenceInput) (activities.EvidenceResult, error) {
		return activities.EvidenceResult{Waiting: pieces}, nil
	}
	w.reportAfter(5*time.Second, "broken")
	result, err := w.execute(t, checkRef)
	if err != nil {
		t.Fatal(err)
	}
	want := &activities.Unrecorded{Key: activities.RecordKey{Ref: checkRef, Trigger: check.TriggerSchedule, Tick: tick}, Evidence: pieces}
	if diff := cmp.Diff(want, result.Unrecorded); diff != "" {
		t.Errorf("what waits (-want +got):\n%s", diff)
	}
	if got, _ := w.attributes.GetKeyword(workflows.SearchAttributeRecord); got != workflows.RecordWaiting {
		t.Errorf("KhRecord is %q, want that the run is found by it", got)
	}
}

// Evidence that waits goes through Temporal, whose results have a limit.
func TestTooMuchEvidenceDoesNotWait(t *testing.T) {
	w := newWorld(t)
	w.evidence = func(activities.EvidenceInput) (activities.EvidenceResult, error) {
		return activities.EvidenceResult{Waiting: []check.Piece{{Kind: check.EvidenceLog, Content: strings.Repeat("x", 200<<10)}}}, nil
	}
	w.creates(activities.CreatePodResult{Attempts: 4})
	w.watch, w.watchTakes = crashed, time.Second
	result, err := w.execute(t, checkRef)
	if err != nil || result.Unrecorded == nil || len(result.Unrecorded.Evidence) != 2 {
		t.Fatalf("error %v, want two of four pieces to wait", err)
	}
	if !slices.Contains(result.Notes, "evidence was not kept: there is too much of it to wait for the ledger") {
		t.Errorf("notes are %q", result.Notes)
	}
}

// A run ends as usual when its evidence cannot be stored, and its record says so.
func TestRunEndsAsEverWhenEvidenceCannotBeStored(t *testing.T) {
	w := newWorld(t)
	w.evidence = func(activities.EvidenceInput) (activities.EvidenceResult, error) {
		return activities.EvidenceResult{}, errors.New("no memory")
	}
	w.reportAfter(5*time.Second, "broken")
	result, err := w.execute(t, checkRef)
	if err != nil || result.Outcome != check.Failed || !cmp.Equal(result.Notes, []string{"evidence was not kept: no memory"}) {
		t.Errorf("result is %+v, error %v", result, err)
	}
	if len(w.records) != 1 || !cmp.Equal(w.records[0].Conclusion.Notes, result.Notes) {
		t.Errorf("records are %+v", w.records)
	}
}

// The first report after the one that counts is stored, whatever the outcome.
func TestFurtherReportIsEvidence(t *testing.T) {
	w := newWorld(t)
	w.reportAfter(5 * time.Second)
	w.reportAfter(6 * time.Second)
	w.atTheEnd = func() { w.report("a third one") }
	result, err := w.execute(t, checkRef)
	if err != nil || !result.OK() || len(result.Notes) != 2 {
		t.Errorf("result is %+v, error %v", result, err)
	}
	if len(w.kept) != 1 || w.kept[0].Attempt != 0 || w.kept[0].Pod.Name != "" || w.kept[0].Report != nil {
		t.Fatalf("evidence was collected by %+v", w.kept)
	}
	if got := encoded(w.kept[0].Further); got != `{"Errors":[],"OK":true}` {
		t.Errorf("stored %s", got)
	}
}

// The pod of an attempt is read once, also when the run ends with this attempt. A report that arrived meanwhile is stored.
func TestEvidenceOfAnAttemptIsCollectedOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		setup   func(*world)
		reports []bool // of each collection, whether it had a report
	}{
		"its pod stays": {func(w *world) {
			w.stuck, w.watch, w.look = true, hopeless("ErrImagePull"), hopeless("ErrImagePull")
		}, []bool{false}},
		"its report arrived late": {func(w *world) { w.watch = evicted; w.reportAfter(12500*time.Millisecond, "in time") }, []bool{false, true}},
		"its report arrived at the end": {
			func(w *world) { w.watch, w.atTheEnd = crashed, func() { w.report("at the end") } },
			[]bool{false, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.setup(w)
			if _, err := w.execute(t, checkRef); err != nil {
				t.Fatal(err)
			}
			var reports []bool
			for i, in := range w.kept {
				reports = append(reports, in.Report != nil)
				if (in.Pod.Name != "") != (i == 0) || in.Attempt != 1 {
					t.Errorf("evidence of %+v was collected", in)
				}
			}
			if diff := cmp.Diff(tt.reports, reports); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLateReportOfAClosedRun(t *testing.T) {
	want := activities.RecordKey{Ref: checkRef, Trigger: check.TriggerJob, Tick: tick}
	payload, err := converter.GetDefaultDataConverter().ToPayload(want)
	if err != nil {
		t.Fatal(err)
	}
	memo := &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoRecordKey: payload}}
	report := check.Received(status.NewReport([]string{"I am " + runUUID}))
	late, ok := workflows.LateReportOf(runUUID, memo, report, tick.Add(time.Minute))
	const said = `{"Errors":["I am ************************************"],"OK":false}`
	piece := check.Piece{Kind: check.EvidenceLate, Content: "2026-03-01T12:01:00Z " + said, Size: len(said)}
	if diff := cmp.Diff(activities.LateReport{Key: want, Piece: piece}, late); diff != "" || !ok {
		t.Errorf("ok %t, late report (-want +got):\n%s", ok, diff)
	}
	broken := &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoRecordKey: {Metadata: payload.Metadata, Data: []byte("?")}}}
	for name, memo := range map[string]*commonpb.Memo{"none": nil, "empty": {}, "broken": broken} {
		if _, ok := workflows.LateReportOf(runUUID, memo, report, tick); ok {
			t.Errorf("memo %s: a report was taken", name)
		}
	}
}

// A long late report is cut, also within a UUID or a character, and shows no part of the UUID.
func TestLongLateReportIsCut(t *testing.T) {
	payload, err := converter.GetDefaultDataConverter().ToPayload(activities.RecordKey{Ref: checkRef, Tick: tick})
	if err != nil {
		t.Fatal(err)
	}
	memo := &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoRecordKey: payload}}
	for _, filler := range []string{strings.Repeat(runUUID, 1000), strings.Repeat("€", 10000)} {
		late, ok := workflows.LateReportOf(runUUID, memo, check.Received(status.NewReport([]string{filler})), tick)
		if n := len(late.Piece.Content); !ok || n > 9<<10 || late.Piece.Size < 30000 || strings.Contains(late.Piece.Content, runUUID[:8]) {
			t.Errorf("ok %t, %d of %d bytes: %.80s", ok, n, late.Piece.Size, late.Piece.Content)
		}
	}
}
