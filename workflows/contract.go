package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// TaskQueue is where workers find the workflows and activities of Khronicle.
const TaskQueue = "khronicle"

// Names of workflow types, as Temporal lists them.
const (
	ScheduledCheckType = "ScheduledCheck"
	CheckRunType       = "CheckRun"
)

// ReportSignal carries a check's status.Report to its CheckRun. The workflow ID of a CheckRun is the run UUID.
const ReportSignal = "report"

// probeSignal asks whether a run is still open: it does nothing there, and fails when the run is closed.
const probeSignal = "probe"

// Search attributes, all of type Keyword, that a Temporal namespace needs for Khronicle.
var (
	SearchAttributeCheck     = temporal.NewSearchAttributeKeyKeyword("KhCheck")
	SearchAttributeNamespace = temporal.NewSearchAttributeKeyKeyword("KhNamespace")
	SearchAttributeOutcome   = temporal.NewSearchAttributeKeyKeyword("KhOutcome")
)

// SearchAttributeKeys are the search attributes that must be registered.
func SearchAttributeKeys() []temporal.SearchAttributeKey {
	return []temporal.SearchAttributeKey{SearchAttributeCheck, SearchAttributeNamespace, SearchAttributeOutcome}
}

// SearchAttributesOf returns the search attributes by which the workflows of a check are found.
func SearchAttributesOf(ref check.Ref) temporal.SearchAttributes {
	return temporal.NewSearchAttributes(
		SearchAttributeCheck.ValueSet(ref.Name), SearchAttributeNamespace.ValueSet(ref.Namespace))
}

// MemoRevision is the memo key of a cron workflow under which Revision of its check is kept.
const MemoRevision = "khronicleRevision"

// MemoDue is the memo key of a CheckRun under which it is kept which run was due: an activities.Due. By it a report that
// comes after the end of the run finds the account of the run.
const MemoDue = "khronicleDue"

// Revision is the revision of a check for which a cron workflow was started.
type Revision struct {
	UID        string
	Generation int64
}

// RevisionOf returns the revision that ref names.
func RevisionOf(ref check.Ref) Revision {
	return Revision{UID: string(ref.UID), Generation: ref.Generation}
}

// MemoGrid is the memo key of a cron workflow under which its Grid is kept.
const MemoGrid = "khronicleGrid"

// Grid is what must be known of a schedule when it is replaced.
type Grid struct {
	// Schedule and Anchor say when its ticks were due.
	Schedule check.ScheduleSpec
	Anchor   time.Time
	// Paused is true for the schedule of a suspended check.
	Paused bool `json:",omitempty"`
	// Runs are the workflow IDs of the runs that were in flight when it began.
	Runs []string `json:",omitempty"`
}

// Workflow IDs.
const (
	scheduledCheckPrefix = "khcheck/"
	scheduledJobPrefix   = "khjob/"
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

// FirstRunID returns the workflow ID of the run that a check gets at once when it appears or its spec changes. Each
// revision has its own, so that no revision starts twice.
func FirstRunID(ref check.Ref) string {
	return FirstRunOf(ScheduledCheckID(ref.Namespace, ref.Name), RevisionOf(ref))
}

// FirstRunOf returns the workflow ID of the first run of a revision, from the workflow ID of its schedule.
func FirstRunOf(scheduleID string, revision Revision) string {
	return scheduleID + "/first/" + check.ID(fmt.Sprintf("%s/%d", revision.UID, revision.Generation))
}

// JobRunID returns the workflow ID of the one run of a job.
func JobRunID(ref check.Ref) string {
	return scheduledJobPrefix + ref.Namespace + "/" + ref.Name + "/" + check.ID(string(ref.UID))
}

// GapID returns the workflow ID under which the ticks of a check are accounted for that its schedules left open before a time.
func GapID(ref check.Ref, before time.Time) string { return ticksID(ref, before) + "/gap" }

// ticksID returns the workflow ID under which the ticks without a run before a time are entered into the ledger.
func ticksID(ref check.Ref, before time.Time) string {
	return fmt.Sprintf("ticks/%s/%s/%s/%d", ref.Kind, ref.Namespace, ref.Name, before.UnixNano())
}

// accountID returns the workflow ID under which a due run is entered into the ledger when that could not be done at once. It
// follows from what the ledger keeps of the run, in whole microseconds.
func accountID(due activities.Due, revision int) string {
	return fmt.Sprintf("account/%s/%s/%s/%s/%d/%d", due.Ref.Kind, due.Ref.Namespace, due.Ref.Name, due.Trigger, due.At.UnixNano(), revision)
}

// evidenceID returns the workflow ID under which a part of the evidence of a run waits for the ledger.
func evidenceID(due activities.Due, part int) string {
	return fmt.Sprintf("evidence/%s/%s/%s/%s/%d/%d", due.Ref.Kind, due.Ref.Namespace, due.Ref.Name, due.Trigger, due.At.UnixNano(), part)
}

// LateReportID returns the workflow ID under which the first report that comes after the end of a run is kept.
func LateReportID(runUUID string) string { return "late/" + runUUID }

// Of the one workflow that keeps the house: it beats the heart and closes accounts that nobody else will. It has no search
// attributes, as it is no check's.
const (
	HousekeepingID = "khronicle/housekeeping"
	// HousekeepingSchedule is the cron schedule on which it runs.
	HousekeepingSchedule = "@every 30s"
)

// LostJobRunID returns the workflow ID under which the loss of the one run of a job is recorded.
func LostJobRunID(ref check.Ref) string { return JobRunID(ref) + "/lost" }

// ExternalRunID returns the workflow ID of the run of a check or job that a program asks for. There is one at a time: who
// asks while it is open gets the same run.
func ExternalRunID(ref check.Ref) string {
	prefix := scheduledCheckPrefix
	if ref.Kind == khv1.KHJob {
		prefix = scheduledJobPrefix
	}
	return prefix + ref.Namespace + "/" + ref.Name + "/external"
}

// Trigger is why a run was started.
type Trigger = check.Trigger

// The triggers of a run.
const (
	TriggerSchedule = check.TriggerSchedule
	TriggerFirst    = check.TriggerFirst
	TriggerJob      = check.TriggerJob
	TriggerExternal = check.TriggerExternal
)

// ScheduledCheckInput is the input of each tick of a check. It stays the same as long as the check's spec does.
type ScheduledCheckInput struct {
	Ref     check.Ref
	Trigger Trigger
	// Timeout is the time that one run may take.
	Timeout time.Duration
	// FirstRun is the workflow ID of the run that was started together with this schedule; a tick that finds it still
	// open is skipped. It is empty for a first run itself.
	FirstRun string
	// Due is when a single run was due. The zero time means when it starts.
	Due time.Time `json:",omitzero"`
	// Schedule says when the ticks are due, counted from Anchor. It is empty for a run that is started by hand.
	Schedule check.ScheduleSpec
	Anchor   time.Time
	// Paused is true while the check is suspended: its ticks are accounted for, and nothing runs.
	Paused bool `json:",omitempty"`
	// RunUUID is the run UUID to use. Empty means a new one.
	RunUUID string `json:",omitempty"`
	// Given is the workload to run in place of the one in the cluster.
	Given *activities.Given `json:",omitempty"`
	// LostSince is set to record the loss of an earlier run, and to run nothing: the earliest time at which that began.
	LostSince *time.Time `json:",omitempty"`
}

// ScheduledCheckResult is the result of each tick, and is handed to the next one.
type ScheduledCheckResult struct {
	// Runs and Skipped count the ticks of this schedule that started a run and that did not, paused ones among these.
	Runs, Skipped int
	// FirstRunOver is true once the first run is known to have ended.
	FirstRunOver bool
	// Nominal is when the tick was due, and Ended when its run had ended.
	Nominal time.Time
	Ended   time.Time `json:",omitzero"`
	// Result is the result of the run, empty when the tick was skipped.
	Result check.Result
	// RunUUID and Outcome are those of a run that a program asked for.
	RunUUID string         `json:",omitempty"`
	Outcome *check.Outcome `json:",omitempty"`
}

// CheckRunInput is the input of one run.
type CheckRunInput struct {
	Ref     check.Ref
	Trigger Trigger
	// Timeout is the time that the run may take, from its start.
	Timeout time.Duration
	// Given is the workload to run in place of the one in the cluster.
	Given *activities.Given `json:",omitempty"`
	// LostSince is set to record the loss of an earlier run, and to run nothing: the earliest time at which that began.
	LostSince *time.Time `json:",omitempty"`
	// Due is when the run was due. A run that an earlier version started has none, and no account.
	Due time.Time `json:",omitzero"`
}

// TicksInput are due times of a check at which no run started, to be entered into the ledger.
type TicksInput = activities.TicksInput

// KeepAccountInput is what is to be entered into the ledger: the account of a run, or of ticks at which none started, or
// evidence of a run.
type KeepAccountInput struct {
	Run      *activities.AccountInput    `json:",omitempty"`
	Ticks    *TicksInput                 `json:",omitempty"`
	Evidence *activities.WaitingEvidence `json:",omitempty"`
}
