package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// RecordInput is what is known of a run that has ended.
type RecordInput struct {
	RecordKey
	UUID, RunID string
	Conclusion  check.Conclusion
	// Revision counts the records that a run gives of itself: one with a late report replaces the one before.
	Revision int `json:",omitempty"`
	// Attempts is how many pods the run had, and InfraFailures how many of them the platform ended.
	Attempts, InfraFailures int
	// Queued is how long the run waited until its pod might start.
	Queued time.Duration `json:",omitempty"`
	// Created is when the pod of the last attempt was made, Reported when the report was stored and Recorded when the run had
	// nothing more to do but this.
	Created  time.Time `json:",omitzero"`
	Reported time.Time `json:",omitzero"`
	Recorded time.Time `json:",omitzero"`
	// Deadline is the end of the run at the latest.
	Deadline time.Time `json:",omitzero"`
	// Seen is the last that was seen of that pod.
	Seen check.Observation
	// SpecHash tells specs apart.
	SpecHash string `json:",omitempty"`
}

// Unrecorded is what the ledger has not taken of a run.
type Unrecorded struct {
	Key RecordKey
	// Record is nil when the ledger has it.
	Record   *RecordInput  `json:",omitempty"`
	Evidence []check.Piece `json:",omitempty"`
}

// RecordRefused is the type of the error of a record that the ledger will never take: another run has its own for that due
// time, or the record is not valid.
const RecordRefused = "RecordRefused"

// RecordRun closes the record of a run. It may be called again.
func (a *Activities) RecordRun(ctx context.Context, in RecordInput) error {
	if a.Ledger == nil {
		return nil
	}
	record := recordOf(in.RecordKey)
	record.Outcome, record.Errors, record.Notes = in.Conclusion.Outcome, in.Conclusion.Errors, in.Conclusion.Notes
	record.WorkflowID, record.RunID, record.WorkerBuild = in.UUID, in.RunID, a.Build
	record.Started, record.PodCreated, record.Reported, record.Concluded = in.Conclusion.Started, in.Created, in.Reported, in.Conclusion.Concluded
	record.Revision, record.Recorded, record.Queued, record.Deadline = in.Revision, in.Recorded, in.Queued, in.Deadline
	record.Running, record.Exited = in.Seen.RunningSince, in.Seen.ExitedAt
	record.Flaky, record.InfraFailures = in.Conclusion.Flaky, in.InfraFailures
	record.Attempts, record.Node, record.ImageDigest, record.SpecHash = in.Attempts, in.Conclusion.Node, in.Seen.Image, in.SpecHash
	err := a.Ledger.Finish(ctx, record)
	if errors.Is(err, ledger.ErrOtherRun) || errors.Is(err, ledger.ErrInvalid) {
		return temporal.NewNonRetryableApplicationError("the ledger refuses the record of "+in.Ref.String(), RecordRefused, err)
	}
	if err != nil {
		return fmt.Errorf("record the run of %s: %w", in.Ref, err)
	}
	return nil
}

// openWithin bounds how long a record is tried to be opened. Nobody waits for it.
const openWithin = 5 * time.Second

// openRecord opens the record of a run. The run does not wait for it and does not depend on it: its end makes up for it.
func (a *Activities) openRecord(ctx context.Context, attempt Attempt) {
	if a.Ledger == nil {
		return
	}
	logger := activity.GetLogger(ctx)
	record := recordOf(attempt.Key)
	record.WorkflowID, record.RunID, record.Attempts, record.WorkerBuild = attempt.UUID, activity.GetInfo(ctx).WorkflowExecution.RunID, attempt.Number, a.Build
	record.Started, record.Deadline = attempt.Started, attempt.Deadline
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openWithin)
		defer cancel()
		if err := a.Ledger.Begin(ctx, record); err != nil {
			logger.Warn("record was not opened", "check", attempt.Key.Ref.String(), "error", err)
		}
	}()
}

func recordOf(key RecordKey) ledger.Record {
	return ledger.Record{
		Key:  ledger.Key{CheckUID: uidOf(key.Ref), Trigger: key.Trigger, Tick: key.Tick},
		Kind: key.Ref.Kind, Namespace: key.Ref.Namespace, Name: key.Ref.Name,
	}
}

// uidOf names a check in the ledger. One that is not in the cluster has no UID, but its name.
func uidOf(ref check.Ref) string {
	return cmp.Or(string(ref.UID), string(ref.Kind)+"/"+ref.String())
}
