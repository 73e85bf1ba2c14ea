package reportapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/workflows"
)

// fakeRuns has one run that has ended, or is open.
type fakeRuns struct {
	info *workflowpb.WorkflowExecutionInfo
	// pause, if set, is what each description of the run waits for.
	pause chan struct{}
	fail  error
}

// closedRun is a run that ended just now without a report.
func closedRun(t *testing.T) *fakeRuns {
	t.Helper()
	key := activities.RecordKey{
		Ref: check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", UID: "u"}, Trigger: check.TriggerSchedule, Tick: noon,
	}
	return &fakeRuns{info: &workflowpb.WorkflowExecutionInfo{
		Status: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, CloseTime: timestamppb.Now(),
		Memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoRecordKey: payload(t, key)}},
	}}
}

func payload(t *testing.T, value any) *commonpb.Payload {
	t.Helper()
	encoded, err := converter.GetDefaultDataConverter().ToPayload(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func (f *fakeRuns) DescribeWorkflowExecution(ctx context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if f.pause != nil {
		select {
		case <-f.pause:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.fail != nil {
		return nil, f.fail
	}
	if !strings.HasPrefix(id, runUUID[:8]) {
		return nil, serviceerror.NewNotFound("workflow not found")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: f.info}, nil
}

// nothingOpen is a Temporal without open runs.
func nothingOpen() *fakeTemporal {
	return &fakeTemporal{answer: func(context.Context, signal) error {
		return serviceerror.NewNotFound("workflow execution already completed")
	}}
}

// lateCounts are the results of late reports that were counted, such as "sent 1", without those that are 0.
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
	succeeded := func(f *fakeRuns) {
		f.info.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{"KhReported": payload(t, "true")}}
	}
	ended := func(ago time.Duration) func(*fakeRuns) {
		return func(f *fakeRuns) { f.info.CloseTime = timestamppb.New(time.Now().Add(-ago)) }
	}
	tests := []struct {
		name   string
		change func(*fakeRuns)
		id     string
		want   string
	}{
		{"of a run that is over", nil, runUUID, "sent"},
		{"of a run that ended a minute ago", ended(time.Minute), runUUID, "sent"},
		{"of a run that ended three minutes ago", ended(3 * time.Minute), runUUID, "too-late"},
		{"of a run that had a report", succeeded, runUUID, "reported"},
		{"of an unknown run", nil, uuid.NewString(), "unknown"},
		{"of a run that is open after all", func(f *fakeRuns) { f.info.Status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING }, runUUID, "unknown"},
		{"of what is no run", func(f *fakeRuns) { f.info.Memo = nil }, runUUID, "unknown"},
		{"Temporal fails", func(f *fakeRuns) { f.fail = errors.New("down") }, runUUID, "failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runs := closedRun(t)
			if tt.change != nil {
				tt.change(runs)
			}
			var log bytes.Buffer
			temporal := nothingOpen()
			o := options(temporal, nil)
			o.Runs, o.Logger = runs, slog.New(slog.NewTextHandler(&log, nil))
			r := start(t, o)
			r.late(t, tt.id, body)
			awaitLate(t, r, tt.want+" 1")
			var want []workflows.LateReport
			if tt.want == "sent" {
				const content = `{"Errors":["too late"],"OK":false}`
				want = []workflows.LateReport{{
					Key:   activities.RecordKey{Ref: check.Ref{Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", UID: "u"}, Trigger: check.TriggerSchedule, Tick: noon},
					Piece: check.Piece{Kind: check.EvidenceLate, Content: content, Size: len(content)},
				}}
			}
			if diff := cmp.Diff(want, withoutTime(temporal.lateReports())); diff != "" {
				t.Errorf("late reports (-want +got):\n%s", diff)
			}
			if strings.Contains(log.String(), runUUID) {
				t.Errorf("the log has the run UUID: %s", log.String())
			}
		})
	}
}

// withoutTime removes the time before each report.
func withoutTime(late []workflows.LateReport) []workflows.LateReport {
	for i := range late {
		_, late[i].Piece.Content, _ = strings.Cut(late[i].Piece.Content, " ")
	}
	return late
}

// If somebody knows the UUID of a closed run, one report of that run is stored, whatever is sent and for how long.
func TestOneLateReportOfARunIsSent(t *testing.T) {
	temporal := nothingOpen()
	o := options(temporal, nil)
	o.Runs = closedRun(t)
	server, err := reportapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	end := server.SendLate(t.Context())
	for range 5 {
		server.Offer(runUUID, failed("too late"))
	}
	end()
	if got := len(temporal.lateReports()); got != 1 {
		t.Errorf("%d late reports were sent, want 1", got)
	}
}

// Temporal stores a late report, and anyone may send one. So the stored part is small, and valid JSON.
func TestLateReportIsShortened(t *testing.T) {
	for name, errors := range map[string][]string{
		"one long error": {strings.Repeat("x", 300_000)}, "many": slices.Repeat([]string{"this is wrong"}, 20_000),
		"characters that JSON writes with six": {strings.Repeat("<", 50_000)}, "a short one and a long one": {"a", strings.Repeat("é", 50_000)},
	} {
		t.Run(name, func(t *testing.T) {
			short := reportapi.Shortened(failed(errors...))
			content, size := short.Evidence()
			var got status.Report
			if err := json.Unmarshal(content, &got); err != nil || got.OK || len(got.Errors) == 0 || !strings.HasPrefix(errors[0], got.Errors[0]) {
				t.Errorf("%v, %.100q", err, content)
			}
			if len(content) > 8<<10 || len(content) < 1<<10 || size < 50_000 {
				t.Errorf("%d bytes of %d are stored", len(content), size)
			}
		})
	}
}

// No answer waits for late reports. If there are too many, the last ones are dropped.
func TestLateReportsWhileTemporalIsSlow(t *testing.T) {
	runs, temporal := closedRun(t), nothingOpen()
	runs.pause = make(chan struct{})
	o := options(temporal, nil)
	o.Runs = runs
	server, err := reportapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	end := server.SendLate(t.Context())
	for range 70 {
		server.Offer(runUUID, failed("too late"))
	}
	close(runs.pause)
	end()
	if got := len(temporal.lateReports()); got != 1 {
		t.Errorf("%d late reports were sent, want 1", got)
	}
	dropped := server.LateCount("dropped")
	if dropped != 5 && dropped != 6 { // 64 wait, and one is being sent or is about to be
		t.Errorf("%v were dropped, want 5 or 6", dropped)
	}
}

// A server that stops sends the late reports that it has answered, but only for a short time.
func TestLateReportsWhenTheServerStops(t *testing.T) {
	for name, slow := range map[string]bool{"Temporal answers": false, "Temporal does not": true} {
		t.Run(name, func(t *testing.T) {
			runs, temporal := closedRun(t), nothingOpen()
			if slow {
				runs.pause = make(chan struct{})
			}
			o := options(temporal, nil)
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
			if sent := len(temporal.lateReports()) == 1; sent == slow {
				t.Errorf("sent is %t", sent)
			}
		})
	}
}

func TestLateReportsAreNotSentUnlessAskedFor(t *testing.T) {
	r := start(t, options(nothingOpen(), nil))
	r.late(t, runUUID, `{"OK":true}`)
	if _, there := scrape(t, r)["khronicle_late_reports_total"]; there {
		t.Error("there is a metric of late reports")
	}
}

var _ reportapi.Runs = client.Client(nil)
