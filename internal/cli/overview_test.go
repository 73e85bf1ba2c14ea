package cli_test

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/cli"
	"github.com/khronicle/khronicle/view"
	"github.com/khronicle/khronicle/workflows"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a cluster and a Temporal server that answer from memory.
type world struct {
	checks []*khv1.KuberhealthyCheck
	jobs   []*khv1.KuberhealthyJob
	states []*khv1.KuberhealthyState
	open   []*workflowpb.WorkflowExecutionInfo
	err    error
	hangs  bool
	lists  *int
}

func (w world) Checks() []*khv1.KuberhealthyCheck { return w.checks }
func (w world) Jobs() []*khv1.KuberhealthyJob     { return w.jobs }
func (w world) States() []*khv1.KuberhealthyState { return w.states }
func (w world) IsJob(state *khv1.KuberhealthyState) bool {
	return state.Name == "once"
}

// at is what the cluster shows at a time.
func (w world) at(now time.Time) *view.Snapshot {
	return view.New(view.Options{Cluster: w, Now: func() time.Time { return now }}).Snapshot()
}

// ListWorkflow returns one workflow a page.
func (w world) ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	if w.lists != nil {
		*w.lists++
	}
	if w.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	i := len(request.GetNextPageToken())
	if w.err != nil || i == len(w.open) {
		return &workflowservice.ListWorkflowExecutionsResponse{}, w.err
	}
	page := &workflowservice.ListWorkflowExecutionsResponse{Executions: w.open[i : i+1]}
	if i+1 < len(w.open) {
		page.NextPageToken = make([]byte, i+1)
	}
	return page, nil
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(now.Add(-time.Minute))}
}

func newCheck(name string) *khv1.KuberhealthyCheck {
	return &khv1.KuberhealthyCheck{ObjectMeta: named(name), Spec: khv1.CheckConfig{PodSpec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: "registry.example/check:1"}},
	}}}
}

func stateOf(name, duration string, errs ...string) *khv1.KuberhealthyState {
	at := metav1.NewTime(now.Add(-12 * time.Second))
	return &khv1.KuberhealthyState{ObjectMeta: named(name), Spec: khv1.WorkloadDetails{
		OK: len(errs) == 0, Errors: errs, LastRun: &at, RunDuration: duration, AuthoritativePod: "worker-0",
	}}
}

func scheduled(name string, status enumspb.WorkflowExecutionStatus, next time.Time) *workflowpb.WorkflowExecutionInfo {
	return &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: workflows.ScheduledCheckID("shop", name)}, Status: status,
		ExecutionTime: timestamppb.New(next),
	}
}

func runOf(t *testing.T, kind khv1.KHWorkload, name string) *workflowpb.WorkflowExecutionInfo {
	t.Helper()
	memo, err := converter.GetDefaultDataConverter().ToPayload(activities.RecordKey{Ref: check.Ref{Kind: kind, Namespace: "shop", Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: "a-run-uuid"}, Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		Memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoRecordKey: memo}},
	}
}

// rows are those of a Temporal that answers.
func (w world) rows(t *testing.T, now time.Time) []cli.Row {
	t.Helper()
	rows, err := cli.Rows(t.Context(), w.at(now), w)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestTableShowsEveryState(t *testing.T) {
	const running = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	asleep := newCheck("asleep")
	asleep.Spec.Suspend = true
	broken := newCheck("broken")
	broken.Spec.RunInterval = "often"
	w := world{
		checks: []*khv1.KuberhealthyCheck{newCheck("pay"), newCheck("cart"), asleep, newCheck("new"), newCheck("lost"), broken},
		jobs:   []*khv1.KuberhealthyJob{{ObjectMeta: named("once"), Spec: khv1.JobConfig{Phase: khv1.JobCompleted}}},
		states: []*khv1.KuberhealthyState{
			stateOf("cart", "1.23456s"), stateOf("once", ""),
			stateOf("pay", "", "first line\nsecond line", "another"), stateOf("asleep", "2s", strings.Repeat("x", 200)),
		},
		open: []*workflowpb.WorkflowExecutionInfo{
			scheduled("cart", running, now.Add(48*time.Second)), scheduled("pay", running, now), runOf(t, khv1.KHCheck, "pay"),
			scheduled("new", running, now.Add(-time.Second)), scheduled("lost", enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, now),
			runOf(t, khv1.KHJob, "cart"), scheduled("asleep", running, now.Add(time.Hour)),
			scheduled("broken", running, now.Add(time.Hour)),
		},
	}
	want := strings.Join([]string{
		"CHECK        STATE    LAST RUN  DURATION  NEXT RUN              ERROR",
		"shop/asleep  failed   12s ago   2s        suspended             " + strings.Repeat("x", 100) + "…",
		"shop/broken  waiting  -         -         spec is not valid     -",
		"shop/cart    OK       12s ago   1.23s     in 48s                -",
		"shop/lost    waiting  -         -         not scheduled         -",
		"shop/new     waiting  -         -         in 0s                 -",
		"shop/pay     failed   12s ago   -         running               first line (+1)",
		"shop/once    OK       12s ago   -         runs once: Completed  -",
		"",
	}, "\n")
	var got strings.Builder
	if err := cli.WriteRows(&got, w.rows(t, now), now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// A check without an outcome in time is unknown, whatever its last outcome was.
func TestTableShowsUnknownChecks(t *testing.T) {
	asleep, cart := newCheck("asleep"), stateOf("cart", "2s", "sold out")
	asleep.Spec.Suspend = true
	cart.Spec.LastRun = &metav1.Time{Time: now.Add(12 * time.Second)} // its outcome came later
	w := world{
		checks: []*khv1.KuberhealthyCheck{asleep, newCheck("cart"), newCheck("pay"), newCheck("new")},
		jobs:   []*khv1.KuberhealthyJob{{ObjectMeta: named("once"), Spec: khv1.JobConfig{Phase: khv1.JobRunning}}},
		states: []*khv1.KuberhealthyState{cart, stateOf("pay", "2s"), stateOf("asleep", "2s")},
	}
	want := strings.Join([]string{
		"CHECK        STATE    LAST RUN  DURATION  NEXT RUN            ERROR",
		"shop/asleep  OK       16m52s ago  2s  suspended  -",
		"shop/cart    failed   16m28s ago  2s  not scheduled  sold out",
		"shop/new     unknown  -  -  not scheduled  unknown: shop/new: no outcome is known since its creation at 2026-11-22T11:59:00Z; one was due by 20…",
		"shop/pay     unknown  16m52s ago  2s  not scheduled  unknown: shop/pay: no run has ended since 2026-11-22T11:59:48Z; one was due by 2026-11-22T12:16:18Z",
		"shop/once    unknown  -  -  runs once: Running  unknown: shop/once: no outcome is known since its creation at 2026-11-22T11:59:00Z; one was due by 2…",
		"",
	}, "\n")
	later := now.Add(16*time.Minute + 40*time.Second) // the outcome of pay is overdue, that of cart is not
	rows := w.rows(t, later)
	var got strings.Builder
	if err := cli.WriteRows(&got, rows, later); err != nil {
		t.Fatal(err)
	}
	blanks := regexp.MustCompile(" +")
	if diff := cmp.Diff(blanks.ReplaceAllString(want, " "), blanks.ReplaceAllString(got.String(), " ")); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	err := cli.Compare([]cli.Expectation{{Name: "shop/new", State: cli.StateOK}}, rows, time.Time{})
	if err == nil || !strings.HasPrefix(err.Error(), "shop/new: is unknown, expected OK; errors: [\"unknown: shop/new: no outcome is known") {
		t.Errorf("error %v", err)
	}
}

// A paused schedule counts as scheduled, as it does for the starter.
func TestRowsAPausedScheduleIsScheduled(t *testing.T) {
	w := world{
		checks: []*khv1.KuberhealthyCheck{newCheck("cart")},
		open:   []*workflowpb.WorkflowExecutionInfo{scheduled("cart", enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, now.Add(time.Minute))},
	}
	if got := w.rows(t, now)[0].NextRun; got != "in 1m0s" {
		t.Errorf("next run is %q", got)
	}
}

func TestRowsNextRunIsUnknownWhenTemporalDoesNotAnswer(t *testing.T) {
	w := world{checks: []*khv1.KuberhealthyCheck{newCheck("cart")}, err: errors.New("connection refused")}
	rows, err := cli.Rows(t.Context(), w.at(now), w)
	if err == nil || err.Error() != "list the open workflows: connection refused" || rows[0].NextRun != "unknown" {
		t.Errorf("next run is %q, error %v", rows[0].NextRun, err)
	}
}

// One query lists all checks, and it has a timeout.
func TestRowsWaitForTemporalOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, lists := time.Now(), 0
		w := world{hangs: true, lists: &lists}
		for i := range 100 {
			w.checks = append(w.checks, newCheck("cart-"+strconv.Itoa(i)))
		}
		rows, err := cli.Rows(t.Context(), w.at(now), w)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %s, want 5s at most", took)
		}
		if err == nil {
			t.Error("no error, want that of the timeout")
		}
		if len(rows) != 100 || lists != 1 {
			t.Errorf("%d rows by %d queries, want 100 by 1", len(rows), lists)
		}
	})
}

func TestParseExpectationReadsAllForms(t *testing.T) {
	tests := []struct {
		text string
		want cli.Expectation
		ok   bool
	}{
		{"shop/cart=ok", cli.Expectation{Name: "shop/cart", State: cli.StateOK}, true},
		{"shop/cart=failed", cli.Expectation{Name: "shop/cart", State: cli.StateFailed}, true},
		{"shop/cart=failed:a: b", cli.Expectation{Name: "shop/cart", State: cli.StateFailed, Error: "a: b"}, true},
		{"cart=ok", cli.Expectation{}, false},
		{"shop/cart", cli.Expectation{}, false},
		{"shop/cart=fine", cli.Expectation{}, false},
		{"shop/cart=ok:text", cli.Expectation{}, false},
	}
	for _, tt := range tests {
		got, err := cli.ParseExpectation(tt.text)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseExpectation(%q) = %+v, %v", tt.text, got, err)
		}
	}
}

func TestCompareReportsWhatDiffers(t *testing.T) {
	rows := []cli.Row{
		{Name: "shop/cart", State: cli.StateOK, LastRun: now},
		{Name: "shop/pay", State: cli.StateFailed, LastRun: now, Errors: []string{"card refused"}},
	}
	tests := []struct {
		name, expectation string
		since             time.Time
		want              string
	}{
		{"ok", "shop/cart=ok", now, ""},
		{"failed with the text", "shop/pay=failed:refused", now, ""},
		{"failed with another text", "shop/pay=failed:stolen", now, `shop/pay: errors are ["card refused"], expected "stolen"`},
		{"wrong state", "shop/pay=ok", now, `shop/pay: is failed, expected OK; errors: ["card refused"]`},
		{"from before", "shop/cart=ok", now.Add(time.Second), "shop/cart: no outcome since 2026-11-22T12:00:01Z"},
		{"not there", "shop/absent=ok", now, "shop/absent: no such check or job"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectation, err := cli.ParseExpectation(tt.expectation)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := cli.Compare([]cli.Expectation{expectation}, rows, tt.since); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
