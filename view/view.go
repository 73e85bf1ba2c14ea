package view

import (
	"cmp"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// Cluster is the part of package kube that is read. The objects must not be changed.
type Cluster interface {
	Checks() []*khv1.KuberhealthyCheck
	Jobs() []*khv1.KuberhealthyJob
	States() []*khv1.KuberhealthyState
	IsJob(state *khv1.KuberhealthyState) bool
}

// Options are the sources of a view.
type Options struct {
	Cluster Cluster
	// Ledger has the records of runs. Nil means that there is no ledger: the KHStates have the last ten runs of each check.
	Ledger Ledger
	// HideEvidence leaves out what the ledger stores of failed attempts, such as logs, for readers who may be anyone.
	HideEvidence bool
	// FreshFor is how long a snapshot is used before another one is made. 0 makes one for each reader.
	FreshFor time.Duration
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Logger is where Run logs. Nil means nowhere.
	Logger *slog.Logger
}

// View is the read model. Its methods may be used concurrently.
type View struct {
	Options
	// making is held while a snapshot is made.
	making sync.Mutex
	last   atomic.Pointer[Snapshot]
	facts  Memory[versions, facts]
	shown  Memory[versions, *base]
	// statistics is what the ledger had when it was read last.
	statistics atomic.Pointer[statistics]
	changes    *changes
}

// New returns a view. Run reads the statistics of its ledger; until then, no check has any.
func New(o Options) *View {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	v := &View{Options: o}
	v.changes = newChanges(v.Snapshot)
	return v
}

// Snapshot is all checks and jobs at one moment. It must not be changed.
type Snapshot struct {
	// At is when it was made.
	At time.Time
	// Checks has all checks and jobs, by namespace, name and kind.
	Checks []*Check
	// Recorded has what each KHState shows, also those without a check or job.
	Recorded []Recorded
	// Ledger says whether the statistics of the checks are known.
	Ledger LedgerState
	byRef  map[refKey]*Check
}

// Recorded is a KHState and what was read out of it.
type Recorded struct {
	*khv1.KuberhealthyState
	// Kind is KHJob for the state of a job.
	Kind khv1.KHWorkload
	// Runs are its last runs, the newest last.
	Runs []check.RecentRun
}

// StartDelay is how long after its tick the last run in the state began. ok is false where that is not known.
func (r Recorded) StartDelay() (delay time.Duration, ok bool) {
	if len(r.Runs) == 0 {
		return 0, false
	}
	return r.Runs[len(r.Runs)-1].StartDelay()
}

// refKey identifies a check or job by kind, namespace and name.
type refKey struct {
	kind            khv1.KHWorkload
	namespace, name string
}

func keyOf(ref check.Ref) refKey { return refKey{ref.Kind, ref.Namespace, ref.Name} }

// Snapshot returns the present checks and jobs. It asks nobody: it reads caches alone.
func (v *View) Snapshot() *Snapshot {
	if last := v.fresh(); last != nil {
		return last
	}
	v.making.Lock()
	defer v.making.Unlock()
	if last := v.fresh(); last != nil { // another reader has made it meanwhile
		return last
	}
	next := v.snapshot(v.Now())
	v.last.Store(next)
	return next
}

// fresh returns the last snapshot if it can still be used.
func (v *View) fresh() *Snapshot {
	last := v.last.Load()
	if last == nil || v.FreshFor <= 0 {
		return nil
	}
	if age := v.Now().Sub(last.At); age < 0 || age >= v.FreshFor {
		return nil
	}
	return last
}

// Check returns the check of a namespace and name. If there is none, it returns the job of that name. With a kind it returns
// that kind alone.
func (s *Snapshot) Check(kind khv1.KHWorkload, namespace, name string) (*Check, bool) {
	kinds := []khv1.KHWorkload{khv1.KHCheck, khv1.KHJob}
	if kind != "" {
		kinds = []khv1.KHWorkload{kind}
	}
	for _, kind := range kinds {
		if found, ok := s.byRef[refKey{kind, namespace, name}]; ok {
			return found, true
		}
	}
	return nil, false
}
