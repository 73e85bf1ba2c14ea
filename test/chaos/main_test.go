package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

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

func TestAddTick(t *testing.T) {
	anchor := time.Date(2030, 4, 1, 12, 0, 0, 0, time.UTC)
	in := workflows.ScheduledCheckInput{Ref: check.Ref{Name: "cart"}, Trigger: check.TriggerSchedule, Anchor: anchor, Schedule: check.ScheduleSpec{RunInterval: "10s"}}
	execution := func(start, execution, end time.Duration) *workflowpb.WorkflowExecutionInfo {
		return &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: "id"}, StartTime: timestamppb.New(anchor.Add(start)),
			ExecutionTime: timestamppb.New(anchor.Add(execution)), CloseTime: timestamppb.New(anchor.Add(end)),
		}
	}
	f := &proof.Facts{Checks: []proof.Check{{Name: "cart"}}}
	addTick(f, execution(0, 10*time.Second, 14*time.Second), in)
	addTick(f, execution(14*time.Second, 20*time.Second, 15*time.Second), in) // ended before it was due
	if len(f.Checks[0].Schedules) != 1 || len(f.Ticks) != 1 || !f.Ticks[0].Started.Equal(anchor.Add(10*time.Second)) || !f.Ticks[0].Closed.Equal(anchor.Add(14*time.Second)) {
		t.Errorf("facts %+v", f)
	}
	in.Anchor = anchor.Add(time.Second) // another schedule
	addTick(f, execution(30*time.Second, 30*time.Second, 33*time.Second), in)
	in.Trigger = check.TriggerFirst // none at all
	addTick(f, execution(0, 0, time.Second), in)
	if len(f.Checks[0].Schedules) != 2 || len(f.Ticks) != 3 {
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
