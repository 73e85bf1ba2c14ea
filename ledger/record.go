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

// Bounds of the texts of a record. A longer text is cut and marked.
const (
	// MaxTexts is the most errors, and the most notes, of a record.
	MaxTexts = 32
	// MaxTextBytes is the length of one error or note.
	MaxTextBytes = 4 << 10
	// maxWordBytes is the length of a name, node, digest, hash, build or ID.
	maxWordBytes = 512
)

// triggers are stored by their index. Only append to the list.
var triggers = []check.Trigger{check.TriggerSchedule, check.TriggerFirst, check.TriggerManual, check.TriggerJob}

// outcomes are stored by their index; check.Unfinished is 0. Only append to the list.
var outcomes = []check.Outcome{
	check.Unfinished, check.Succeeded, check.Failed, check.InfraFailed, check.TimedOut, check.Skipped, check.Paused, check.Missed,
	check.Canceled,
}

// withoutRun are the outcomes of ticks that started no run.
var withoutRun = []check.Outcome{check.Skipped, check.Paused, check.Missed}

// Key identifies a record: there is one row for each key.
type Key struct {
	// CheckUID is the UID of the KHCheck or KHJob. A check that is created again under an old name has another UID.
	CheckUID string
	Trigger  check.Trigger
	// Tick is the scheduled time, not when the run started. For a run without a schedule it is when the run was asked for.
	// It has whole microseconds.
	Tick time.Time
}

// String returns the key as errors name it.
func (k Key) String() string {
	return fmt.Sprintf("%s %s %s", k.CheckUID, k.Trigger, k.Tick.UTC().Format(time.RFC3339Nano))
}

// Record is what is known of one tick or run. Times may be zero. They are stored in microseconds and returned in UTC.
type Record struct {
	Key
	Kind      khv1.KHWorkload
	Namespace string
	Name      string

	// Outcome is check.Unfinished while the run is open.
	Outcome check.Outcome
	// Flaky is true when a run succeeded after an attempt of it had failed.
	Flaky bool
	// Revision counts the closed records that one run sends, from 0. A late report amends the first with Revision 1. The
	// highest Revision wins, in whatever order they arrive, so an old record that arrives again changes nothing.
	Revision int

	// Deadline is the latest time at which the run must end.
	Deadline                                       time.Time
	Started, PodCreated, Running, Reported, Exited time.Time
	// Concluded is when the outcome was known. For a run that did not report, it is the only time of its end.
	Concluded time.Time
	// Recorded is when the run sent the closed record, even if the ledger was down then. If it is zero, the ledger sets it
	// to the time of storing.
	Recorded time.Time
	// Queued is how long the run waited for its turn to start a pod.
	Queued time.Duration

	// Attempts is the number of pods of the run. InfraFailures is how many of them failed because of the platform.
	Attempts, InfraFailures int

	Node        string
	ImageDigest string
	SpecHash    string
	WorkerBuild string
	// WorkflowID is the ID of the run that the row belongs to. No other run changes the row. It is empty for a tick without
	// a run, whose row any run may replace.
	WorkflowID string
	// RunID is Temporal's ID of the workflow's execution.
	RunID string

	Errors []string
	Notes  []string
}

// Duration is how long the run took from its start to its report, or to its outcome if there is no report. ok is false if
// one of the two times is zero.
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
	// ErrInvalid is the error of a record or key that no database can store. Sending it again does not help.
	ErrInvalid = errors.New("invalid")
	// ErrOtherRun is the error of a record whose tick belongs to another run. Nothing was changed.
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

// normal returns the record as it will be read: bounded, in UTC and in whole microseconds.
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

// cut shortens a text. If the cut splits a character, clean drops its first half.
func cut(text string, limit int) string {
	text = clean(text)
	if len(text) <= limit {
		return text
	}
	return clean(text[:limit-len(ellipsis)]) + ellipsis
}

// clean removes what PostgreSQL refuses in a text: zero bytes and broken UTF-8.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}
