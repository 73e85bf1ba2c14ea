package check

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
)

// Reasons of the conditions of a check.
const (
	// ReasonScheduled and ReasonSuspended are those of a check that is ready.
	ReasonScheduled = "Scheduled"
	ReasonSuspended = "Suspended"
	// ReasonScheduling is that of a check whose spec is valid, but whose schedule has not begun.
	ReasonScheduling = "Scheduling"
	// ReasonInvalid is that of a check that will never be scheduled without an edit.
	ReasonInvalid = "Invalid"

	// ReasonSucceeded is that of a healthy check.
	ReasonSucceeded = "Succeeded"
	// ReasonFailed is that of a check whose last run failed, or did not succeed for a reason that is not known.
	ReasonFailed = "Failed"
	// ReasonNoRun is that of a check before the outcome of its first run.
	ReasonNoRun = "NoRunYet"
	// ReasonOverdue is that of a check that is unknown.
	ReasonOverdue = "Overdue"
	// ReasonPaused is that of a suspended check.
	ReasonPaused = "Paused"
)

// failureReasons are the reasons of a check that is not healthy, by the outcome of its last run.
var failureReasons = map[Outcome]string{
	Failed: ReasonFailed, TimedOut: "TimedOut", InfraFailed: "InfrastructureFailed",
}

// StatusRefresh is the least time between two outcomes that are written to the status of a check for their time alone.
const StatusRefresh = 10 * time.Minute

// Bounds of texts in a status, in bytes. An event has at most 1024.
const (
	maxMessage = 1000
	maxPerson  = 100
	maxReason  = 400
)

// Scheduling is what is known of the schedule of one revision of a check.
type Scheduling struct {
	// Known is false while nobody has looked.
	Known bool
	// Scheduled is true when the schedule of this revision has begun.
	Scheduled bool
	// Problem is why it has not begun. Final is true when only a new object helps.
	Problem string
	Final   bool
	// Next is a tick of the schedule. It is zero where none is known.
	Next time.Time
}

// StatusFacts are what the status of a check follows from.
type StatusFacts struct {
	Check *khv1.KuberhealthyCheck
	// State is the state of the check, nil if there is none.
	State      *khv1.KuberhealthyState
	Scheduling Scheduling
	// Request is the run that was last asked for, nil if there was none.
	Request *khv1.RunRequest
	Now     time.Time
}

// NextStatus returns the status that a check should have. changed is false if the present status may stay: nothing differs
// but times and texts of later runs, and these are not old enough yet.
func NextStatus(f StatusFacts) (next khv1.CheckStatus, changed bool) {
	present := f.Check.Status
	ready, known := f.ready()
	if !known {
		return present, false
	}
	next = *present.DeepCopy()
	f.set(&next, ready)
	f.setStalled(&next, ready)
	f.set(&next, f.healthy())
	next.ObservedGeneration = f.Check.Generation
	next.Schedule = Plain(ScheduleOf(f.Check.Spec).String(), maxPerson)
	next.LastRunTime, next.NextRunTime, next.LastRequest = f.lastRun(), f.nextRun(ready), f.Request
	return next, statusDiffers(present, next)
}

// set sets a condition. Its transition time changes only with its status.
func (f StatusFacts) set(status *khv1.CheckStatus, condition metav1.Condition) {
	condition.LastTransitionTime = metav1.NewTime(f.Now.UTC().Truncate(time.Second))
	condition.Message = Plain(condition.Message, maxMessage)
	meta.SetStatusCondition(&status.Conditions, condition)
}

// setStalled sets the condition Stalled for a check that needs an edit. kstatus reads its absence as normal.
func (f StatusFacts) setStalled(status *khv1.CheckStatus, ready metav1.Condition) {
	if ready.Reason != ReasonInvalid {
		meta.RemoveStatusCondition(&status.Conditions, khv1.ConditionStalled)
		return
	}
	ready.Type, ready.Status = khv1.ConditionStalled, metav1.ConditionTrue
	f.set(status, ready)
}

// ready returns the condition Ready. known is false while nobody has looked whether the check is scheduled. A check that was
// ready stays so until it is edited: several processes look, and one may see an older schedule than another.
func (f StatusFacts) ready() (condition metav1.Condition, known bool) {
	condition = metav1.Condition{
		Type: khv1.ConditionReady, Status: metav1.ConditionFalse, Reason: ReasonInvalid, ObservedGeneration: f.Check.Generation,
	}
	if faults := FromCheck(f.Check).Faults(); len(faults) > 0 {
		condition.Message = faultsText(faults)
		return condition, true
	}
	before := meta.FindStatusCondition(f.Check.Status.Conditions, khv1.ConditionReady)
	was := before != nil && before.Status == metav1.ConditionTrue && before.ObservedGeneration == f.Check.Generation
	switch {
	case f.Scheduling.Final:
		condition.Message = f.Scheduling.Problem
	case was || f.Scheduling.Scheduled:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, ReasonScheduled, "the check is scheduled"
		if f.Check.Spec.Suspend {
			condition.Reason, condition.Message = ReasonSuspended, PausedText(f.Check)
		}
	default:
		condition.Reason, condition.Message = ReasonScheduling, f.Scheduling.Problem
		return condition, f.Scheduling.Known
	}
	return condition, true
}

func faultsText(faults []Fault) string {
	var texts []string
	for _, fault := range faults {
		texts = append(texts, fault.Err.Error())
	}
	return oneLine(texts)
}

// PausedText says that a check is suspended, by whom and why, as far as its annotations say it.
func PausedText(c *khv1.KuberhealthyCheck) string {
	text := "the check is paused"
	if by := Plain(c.Annotations[protocol.AnnotationPausedBy], maxPerson); by != "" {
		text += " by " + by
	}
	if reason := Plain(c.Annotations[protocol.AnnotationPauseReason], maxReason); reason != "" {
		text += ": " + reason
	}
	return text
}

// healthy returns the condition Healthy.
func (f StatusFacts) healthy() metav1.Condition {
	state, paused := f.state(), ""
	if f.Check.Spec.Suspend {
		paused = PausedText(f.Check)
	}
	health := HealthOf(paused, AwaitedOfCheck(f.Check, state), HealthOfRun(state), f.Now)
	condition := metav1.Condition{
		Type: khv1.ConditionHealthy, Status: health.Status, Reason: health.Reason, Message: health.Message,
		ObservedGeneration: f.Check.Generation,
	}
	if health.Status != metav1.ConditionUnknown {
		condition.ObservedGeneration = f.generationOf(state)
	}
	return condition
}

// Health is whether a check or job is healthy, and why, in the words of the condition Healthy.
type Health struct {
	Status          metav1.ConditionStatus
	Reason, Message string
}

// HealthOf returns the health at a time. paused says that the check is suspended, and is empty for another. last is that of
// the last run, as HealthOfRun returns it.
func HealthOf(paused string, awaited Awaited, last Health, now time.Time) Health {
	switch {
	case paused != "":
		return Health{metav1.ConditionUnknown, ReasonPaused, paused}
	case awaited.Unknown(now):
		return Health{metav1.ConditionUnknown, ReasonOverdue, awaited.Text()}
	}
	return last
}

// HealthOfRun returns the health that the last run alone shows. state is that of this run, and nil if no run has ended.
func HealthOfRun(state *khv1.KuberhealthyState) Health {
	switch {
	case state == nil:
		return Health{metav1.ConditionUnknown, ReasonNoRun, "no run has ended yet"}
	case state.Spec.OK:
		return Health{metav1.ConditionTrue, ReasonSucceeded, "the last run succeeded"}
	}
	return Health{metav1.ConditionFalse, failureReason(state), oneLine(state.Spec.Errors)}
}

// state returns the state of the check if it shows a run of this check. A state without an owner is one that Kuberhealthy
// wrote.
func (f StatusFacts) state() *khv1.KuberhealthyState {
	if f.State == nil || f.State.Spec.GetKHWorkload() == khv1.KHJob || !MayShowRunOf(f.State, f.Check.UID) {
		return nil
	}
	return f.State
}

// generationOf returns the generation of the run that a state shows. If it is not known, the one that was shown before stays.
func (f StatusFacts) generationOf(state *khv1.KuberhealthyState) int64 {
	if generation := GenerationOf(state); generation > 0 {
		return min(generation, f.Check.Generation)
	}
	if before := meta.FindStatusCondition(f.Check.Status.Conditions, khv1.ConditionHealthy); before != nil {
		return before.ObservedGeneration
	}
	return 0
}

// failureReason returns the reason of a check whose last run did not succeed.
func failureReason(state *khv1.KuberhealthyState) string {
	runs := RecentRuns(state)
	if len(runs) == 0 {
		return ReasonFailed
	}
	return cmp.Or(failureReasons[runs[len(runs)-1].Outcome], ReasonFailed)
}

func (f StatusFacts) lastRun() *metav1.Time {
	if state := f.state(); state != nil && !state.Spec.LastRun.IsZero() {
		return state.Spec.LastRun.DeepCopy()
	}
	return nil
}

// nextRun returns the next tick of a check that is scheduled and not suspended, as far as it is known.
func (f StatusFacts) nextRun(ready metav1.Condition) *metav1.Time {
	schedule, err := ParseSchedule(ScheduleOf(f.Check.Spec))
	if err != nil || ready.Reason != ReasonScheduled {
		return nil
	}
	next := f.Scheduling.Next
	switch {
	case next.After(f.Now):
	case schedule.calendar != nil:
		next = schedule.Next(f.Now, f.Now)
	case next.IsZero():
		return f.shownNext()
	default:
		next = schedule.Next(next, f.Now)
	}
	if next.IsZero() {
		return nil
	}
	return &metav1.Time{Time: next.UTC().Truncate(time.Second)}
}

// shownNext returns the next tick of the present status, unless it has passed.
func (f StatusFacts) shownNext() *metav1.Time {
	if shown := f.Check.Status.NextRunTime; shown != nil && shown.After(f.Now) {
		return shown
	}
	return nil
}

// statusDiffers is true when a status must be written in place of the present one. The next tick, and the texts of failures,
// change with each run. They are written with everything else, with the time of the last run, or when no next tick is shown.
func statusDiffers(present, next khv1.CheckStatus) bool {
	if present.ObservedGeneration != next.ObservedGeneration || present.Schedule != next.Schedule ||
		len(present.Conditions) != len(next.Conditions) {
		return true
	}
	for _, wanted := range next.Conditions {
		shown := meta.FindStatusCondition(present.Conditions, wanted.Type)
		if shown == nil || conditionDiffers(*shown, wanted) {
			return true
		}
	}
	unknown := present.NextRunTime == nil && next.NextRunTime != nil
	return unknown || lastRunDiffers(present.LastRunTime, next.LastRunTime) || requestDiffers(present.LastRequest, next.LastRequest)
}

func conditionDiffers(shown, wanted metav1.Condition) bool {
	textChanges := wanted.Reason == ReasonScheduling || wanted.Type == khv1.ConditionHealthy && wanted.Status == metav1.ConditionFalse
	return shown.Status != wanted.Status || shown.Reason != wanted.Reason || shown.ObservedGeneration != wanted.ObservedGeneration ||
		shown.Message != wanted.Message && !textChanges
}

func lastRunDiffers(shown, wanted *metav1.Time) bool {
	if shown.IsZero() || wanted.IsZero() {
		return shown.IsZero() != wanted.IsZero()
	}
	return wanted.Sub(shown.Time) >= StatusRefresh || wanted.Before(shown)
}

// oneLine returns texts in one line. It stops where Plain would cut the line.
func oneLine(texts []string) string {
	var line strings.Builder
	for i, text := range texts {
		if line.Len() > plainReads*maxMessage {
			break
		}
		if i > 0 {
			line.WriteString("; ")
		}
		line.WriteString(text)
	}
	if line.Len() == 0 {
		return "no error was reported"
	}
	return line.String()
}

// StatusEvent is an event of a check.
type StatusEvent struct {
	Warning bool
	// Reason and Action are words in CamelCase. Note is a text of at most 1024 bytes.
	Reason, Action, Note string
}

// Reasons of events of a check.
const (
	EventFailing   = "CheckFailing"
	EventRecovered = "CheckRecovered"
	EventUnknown   = "CheckUnknown"
	EventInvalid   = "CheckInvalid"
	// EventRefused is the reason of an event about a run that was asked for and is not started.
	EventRefused = "RunRefused"
)

// StatusEvents returns the events that belong to the change of a status.
func StatusEvents(before, after khv1.CheckStatus) []StatusEvent {
	var events []StatusEvent
	if was, is := conditions(before, after, khv1.ConditionReady); is.Reason == ReasonInvalid && conditionDiffers(was, is) {
		events = append(events, StatusEvent{true, EventInvalid, "Schedule", is.Message})
	}
	if asked := after.LastRequest; asked != nil && asked.Phase == khv1.RequestRefused && requestDiffers(before.LastRequest, asked) {
		events = append(events, StatusEvent{true, EventRefused, "Request", Plain(asked.Message, maxMessage)})
	}
	was, is := conditions(before, after, khv1.ConditionHealthy)
	switch {
	case is.Status == was.Status && (is.Reason == ReasonOverdue) == (was.Reason == ReasonOverdue):
	case is.Status == metav1.ConditionFalse:
		events = append(events, StatusEvent{true, EventFailing, "Run", is.Message})
	case is.Reason == ReasonOverdue:
		events = append(events, StatusEvent{true, EventUnknown, "Run", is.Message})
	case is.Status == metav1.ConditionTrue && (was.Status == metav1.ConditionFalse || was.Reason == ReasonOverdue):
		note := fmt.Sprintf("%s; before that: %s", is.Message, was.Message)
		events = append(events, StatusEvent{false, EventRecovered, "Run", Plain(note, maxMessage)})
	}
	return events
}

// conditions returns a condition of two statuses. One that is absent is empty.
func conditions(before, after khv1.CheckStatus, kind string) (was, is metav1.Condition) {
	if found := meta.FindStatusCondition(before.Conditions, kind); found != nil {
		was = *found
	}
	if found := meta.FindStatusCondition(after.Conditions, kind); found != nil {
		is = *found
	}
	return was, is
}
