package activities

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// Cluster is what the activities need from Kubernetes; package kube implements it.
type Cluster interface {
	Workloads
	CheckerPods
	PodSources
}

// Ledger is what the activities need from the ledger; package ledger implements it.
type Ledger interface {
	Begin(ctx context.Context, record ledger.Record) error
	Finish(ctx context.Context, record ledger.Record) error
	RecordTicks(ctx context.Context, records []ledger.Record) (added []ledger.Record, err error)
	Last(ctx context.Context, checkUID string, trigger check.Trigger, before time.Time) (record ledger.Record, ok bool, err error)
	LastOutcomes(ctx context.Context, checkUID string, limit int) ([]ledger.Record, error)
	PutEvidence(ctx context.Context, key ledger.Key, e ledger.Evidence) error
	OpenRuns(ctx context.Context, before time.Time, after ledger.Key, limit int) ([]ledger.Record, error)
	Ping(ctx context.Context) error
}

// Runs is what the activities need from Temporal; package worker implements it.
type Runs interface {
	// Start starts a run and returns its tick. If a run with this UUID was started before, it returns the tick of that run.
	Start(ctx context.Context, run Run) (tick time.Time, err error)
	// Open is true for a run that has not ended, and false if Temporal has no record of it. A run that the tick with the
	// workflow ID first has yet to start is open too. first may be empty.
	Open(ctx context.Context, runUUID, first string) (bool, error)
	// OpenRequest is true while the run is open, or has yet to start, that a value of the annotation of a check asks for.
	OpenRequest(ctx context.Context, ref check.Ref, value string) (bool, error)
	// Waiting returns the runs whose records wait and that ended in a range of time, the oldest first. If there are too
	// many, it returns some of them, and all is false.
	Waiting(ctx context.Context, since, until time.Time) (found []WaitingRun, all bool, err error)
	// Unrecorded returns what the ledger has not taken of a closed run, from the result of the run.
	Unrecorded(ctx context.Context, run WaitingRun) (Unrecorded, error)
	// LastOutcome returns the newest outcome of a check or job that Temporal still has. ok is false if it has none.
	LastOutcome(ctx context.Context, ref check.Ref) (last EndedRun, ok bool, err error)
	// Heartbeat sends a heartbeat of an activity, with details, at once. If the run has ended, the error is ErrRunEnded.
	Heartbeat(ctx context.Context, taskToken []byte, details any) error
}

// ErrRunEnded is the error of a heartbeat for a run that has ended.
var ErrRunEnded = errors.New("the run has ended")

// Run is a run to start.
type Run struct {
	UUID    string
	Key     RecordKey
	Timeout time.Duration
}

// WaitingRun names a closed run whose record waits.
type WaitingRun struct {
	UUID, RunID string
	Closed      time.Time
}

// EndedRun is a run with an outcome.
type EndedRun struct {
	UUID       string
	Tick       time.Time
	Conclusion check.Conclusion
}

// Exporter sends outcomes elsewhere; package internal/influx implements it. Export returns at once and handles failures
// itself. It may be called more than once for the same outcome.
type Exporter interface {
	Export(ref check.Ref, conclusion check.Conclusion)
}

// Deadman receives the heartbeat; package internal/deadman implements it. Heartbeat handles failures itself.
type Deadman interface {
	Heartbeat(ctx context.Context)
}

// Activities carries the clients and settings of the activities.
type Activities struct {
	Cluster Cluster
	Runs    Runs
	// ReportingURL returns where checks that start now post their reports.
	ReportingURL func() string
	// Recorder is the name of this worker, shown on the states it writes.
	Recorder string
	// Ledger, if any, stores the record of each run and tick. Build is the version of this worker in the record.
	Ledger Ledger
	Build  string
	// Limiter, if any, says when a pod may start.
	Limiter *Limiter
	// Exporter, if any, gets each outcome that is recorded.
	Exporter Exporter
	// Deadman, if any, receives a heartbeat while Temporal and a worker work.
	Deadman Deadman
}

// RecordKey is the key of the record of a run or tick.
type RecordKey struct {
	Ref     check.Ref
	Trigger check.Trigger
	// Tick is the scheduled time of the run, or when a run without a schedule was asked for.
	Tick time.Time
}

// Given is a workload that the starter of a run supplied, in place of the check or job in the cluster.
type Given struct {
	Workload check.Workload
	// ReportingURL is where the check reports. Empty means the URL of all other checks.
	ReportingURL string
}

// Pod names the pod of an attempt.
type Pod struct {
	Namespace, Name string
	// Deadline is when to stop looking. The zero time means never.
	Deadline time.Time
}

func (p Pod) key() types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}
