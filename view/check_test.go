package view_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/view"
)

const (
	good = check.Succeeded
	bad  = check.Failed
	slow = check.TimedOut
)

func TestACheckHasOneStateWithItsReason(t *testing.T) {
	suspended := func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true }
	broken := func(c *khv1.KuberhealthyCheck) { c.Spec.RunInterval = "often" }
	appeared := func(c *khv1.KuberhealthyCheck) { c.CreationTimestamp = metav1.NewTime(noon.Add(-5 * time.Second)) }
	byAnn := func(c *khv1.KuberhealthyCheck) {
		c.Annotations = map[string]string{protocol.AnnotationPausedBy: "ann", protocol.AnnotationPauseReason: "new prices"}
	}
	status := func(status metav1.ConditionStatus, reason string) func(*khv1.KuberhealthyCheck) {
		return func(c *khv1.KuberhealthyCheck) {
			c.Status.Conditions = []metav1.Condition{{
				Type: khv1.ConditionHealthy, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(noon.Add(-time.Hour)),
			}}
		}
	}
	ago := func(minutes int) time.Time { return noon.Add(-7*time.Second - time.Duration(minutes)*time.Minute) }
	tests := []struct {
		name     string
		check    *khv1.KuberhealthyCheck
		outcomes []check.Outcome
		now      time.Time
		state    view.State
		reason   view.Reason
		since    time.Time
		earlier  bool
		message  string // its beginning
	}{
		{"healthy since it recovered", newCheck("c"), []check.Outcome{bad, bad, good, good}, noon, view.Healthy, "succeeded", ago(1), false, ""},
		{"healthy for as long as is known", newCheck("c"), []check.Outcome{good, good}, noon, view.Healthy, "succeeded", ago(1), true, ""},
		{"failing since the first failure", newCheck("c"), []check.Outcome{good, bad, slow, bad}, noon, view.Failing, "failed", ago(2), false, ""},
		{"failing by its last outcome", newCheck("c"), []check.Outcome{good, slow}, noon, view.Failing, "timed-out", ago(0), false, ""},
		{"failing because of its spec", newCheck("c", broken), []check.Outcome{good, bad}, noon, view.Failing, view.ReasonInvalid, ago(0), false, `spec.runInterval: "often" is not a duration`},
		{"new", newCheck("c", appeared), nil, noon, view.Unknown, view.ReasonWaiting, noon.Add(-5 * time.Second), false, "no run has ended yet"},
		{"without a first outcome", newCheck("c"), nil, noon, view.Unknown, view.ReasonOverdue, noon.Add(-24*time.Hour + 2*time.Minute), false, "unknown: shop/c: no outcome is known since"},
		{"overdue", newCheck("c"), []check.Outcome{good}, noon.Add(time.Hour), view.Unknown, view.ReasonOverdue, noon.Add(2*time.Minute + 23*time.Second), false, "unknown: shop/c: no run has ended since"},
		{"paused", newCheck("c", suspended), []check.Outcome{bad}, noon.Add(time.Hour), view.Paused, view.ReasonSuspended, time.Time{}, false, "the check is paused"},
		{"paused at birth", newCheck("c", suspended), nil, noon, view.Paused, view.ReasonSuspended, time.Time{}, false, "the check is paused"},
		{"paused by somebody", newCheck("c", suspended, byAnn, status(metav1.ConditionUnknown, check.ReasonPaused)), nil, noon, view.Paused, view.ReasonSuspended, noon.Add(-time.Hour), false, "the check is paused by ann: new prices"},
		{"healthy since its status says so", newCheck("c", status(metav1.ConditionTrue, "any")), []check.Outcome{good, good}, noon, view.Healthy, "succeeded", noon.Add(-time.Hour), false, ""},
		{"failing, and its status is behind", newCheck("c", status(metav1.ConditionTrue, "any")), []check.Outcome{bad, bad}, noon, view.Failing, "failed", ago(1), true, ""},
		{"failing since a run that is listed", newCheck("c", status(metav1.ConditionFalse, "any")), []check.Outcome{good, bad}, noon, view.Failing, "failed", ago(0), false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &cluster{checks: []*khv1.KuberhealthyCheck{tt.check}}
			if tt.outcomes != nil {
				c.states = append(c.states, stateOf(khv1.KHCheck, "c", tt.outcomes...))
			}
			got := shown(t, view.New(view.Options{Cluster: c, Now: at(tt.now)}), "c")
			if got.State != tt.state || got.Reason != tt.reason || got.SinceOrEarlier != tt.earlier {
				t.Errorf("is %s because %s, since or earlier %t, want %s, %s, %t", got.State, got.Reason, got.SinceOrEarlier, tt.state, tt.reason, tt.earlier)
			}
			if got.Reason == view.ReasonOverdue { // check/freshness_test.go says when that is
				if !got.Since.Equal(got.OutcomeBy) || !got.Since.Before(tt.now) {
					t.Errorf("unknown since %s, want the time at which the outcome was due, %s", got.Since, got.OutcomeBy)
				}
			} else if !got.Since.Equal(tt.since) {
				t.Errorf("since %s, want %s", got.Since, tt.since)
			}
			if !strings.HasPrefix(got.Message, tt.message) || (got.Message == "") != (tt.message == "") {
				t.Errorf("message %q, want one that begins with %q", got.Message, tt.message)
			}
		})
	}
}

func TestAJobHasAStateToo(t *testing.T) {
	c := &cluster{
		jobs: []*khv1.KuberhealthyJob{newJob("done", khv1.JobCompleted), newJob("bad", khv1.JobCompleted), newJob("lost", khv1.JobRunning)},
		states: []*khv1.KuberhealthyState{
			stateOf(khv1.KHJob, "done", good), stateOf(khv1.KHJob, "bad", bad), stateOf(khv1.KHCheck, "lost", good), // that of a check which was deleted
		},
	}
	v := view.New(view.Options{Cluster: c, Now: at(noon.Add(time.Hour))})
	for name, want := range map[string]view.State{"done": view.Healthy, "bad": view.Failing, "lost": view.Unknown} {
		got := shown(t, v, name)
		if got.State != want || got.Kind != khv1.KHJob || !got.NextRun.IsZero() || got.Interval != 0 {
			t.Errorf("%s is %s %s, next run %s, interval %s, want a job that is %s", name, got.Kind, got.State, got.NextRun, got.Interval, want)
		}
	}
	if got := shown(t, v, "done"); got.Phase != khv1.JobCompleted || got.Timeout != 30*time.Second {
		t.Errorf("phase %s, timeout %s", got.Phase, got.Timeout)
	}
}

func TestACheckShowsItsSpecAndItsLastRun(t *testing.T) {
	c := newCheck("pay", func(c *khv1.KuberhealthyCheck) {
		c.Labels = map[string]string{"team": "billing"}
		c.Spec.RunInterval, c.Spec.Schedule, c.Spec.TimeZone, c.Spec.Attempts, c.Spec.Timeout = "", "30 9 * * *", "Europe/Berlin", 3, ""
	})
	v := view.New(view.Options{Cluster: &cluster{
		checks: []*khv1.KuberhealthyCheck{c}, states: []*khv1.KuberhealthyState{stateOf(khv1.KHCheck, "pay", good, slow)},
	}, Now: at(noon)})
	got := shown(t, v, "pay")
	want := &view.LastRun{
		Outcome: slow, Tick: noon.Add(-10 * time.Second), Started: noon.Add(-9 * time.Second), Concluded: noon.Add(-7 * time.Second),
		Duration: 2 * time.Second, Node: "node-1", Errors: []string{"run 1 is timed-out"},
	}
	if diff := cmp.Diff(want, got.LastRun); diff != "" {
		t.Errorf("last run (-want +got):\n%s", diff)
	}
	if got.Schedule.String() != "30 9 * * * in Europe/Berlin" || got.Interval != 24*time.Hour || got.Timeout != check.DefaultTimeout || got.Attempts != 3 || got.Labels["team"] != "billing" {
		t.Errorf("schedule %s, interval %s, timeout %s, attempts %d, labels %v", got.Schedule, got.Interval, got.Timeout, got.Attempts, got.Labels)
	}
	if diff := cmp.Diff([]string{"run 1 is timed-out"}, got.Errors()); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if want := (view.Durations{Median: 2 * time.Second, P95: 2 * time.Second, Sample: 2}); got.Durations != want {
		t.Errorf("durations %+v, want those of the two runs, %+v", got.Durations, want)
	}
}

// The state of a deleted check may still be there under the name of a new one.
func TestTheRunOfAnotherCheckIsNotShown(t *testing.T) {
	state := stateOf(khv1.KHCheck, "pay", bad)
	state.OwnerReferences = check.OwnersOf(check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "pay", UID: "uid-of-another"})
	c := newCheck("pay", func(c *khv1.KuberhealthyCheck) { c.CreationTimestamp = metav1.NewTime(noon.Add(-5 * time.Second)) })
	v := view.New(view.Options{Cluster: &cluster{checks: []*khv1.KuberhealthyCheck{c}, states: []*khv1.KuberhealthyState{state}}, Now: at(noon)})
	if got := shown(t, v, "pay"); got.State != view.Unknown || got.Reason != view.ReasonWaiting || got.LastRun != nil {
		t.Errorf("is %s because %s, last run %+v", got.State, got.Reason, got.LastRun)
	}
}

// The outcome word comes from the list of runs. A state that another program wrote since has no such list, or an old one.
func TestAStateOfKuberhealthyIsShown(t *testing.T) {
	state := stateOf(khv1.KHCheck, "pay", good)
	state.Spec.OK, state.Spec.Errors = false, []string{"card refused"}
	v := view.New(view.Options{Cluster: &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("pay")}, states: []*khv1.KuberhealthyState{state}}, Now: at(noon)})
	got := shown(t, v, "pay")
	if got.State != view.Failing || got.LastRun.Outcome != check.Failed || !got.LastRun.Tick.IsZero() {
		t.Errorf("is %s, last run %+v", got.State, got.LastRun)
	}
}

// Anyone may edit a KHState.
func TestWhatKhronicleHasNotWrittenIsNotShown(t *testing.T) {
	state := stateOf(khv1.KHCheck, "pay", bad)
	state.Annotations[check.AnnotationRecentRuns] = `[{"started":"2026-11-22T11:00:00Z","outcome":"fine","seconds":1},
		{"started":"2026-11-22T11:01:00Z","outcome":"failed","seconds":1e300},{"outcome":"failed","seconds":1},{"started":"2026-11-22T11:02:00Z","outcome":"failed","seconds":-1},
		{"started":"2026-11-22T11:03:00Z","outcome":"timed-out","seconds":2}]`
	v := view.New(view.Options{Cluster: &cluster{checks: []*khv1.KuberhealthyCheck{newCheck("pay")}, states: []*khv1.KuberhealthyState{state}}, Now: at(noon)})
	if got := v.Snapshot().Recorded[0].Runs; len(got) != 1 || got[0].Outcome != slow {
		t.Errorf("runs are %+v, want the last one alone", got)
	}
	if got := shown(t, v, "pay"); got.Reason != "timed-out" || got.Sample != 1 {
		t.Errorf("is %s because %s, from %d runs", got.State, got.Reason, got.Sample)
	}
}

func TestNextRunFollowsTheSchedule(t *testing.T) {
	spec := func(interval, schedule, zone string) *khv1.KuberhealthyCheck {
		return newCheck("c", func(c *khv1.KuberhealthyCheck) {
			c.Spec.RunInterval, c.Spec.Schedule, c.Spec.TimeZone = interval, schedule, zone
		})
	}
	suspended := newCheck("c", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true })
	ran := []check.Outcome{good}
	tests := []struct {
		name     string
		check    *khv1.KuberhealthyCheck
		outcomes []check.Outcome
		want     time.Time
	}{
		{"of an interval", spec("1m", "", ""), ran, noon.Add(50 * time.Second)},
		{"of a long interval", spec("2h", "", ""), ran, noon.Add(2*time.Hour - 10*time.Second)},
		{"of an interval without a known tick", spec("1m", "", ""), nil, time.Time{}},
		{"of an expression", spec("", "*/15 * * * *", ""), nil, noon.Add(15 * time.Minute)},
		{"of an expression in a time zone", spec("", "30 13 * * *", "Europe/Berlin"), ran, noon.Add(30 * time.Minute)},
		{"of a suspended check", suspended, ran, time.Time{}},
		{"of a schedule that is not valid", spec("", "61 * * * *", ""), ran, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &cluster{checks: []*khv1.KuberhealthyCheck{tt.check}}
			if tt.outcomes != nil {
				c.states = append(c.states, stateOf(khv1.KHCheck, "c", tt.outcomes...))
			}
			now := noon
			v := view.New(view.Options{Cluster: c, Now: func() time.Time { return now }})
			if got := shown(t, v, "c").NextRun; !got.Equal(tt.want) {
				t.Errorf("next run at %s, want %s", got, tt.want)
			}
			if now = tt.want; now.IsZero() {
				return
			}
			if got := shown(t, v, "c").NextRun; !got.After(now) {
				t.Errorf("at the tick, the next run is still at %s", got)
			}
		})
	}
}

// A snapshot is used by all readers for a time, and what has not changed is the same object in the next one.
func TestASnapshotIsUsedAgain(t *testing.T) {
	first, second := newCheck("first"), newCheck("second")
	first.ResourceVersion, second.ResourceVersion = "1", "2"
	state := stateOf(khv1.KHCheck, "first", good)
	state.ResourceVersion = "3"
	c := &cluster{checks: []*khv1.KuberhealthyCheck{first, second}, states: []*khv1.KuberhealthyState{state}}
	now := noon
	v := view.New(view.Options{Cluster: c, Now: func() time.Time { return now }, FreshFor: time.Second})
	before := v.Snapshot()
	now = now.Add(999 * time.Millisecond)
	if v.Snapshot() != before {
		t.Error("another snapshot was made within a second")
	}
	now = now.Add(time.Millisecond)
	failed := stateOf(khv1.KHCheck, "second", bad)
	failed.ResourceVersion = "4"
	c.states = append(c.states, failed)
	after := v.Snapshot()
	same := func(name string) bool {
		a, _ := before.Check(khv1.KHCheck, "shop", name)
		b, _ := after.Check(khv1.KHCheck, "shop", name)
		return a == b
	}
	if after == before || !same("first") || same("second") {
		t.Errorf("another snapshot %t, with the same first check %t, the same second check %t", after != before, same("first"), same("second"))
	}
	now = now.Add(-time.Minute) // a clock that was set back
	if v.Snapshot() == after {
		t.Error("a snapshot of the future is used")
	}
}

func TestChecksAreInTheirOrderAndFoundByName(t *testing.T) {
	other := newCheck("a")
	other.Namespace = "other"
	c := &cluster{
		checks: []*khv1.KuberhealthyCheck{newCheck("b"), other, newCheck("twin")},
		jobs:   []*khv1.KuberhealthyJob{newJob("twin", ""), newJob("a", "")},
	}
	s := view.New(view.Options{Cluster: c, Now: at(noon)}).Snapshot()
	var names []string
	for _, c := range s.Checks {
		names = append(names, string(c.Kind)+" "+c.String())
	}
	if want := []string{"KHCheck other/a", "KHJob shop/a", "KHCheck shop/b", "KHCheck shop/twin", "KHJob shop/twin"}; !slices.Equal(names, want) {
		t.Errorf("order is %q, want %q", names, want)
	}
	for _, tt := range []struct {
		kind khv1.KHWorkload
		name string
		want khv1.KHWorkload
	}{{"", "twin", khv1.KHCheck}, {khv1.KHJob, "twin", khv1.KHJob}, {"", "a", khv1.KHJob}, {khv1.KHCheck, "a", ""}, {"", "none", ""}} {
		got, ok := s.Check(tt.kind, "shop", tt.name)
		if ok != (tt.want != "") || ok && got.Kind != tt.want {
			t.Errorf("%q %s: %+v, want %q", tt.kind, tt.name, got, tt.want)
		}
	}
}
