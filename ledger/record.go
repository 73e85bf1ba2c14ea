package ledger

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Bounds of the texts of a record. What is longer is cut and says so.
const (
	// MaxTexts is how many errors, and how many notes, a record keeps.
	MaxTexts = 32
	// MaxTextBytes is the length of one error or note.
	MaxTextBytes = 4 << 10
	// maxWordBytes is the length of a name, node, digest, hash, build or ID.
	maxWordBytes = 512
)

// triggers are stored by their index: append only.
var triggers = []check.Trigger{check.TriggerSchedule, check.TriggerFirst, check.TriggerManual, check.TriggerJob}

// outcomes are stored by their index, check.Unfinished as 0: append only.
var outcomes = []check.Outcome{
	check.Unfinished, check.Succeeded, check.Failed, check.InfraFailed, check.TimedOut, check.Skipped, check.Paused, check.Missed,
	check.Canceled,
}

// withoutRun are the outcomes of ticks at which no run was started.
var withoutRun = []check.Outcome{check.Skipped, check.Paused, check.Missed}

// Key identifies a record: there is one row for each key.
type Key struct {
	// CheckUID is the UID of the KHCheck or KHJob. A check that is created again under an old name has another UID.
	CheckUID string
	Trigger  check.Trigger
	// Tick is the time that the schedule names, not when the run started. For a run without a schedule it is when the
	// run was asked for. It counts in whole microseconds.
	Tick time.Time
}

// String returns the key as errors name it.
func (k Key) String() string {
	return fmt.Sprintf("%s %s %s", k.CheckUID, k.Trigger, k.Tick.UTC().Format(time.RFC3339Nano))
}

// Record is what is known of one tick or run. Times may be zero. They are stored in microseconds and come back in UTC.
type Record struct {
	Key
	Kind      khv1.KHWorkload
	Namespace string
	Name      string

	// Outcome is check.Unfinished while the run is open.
	Outcome check.Outcome
	// Flaky is true when a run succeeded after an attempt of it had failed.
	Flaky bool
	// Revision counts the closed records that one run sends, from 0: a late report amends the first with Revision 1. The
	// highest Revision wins, in whatever order they arrive. So an old record that is delivered again changes nothing.
	Revision int

	// Deadline is when the run must have ended at the latest.
	Deadline                                       time.Time
	Started, PodCreated, Running, Reported, Exited time.Time
	// Concluded is when the outcome was known. A run that did not report has no other time of its end.
	Concluded time.Time
	// Recorded is when the run sent the closed record, at its end, even if the ledger was down then. Where it is zero, the
	// ledger sets it to the time at which it stores the row.
	Recorded time.Time
	// Queued is how long the run waited for its turn to start a pod.
	Queued time.Duration

	// Attempts is the number of pods of the run. InfraFailures is how many of them failed because of the platform.
	Attempts, InfraFailures int

	Node        string
	ImageDigest string
	SpecHash    string
	WorkerBuild string
	// WorkflowID names the run that the row belongs to: no other run changes it. It is empty where no run was started, and
	// any run may replace such a row.
	WorkflowID string
	// RunID is Temporal's ID of the workflow's execution.
	RunID string

	Errors []string
	Notes  []string
}

// Duration is how long the run took from its start to its report, or to its outcome where there is no report. It is not
// known, and ok is false, where one of the two times is zero.
func (r Record) Duration() (d time.Duration, ok bool) {
	end := r.Reported
	if end.IsZero() {
		end = r.Concluded
	}
	if r.Started.IsZero() || end.Before(r.Started) {
		return 0, false
	}
	return micro(end).Sub(micro(r.Started)), true
}

// Errors that callers test for.
var (
	// ErrInvalid is the error of a record or a key that no database could hold. To send it again is of no use.
	ErrInvalid = errors.New("invalid")
	// ErrOtherRun is the error of a record whose tick belongs to another run already. Nothing was changed.
	ErrOtherRun = errors.New("the tick has the record of another run")
)

func (k Key) validate() error {
	switch {
	case k.CheckUID == "" || len(k.CheckUID) > maxWordBytes || clean(k.CheckUID) != k.CheckUID:
		return fmt.Errorf("record %s: %w: check UID", k, ErrInvalid)
	case !slices.Contains(triggers, k.Trigger):
		return fmt.Errorf("record %s: %w: trigger", k, ErrInvalid)
	case k.Tick.Year() < 1970 || k.Tick.Year() > 9999:
		return fmt.Errorf("record %s: %w: tick", k, ErrInvalid)
	}
	return nil
}

func (k Key) normal() Key {
	k.Tick = micro(k.Tick)
	return k
}

// validateTick returns what is wrong with the record of a tick without a run.
func (r Record) validateTick() error {
	if !slices.Contains(withoutRun, r.Outcome) {
		return fmt.Errorf("record %s: %w: outcome %q of a tick without a run", r.Key, ErrInvalid, r.Outcome)
	}
	if r.WorkflowID != "" {
		return fmt.Errorf("record %s: %w: a tick without a run has no workflow ID", r.Key, ErrInvalid)
	}
	return r.validate()
}

func (r Record) validate() error {
	if err := r.Key.validate(); err != nil {
		return err
	}
	switch {
	case r.Kind == "" || r.Name == "":
		return fmt.Errorf("record %s: %w: kind and name are needed", r.Key, ErrInvalid)
	case !slices.Contains(outcomes, r.Outcome):
		return fmt.Errorf("record %s: %w: outcome %q", r.Key, ErrInvalid, r.Outcome)
	case r.Attempts < 0 || r.Attempts > math.MaxInt32 || r.Revision < 0 || r.Revision > math.MaxInt32:
		return fmt.Errorf("record %s: %w: attempts or revision", r.Key, ErrInvalid)
	case r.InfraFailures < 0 || r.InfraFailures > r.Attempts:
		return fmt.Errorf("record %s: %w: %d of %d attempts failed because of the platform", r.Key, ErrInvalid, r.InfraFailures, r.Attempts)
	}
	return nil
}

// normal returns the record as it will be read back: bounded, in UTC and in whole microseconds.
func (r Record) normal() Record {
	r.Key = r.Key.normal()
	for _, t := range r.times() {
		*t = micro(*t)
	}
	for _, s := range []*string{
		(*string)(&r.Kind), &r.Namespace, &r.Name, &r.Node, &r.ImageDigest, &r.SpecHash, &r.WorkerBuild, &r.WorkflowID, &r.RunID,
	} {
		*s = cut(*s, maxWordBytes)
	}
	r.Queued = max(0, r.Queued.Truncate(time.Microsecond))
	r.Errors, r.Notes = bounded(r.Errors), bounded(r.Notes)
	return r
}

// times lists the times of the record in the order of their columns.
func (r *Record) times() []*time.Time {
	return []*time.Time{
		&r.Deadline, &r.Started, &r.PodCreated, &r.Running, &r.Reported, &r.Concluded, &r.Exited, &r.Recorded,
	}
}

func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

func bounded(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	short := make([]string, 0, min(len(texts), MaxTexts))
	for i, text := range texts {
		if i == MaxTexts-1 && len(texts) > MaxTexts {
			return append(short, fmt.Sprintf("and %d more", len(texts)-i))
		}
		short = append(short, cut(text, MaxTextBytes))
	}
	return short
}

const ellipsis = "…"

// cut bounds a text. Where the bound splits a character, clean drops the half of it.
func cut(text string, limit int) string {
	text = clean(text)
	if len(text) <= limit {
		return text
	}
	return clean(text[:limit-len(ellipsis)]) + ellipsis
}

// clean removes what PostgreSQL does not take for text: zero bytes and broken UTF-8.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}
