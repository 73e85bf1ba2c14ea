package activities_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// recordOf is the record of a run of the check cart that began this long after noon.
func recordOf(after time.Duration, outcome check.Outcome, errs ...string) ledger.Record {
	began := tick.Add(after)
	return ledger.Record{
		Key:  ledger.Key{CheckUID: string(checkRef.UID), Trigger: check.TriggerSchedule, Tick: began},
		Kind: checkRef.Kind, Namespace: checkRef.Namespace, Name: checkRef.Name, WorkflowID: "run-" + after.String(), Node: "node-1",
		Outcome: outcome, Errors: errs, Started: began.Add(time.Second), Reported: began.Add(3 * time.Second), Concluded: began.Add(3 * time.Second),
	}
}

// written returns the states that RepairRecords writes for the checks without a state. present is what the API server has.
func written(t *testing.T, cluster *fakeCluster, runs *fakeRuns, kept activities.Ledger, present *khv1.KuberhealthyState) (states []*khv1.KuberhealthyState) {
	t.Helper()
	cluster.writeState = func(_, _ string, build func(*khv1.KuberhealthyState) *khv1.KuberhealthyState) error {
		if state := build(present); state != nil {
			states = append(states, state)
		}
		return nil
	}
	a, env := worker(cluster)
	a.Runs, a.Ledger = runs, kept
	if _, err := env.ExecuteActivity(a.RepairRecords, activities.RepairInput{Since: tick}); err != nil {
		t.Fatal(err)
	}
	return states
}

// A state that somebody deleted shows the last outcome again, with the time at which it was known.
func TestDeletedStateIsRestored(t *testing.T) {
	last := activities.EndedRun{UUID: "run-of-temporal", Tick: tick, Conclusion: check.Conclusion{
		Outcome: check.Succeeded, Reported: true, Node: "node-1", Started: tick.Add(time.Second), Concluded: tick.Add(3 * time.Second),
	}}
	records := func() *fakeLedger {
		return &fakeLedger{finished: []ledger.Record{recordOf(0, check.Succeeded), recordOf(time.Minute, check.Failed, "out of stock")}}
	}
	down := records()
	down.refuse = ledger.ErrUnavailable
	wiped := &khv1.KuberhealthyState{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", ResourceVersion: "7"}}
	for name, tt := range map[string]struct {
		present *khv1.KuberhealthyState
		ledger  *fakeLedger
		uuid    string
		ok      bool
		at      time.Duration
		recent  int
	}{
		"from the ledger":                   {nil, records(), "run-1m0s", false, time.Minute, 2},
		"from the ledger, over a wiped one": {wiped, records(), "run-1m0s", false, time.Minute, 2},
		"from Temporal, without a ledger":   {nil, nil, "run-of-temporal", true, 0, 1},
		"from Temporal, the ledger is down": {nil, down, "run-of-temporal", true, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := &fakeCluster{withoutState: []check.Ref{checkRef}, workload: present(validCheck())}
			var kept activities.Ledger
			if tt.ledger != nil {
				kept = tt.ledger
			}
			states := written(t, cluster, &fakeRuns{last: &last}, kept, tt.present)
			if len(states) != 1 {
				t.Fatalf("%d states are written, want 1", len(states))
			}
			state, began := states[0], tick.Add(tt.at).Add(time.Second)
			if !state.Spec.LastRun.Time.Equal(began.Add(2*time.Second)) || state.Spec.RunDuration != "2s" || state.Spec.AuthoritativePod != recorder {
				t.Errorf("the state shows %+v", state.Spec)
			}
			if state.Spec.OK != tt.ok || state.Spec.CurrentUUID != tt.uuid || !check.ShowsRunOf(state, checkRef) {
				t.Errorf("the state shows %+v, want run %s", state.Spec, tt.uuid)
			}
			if runs := check.RecentRuns(state); len(runs) != tt.recent || !runs[tt.recent-1].Started.Equal(began) {
				t.Errorf("recent runs are %+v, want %d", runs, tt.recent)
			}
		})
	}
}

func TestWhatHasNoStateToRestore(t *testing.T) {
	records := &fakeLedger{finished: []ledger.Record{recordOf(0, check.Succeeded)}}
	ofNamesake := checkRef
	ofNamesake.UID = "u-9"
	for name, tt := range map[string]struct {
		cluster fakeCluster
		present *khv1.KuberhealthyState
	}{
		"check without a run":              {fakeCluster{withoutState: []check.Ref{ofNamesake}}, nil},
		"check that was deleted meanwhile": {fakeCluster{withoutState: []check.Ref{checkRef}, workload: absent}, nil},
		"state that a run wrote meanwhile": {fakeCluster{withoutState: []check.Ref{checkRef}, workload: present(validCheck())}, &khv1.KuberhealthyState{Spec: khv1.WorkloadDetails{AuthoritativePod: "another"}}},
	} {
		if states := written(t, &tt.cluster, &fakeRuns{}, records, tt.present); len(states) != 0 {
			t.Errorf("%s: %+v is written", name, states)
		}
	}
}

// The job's phase was lost, and Temporal no longer has its run.
func TestJobHasRun(t *testing.T) {
	state := check.NewState(nil, jobRef, "", recorder, check.Conclusion{Outcome: check.Succeeded, Concluded: tick})
	ofNamesake := state.DeepCopy()
	ofNamesake.OwnerReferences[0].UID = "u-9"
	v2 := state.DeepCopy()
	v2.Spec.AuthoritativePod = ""
	record := func(outcome check.Outcome) *fakeLedger {
		return &fakeLedger{rows: map[time.Time]ledger.Record{tick: {Outcome: outcome}}}
	}
	down := &fakeLedger{refuse: ledger.ErrUnavailable}
	tests := []struct {
		name   string
		state  *khv1.KuberhealthyState
		ledger activities.Ledger
		want   bool
	}{
		{"nothing is known", nil, &fakeLedger{}, false},
		{"without a ledger", nil, nil, false},
		{"its state shows it", state, down, true},
		{"the state is that of another job of its name", ofNamesake, nil, false},
		{"the state shows no run", v2, nil, false},
		{"the ledger has it", nil, record(check.Canceled), true},
		{"the ledger has it open", nil, record(check.Unfinished), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := &fakeCluster{states: map[string]*khv1.KuberhealthyState{}}
			if tt.state != nil {
				cluster.states["smoke"] = tt.state
			}
			a, env := worker(cluster)
			a.Ledger = tt.ledger
			key := activities.RecordKey{Ref: jobRef, Trigger: check.TriggerJob, Tick: tick}
			encoded, err := env.ExecuteActivity(a.JobHasRun, key)
			if got := value[bool](t, encoded, err); got != tt.want {
				t.Errorf("%t, want %t", got, tt.want)
			}
		})
	}
}

// A job is never run twice, also when its phase is lost after Temporal has deleted its run.
func TestTickOfAJobThatHasRun(t *testing.T) {
	ran := &fakeLedger{rows: map[time.Time]ledger.Record{tick: {Outcome: check.Failed}}}
	tests := []struct {
		name   string
		age    time.Duration
		ledger activities.Ledger
		runs   bool
	}{
		{"is not run again", time.Hour, ran, false},
		{"a new job runs without a look", time.Minute, ran, true},
		{"an old job that has not run yet runs", time.Hour, &fakeLedger{}, true},
		{"a ledger that is down does not stop it", time.Hour, &fakeLedger{refuse: ledger.ErrUnavailable}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var phases []khv1.JobPhase
			cluster := &fakeCluster{setJobPhase: func(_ check.Ref, phase khv1.JobPhase) error {
				phases = append(phases, phase)
				return nil
			}}
			runs := &fakeRuns{}
			a, env := worker(cluster)
			a.Runs, a.Ledger = runs, tt.ledger
			encoded, err := env.ExecuteActivity(a.Tick, activities.TickInput{
				Ref: jobRef, Trigger: check.TriggerJob, Timeout: time.Minute, Tick: tick, Now: tick.Add(tt.age), RunUUID: runUUID,
			})
			got := value[activities.TickResult](t, encoded, err)
			if len(runs.started) == 1 != tt.runs || got.Completed == tt.runs {
				t.Errorf("%d runs are started, result %+v", len(runs.started), got)
			}
			var want []khv1.JobPhase
			if !tt.runs {
				want = []khv1.JobPhase{khv1.JobCompleted}
			}
			if diff := cmp.Diff(want, phases); diff != "" {
				t.Errorf("phases (-want +got):\n%s", diff)
			}
		})
	}
}
