package workflows_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/workflows"
)

// keepsEvidence makes the world keep evidence with this result, and returns what it was asked for. Each time it notes how many
// outcomes were recorded and pods cleaned up by then.
func (w *world) keepsEvidence(result activities.EvidenceResult, err error) (asked *[]activities.EvidenceInput, when *[][2]int) {
	var a *activities.Activities
	asked, when = &[]activities.EvidenceInput{}, new([][2]int)
	w.env.OnActivity(a.KeepEvidence, anything, anything).Return(func(_ context.Context, in activities.EvidenceInput) (activities.EvidenceResult, error) {
		*asked, *when = append(*asked, in), append(*when, [2]int{len(w.recorded), len(w.cleaned)})
		return result, err
	}).Maybe()
	return asked, when
}

func evicted() (check.Observation, error) {
	return check.Observation{Started: true, Ended: true, Deleting: true, Disrupted: true, Logs: []byte("followed")}, nil
}

func encoded(report *check.ReceivedReport) string {
	if report == nil {
		return ""
	}
	content, _ := report.Evidence()
	return string(content)
}

func TestWhichRunsKeepEvidence(t *testing.T) {
	crashed := func(w *world) {
		w.exit = func() (check.Observation, error) {
			return check.Observation{Started: true, Ended: true, Detail: "container main exited with code 3 (Error)"}, nil
		}
	}
	tests := []struct {
		name     string
		setup    func(w *world)
		attempts []int // of which evidence is kept
		report   string
		logs     []string
		when     [][2]int // recorded and cleaned up by then
	}{
		{"success", func(w *world) { w.reportAfter(5 * time.Second) }, nil, "", nil, nil},
		{"reported failure", func(w *world) { w.reportAfter(5*time.Second, "broken") }, []int{1}, `{"Errors":["broken"],"OK":false}`, []string{""}, [][2]int{{1, 0}}},
		{"crash", crashed, []int{1}, "", []string{""}, [][2]int{{1, 0}}},
		{"deadline", func(w *world) { w.exit, w.exitAfter = running, time.Minute }, []int{1}, "", []string{""}, [][2]int{{1, 0}}},
		{
			"reported and did not exit",
			func(w *world) { w.exit, w.exitAfter = running, 2*time.Minute; w.reportAfter(5 * time.Second) },
			[]int{1},
			`{"Errors":[],"OK":true}`,
			[]string{""},
			[][2]int{{2, 0}},
		},
		{
			"spec is not valid",
			func(w *world) {
				w.create = func(activities.Run) (activities.CreatePodResult, error) {
					failure := check.InvalidSpec(errors.New("bad"))
					return activities.CreatePodResult{Failure: &failure}, nil
				}
			}, nil, "", nil, nil,
		},
		{
			"evicted until the deadline", func(w *world) { w.exit = evicted },
			[]int{1, 2, 3, 4},
			"",
			[]string{"followed", "followed", "followed", ""},
			[][2]int{{0, 0}, {0, 1}, {0, 2}, {1, 3}},
		},
		{
			"evicted and then OK",
			func(w *world) {
				w.exit = func() (check.Observation, error) {
					if len(w.created) == 1 {
						return evicted()
					}
					return exited()
				}
				w.reportAfter(20 * time.Second)
			},
			[]int{1},
			"",
			[]string{"followed"},
			[][2]int{{0, 0}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			accounts := w.ledgerOf(0)
			asked, when := w.keepsEvidence(activities.EvidenceResult{}, nil)
			tt.setup(w)
			if _, err := w.executeDue(t); err != nil {
				t.Fatal(err)
			}
			var attempts []int
			var logs []string
			for _, in := range *asked {
				attempts, logs = append(attempts, in.Attempt), append(logs, string(in.Logs))
				if in.UUID != runUUID || in.At != due || in.Ref != checkRef || in.Pod.Name != (check.Run{UUID: runUUID, Attempt: in.Attempt}).PodName(checkRef.Name) {
					t.Errorf("asked for %+v", in)
				}
				if got := encoded(in.Report); got != tt.report || in.Further != nil {
					t.Errorf("report is %s, want %q, and further %s", got, tt.report, encoded(in.Further))
				}
			}
			for what, diff := range map[string]string{
				"attempts": cmp.Diff(tt.attempts, attempts), "logs": cmp.Diff(tt.logs, logs), "recorded, cleaned up": cmp.Diff(tt.when, *when),
			} {
				if diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			if len(*accounts) != 1 || len((*accounts)[0].Seen.Logs) != 0 {
				t.Errorf("accounts are %+v, want one without the logs", *accounts)
			}
		})
	}
}

// A run without an account, as an earlier version started it, keeps no evidence.
func TestRunWithoutAnAccountKeepsNoEvidence(t *testing.T) {
	w := newWorld(t)
	asked, _ := w.keepsEvidence(activities.EvidenceResult{}, nil)
	w.reportAfter(5*time.Second, "broken")
	if _, err := w.execute(t, checkRef); err != nil || len(*asked) != 0 {
		t.Errorf("error %v, evidence of %+v", err, *asked)
	}
}

// What the ledger did not take waits in a workflow of its own.
func TestEvidenceThatTheLedgerDoesNotTake(t *testing.T) {
	w := newWorld(t)
	w.ledgerOf(0)
	w.keepsEvidence(activities.EvidenceResult{Waiting: []byte("packed")}, nil)
	var waiting []workflows.KeepAccountInput
	var ids []string
	w.env.OnWorkflow(workflows.KeepAccount, anything, anything).Return(func(ctx workflow.Context, in workflows.KeepAccountInput) error {
		waiting, ids = append(waiting, in), append(ids, workflow.GetInfo(ctx).WorkflowExecution.ID)
		return nil
	})
	w.reportAfter(5*time.Second, "broken")
	if _, err := w.executeDue(t); err != nil {
		t.Fatal(err)
	}
	want := []workflows.KeepAccountInput{{Evidence: &activities.WaitingEvidence{
		Due: activities.Due{Ref: checkRef, Trigger: workflows.TriggerSchedule, At: due}, Part: 1, Packed: []byte("packed"),
	}}}
	if diff := cmp.Diff(want, waiting); diff != "" {
		t.Errorf("waiting (-want +got):\n%s", diff)
	}
	if want := []string{"evidence/KHCheck/shop/cart/schedule/1772366400000000000/1"}; !cmp.Equal(ids, want) {
		t.Errorf("workflow IDs %q, want %q", ids, want)
	}
}

// A run ends as ever when its evidence cannot be kept, and its account says so.
func TestEvidenceThatCannotBeKept(t *testing.T) {
	w := newWorld(t)
	accounts := w.ledgerOf(0)
	w.keepsEvidence(activities.EvidenceResult{}, errors.New("no memory"))
	w.reportAfter(5*time.Second, "broken")
	outcome, err := w.executeDue(t)
	if err != nil || outcome.Result != check.Failed || !cmp.Equal(outcome.Notes, []string{"evidence was not kept: no memory"}) {
		t.Errorf("outcome is %+v, error %v", outcome, err)
	}
	if len(*accounts) != 1 || !cmp.Equal((*accounts)[0].Outcome.Notes, outcome.Notes) {
		t.Errorf("accounts are %+v", *accounts)
	}
}

// Of the reports that come after the verdict the first is kept, of whatever outcome.
func TestFurtherReportIsEvidence(t *testing.T) {
	w := newWorld(t)
	w.ledgerOf(0)
	asked, _ := w.keepsEvidence(activities.EvidenceResult{}, nil)
	w.reportAfter(5 * time.Second)
	w.reportAfter(6*time.Second, "somebody else's")
	w.reportAfter(7*time.Second, "a third one")
	outcome, err := w.executeDue(t)
	if err != nil || !outcome.OK() || len(outcome.Notes) != 2 {
		t.Errorf("outcome is %+v, error %v", outcome, err)
	}
	if len(*asked) != 1 || (*asked)[0].Attempt != 0 || (*asked)[0].Pod.Name != "" || (*asked)[0].Report != nil {
		t.Fatalf("asked for %+v", *asked)
	}
	if got := encoded((*asked)[0].Further); got != `{"Errors":["somebody else's"],"OK":false}` {
		t.Errorf("kept %s", got)
	}
}

func TestKeepAccountPutsEvidence(t *testing.T) {
	w := newWorld(t)
	var a *activities.Activities
	tries := 0
	w.env.OnActivity(a.PutEvidence, anything, anything).Return(func(_ context.Context, in activities.WaitingEvidence) error {
		if tries++; tries < 4 || string(in.Packed) != "packed" {
			return errors.New("database is locked")
		}
		return nil
	})
	w.env.ExecuteWorkflow(workflows.KeepAccount, workflows.KeepAccountInput{Evidence: &activities.WaitingEvidence{Packed: []byte("packed")}})
	if err := w.env.GetWorkflowError(); err != nil || tries != 4 {
		t.Errorf("error %v after %d tries", err, tries)
	}
}

func TestLateReport(t *testing.T) {
	want := activities.Due{Ref: checkRef, Trigger: workflows.TriggerJob, At: due}
	payload, err := converter.GetDefaultDataConverter().ToPayload(want)
	if err != nil {
		t.Fatal(err)
	}
	memo := &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoDue: payload}}
	report := check.Received(status.NewReport([]string{"I am " + runUUID}))
	o, in, ok := workflows.LateReport(runUUID, memo, report, due.Add(time.Minute))
	if !ok || o.ID != "late/"+runUUID || o.TaskQueue != workflows.TaskQueue || !o.WorkflowExecutionErrorWhenAlreadyStarted ||
		o.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE || strings.Contains(o.StaticSummary, runUUID) {
		t.Errorf("ok %t, options %+v", ok, o)
	}
	const content = `{"Errors":["I am ************************************"],"OK":false}`
	pieces := []activities.Piece{{Kind: "late-report", Name: "2026-03-01T12:01:00Z", Content: []byte(content), Size: len(content)}}
	if diff := cmp.Diff(workflows.KeepAccountInput{Evidence: &activities.WaitingEvidence{Due: want, Pieces: pieces}}, in); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	payload.Data = []byte("?")
	for name, memo := range map[string]*commonpb.Memo{"none": nil, "empty": {}, "broken": memo} {
		if _, _, ok := workflows.LateReport(runUUID, memo, report, due); ok {
			t.Errorf("memo %s: a report was taken", name)
		}
	}
}

// The pod of an attempt is looked at once, also when the run ends with that attempt after all; a report that arrived meanwhile is kept.
func TestEvidenceOfAnAttemptIsCollectedOnce(t *testing.T) {
	refused := func() (check.Observation, error) { return check.Observation{Hopeless: "ErrImagePull"}, nil }
	evicted := func() (check.Observation, error) {
		return check.Observation{Started: true, Ended: true, Disrupted: true, Detail: "pod Evicted"}, nil
	}
	for name, tt := range map[string]struct {
		setup   func(*world)
		reports []bool // of what was asked for, whether it had one
	}{
		"its pod does not go":     {func(w *world) { w.stuck, w.start, w.look = true, refused, refused }, []bool{false}},
		"its report arrived late": {func(w *world) { w.exit = evicted; w.reportAfter(12500*time.Millisecond, "in time") }, []bool{false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ledgerOf(0)
			asked, _ := w.keepsEvidence(activities.EvidenceResult{}, nil)
			tt.setup(w)
			if _, err := w.executeDue(t); err != nil {
				t.Fatal(err)
			}
			var reports []bool
			for i, in := range *asked {
				reports = append(reports, in.Report != nil)
				if (in.Pod.Name != "") != (i == 0) || in.Attempt != 1 {
					t.Errorf("asked for %+v", in)
				}
			}
			if diff := cmp.Diff(tt.reports, reports); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
		})
	}
}
