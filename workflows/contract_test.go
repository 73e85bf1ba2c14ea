package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

func TestCheckOfScheduleIsTheInverseOfScheduledCheckID(t *testing.T) {
	tests := []struct {
		id, namespace, name string
		ok                  bool
	}{
		{id: workflows.ScheduledCheckID("shop", "cart"), namespace: "shop", name: "cart", ok: true},
		{id: workflows.FirstRunID(checkRef)},
		{id: workflows.JobRunID(jobRef)},
		{id: workflows.CompleteJobID(jobRef)},
		{id: workflows.ManualRunID(checkRef)},
		{id: workflows.TicksID(checkRef, tick)},
		{id: "khcheck/shop"},
		{id: runUUID},
	}
	for _, tt := range tests {
		namespace, name, ok := workflows.CheckOfSchedule(tt.id)
		if ok != tt.ok || ok && (namespace != tt.namespace || name != tt.name) {
			t.Errorf("CheckOfSchedule(%q) = %q, %q, %t", tt.id, namespace, name, ok)
		}
	}
}

func TestWorkflowIDsDiffer(t *testing.T) {
	edited, again := checkRef, checkRef
	edited.Generation, again.UID = 2, "u-3"
	ids := map[string]string{}
	for what, id := range map[string]string{
		"schedule": workflows.ScheduledCheckID("shop", "cart"), "housekeeping": workflows.HousekeepingID,
		"first run": workflows.FirstRunID(checkRef), "first run after an edit": workflows.FirstRunID(edited),
		"first run of a check made anew": workflows.FirstRunID(again), "job": workflows.JobRunID(jobRef), "completion of a job": workflows.CompleteJobID(jobRef),
		"manual run": workflows.ManualRunID(checkRef), "manual run of a job": workflows.ManualRunID(jobRef),
		"ticks": workflows.TicksID(checkRef, tick), "later ticks": workflows.TicksID(checkRef, tick.Add(1)),
	} {
		if other, ok := ids[id]; ok {
			t.Errorf("%s and %s have workflow ID %q", what, other, id)
		}
		ids[id] = what
	}
}

// Only the schedule, a manual run, the completion of a job and housekeeping may run again under their ID.
func TestWhatStartsOnceIsRefusedASecondTime(t *testing.T) {
	schedule, err := workflows.ScheduleOptions(tickInput(), tick)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		o     client.StartWorkflowOptions
		again bool
	}{
		"run":          {workflows.RunOptions(runUUID, workflows.CheckRunInput{Ref: checkRef}), false},
		"first run":    {workflows.SingleTickOptions(workflows.FirstRunID(checkRef), tickInput()), false},
		"ticks":        {workflows.TicksOptions(activities.TicksInput{Ref: checkRef, Before: tick, Spans: []activities.Span{{After: tick}}}), false},
		"schedule":     {schedule, true},
		"job's phase":  {workflows.CompleteJobOptions(jobRef), true},
		"manual run":   {workflows.ManualRunOptions(checkRef), true},
		"housekeeping": {workflows.HousekeepingOptions(), true},
	} {
		policy := enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
		if tt.again {
			policy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
		}
		joins := name == "manual run"
		if tt.o.WorkflowIDReusePolicy != policy || tt.o.WorkflowExecutionErrorWhenAlreadyStarted == joins || tt.o.TaskQueue != workflows.TaskQueue || tt.o.StaticSummary == "" {
			t.Errorf("%s: %+v", name, tt.o)
		}
		if (tt.o.WorkflowIDConflictPolicy == enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING) != joins {
			t.Errorf("%s: conflict policy %s", name, tt.o.WorkflowIDConflictPolicy)
		}
	}
}

func TestScheduleOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*workflows.ScheduledCheckInput)
		cron   string
		memo   workflows.Revision
	}{
		"interval": {func(*workflows.ScheduledCheckInput) {}, "@every 2m0s", workflows.Revision{UID: "u-1", Generation: 1}},
		"cron expression": {func(in *workflows.ScheduledCheckInput) {
			in.Schedule = check.ScheduleSpec{Schedule: "30 9 * * *", TimeZone: "Europe/Berlin"}
		}, "CRON_TZ=UTC 30 7-8 * * *", workflows.Revision{UID: "u-1", Generation: 1}},
		"paused": {func(in *workflows.ScheduledCheckInput) { in.Paused = true }, "@every 24h", workflows.Revision{UID: "u-1", Generation: 1, Paused: true}},
	} {
		in := tickInput()
		tt.change(&in)
		o, err := workflows.ScheduleOptions(in, tick)
		if err != nil || o.CronSchedule != tt.cron || !cmp.Equal(o.Memo[workflows.MemoRevision], any(tt.memo)) {
			t.Errorf("%s: cron %q, memo %v, error %v", name, o.CronSchedule, o.Memo, err)
		}
	}
	in := tickInput()
	in.Schedule = check.ScheduleSpec{RunInterval: "never"}
	if _, err := workflows.ScheduleOptions(in, tick); err == nil {
		t.Error("a schedule that cannot be read has no error")
	}
}

// The memo of a run holds the key of its record. Whoever finds the closed run can read it.
func TestMemoOfARunHoldsTheKeyOfItsRecord(t *testing.T) {
	in := workflows.CheckRunInput{Ref: checkRef, Trigger: check.TriggerFirst, Tick: tick.Add(123456 * time.Microsecond)}
	payload, err := converter.GetDefaultDataConverter().ToPayload(workflows.RunOptions(runUUID, in).Memo[workflows.MemoRecordKey])
	if err != nil {
		t.Fatal(err)
	}
	got, ok := workflows.RecordKeyOf(&commonpb.Memo{Fields: map[string]*commonpb.Payload{workflows.MemoRecordKey: payload}})
	if diff := cmp.Diff(activities.RecordKey{Ref: checkRef, Trigger: check.TriggerFirst, Tick: in.Tick}, got); diff != "" || !ok {
		t.Errorf("ok %t, due (-want +got):\n%s", ok, diff)
	}
}

func TestReportedIsReadFromTheSearchAttributes(t *testing.T) {
	closed := func(names ...string) *workflowpb.WorkflowExecutionInfo {
		fields := map[string]*commonpb.Payload{}
		for _, name := range names {
			fields[name] = &commonpb.Payload{Data: []byte(`"true"`)}
		}
		return &workflowpb.WorkflowExecutionInfo{SearchAttributes: &commonpb.SearchAttributes{IndexedFields: fields}}
	}
	for name, tt := range map[string]struct {
		info *workflowpb.WorkflowExecutionInfo
		want bool
	}{
		"reported": {closed("KhOutcome", "KhReported"), true}, "not reported": {closed("KhOutcome"), false},
		"no search attributes": {&workflowpb.WorkflowExecutionInfo{}, false}, "nothing": {nil, false},
	} {
		if got := workflows.Reported(tt.info); got != tt.want {
			t.Errorf("%s: Reported is %t", name, got)
		}
	}
}

func TestOpenHoldsForRunningAndPausedWorkflows(t *testing.T) {
	for status := range enumspb.WorkflowExecutionStatus_name {
		status := enumspb.WorkflowExecutionStatus(status)
		want := status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING || status == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
		if got := workflows.Open(status); got != want {
			t.Errorf("Open(%s) is %t", status, got)
		}
	}
}

// If a cron expression has ticks between two schedules, the first tick of the second schedule records them.
func TestFirstTickRecordsWhatTheScheduleBeforeHasNot(t *testing.T) {
	started := time.Date(2026, 3, 1, 12, 0, 5, 300, time.UTC)
	start, covered := started.Truncate(time.Second), started.Add(-10*time.Second)
	tests := []struct {
		name string
		in   workflows.ScheduledCheckInput
		want time.Time
	}{
		{"interval", workflows.ScheduledCheckInput{Schedule: check.ScheduleSpec{RunInterval: "1m"}, Covered: covered}, start},
		{"cron expression", workflows.ScheduledCheckInput{Schedule: check.ScheduleSpec{Schedule: "0 12 * * *"}, Covered: covered}, covered.Add(-1)},
		{"nothing before", workflows.ScheduledCheckInput{Schedule: check.ScheduleSpec{Schedule: "0 12 * * *"}}, start},
		{"another clock ahead", workflows.ScheduledCheckInput{Schedule: check.ScheduleSpec{Schedule: "0 12 * * *"}, Covered: started.Add(time.Hour)}, start},
	}
	for _, tt := range tests {
		if got := workflows.FirstTick(tt.in, started); !got.Start.Equal(start) || !got.Tick.Equal(tt.want) {
			t.Errorf("%s: begins with %+v, want the ticks after %s", tt.name, got, tt.want)
		}
	}
}

func TestEachValueOfACheckHasItsRequestedRun(t *testing.T) {
	anew := checkRef
	anew.UID = "another"
	edited := checkRef
	edited.Generation++
	id := workflows.RequestedRunID(checkRef, "1")
	if !strings.HasPrefix(id, "khcheck/shop/cart/manual/") || workflows.RequestedRunID(edited, "1") != id {
		t.Errorf("ID %q, want it to be that of the check, whatever its spec", id)
	}
	if workflows.RequestedRunID(checkRef, "2") == id || workflows.RequestedRunID(anew, "1") == id {
		t.Errorf("another value, or another check of the name, has the same ID %q", id)
	}
	if o := workflows.RequestedRunOptions(checkRef, "1"); o.ID != id || o.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE {
		t.Errorf("options %+v, want a value to start one run", o)
	}
}
