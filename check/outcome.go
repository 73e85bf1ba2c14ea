package check

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/status"
)

// Sentinel errors of a pod that was removed, in Kuberhealthy's words.
var (
	ErrPodRemovedExpectedly    = errors.New("pod deleted expectedly")
	ErrPodRemovedUnexpectedly  = errors.New("pod deleted unexpectedly")
	ErrPodDeletedBeforeRunning = errors.New("the khcheck check pod is deleted, waiting for start failed")
)

// Outcome is the one word for how a run ended, or for a tick that started no run.
type Outcome string

// The outcomes of a run, and of a tick without a run.
const (
	// Unfinished is the outcome of a run that is open.
	Unfinished Outcome = ""
	// Succeeded: the check reported OK.
	Succeeded Outcome = "succeeded"
	// Failed: the check reported errors, or its pod ended or was deleted without a report.
	Failed Outcome = "failed"
	// TimedOut: the deadline passed before the report, or before the exit.
	TimedOut Outcome = "timed-out"
	// InfraFailed: the platform did not let the check run.
	InfraFailed Outcome = "infra-failed"
	// Canceled: the check was deleted during its run; nothing is recorded.
	Canceled Outcome = "canceled"
	// Skipped: the tick started no run, because the previous run was open.
	Skipped Outcome = "skipped"
	// Missed: the tick started no run, because no worker or no Temporal was there in time.
	Missed Outcome = "missed"
	// Paused: the tick started no run, because the check was suspended or its spec was not valid.
	Paused Outcome = "paused"
)

// Trigger is why a run was started.
type Trigger string

// The triggers of a run.
const (
	// TriggerSchedule is for the ticks of a check. Each tick has one record.
	TriggerSchedule Trigger = "schedule"
	// TriggerFirst is for the run that a new or edited check gets at once.
	TriggerFirst Trigger = "first"
	// TriggerJob is for the run of a KHJob.
	TriggerJob Trigger = "job"
	// TriggerManual is for a run that a person or a program asked for.
	TriggerManual Trigger = "manual"
)

// Conclusion is how a run ended: its outcome, with errors, times and notes. It is data: a check that fails is not an error
// of Khronicle.
type Conclusion struct {
	Outcome Outcome
	// Errors are the texts that people see. The first is Kuberhealthy's text for the same situation. The second gives
	// detail.
	Errors []string
	// Reported is true when the check itself reported.
	Reported bool
	// Node is where the pod ran.
	Node string
	// Started is when the run began. Concluded is when its outcome was known.
	Started, Concluded time.Time
	// Notes say what else happened in the run, such as a second report.
	Notes []string
	// Flaky is true when the run succeeded after an attempt of it had failed.
	Flaky bool `json:",omitempty"`
	// Refused is true when no container of the check could run. Another attempt is made while there is time, whoever is to
	// blame.
	Refused bool `json:",omitempty"`
	// Final is true when another attempt would end in the same way.
	Final bool `json:",omitempty"`
}

// OK is true when the run found nothing wrong.
func (o Conclusion) OK() bool { return o.Outcome == Succeeded }

// Text returns all errors of the conclusion in one line.
func (o Conclusion) Text() string {
	if len(o.Errors) == 0 {
		return "no error was given"
	}
	return strings.Join(o.Errors, "; ")
}

// Bounds of the errors of a conclusion that is stored as a record.
const (
	maxErrors     = 32
	maxErrorBytes = 4 << 10
)

// Bounded returns the conclusion with the number and length of errors that a record stores.
func (o Conclusion) Bounded() Conclusion {
	if n := len(o.Errors); n > maxErrors {
		o.Errors = append(slices.Clone(o.Errors[:maxErrors-1]), fmt.Sprintf("and %d more", n-maxErrors+1))
	} else {
		o.Errors = slices.Clone(o.Errors)
	}
	for i := range o.Errors {
		o.Errors[i] = Cut(o.Errors[i], maxErrorBytes)
	}
	return o
}

// ExecutionError returns why the check of ref did not report, without the prefix that a state adds. ok is false when the
// check reported.
func (o Conclusion) ExecutionError(ref Ref) (text string, ok bool) {
	if len(o.Errors) == 0 {
		return "", false
	}
	return strings.CutPrefix(o.Errors[0], executionErrorPrefix(ref))
}

func executionErrorPrefix(ref Ref) string {
	if ref.Kind == khv1.KHJob {
		return "Job execution error: "
	}
	return "Check execution error: "
}

// FromReport returns the conclusion of a run whose check reported.
func FromReport(report status.Report) Conclusion {
	conclusion := Conclusion{Outcome: Succeeded, Errors: report.Errors, Reported: true}
	if !report.OK {
		conclusion.Outcome = Failed
	}
	return conclusion
}

// Failure is why a run ended without a report of its check.
type Failure struct {
	Outcome Outcome
	// Text is the situation in Kuberhealthy's words.
	Text string
	// Bare is true for a text that is shown without the name of the check, as Kuberhealthy does for some.
	Bare bool
	// Detail says more, where there is more to say.
	Detail string
	// Refused is true when no container of the check could run.
	Refused bool `json:",omitempty"`
	// Final is true when another attempt would end the same.
	Final bool `json:",omitempty"`
}

// Conclude returns the failure as the conclusion of a run of ref.
func (f Failure) Conclude(ref Ref) Conclusion {
	text := f.Text
	if !f.Bare {
		text = ref.String() + ": " + text
	}
	conclusion := Conclusion{Outcome: f.Outcome, Errors: []string{executionErrorPrefix(ref) + text}, Refused: f.Refused, Final: f.Final}
	if f.Detail != "" {
		conclusion.Errors = append(conclusion.Errors, f.Detail)
	}
	return conclusion
}

// InvalidSpec is the failure of a workload whose spec gives no valid pod.
func InvalidSpec(err error) Failure {
	return Failure{Outcome: Failed, Text: err.Error(), Bare: true, Final: true}
}

// CreateFailed is the failure of a pod that could not be created, but may be later.
func CreateFailed(reason string) Failure {
	return Failure{Outcome: InfraFailed, Text: "failed to create pod for checker: " + reason, Refused: true}
}

// NotStarted is the failure of a pod that was not running at the deadline.
func NotStarted(o Observation) Failure {
	failure := Failure{Outcome: o.Blame.or(TimedOut), Text: "failed to see pod running within timeout", Detail: o.Detail}
	if o.Blame == "" && o.Unschedulable() {
		failure.Outcome = InfraFailed
	}
	return failure
}

// CannotStart is the failure of a pod with a container that cannot start without a change.
func CannotStart(o Observation) Failure {
	final := slices.Contains(neverStarts, o.Hopeless)
	return Failure{
		Outcome: cmp.Or(o.Blame, blameOfWait(o)).or(InfraFailed),
		Text:    "error when waiting for pod to start: " + o.Hopeless, Detail: o.Detail, Refused: !final, Final: final,
	}
}

// Removed is the failure of a pod that was deleted before its report.
func Removed(o Observation) Failure {
	switch {
	case o.Disrupted:
		return Failure{Outcome: InfraFailed, Text: ErrPodRemovedExpectedly.Error(), Bare: true, Detail: o.Detail}
	case !o.Started:
		return Failure{Outcome: Failed, Text: "error when waiting for pod to start: " + ErrPodDeletedBeforeRunning.Error()}
	default:
		return Failure{Outcome: Failed, Text: ErrPodRemovedUnexpectedly.Error(), Bare: true}
	}
}

// EndedSilently is the failure of a pod that ended without a report.
func EndedSilently(o Observation) Failure {
	failure := Failure{Outcome: Failed, Text: "checker pod ended without reporting in: " + o.Detail}
	if o.Disrupted {
		failure.Outcome = InfraFailed
	}
	return failure
}

// NoReport is the failure of a pod that had not reported at the deadline. The detail names a container that failed.
func NoReport(o Observation) Failure {
	return Failure{Outcome: o.Blame.or(TimedOut), Text: "timed out waiting for checker pod to report in", Detail: o.Detail}
}

// NoExit is the failure of a pod that reported, but was still running at the deadline.
func NoExit(o Observation) Failure {
	return Failure{Outcome: o.Blame.or(TimedOut), Text: "timed out waiting for pod to exit", Detail: o.Detail}
}

// Lost is the failure of a run that Temporal no longer has a record of. Nobody knows whether its pod reported.
func Lost() Failure {
	return Failure{Outcome: InfraFailed, Text: "the run was lost: Temporal has no record of it any more", Final: true}
}
