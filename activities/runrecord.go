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

// RecordInput is what is known about a run that has ended.
type RecordInput struct {
	RecordKey
	UUID, RunID string
	Conclusion  check.Conclusion
	// Revision counts the records that a run sends. One with a late report replaces the one before.
	Revision int `json:",omitempty"`
	// Attempts is how many pods the run had. InfraFailures is how many of them the platform ended.
	Attempts, InfraFailures int
	// Queued is how long the run waited until its pod might start.
	Queued time.Duration `json:",omitempty"`
	// Created is when the pod of the last attempt was made. Reported is when the report was stored. Recorded is when the
	// run had nothing left to do but to send this record.
	Created  time.Time `json:",omitzero"`
	Reported time.Time `json:",omitzero"`
	Recorded time.Time `json:",omitzero"`
	// Deadline is the latest end of the run.
	Deadline time.Time `json:",omitzero"`
	// Seen is the last observation of that pod.
	Seen check.Observation
	// SpecHash identifies the spec.
	SpecHash string `json:",omitempty"`
}

// Unrecorded is the record and evidence of a run that the ledger has not taken.
type Unrecorded struct {
	Key RecordKey
	// Record is nil when the ledger has it.
	Record   *RecordInput  `json:",omitempty"`
	Evidence []check.Piece `json:",omitempty"`
}

// RecordRefused is the type of the error of a record that the ledger will never take. Another run has the record of that
// tick, or the record is not valid.
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

// openWithin is how long opening a record is tried. Nothing waits for it.
const openWithin = 5 * time.Second

// openRecord opens the record of a run. The run does not wait for it and does not depend on it: the end of the run writes
// the whole record.
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
			logger.Debug("record was not opened", "namespace", attempt.Key.Ref.Namespace, "check", attempt.Key.Ref.Name, "error", err)
		}
	}()
}

func recordOf(key RecordKey) ledger.Record {
	return ledger.Record{
		Key:  ledger.Key{CheckUID: uidOf(key.Ref), Trigger: key.Trigger, Tick: key.Tick},
		Kind: key.Ref.Kind, Namespace: key.Ref.Namespace, Name: key.Ref.Name,
	}
}

// uidOf returns the UID of a check in the ledger. A check that is not in the cluster has none, so its name is used.
func uidOf(ref check.Ref) string {
	return cmp.Or(string(ref.UID), string(ref.Kind)+"/"+ref.String())
}
