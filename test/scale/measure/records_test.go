package measure_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/test/scale/measure"
)

func TestCompare(t *testing.T) {
	record := func(due float64, run, outcome string) measure.Record {
		return measure.Record{Tick: after(due), Run: run, Outcome: outcome}
	}
	run := func(id string, due float64, outcome string) measure.Run {
		return measure.Run{ID: id, Tick: after(due), Outcome: outcome}
	}
	records := []measure.Record{record(60, "a", "succeeded"), record(120, "b", "failed"), record(180, "", "skipped")}
	runs := []measure.Run{run("a", 60, "succeeded"), run("b", 120, "failed")}
	tests := []struct {
		name    string
		records []measure.Record
		runs    []measure.Run
		missing int
		wrong   []string
	}{
		{"all there", records, runs, 0, nil},
		{
			"what is not in the window does not count", append(slices.Clone(records), record(240, "c", ""), record(7, "d", "")),
			append(slices.Clone(runs), run("z", 300, "failed")), 0,
			[]string{},
		},
		{"a tick without a record", records[:2], runs, 1, []string{"check was due at 2026-11-28T12:03:00Z and has no record"}},
		{
			"an open record",
			[]measure.Record{records[0], record(120, "b", ""), records[2]},
			[]measure.Run{runs[0], run("b", 120, "")},
			1,
			[]string{"check was due at 2026-11-28T12:02:00Z and its record is open"},
		},
		{
			"a run without a record",
			[]measure.Record{records[0], record(120, "", "missed"), records[2]},
			runs, 0,
			[]string{"check has no record of run b, due at 2026-11-28T12:02:00Z"},
		},
		{"a record of no run", records, runs[:1], 0, []string{"check has a record at 2026-11-28T12:02:00Z of run b, which Temporal does not have"}},
		{
			"another outcome", records,
			[]measure.Run{runs[0], run("b", 120, "succeeded")},
			0,
			[]string{`check has a record at 2026-11-28T12:02:00Z that says "failed", and its run says "succeeded"`},
		},
		{"a record twice", append(slices.Clone(records), records[2]), runs, 0, []string{"check has two records at 2026-11-28T12:03:00Z"}},
		{
			"a record beside the ticks", append(slices.Clone(records), record(61, "", "missed")), runs, 0,
			[]string{"check has a record at 2026-11-28T12:01:01Z, when it was not due"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := measure.ScheduleOf(noon, time.Minute).Compare("check", tt.records, tt.runs, after(30), after(200))
			if got.Due != 3 || got.Recorded != 3-tt.missing {
				t.Errorf("%d due, %d recorded, want 3 and %d", got.Due, got.Recorded, 3-tt.missing)
			}
			if tt.wrong != nil {
				got.Wrong = append([]string{}, got.Wrong...)
			}
			if diff := cmp.Diff(tt.wrong, got.Wrong); diff != "" {
				t.Errorf("wrong -want +got:\n%s", diff)
			}
		})
	}
}

func TestRecordsOfSeveralChecksAreAdded(t *testing.T) {
	var sum measure.Records
	sum.Add(measure.Records{Due: 3, Recorded: 2, Outcomes: map[string]int{"failed": 2}, Wrong: []string{"one"}})
	sum.Add(measure.Records{Due: 2, Recorded: 2, Outcomes: map[string]int{"failed": 1, "missed": 1}, Wrong: []string{"two"}})
	want := measure.Records{Due: 5, Recorded: 4, Outcomes: map[string]int{"failed": 3, "missed": 1}, Wrong: []string{"one", "two"}}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("records -want +got:\n%s", diff)
	}
}
