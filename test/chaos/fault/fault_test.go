package fault_test

import (
	"slices"
	"testing"
	"time"

	"github.com/khronicle/khronicle/test/chaos/fault"
)

func TestPlan(t *testing.T) {
	for _, postgres := range []bool{false, true} {
		for seed := range uint64(20) {
			o := fault.Options{Seed: seed, For: time.Hour, Every: 15 * time.Second, Postgres: postgres}
			plan := fault.Plan(o)
			if !slices.Equal(plan, fault.Plan(o)) {
				t.Fatal("the same seed has two plans")
			}
			if len(plan) < 180 || len(plan) > 300 {
				t.Errorf("seed %d: %d faults in an hour, want about 240", seed, len(plan))
			}
			hit := map[fault.Target]int{}
			until := map[fault.Target]time.Duration{}
			for i, f := range plan {
				hit[f.Target]++
				if f.At < until[f.Target] {
					t.Errorf("seed %d: %s begins before the one before it on the same target has ended", seed, f)
				}
				until[f.Target] = f.At + f.For
				if f.For <= 0 || f.At+f.For > o.For || i > 0 && f.At < plan[i-1].At {
					t.Errorf("seed %d: %s", seed, f)
				}
			}
			for _, target := range slices.Concat(fault.Processes(postgres), fault.Links(postgres), fault.Components, []fault.Target{fault.Disk}) {
				if hit[target] == 0 {
					t.Errorf("seed %d: %s is never hit", seed, target)
				}
				delete(hit, target)
			}
			if len(hit) > 0 {
				t.Errorf("seed %d hits what is not there: %v", seed, hit)
			}
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	o := fault.Options{For: 10 * time.Minute, Every: 15 * time.Second}
	one := fault.Plan(o)
	if o.Seed = 1; slices.Equal(one, fault.Plan(o)) {
		t.Error("two seeds have the same plan")
	}
}
