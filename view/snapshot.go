package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// facts are what is read out of one KHState.
type facts struct{ runs []check.RecentRun }

// maker makes one snapshot.
type maker struct {
	*View
	now        time.Time
	statistics *statistics
	// previous are the checks of the snapshot before, which are used again where nothing has changed.
	previous map[refKey]*Check
	states   map[stateKey]Recorded
	shown    Pass[versions, *base]
	made     []*Check
}

// stateKey is the namespace and name of a state.
type stateKey struct{ namespace, name string }

func (v *View) snapshot(now time.Time) *Snapshot {
	m := maker{View: v, now: now, statistics: v.statistics.Load(), states: map[stateKey]Recorded{}, shown: v.shown.Begin()}
	if last := v.last.Load(); last != nil {
		m.previous = last.byRef
	}
	s := &Snapshot{At: now, Ledger: v.ledgerState(m.statistics), Recorded: v.recorded()}
	for _, r := range s.Recorded {
		m.states[stateKey{r.Namespace, r.Name}] = r
	}
	for _, c := range v.Cluster.Checks() {
		m.add(c, nil, m.stateOf(c.Namespace, c.Name))
	}
	for _, j := range v.Cluster.Jobs() {
		m.add(nil, j, m.stateOf(j.Namespace, j.Name))
	}
	v.shown.End(m.shown)
	slices.SortFunc(m.made, func(a, b *Check) int { return compare(keyOf(a.Ref), keyOf(b.Ref)) })
	s.Checks, s.byRef = m.made, make(map[refKey]*Check, len(m.made))
	for _, c := range s.Checks {
		s.byRef[keyOf(c.Ref)] = c
	}
	return s
}

// compare is the order of checks: by namespace, name and kind.
func compare(a, b refKey) int {
	return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name), strings.Compare(string(a.kind), string(b.kind)))
}

// recorded returns all states, and what is read out of each.
func (v *View) recorded() []Recorded {
	states := v.Cluster.States()
	remembered := v.facts.Begin()
	all := make([]Recorded, len(states))
	for i, state := range states {
		kind := khv1.KHCheck
		if v.Cluster.IsJob(state) {
			kind = khv1.KHJob
		}
		read := ofVersions(remembered, versionsOf(nil, nil, state), func() facts { return facts{soundRuns(state)} })
		all[i] = Recorded{KuberhealthyState: state, Kind: kind, Runs: read.runs}
	}
	v.facts.End(remembered)
	return all
}

// longestRun bounds the duration of a run in a list. No timeout is longer.
const longestRun = 366 * 24 * time.Hour

// soundRuns returns the runs that a state lists, without those that Khronicle cannot have written: anyone may edit a KHState.
func soundRuns(state *khv1.KuberhealthyState) []check.RecentRun {
	outcomes := []check.Outcome{check.Succeeded, check.Failed, check.TimedOut, check.InfraFailed}
	return slices.DeleteFunc(check.RecentRuns(state), func(r check.RecentRun) bool {
		return !slices.Contains(outcomes, r.Outcome) || r.Seconds < 0 || r.Seconds > longestRun.Seconds() || r.Started.IsZero()
	})
}

// stateOf returns the state of a check or job of a name, whichever of the two it shows.
func (m *maker) stateOf(namespace, name string) Recorded {
	return m.states[stateKey{namespace, check.StateName(name)}]
}

// add adds a check or a job; the other one is nil.
func (m *maker) add(c *khv1.KuberhealthyCheck, j *khv1.KuberhealthyJob, state Recorded) {
	b := ofVersions(m.shown, versionsOf(c, j, state.KuberhealthyState), func() *base {
		if c != nil {
			return baseOfCheck(c, state)
		}
		return baseOfJob(j, state)
	})
	key := keyOf(b.Ref)
	previous := m.previous[key]
	present := b.at(m.now, m.statistics.of(key), previous)
	if previous != nil && previous.same(&present) {
		m.made = append(m.made, previous)
		return
	}
	next := present // only what is new is allocated
	m.made = append(m.made, &next)
}
