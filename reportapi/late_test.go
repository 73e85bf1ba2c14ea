package reportapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/workflows"
)

// fakeRuns has one run that is over, or open, and keeps what is started.
type fakeRuns struct {
	status enumspb.WorkflowExecutionStatus
	memo   *commonpb.Memo
	// pause, if set, is what each description waits for.
	pause chan struct{}
	fail  error

	mu      sync.Mutex
	asked   int
	started map[string]workflows.KeepAccountInput
}

func closedRun(t *testing.T) *fakeRuns {
	t.Helper()
	payload, err := converter.GetDefaultDataConverter().ToPayload(activities.Due{
		Ref: check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", UID: "u"}, Trigger: check.TriggerSchedule, At: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &fakeRuns{
		status: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, started: map[string]workflows.KeepAccountInput{},
		memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoDue: payload}},
	}
}

func (f *fakeRuns) DescribeWorkflowExecution(ctx context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if f.pause != nil {
		select {
		case <-f.pause:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.fail != nil {
		return nil, f.fail
	}
	if id != runUUID {
		return nil, serviceerror.NewNotFound("workflow not found")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: f.status, Memo: f.memo},
	}, nil
}

func (f *fakeRuns) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.started[o.ID]; ok {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("already started", "", "")
	}
	f.started[o.ID] = args[0].(workflows.KeepAccountInput)
	return nil, nil
}

// nothingOpen is Temporal without an open run.
func nothingOpen() *fakeTemporal {
	return &fakeTemporal{answer: func(context.Context, signal) error {
		return serviceerror.NewNotFound("workflow execution already completed")
	}}
}

// lateCounts are the results of late reports that were counted, such as "kept 1", without those that are 0.
func lateCounts(t *testing.T, r *running) []string {
	t.Helper()
	var counts []string
	for _, s := range seriesOf(scrape(t, r)["khronicle_late_reports_total"]) {
		if s.Value > 0 {
			counts = append(counts, fmt.Sprintf("%s %v", s.Labels["result"], s.Value))
		}
	}
	slices.Sort(counts)
	return counts
}

func awaitLate(t *testing.T, r *running, want ...string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := lateCounts(t, r)
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("late reports: %q, want %q", got, want)
		}
	}
}

func (r *running) late(t *testing.T, id, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/externalCheckStatus", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("kh-run-uuid", id)
	response, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("a late report is answered %d, want 400", response.StatusCode)
	}
}

func TestLateReports(t *testing.T) {
	const body = `{"OK":false,"Errors":["too late"]}`
	tests := []struct {
		name   string
		change func(*fakeRuns)
		ids    []string
		want   []string
		kept   int
	}{
		{"of a run that is over", nil, []string{runUUID}, []string{"kept 1"}, 1},
		{"a flood", nil, slices.Repeat([]string{runUUID}, 5), []string{"kept 1", "known 4"}, 1},
		{"of an unknown run", nil, []string{uuid.NewString()}, []string{"unknown 1"}, 0},
		{"of a run that is open after all", func(f *fakeRuns) { f.status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING }, []string{runUUID}, []string{"unknown 1"}, 0},
		{"of what is no run", func(f *fakeRuns) { f.memo = nil }, []string{runUUID}, []string{"unknown 1"}, 0},
		{"Temporal fails", func(f *fakeRuns) { f.fail = errors.New("down") }, []string{runUUID}, []string{"failed 1"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runs := closedRun(t)
			if tt.change != nil {
				tt.change(runs)
			}
			var log bytes.Buffer
			o := options(nothingOpen(), nil)
			o.Runs, o.Logger = runs, slog.New(slog.NewTextHandler(&log, nil))
			r := start(t, o)
			for _, id := range tt.ids {
				r.late(t, id, body)
			}
			awaitLate(t, r, tt.want...)
			runs.mu.Lock()
			defer runs.mu.Unlock()
			if len(runs.started) != tt.kept {
				t.Errorf("started %v, want %d", runs.started, tt.kept)
			}
			for id, in := range runs.started {
				if id != "late/"+runUUID || in.Evidence == nil || in.Evidence.Ref.Name != "dns" || !in.Evidence.At.Equal(noon) || string(in.Evidence.Pieces[0].Content) != `{"Errors":["too late"],"OK":false}` {
					t.Errorf("started %s with %+v", id, in.Evidence)
				}
			}
			if strings.Contains(log.String(), runUUID) {
				t.Errorf("the log has the run UUID: %s", log.String())
			}
		})
	}
}

// Nobody waits for what is done about a late report, and of too many the last are dropped.
func TestLateReportsWhileTemporalIsSlow(t *testing.T) {
	runs := closedRun(t)
	runs.pause = make(chan struct{})
	o := options(nothingOpen(), nil)
	o.Runs = runs
	r := start(t, o)
	began := time.Now()
	large := `{"OK":false,"Errors":["` + strings.Repeat("x", 100_000) + `","y"]}`
	for range 70 {
		r.late(t, runUUID, large)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("70 answers took %s", took)
	}
	counts := lateCounts(t, r) // 64 wait, and one is being asked for or is about to be
	if !slices.Equal(counts, []string{"dropped 5"}) && !slices.Equal(counts, []string{"dropped 6"}) {
		t.Errorf("late reports: %q, want 5 or 6 dropped", counts)
	}
	close(runs.pause)
	for end := time.Now().Add(10 * time.Second); !slices.Contains(lateCounts(t, r), "kept 1"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("late reports: %q", lateCounts(t, r))
		}
	}
	runs.mu.Lock()
	defer runs.mu.Unlock()
	if content := runs.started["late/"+runUUID].Evidence.Pieces[0].Content; len(content) > check.MaxEvidence || len(content) < 10_000 {
		t.Errorf("%d bytes are kept", len(content))
	}
}

// A server that stops keeps what it has answered, but not for long.
func TestLateReportsWhenTheServerStops(t *testing.T) {
	for name, slow := range map[string]bool{"Temporal answers": false, "Temporal does not": true} {
		t.Run(name, func(t *testing.T) {
			runs := closedRun(t)
			if slow {
				runs.pause = make(chan struct{})
			}
			o := options(nothingOpen(), nil)
			o.Runs = runs
			r := start(t, o)
			r.late(t, runUUID, `{"OK":true}`)
			r.stop()
			began := time.Now()
			if err := <-r.ended; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the server stopped after %s", took)
			}
			if kept := len(runs.started) == 1; kept == slow {
				t.Errorf("started %v", runs.started)
			}
		})
	}
}

func TestLateReportsAreNotKeptUnlessAskedFor(t *testing.T) {
	r := start(t, options(nothingOpen(), nil))
	r.late(t, runUUID, `{"OK":true}`)
	if _, there := scrape(t, r)["khronicle_late_reports_total"]; there {
		t.Error("there is a metric of late reports")
	}
}

var _ reportapi.Runs = client.Client(nil)
