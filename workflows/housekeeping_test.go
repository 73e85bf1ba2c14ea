package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/testsuite"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// keeper executes one Housekeeping.
type keeper struct {
	env *testsuite.TestWorkflowEnvironment
	// repair is what RepairRecords answers, after a second. beatErr is the error of Heartbeat.
	repair  func(activities.RepairInput) (activities.RepairResult, error)
	beatErr error

	beats    int
	repaired []activities.RepairInput
}

// repairTakes is how long a repair takes.
const repairTakes = time.Second

func newKeeper(t *testing.T) *keeper {
	t.Helper()
	k := &keeper{repair: func(activities.RepairInput) (activities.RepairResult, error) {
		return activities.RepairResult{Until: tick}, nil
	}}
	k.env, _ = newEnv(t, nil)
	var a *activities.Activities
	k.env.OnActivity(a.Heartbeat, anything).Return(func(context.Context) error { k.beats++; return k.beatErr })
	k.env.OnActivity(a.RepairRecords, anything, anything).Return(func(_ context.Context, in activities.RepairInput) (activities.RepairResult, error) {
		k.repaired = append(k.repaired, in)
		return k.repair(in)
	}).After(repairTakes)
	return k
}

// keep executes one housekeeping after one that had a result.
func (k *keeper) keep(t *testing.T, last workflows.HousekeepingResult) (result workflows.HousekeepingResult) {
	t.Helper()
	k.env.SetLastCompletionResult(last)
	k.env.ExecuteWorkflow(workflows.Housekeeping)
	if err := errors.Join(k.env.GetWorkflowError(), k.env.GetWorkflowResult(&result)); err != nil {
		t.Fatal(err)
	}
	return result
}

// lateAfter sends a late report to the housekeeping.
func (k *keeper) lateAfter(delay time.Duration, n int) {
	k.env.RegisterDelayedCallback(func() { k.env.SignalWorkflow(workflows.LateReportSignal, late(n)) }, delay)
}

func late(n int) workflows.LateReport {
	return workflows.LateReport{
		Key:   activities.RecordKey{Ref: checkRef, Trigger: check.TriggerSchedule, Tick: tick.Add(time.Duration(n) * time.Minute)},
		Piece: check.Piece{Kind: check.EvidenceLate, Content: fmt.Sprintf("report %d", n)},
	}
}

func lateOnes(from, to int) (all []workflows.LateReport) {
	for n := from; n < to; n++ {
		all = append(all, late(n))
	}
	return all
}

func TestHousekeepingSendsTheHeartbeatAndRepairsRecords(t *testing.T) {
	k := newKeeper(t)
	since := tick.Add(-time.Minute)
	result := k.keep(t, workflows.HousekeepingResult{Until: since})
	if diff := cmp.Diff([]activities.RepairInput{{Since: since}}, k.repaired); diff != "" || k.beats != 1 {
		t.Errorf("%d heartbeats, repaired (-want +got):\n%s", k.beats, diff)
	}
	if diff := cmp.Diff(workflows.HousekeepingResult{Until: tick}, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestFirstHousekeepingRepairsEverything(t *testing.T) {
	k := newKeeper(t)
	k.env.ExecuteWorkflow(workflows.Housekeeping)
	if err := k.env.GetWorkflowError(); err != nil || len(k.repaired) != 1 || !k.repaired[0].Since.IsZero() {
		t.Errorf("error %v, repaired %+v", err, k.repaired)
	}
}

// The repair puts late reports into the ledger: those that wait, and those that came before it.
func TestLateReportsAreGivenToTheRepair(t *testing.T) {
	k := newKeeper(t)
	k.lateAfter(0, 1)
	result := k.keep(t, workflows.HousekeepingResult{Late: lateOnes(0, 1)})
	if diff := cmp.Diff(lateOnes(0, 2), k.repaired[0].Late); diff != "" || len(result.Late) != 0 {
		t.Errorf("left %v, given to the repair (-want +got):\n%s", result.Late, diff)
	}
}

// Two kinds of late reports are left to the next housekeeping: those that come during the repair, and those that the ledger
// does not take.
func TestLateReportsThatTheLedgerHasNotTakenAreForTheNextHousekeeping(t *testing.T) {
	for name, repair := range map[string]func(activities.RepairInput) (activities.RepairResult, error){
		"the ledger does not take them": func(in activities.RepairInput) (activities.RepairResult, error) {
			return activities.RepairResult{Late: in.Late}, nil
		},
		"the repair fails": func(activities.RepairInput) (activities.RepairResult, error) {
			return activities.RepairResult{}, errors.New("no answer")
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t)
			k.repair = repair
			k.lateAfter(0, 1)
			k.lateAfter(repairTakes/2, 2)
			result := k.keep(t, workflows.HousekeepingResult{Late: lateOnes(0, 1)})
			if diff := cmp.Diff(lateOnes(0, 3), result.Late); diff != "" {
				t.Errorf("late reports (-want +got):\n%s", diff)
			}
		})
	}
}

// Late reports wait in one history. Further ones are dropped, but their signals are read all the same.
func TestNoMoreThan32LateReportsWait(t *testing.T) {
	k := newKeeper(t)
	k.repair = func(in activities.RepairInput) (activities.RepairResult, error) {
		return activities.RepairResult{Late: in.Late}, nil
	}
	for n := 20; n < 40; n++ {
		k.lateAfter(0, n)
	}
	k.lateAfter(repairTakes/2, 40)
	result := k.keep(t, workflows.HousekeepingResult{Late: lateOnes(0, 20)})
	if diff := cmp.Diff(lateOnes(0, 32), result.Late); diff != "" {
		t.Errorf("late reports (-want +got):\n%s", diff)
	}
}

// When one part fails, the other is done, and the next housekeeping continues where this one began.
func TestHousekeepingThatFailsIsMadeUpForByTheNext(t *testing.T) {
	last := workflows.HousekeepingResult{Until: tick.Add(-time.Minute)}
	for name, tt := range map[string]struct {
		fail  func(k *keeper)
		until time.Time
		tries int
	}{
		"records cannot be repaired": {func(k *keeper) {
			k.repair = func(activities.RepairInput) (activities.RepairResult, error) {
				return activities.RepairResult{}, errors.New("down")
			}
		}, last.Until, 2},
		"the heartbeat is not sent": {func(k *keeper) { k.beatErr = errors.New("down") }, tick, 1},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t)
			tt.fail(k)
			result := k.keep(t, last)
			if !result.Until.Equal(tt.until) || k.beats != 1 || len(k.repaired) != tt.tries {
				t.Errorf("result is %+v after %d heartbeats and %d tries of a repair", result, k.beats, len(k.repaired))
			}
		})
	}
}
