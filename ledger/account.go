package ledger

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// Bounds of the texts of an account. What is longer is cut and says so.
const (
	// MaxTexts is how many errors, and how many notes, an account keeps.
	MaxTexts = 32
	// MaxTextBytes is the length of one error or note.
	MaxTextBytes = 4 << 10
	// maxWordBytes is the length of a name, node, digest, hash, build or ID.
	maxWordBytes = 512
)

// Trigger says why a run was due.
type Trigger string

// The triggers of runs.
const (
	// Scheduled runs are the ticks of a check's grid: as many as were due must have an account.
	Scheduled Trigger = "scheduled"
	// First is the run at once of a new or edited check, before its first tick.
	First Trigger = "first"
	// Manual runs were asked for by a person or a program.
	Manual Trigger = "manual"
	// Job is the run of a KHJob.
	Job Trigger = "job"
)

// triggers are stored by their index: append only.
var triggers = []Trigger{Scheduled, First, Manual, Job}

// Outcome is the one word for how an account ended. Those that a run can have are the texts of check.Result.
type Outcome string

// The outcomes of an account.
const (
	// Unfinished accounts are open: they have no outcome yet.
	Unfinished Outcome = ""
	// Succeeded: the check reported OK.
	Succeeded Outcome = "succeeded"
	// Failed: the check reported errors, or ended without a report.
	Failed Outcome = "failed"
	// InfraFailed: the platform did not let the check run.
	InfraFailed Outcome = "infra-failed"
	// TimedOut: the deadline passed before the report, or before the exit.
	TimedOut Outcome = "timed-out"
	// Skipped: the run before it was still going.
	Skipped Outcome = "skipped"
	// Paused: the check was suspended.
	Paused Outcome = "paused"
	// Missed: nobody was there to run it.
	Missed Outcome = "missed"
	// Canceled: the check was deleted during its run.
	Canceled Outcome = "canceled"
)

// outcomes are stored by their index, Unfinished as 0: append only.
var outcomes = []Outcome{Unfinished, Succeeded, Failed, InfraFailed, TimedOut, Skipped, Paused, Missed, Canceled}

// withoutRun are the outcomes of ticks at which nothing was started.
var withoutRun = []Outcome{Skipped, Paused, Missed}

// Key identifies an account: there is one row for each.
type Key struct {
	// CheckUID is the UID of the KHCheck or KHJob, so that one that is created anew under an old name starts anew.
	CheckUID string
	Trigger  Trigger
	// Nominal is the time that the grid names, not when the run started; for a run without a grid, when it was asked
	// for. It counts in whole microseconds.
	Nominal time.Time
}

// String returns the key as errors name it.
func (k Key) String() string {
	return fmt.Sprintf("%s %s %s", k.CheckUID, k.Trigger, k.Nominal.UTC().Format(time.RFC3339Nano))
}

// Account is what is known of one due run. Times may be zero; they are kept in microseconds and come back in UTC.
type Account struct {
	Key
	Kind      khv1.KHWorkload
	Namespace string
	Name      string

	// Outcome is empty while the run is open.
	Outcome Outcome
	// Flaky is true when a run succeeded after an attempt of it had failed.
	Flaky bool
	// Revision counts the closing accounts that one run gives of itself, from 0: a late report amends with 1. The
	// highest wins, in whatever order they arrive, so a delivery that is repeated late cannot take an amendment back.
	Revision int

	// Due is Nominal, put off by what the schedule staggers.
	Due, Started, PodCreated, Running, Reported, Exited time.Time
	// Judged is when the verdict was known; of a run that did not report, no other time says that.
	Judged time.Time
	// Recorded is when the run gave the account, at its end; that the ledger was down then does not count. The ledger sets it,
	// where it is zero, when it stores the row.
	Recorded time.Time

	// Attempts is how often the run was tried, and InfraFailures how many of those the platform ended: no fault of the check.
	Attempts, InfraFailures int

	Node        string
	ImageDigest string
	SpecHash    string
	WorkerBuild string
	// WorkflowID names the run that the row belongs to: no other changes it. It is empty where no run was started, and any
	// run may take such a row.
	WorkflowID string
	// RunID is Temporal's ID of the workflow's execution.
	RunID string

	Errors []string
	Notes  []string
}

// Duration is how long the run took from its start to its report or else its verdict; ok is false where that is not known.
func (a Account) Duration() (d time.Duration, ok bool) {
	end := a.Reported
	if end.IsZero() {
		end = a.Judged
	}
	if a.Started.IsZero() || end.Before(a.Started) {
		return 0, false
	}
	return micro(end).Sub(micro(a.Started)), true
}

// Errors that callers test for.
var (
	// ErrInvalid is the error of an account or a key that no store could hold. To send it again is of no use.
	ErrInvalid = errors.New("invalid")
	// ErrOtherRun is the error of an account whose tick belongs to another run already. Nothing was changed.
	ErrOtherRun = errors.New("the tick has the account of another run")
)

func (k Key) validate() error {
	switch {
	case k.CheckUID == "" || len(k.CheckUID) > maxWordBytes || clean(k.CheckUID) != k.CheckUID:
		return fmt.Errorf("account %s: %w: check UID", k, ErrInvalid)
	case !slices.Contains(triggers, k.Trigger):
		return fmt.Errorf("account %s: %w: trigger", k, ErrInvalid)
	case k.Nominal.Year() < 1970 || k.Nominal.Year() > 9999:
		return fmt.Errorf("account %s: %w: nominal time", k, ErrInvalid)
	}
	return nil
}

func (k Key) normal() Key {
	k.Nominal = micro(k.Nominal)
	return k
}

func (a Account) validate() error {
	if err := a.Key.validate(); err != nil {
		return err
	}
	switch {
	case a.Kind == "" || a.Name == "":
		return fmt.Errorf("account %s: %w: kind and name are needed", a.Key, ErrInvalid)
	case !slices.Contains(outcomes, a.Outcome):
		return fmt.Errorf("account %s: %w: outcome %q", a.Key, ErrInvalid, a.Outcome)
	case a.Attempts < 0 || a.Attempts > math.MaxInt32 || a.Revision < 0 || a.Revision > math.MaxInt32:
		return fmt.Errorf("account %s: %w: attempts or revision", a.Key, ErrInvalid)
	case a.InfraFailures < 0 || a.InfraFailures > a.Attempts:
		return fmt.Errorf("account %s: %w: %d of %d attempts ended by the platform", a.Key, ErrInvalid, a.InfraFailures, a.Attempts)
	}
	return nil
}

// normal returns the account as it will be read back: bounded, in UTC and in microseconds.
func (a Account) normal() Account {
	a.Key = a.Key.normal()
	for _, t := range a.times() {
		*t = micro(*t)
	}
	for _, s := range []*string{
		(*string)(&a.Kind), &a.Namespace, &a.Name, &a.Node, &a.ImageDigest, &a.SpecHash, &a.WorkerBuild, &a.WorkflowID, &a.RunID,
	} {
		*s = cut(*s, maxWordBytes)
	}
	a.Errors, a.Notes = bounded(a.Errors), bounded(a.Notes)
	return a
}

// times lists the times of the account in the order of their columns.
func (a *Account) times() []*time.Time {
	return []*time.Time{
		&a.Due, &a.Started, &a.PodCreated, &a.Running, &a.Reported, &a.Judged, &a.Exited, &a.Recorded,
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
	kept := make([]string, 0, min(len(texts), MaxTexts))
	for i, text := range texts {
		if i == MaxTexts-1 && len(texts) > MaxTexts {
			return append(kept, fmt.Sprintf("and %d more", len(texts)-i))
		}
		kept = append(kept, cut(text, MaxTextBytes))
	}
	return kept
}

const ellipsis = "…"

// cut bounds a text, at the end of a character: clean drops the half of one.
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
