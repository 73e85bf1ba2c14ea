package workflows

import (
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
)

// TaskQueue is where workers find the workflows and activities of Khronicle.
const TaskQueue = "khronicle"

// Names of workflow types, as Temporal lists them.
const (
	ScheduledCheckType = "ScheduledCheck"
	CheckRunType       = "CheckRun"
)

// Signals.
const (
	// ReportSignal carries a Report to its CheckRun. The workflow ID of a CheckRun is the run UUID.
	ReportSignal = "report"
	// LateReportSignal carries a LateReport to the housekeeping workflow.
	LateReportSignal = "late-report"
)

// Report is a report of a check, and when it was received.
type Report struct {
	status.Report
	// Received is when the report API had read the whole report, by the clock of the report API.
	Received time.Time `json:",omitzero"`
}

// ReportHold is how long the report API tries to pass on a report while Temporal does not answer.
const ReportHold = 20 * time.Second

// Search attributes, all of type Keyword, that a Temporal namespace needs for Khronicle.
var (
	SearchAttributeCheck     = temporal.NewSearchAttributeKeyKeyword("KhCheck")
	SearchAttributeNamespace = temporal.NewSearchAttributeKeyKeyword("KhNamespace")
	// SearchAttributeOutcome is set at the end of a run.
	SearchAttributeOutcome = temporal.NewSearchAttributeKeyKeyword("KhOutcome")
	// SearchAttributeRecord is RecordWaiting on a closed run whose record the ledger has not taken. Other runs have none.
	SearchAttributeRecord = temporal.NewSearchAttributeKeyKeyword("KhRecord")
	// SearchAttributeReported is "true" on a closed run whose check reported. Other runs have none.
	SearchAttributeReported = temporal.NewSearchAttributeKeyKeyword("KhReported")
)

// RecordWaiting is the value of SearchAttributeRecord.
const RecordWaiting = "waiting"

// SearchAttributeKeys are the search attributes that must be registered.
func SearchAttributeKeys() []temporal.SearchAttributeKey {
	return []temporal.SearchAttributeKey{
		SearchAttributeCheck, SearchAttributeNamespace, SearchAttributeOutcome, SearchAttributeRecord, SearchAttributeReported,
	}
}

// SearchAttributesOf returns the search attributes by which the workflows of a check are found.
func SearchAttributesOf(ref check.Ref) temporal.SearchAttributes {
	return temporal.NewSearchAttributes(
		SearchAttributeCheck.ValueSet(ref.Name), SearchAttributeNamespace.ValueSet(ref.Namespace))
}

// Memo keys.
const (
	// MemoRevision is on a ScheduledCheck with a cron schedule and holds its Revision.
	MemoRevision = "khronicleRevision"
	// MemoRecordKey is on a CheckRun and holds the activities.RecordKey of its record.
	MemoRecordKey = "khronicleRecordKey"
	// MemoOfCluster is true on a CheckRun that somebody asked for, if it runs a check of the cluster. It ends with its check.
	MemoOfCluster = "khronicleOfCluster"
)

// Revision is the revision of the check that a cron workflow was started for. If the check has another one, the workflow is
// replaced.
type Revision struct {
	UID        string
	Generation int64
	// Paused is true when no tick starts a run: the check is suspended, or its spec is not valid.
	Paused bool `json:",omitempty"`
}

// RevisionOf returns the revision of a check that runs.
func RevisionOf(ref check.Ref) Revision {
	return Revision{UID: string(ref.UID), Generation: ref.Generation}
}

// Workflow IDs.
const (
	scheduledCheckPrefix = "khcheck/"
	scheduledJobPrefix   = "khjob/"
	// HousekeepingID is the ID of the one workflow that sends the heartbeat and repairs records.
	HousekeepingID = "khronicle/housekeeping"
	// HousekeepingSchedule is the cron schedule of the housekeeping workflow.
	HousekeepingSchedule = "@every 30s"
	// PausedSchedule is the cron schedule of a paused check, whose ticks are recorded once a day.
	PausedSchedule = "@every 24h"
)

// ScheduledCheckID returns the workflow ID of the cron workflow of a check.
func ScheduledCheckID(namespace, name string) string {
	return scheduledCheckPrefix + namespace + "/" + name
}

// CheckOfSchedule is the inverse of ScheduledCheckID. ok is false for any other workflow ID.
func CheckOfSchedule(workflowID string) (namespace, name string, ok bool) {
	rest, ours := strings.CutPrefix(workflowID, scheduledCheckPrefix)
	namespace, name, found := strings.Cut(rest, "/")
	return namespace, name, ours && found && !strings.Contains(name, "/")
}

// FirstRunID returns the workflow ID of the tick that starts the first run of a revision of a check. Each revision has one.
func FirstRunID(ref check.Ref) string {
	revision := fmt.Sprintf("%s/%d", ref.UID, ref.Generation)
	return ScheduledCheckID(ref.Namespace, ref.Name) + "/first/" + check.ShortHash(revision)
}

// JobRunID returns the workflow ID of the tick that starts the one run of a job.
func JobRunID(ref check.Ref) string {
	return scheduledJobPrefix + ref.Namespace + "/" + ref.Name + "/" + check.ShortHash(string(ref.UID))
}

// CompleteJobID returns the ID of the workflow that completes a job whose one run has ended.
func CompleteJobID(ref check.Ref) string { return JobRunID(ref) + "/complete" }

// TicksID returns the ID of the workflow that records the ticks between two schedules of a check, from a time on.
func TicksID(ref check.Ref, after time.Time) string {
	return fmt.Sprintf("%s%s/%s/ticks/%d", scheduledCheckPrefix, ref.Namespace, ref.Name, after.UnixNano())
}

// ManualRunID returns the workflow ID of the run of a check or job that a program asks for. One such run is open at a time:
// a further caller joins it.
func ManualRunID(ref check.Ref) string {
	prefix := scheduledCheckPrefix
	if ref.Kind == khv1.KHJob {
		prefix = scheduledJobPrefix
	}
	return prefix + ref.Namespace + "/" + ref.Name + "/manual"
}

// RequestedRunID returns the workflow ID of the run of a check that a value of its annotation asks for. Each value has one.
func RequestedRunID(ref check.Ref, value string) string {
	return ManualRunID(ref) + "/" + check.ShortHash(string(ref.UID)+"/"+value)
}

// ScheduledCheckInput is the input of a tick. All ticks of a cron workflow have the same input.
type ScheduledCheckInput struct {
	Ref     check.Ref
	Trigger check.Trigger
	// Timeout is the time that one run may take.
	Timeout time.Duration
	// Tick is the scheduled time of a single run. The zero time means the start of the tick. A cron workflow has none.
	Tick time.Time `json:",omitzero"`
	// Schedule says when the ticks of a cron workflow are.
	Schedule check.ScheduleSpec `json:",omitzero"`
	// Paused is true when the ticks are recorded and no run starts. The cron workflow runs by PausedSchedule then; the
	// ticks are those of Schedule.
	Paused bool `json:",omitempty"`
	// Previous is the run UUID of a run that may be open when the cron workflow starts. While it is open, ticks are
	// skipped. First is the workflow ID of a tick that may still have to start that run.
	Previous string `json:",omitempty"`
	First    string `json:",omitempty"`
	// Covered is a time: the ticks of the previous schedule are recorded up to it. The first tick records the ticks from
	// then on.
	Covered time.Time `json:",omitzero"`
}

// ScheduledCheckResult is the result of a tick. Temporal gives it to the next tick of the cron workflow.
type ScheduledCheckResult struct {
	// Start is when the first interval begins: the start of the cron workflow, in whole seconds.
	Start time.Time
	// Tick is the scheduled time.
	Tick time.Time
	// Outcome is Skipped or Paused. It is empty when the tick started a run.
	Outcome check.Outcome `json:",omitempty"`
	// Run is the run UUID of the newest run that the cron workflow started; it may be open.
	Run string `json:",omitempty"`
	// Unrecorded are the ticks without a run that the ledger has not taken.
	Unrecorded []Span `json:",omitempty"`
}

// CheckRunInput is the input of one run.
type CheckRunInput struct {
	Ref     check.Ref
	Trigger check.Trigger
	// Timeout is the time that the run may take, from when it may start its pod.
	Timeout time.Duration
	// Tick is the scheduled time of the run, in whole microseconds. Ref, Trigger and Tick are the key of its record.
	Tick time.Time
	// The workload to run in place of the one in the cluster.
	Given *activities.Given `json:",omitempty"`
}

// ManualRunInput is the input of a run that a program or a person asks for.
type ManualRunInput struct {
	Ref     check.Ref
	Timeout time.Duration
	// The workload to run in place of the one in the cluster. A program supplies it.
	Given *activities.Given `json:",omitempty"`
	// Before are open runs of the check. The run starts when they have ended.
	Before []activities.OpenRun `json:",omitempty"`
}

// ManualRunResult is the result of a ManualRun, whose run ID is the run UUID.
type ManualRunResult struct {
	Conclusion check.Conclusion
}

// CompleteJobInput names a job whose run has ended, but which is not Completed.
type CompleteJobInput struct {
	Ref check.Ref
	// Since is the creation of the job. It is the tick of its run, and the earliest time at which the run began.
	Since time.Time
	// Ended is true if Temporal has the run, and the run ended in order.
	Ended bool `json:",omitempty"`
}

// HousekeepingResult is what one housekeeping passes to the next.
type HousekeepingResult struct {
	// Until is a time. No run that had ended by then has a waiting record.
	Until time.Time `json:",omitzero"`
	// Late are late reports that the ledger has not taken.
	Late []LateReport `json:",omitempty"`
}

// CheckRunResult is the result of one run.
type CheckRunResult struct {
	check.Conclusion
	// Unrecorded is what the ledger has not taken. Housekeeping enters it later.
	Unrecorded *activities.Unrecorded `json:",omitempty"`
}

// TicksInput names ticks without a run.
type TicksInput = activities.TicksInput

// Span is a range of ticks without a run.
type Span = activities.Span

// LateReport is the first report that came after the end of a run without a report.
type LateReport = activities.LateReport

// LateReportOf makes a LateReport from the memo of the closed run. ok is false if the memo is not that of a run.
func LateReportOf(runUUID string, memo *commonpb.Memo, report check.ReceivedReport, at time.Time) (late LateReport, ok bool) {
	key, ok := RecordKeyOf(memo)
	if !ok {
		return late, false
	}
	content, size := check.LateEvidence(report, at, runUUID)
	return LateReport{Key: key, Piece: check.Piece{Kind: check.EvidenceLate, Content: string(content), Size: size}}, true
}

// RecordKeyOf reads the memo MemoRecordKey of a CheckRun. ok is false if there is none.
func RecordKeyOf(memo *commonpb.Memo) (key activities.RecordKey, ok bool) {
	payload := memo.GetFields()[MemoRecordKey]
	ok = payload != nil && converter.GetDefaultDataConverter().FromPayload(payload, &key) == nil
	return key, ok
}

// Reported is true for a closed run whose check reported.
func Reported(info *workflowpb.WorkflowExecutionInfo) bool {
	_, reported := info.GetSearchAttributes().GetIndexedFields()[SearchAttributeReported.GetName()]
	return reported
}

// OutlivesCheck is true for a CheckRun, by its key and memo, that a program asked for with a workload of its own. It does not
// depend on a check in the cluster.
func OutlivesCheck(key activities.RecordKey, memo *commonpb.Memo) bool {
	return key.Trigger == check.TriggerManual && memo.GetFields()[MemoOfCluster] == nil
}

// singleOptions are the start options of a workflow that starts once under its ID. A second start is refused with
// serviceerror.WorkflowExecutionAlreadyStarted, which has the run ID of the first start.
func singleOptions(id string, ref check.Ref, summary string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID: id, TaskQueue: TaskQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    SearchAttributesOf(ref),
		StaticSummary:                            summary,
	}
}

// summaryOf is the line that the Temporal UI shows for a tick or run.
func summaryOf(ref check.Ref, trigger check.Trigger) string {
	return fmt.Sprintf("%s %s (%s)", ref.Kind, ref, trigger)
}

// RunOptions returns the start options of a CheckRun.
func RunOptions(runUUID string, in CheckRunInput) client.StartWorkflowOptions {
	o := singleOptions(runUUID, in.Ref, summaryOf(in.Ref, in.Trigger))
	o.Memo = map[string]any{MemoRecordKey: activities.RecordKey{Ref: in.Ref, Trigger: in.Trigger, Tick: in.Tick}}
	return o
}

// NoRunType is the type of a workflow that takes the ID of a run, so that the run can no longer start. No worker runs it.
const NoRunType = "NoRun"

// NoRunOptions returns the start options of a NoRun. The starter ends the NoRun at once. If the starter dies before that, the NoRun
// times out after about a minute.
func NoRunOptions(runUUID string, ref check.Ref) client.StartWorkflowOptions {
	o := singleOptions(runUUID, ref, "no run of "+ref.String()+": its tick was ended")
	o.TypedSearchAttributes = temporal.SearchAttributes{} // a NoRun is not a run of the check
	o.StartDelay, o.WorkflowExecutionTimeout = time.Minute, time.Second
	return o
}

// SingleTickOptions returns the start options of a ScheduledCheck that ticks once: FirstRunID or JobRunID.
func SingleTickOptions(id string, in ScheduledCheckInput) client.StartWorkflowOptions {
	return singleOptions(id, in.Ref, summaryOf(in.Ref, in.Trigger))
}

// ScheduleOptions returns the start options of the cron workflow of a check, whose ticks are after a time. The workflow
// replaces a closed one. If one is open, the start fails with serviceerror.WorkflowExecutionAlreadyStarted. The error of
// ScheduleOptions means that the schedule is invalid.
func ScheduleOptions(in ScheduledCheckInput, from time.Time) (client.StartWorkflowOptions, error) {
	parsed, err := check.ParseSchedule(in.Schedule)
	if err != nil {
		return client.StartWorkflowOptions{}, err
	}
	o := singleOptions(ScheduledCheckID(in.Ref.Namespace, in.Ref.Name), in.Ref,
		fmt.Sprintf("%s %s, %s", in.Ref.Kind, in.Ref, in.Schedule))
	o.CronSchedule = parsed.CronSpec(from)
	o.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	o.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	revision := RevisionOf(in.Ref)
	if in.Paused {
		o.CronSchedule, revision.Paused = PausedSchedule, true
		o.StaticSummary += ", paused"
	}
	o.Memo = map[string]any{MemoRevision: revision}
	return o, nil
}

// TicksOptions returns the start options of the workflow that records the ticks between two schedules. The input needs at
// least one span.
func TicksOptions(in TicksInput) client.StartWorkflowOptions {
	return singleOptions(TicksID(in.Ref, in.Spans[0].After), in.Ref, "ticks without a run of "+in.Ref.String())
}

// CompleteJobOptions returns the start options of the workflow that completes a job. The phase of a job may be lost again
// and again, so the workflow may run again. If one is open, the start fails with
// serviceerror.WorkflowExecutionAlreadyStarted.
func CompleteJobOptions(ref check.Ref) client.StartWorkflowOptions {
	o := singleOptions(CompleteJobID(ref), ref, "complete "+ref.String())
	o.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	o.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	return o
}

// ManualRunOptions returns the start options of a ManualRun. If one is open, the caller joins it.
func ManualRunOptions(ref check.Ref) client.StartWorkflowOptions {
	o := singleOptions(ManualRunID(ref), ref, summaryOf(ref, check.TriggerManual))
	o.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	o.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	o.WorkflowExecutionErrorWhenAlreadyStarted = false
	return o
}

// RequestedRunOptions returns the start options of the ManualRun that a value of an annotation asks for. A value starts one.
func RequestedRunOptions(ref check.Ref, value string) client.StartWorkflowOptions {
	return singleOptions(RequestedRunID(ref, value), ref, summaryOf(ref, check.TriggerManual))
}

// HousekeepingOptions returns the start options of the housekeeping workflow.
func HousekeepingOptions() client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID: HousekeepingID, TaskQueue: TaskQueue, CronSchedule: HousekeepingSchedule,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            "heartbeat, and records that wait",
	}
}
