package activities_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

func TestTickBesideARequestedRun(t *testing.T) {
	tests := []struct {
		name      string
		requested string   // what the check asks for
		open      []string // the requests whose runs are open
		trigger   check.Trigger
		skipped   bool
	}{
		{"nothing is asked for", "", []string{"1"}, check.TriggerSchedule, false},
		{"the run is open", "1", []string{"1"}, check.TriggerSchedule, true},
		{"the run has ended, or has not begun", "1", nil, check.TriggerSchedule, false},
		{"the first run of a revision", "1", []string{"1"}, check.TriggerFirst, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(&fakeCluster{requested: tt.requested})
				runs, records := &fakeRuns{requested: tt.open}, &fakeLedger{}
				a.Runs, a.Ledger = runs, records
				start := time.Now()
				time.Sleep(time.Minute)
				in := tickAt(start, 0)
				in.Trigger, in.Now = tt.trigger, time.Now()
				encoded, err := env.ExecuteActivity(a.Tick, in)
				got := value[activities.TickResult](t, encoded, err)
				if got.Skipped != tt.skipped || len(runs.started) > 0 == tt.skipped {
					t.Errorf("result %+v, started %v, want skipped %t", got, runs.started, tt.skipped)
				}
				if tt.skipped && got.Recorded.Skipped != 1 {
					t.Errorf("recorded %+v, want the tick", got.Recorded)
				}
			})
		})
	}
}

// A tick that cannot find out whether a requested run is open is tried again.
func TestTickFailsWhileTemporalDoesNotSayWhetherARequestedRunIsOpen(t *testing.T) {
	a, env := worker(&fakeCluster{requested: "1"})
	a.Runs = &fakeRuns{down: true}
	in := tickAt(time.Now().Add(-time.Minute), 0)
	in.Now = time.Now()
	if _, err := env.ExecuteActivity(a.Tick, in); err == nil {
		t.Error("the tick was decided")
	}
}

func TestAwaitRunsReturnsWhenAllHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(&fakeCluster{})
		runs := &endingRuns{ends: map[string]time.Time{"a": time.Now().Add(3 * time.Second), "b": time.Now().Add(7 * time.Second)}}
		a.Runs = runs
		began := time.Now()
		_, err := env.ExecuteActivity(a.AwaitRuns, activities.AwaitRunsInput{Ref: checkRef, Runs: []activities.OpenRun{{UUID: "a"}, {UUID: "b"}}})
		if took := time.Since(began); err != nil || took < 7*time.Second || took > 12*time.Second {
			t.Errorf("error %v after %s, want it to end within 5 s after the last run", err, took)
		}
	})
}

func TestAwaitRunsFailsWhileTemporalDoesNotAnswer(t *testing.T) {
	a, env := worker(&fakeCluster{})
	a.Runs = &fakeRuns{down: true}
	if _, err := env.ExecuteActivity(a.AwaitRuns, activities.AwaitRunsInput{Ref: checkRef, Runs: []activities.OpenRun{{UUID: "a"}}}); err == nil {
		t.Error("it returned without an error")
	}
}

// endingRuns are runs that end at a time.
type endingRuns struct {
	fakeRuns
	ends map[string]time.Time
}

func (f *endingRuns) Open(_ context.Context, runUUID, _ string) (bool, error) {
	return time.Now().Before(f.ends[runUUID]), nil
}
