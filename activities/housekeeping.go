package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"k8s.io/apimachinery/pkg/types"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Heartbeat sends a sign of life to the dead man's switch: Temporal and a worker work.
func (a *Activities) Heartbeat(ctx context.Context) error {
	if a.Deadman != nil {
		a.Deadman.Heartbeat(ctx)
	}
	return nil
}

// LateReport is the first report that came after the end of a run without a report.
type LateReport struct {
	Key   RecordKey
	Piece check.Piece
}

// RepairInput says which records are repaired.
type RepairInput struct {
	// Since is the earliest end of the runs whose records wait.
	Since time.Time
	// Late are reports that came after the end of their runs.
	Late []LateReport `json:",omitempty"`
}

// RepairResult says how far the records are repaired.
type RepairResult struct {
	// Until is a time. No run that had ended by then has a waiting record.
	Until time.Time
	// Late are reports that the ledger has not taken.
	Late []LateReport `json:",omitempty"`
	// Entered is how many waiting records are in the ledger now. Lost is how many records of lost runs were closed.
	Entered, Lost int
}

// Bounds of one repair. The next heartbeat must not wait for it.
const (
	// repairWithin bounds all of it.
	repairWithin = 25 * time.Second
	// pingWithin is how soon a working ledger answers.
	pingWithin = 3 * time.Second
	// lostAfter is how long after its deadline a run with an open record counts as lost.
	lostAfter = 2 * time.Minute
	// visibilityLag is how late Temporal may list a run that has ended.
	visibilityLag = time.Minute
	// enterFor is how long one repair enters records that wait.
	enterFor = 20 * time.Second
	// openAtATime is how many open records are looked at together.
	openAtATime = 100
)

// RepairRecords enters the records that wait in the results of closed runs, and closes the open records of lost runs. It
// restores states that somebody deleted. An error is logged, and what was done stays. The next call does the rest.
func (a *Activities) RepairRecords(ctx context.Context, in RepairInput) (RepairResult, error) {
	ctx, cancel := context.WithTimeout(ctx, repairWithin)
	defer cancel()
	if err := a.restoreStates(ctx); err != nil {
		activity.GetLogger(ctx).Warn("not all states were restored", "error", err)
	}
	return a.repairLedger(ctx, in), nil
}

// repairLedger does the part of RepairRecords that needs the ledger.
func (a *Activities) repairLedger(ctx context.Context, in RepairInput) RepairResult {
	result := RepairResult{Until: in.Since}
	if a.Ledger == nil {
		return result
	}
	result.Late = in.Late
	if err := a.ping(ctx); err != nil {
		activity.GetLogger(ctx).Warn("records wait: the ledger does not answer", "error", err)
		return result
	}
	result.Late = a.putLate(ctx, in.Late)
	if err := errors.Join(a.enterWaiting(ctx, &result), a.closeLost(ctx, &result)); err != nil {
		activity.GetLogger(ctx).Error("not all records were repaired", "error", err)
	}
	return result
}

func (a *Activities) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	return a.Ledger.Ping(ctx)
}

func (a *Activities) putLate(ctx context.Context, late []LateReport) (left []LateReport) {
	for _, report := range late {
		if err := a.putPiece(ctx, report.Key, report.Piece); err != nil {
			left = append(left, report)
		}
	}
	return left
}

// putPiece stores a piece of evidence in the ledger. A piece that the ledger will never take is logged and dropped.
func (a *Activities) putPiece(ctx context.Context, key RecordKey, piece check.Piece) error {
	err := a.Ledger.PutEvidence(ctx, recordOf(key).Key, piece)
	if errors.Is(err, ledger.ErrEvidenceFull) || errors.Is(err, ledger.ErrInvalid) {
		activity.GetLogger(ctx).Error("the ledger refuses evidence", "namespace", key.Ref.Namespace, "check", key.Ref.Name, "kind", piece.Kind, "error", err)
		return nil
	}
	return err
}

// enterWaiting enters the records of runs that ended while the ledger did not answer, the oldest first. After a long outage
// there are too many to list together. Then it halves the range of time until it can list them.
func (a *Activities) enterWaiting(ctx context.Context, result *RepairResult) error {
	asked := time.Now()
	from := result.Until
	if epoch := time.Unix(0, 0); from.Before(epoch) {
		from = epoch
	}
	var errs []error
	for part := asked.Sub(from); from.Before(asked) && time.Since(asked) < enterFor; {
		until := from.Add(min(part, asked.Sub(from)))
		waiting, all, err := a.Runs.Waiting(ctx, from, until)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("list runs whose records wait: %w", err))...)
		}
		if !all && part > time.Millisecond {
			part /= 2
			continue
		}
		for _, run := range waiting {
			if time.Since(asked) > enterFor {
				return errors.Join(errs...)
			}
			if err := a.enterRun(ctx, run); err != nil {
				errs = append(errs, fmt.Errorf("enter a record that waits: %w", err))
				continue
			}
			result.Entered++
			if len(errs) == 0 { // another run may have ended at the same time, and Temporal may list one late
				result.Until = earlier(run.Closed.Add(-time.Millisecond), asked.Add(-visibilityLag))
			}
			activity.RecordHeartbeat(ctx)
		}
		if len(errs) == 0 {
			result.Until = earlier(until, asked.Add(-visibilityLag))
		}
		from, part = until, 2*part
	}
	return errors.Join(errs...)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// enterRun enters what the ledger has not taken of a closed run.
func (a *Activities) enterRun(ctx context.Context, run WaitingRun) error {
	left, err := a.Runs.Unrecorded(ctx, run)
	if err != nil {
		return err
	}
	return a.enter(ctx, left)
}

// enter enters what the ledger has not taken of one run.
func (a *Activities) enter(ctx context.Context, left Unrecorded) error {
	if left.Record != nil {
		err := a.RecordRun(ctx, *left.Record)
		if refused := (*temporal.ApplicationError)(nil); errors.As(err, &refused) && refused.NonRetryable() {
			activity.GetLogger(ctx).Error("record that waited is refused", "namespace", left.Record.Ref.Namespace, "check", left.Record.Ref.Name, "error", err)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	for _, piece := range left.Evidence {
		if err := a.putPiece(ctx, left.Key, piece); err != nil {
			return err
		}
	}
	return nil
}

// closeLost closes the open records of lost runs. A run that was terminated, or lost with Temporal's data, cannot close its
// own record.
func (a *Activities) closeLost(ctx context.Context, result *RepairResult) error {
	var errs []error
	for after := (ledger.Key{}); ; {
		open, err := a.Ledger.OpenRuns(ctx, time.Now().Add(-lostAfter), after, openAtATime)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("list open records: %w", err))...)
		}
		for _, record := range open {
			after = record.Key
			errs = append(errs, a.closeIfLost(ctx, record, result))
			activity.RecordHeartbeat(ctx)
		}
		if len(open) < openAtATime {
			return errors.Join(errs...)
		}
	}
}

// closeIfLost closes the record of a run that has ended. If the run has a record that waits, which Temporal may not list
// yet, it enters that record.
func (a *Activities) closeIfLost(ctx context.Context, record ledger.Record, result *RepairResult) error {
	if !a.Cluster.Watches(record.Namespace) { // the runs of other namespaces may be in another Temporal
		return nil
	}
	open, err := a.Runs.Open(ctx, record.WorkflowID, "")
	if err != nil || open {
		return err
	}
	left, err := a.Runs.Unrecorded(ctx, WaitingRun{UUID: record.WorkflowID, RunID: record.RunID})
	switch {
	case err != nil:
		return err
	case left.Record != nil:
		if err = a.enter(ctx, left); err == nil {
			result.Entered++
		}
	default:
		if err = a.closeRecord(ctx, record); err == nil {
			result.Lost++
		}
	}
	return err
}

func (a *Activities) closeRecord(ctx context.Context, record ledger.Record) error {
	ref := check.Ref{Kind: record.Kind, Namespace: record.Namespace, Name: record.Name, UID: types.UID(record.CheckUID)}
	conclusion := check.Lost().Conclude(ref)
	conclusion.Started = record.Started // the time of its end is not known
	activity.GetLogger(ctx).Warn("the record of a lost run is closed", "namespace", ref.Namespace, "check", ref.Name, "run_uuid", record.WorkflowID)
	err := a.RecordRun(ctx, RecordInput{
		RecordKey: RecordKey{Ref: ref, Trigger: record.Trigger, Tick: record.Tick}, UUID: record.WorkflowID, RunID: record.RunID,
		Conclusion: conclusion, Attempts: record.Attempts, Deadline: record.Deadline,
	})
	if err != nil {
		return fmt.Errorf("close the record of a lost run of %s: %w", ref, err)
	}
	return nil
}
