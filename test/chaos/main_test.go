//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/test/chaos/proof"
	"github.com/khronicle/khronicle/workflows"
)

func TestReadOptions(t *testing.T) {
	for _, c := range []struct {
		args, fails string
	}{
		{args: ""},
		{args: "-ledger postgres -seed 7 -checks 1 -interval 1s"},
		{args: "-ledger mysql", fails: "mysql"},
		{args: "-checks 0", fails: "at least"},
		{args: "-fault-every 0s", fails: "at least"},
		{args: "-interval 5ms", fails: "at least"},
		{args: "more", fails: `unknown argument "more"`},
	} {
		o, err := readOptions(strings.Fields(c.args))
		if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%s: error %v, want %q", c.args, err, c.fails)
		}
		if err == nil && (o.Postgres != strings.Contains(c.args, "postgres") || !strings.HasPrefix(o.store, "/") || !strings.HasPrefix(o.state, "/")) {
			t.Errorf("%s: %+v", c.args, o)
		}
	}
}

func TestShow(t *testing.T) {
	var out strings.Builder
	show(&out, proof.Result{
		Figures: []proof.Figure{{Name: "rows", Count: 3}}, Violations: []proof.Violation{{Rule: proof.Open, Text: "cart is open"}},
	})
	if want := "rows  3\nVIOLATION open: cart is open\n"; out.String() != want {
		t.Errorf("shows %q, want %q", out.String(), want)
	}
}

func TestHangOption(t *testing.T) {
	for args, want := range map[string]time.Duration{
		"-for 2m": 0, "-for 5m": 2 * time.Minute, "-for 5m -hang 0": 0, "-for 1m -hang 20s": 20 * time.Second,
	} {
		o, err := readOptions(strings.Fields(args))
		if err != nil || o.Hang != want {
			t.Errorf("%s: hangs for %s, error %v, want %s", args, o.Hang, err, want)
		}
	}
}

func TestAddTick(t *testing.T) {
	start := time.Date(2030, 4, 1, 12, 0, 0, 0, time.UTC)
	in := workflows.ScheduledCheckInput{Ref: check.Ref{Name: "cart"}, Trigger: check.TriggerSchedule, Schedule: check.ScheduleSpec{RunInterval: "10s"}}
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	result := func(seconds float64, outcome check.Result) *workflows.ScheduledCheckResult {
		return &workflows.ScheduledCheckResult{Anchor: start, Nominal: at(seconds), Outcome: outcome}
	}
	f := &proof.Facts{Checks: []proof.Check{{Name: "cart"}}}
	for _, e := range []execution{
		{runID: "1", started: at(0.5), due: at(10), closed: at(11), in: in, isFirst: true, result: result(10, "")},
		{runID: "2", started: at(11), due: at(20), closed: at(21), in: in, result: result(20, check.Skipped)},
		{runID: "3", started: at(21), due: at(30), closed: at(22), in: in}, // ended before it was due
		{runID: "4", started: at(21), due: at(30), in: in},
	} {
		addTick(f, e)
	}
	if diff := cmp.Diff([]proof.Schedule{{Spec: in.Schedule, Anchor: start}}, f.Checks[0].Schedules); diff != "" {
		t.Errorf("schedules, -want +got:\n%s", diff)
	}
	tick := proof.Tick{RunID: "1", Check: "cart", Trigger: check.TriggerSchedule, Started: at(10), Closed: at(11), Decided: true, Nominal: at(10)}
	skipped := proof.Tick{RunID: "2", Check: "cart", Trigger: check.TriggerSchedule, Started: at(20), Closed: at(21), Decided: true, Nominal: at(20), Skipped: true}
	open := proof.Tick{RunID: "4", Check: "cart", Trigger: check.TriggerSchedule, Started: at(30)}
	if diff := cmp.Diff([]proof.Tick{tick, skipped, open}, f.Ticks); diff != "" {
		t.Errorf("ticks, -want +got:\n%s", diff)
	}
}

// A check that was begun anew has two schedules. A first run has none, and that of a paused check does not count.
func TestAddTickFindsSchedules(t *testing.T) {
	start := time.Date(2030, 4, 1, 12, 0, 0, 0, time.UTC)
	in := workflows.ScheduledCheckInput{Ref: check.Ref{Name: "cart"}, Trigger: check.TriggerSchedule}
	first, paused := in, in
	first.Trigger, paused.Paused = check.TriggerFirst, true
	f := &proof.Facts{Checks: []proof.Check{{Name: "cart"}, {Name: "other"}}}
	addTick(f, execution{started: start, in: in, isFirst: true})
	addTick(f, execution{started: start.Add(5 * time.Second), in: in, isFirst: true})
	addTick(f, execution{started: start.Add(6 * time.Second), in: first, isFirst: true})
	addTick(f, execution{started: start.Add(7 * time.Second), in: paused, isFirst: true})
	if len(f.Checks[0].Schedules) != 2 || len(f.Checks[1].Schedules) != 0 || len(f.Ticks) != 3 {
		t.Errorf("facts %+v", f)
	}
}

func TestJudgeAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "facts.json")
	for content, want := range map[string]int{`{"Left": ["a pod"]}`: 1, `{}`: 0, `{"Left": `: -1} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := judgeAgain(t.Context(), options{facts: file})
		if (err != nil) != (want < 0) || err == nil && len(result.Violations) != want {
			t.Errorf("%s: %v, error %v", content, result.Violations, err)
		}
	}
}
