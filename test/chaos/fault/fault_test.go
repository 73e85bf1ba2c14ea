package fault_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/test/chaos/fault"
)

func TestPlanIsTheSameForASeedAndHitsEachTarget(t *testing.T) {
	for _, postgres := range []bool{false, true} {
		for seed := range uint64(20) {
			o := fault.Options{Seed: seed, For: time.Hour, Every: 15 * time.Second, Postgres: postgres, Hang: 2 * time.Minute}
			plan := fault.Plan(o)
			if !slices.Equal(plan, fault.Plan(o)) {
				t.Fatal("the same seed has two plans")
			}
			if len(plan) < 180 || len(plan) > 300 {
				t.Errorf("seed %d: %d faults in an hour, want about 240", seed, len(plan))
			}
			hit := map[fault.Target]int{}
			for i, f := range plan {
				hit[f.Target]++
				if f.For <= 0 || f.At+f.For > o.For || i > 0 && f.At < plan[i-1].At {
					t.Errorf("seed %d: %s", seed, f)
				}
			}
			want := slices.Concat(fault.Processes(postgres), fault.Links(postgres), fault.Components, []fault.Target{fault.Disk, fault.AllTemporal})
			if postgres {
				want = append(want, fault.AllPostgres)
			}
			for _, target := range want {
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

// Two faults on one target would end each other. That a link is slow ends no other fault on it.
func TestNoTwoFaultsOnOneTarget(t *testing.T) {
	type place struct {
		target fault.Target
		slow   bool
	}
	for seed := range uint64(50) {
		until := map[place]time.Duration{}
		o := fault.Options{Seed: seed, For: 5 * time.Minute, Every: 3 * time.Second, Postgres: true, Hang: 2 * time.Minute}
		for _, f := range fault.Plan(o) {
			for _, part := range f.Target.Parts(true) {
				at := place{part, f.Kind == fault.Slow}
				if f.At < until[at] {
					t.Errorf("seed %d: %s begins before the one before it on %s has ended", seed, f, part)
				}
				until[at] = f.At + f.For
			}
		}
	}
}

func TestParts(t *testing.T) {
	for _, c := range []struct {
		target   fault.Target
		postgres bool
		want     []fault.Target
	}{
		{fault.Worker, false, []fault.Target{fault.Worker}},
		{fault.WorkerKube, true, []fault.Target{fault.WorkerKube}},
		{fault.AllTemporal, false, []fault.Target{fault.WorkerTemporal, fault.StarterTemporal, fault.ReportAPITemporal}},
		{fault.AllTemporal, true, []fault.Target{fault.WorkerTemporal, fault.StarterTemporal, fault.ReportAPITemporal, fault.Worker2Temporal}},
		{fault.AllPostgres, true, []fault.Target{fault.WorkerPostgres, fault.Worker2Postgres}},
	} {
		if diff := cmp.Diff(c.want, c.target.Parts(c.postgres)); diff != "" {
			t.Errorf("parts of %s, -want +got:\n%s", c.target, diff)
		}
	}
}

// The database hangs in both ways, each once, when there is time for both. A ledger in a file cannot hang.
func TestHangs(t *testing.T) {
	const hang = 2 * time.Minute
	for _, c := range []struct {
		name     string
		postgres bool
		hang     time.Duration
		lasts    time.Duration
		want     int
	}{
		{"both fit", true, hang, 5 * time.Minute, 2},
		{"an hour has no more of them", true, hang, time.Hour, 2},
		{"one fits", true, hang, 3 * time.Minute, 1},
		{"just one fits", true, hang, hang, 1},
		{"none fits", true, hang, time.Minute, 0},
		{"not wanted", true, 0, 5 * time.Minute, 0},
		{"a file", false, hang, 5 * time.Minute, 0},
	} {
		seen := map[fault.Target]bool{}
		for seed := range uint64(20) {
			n := 0
			for _, f := range fault.Plan(fault.Options{Seed: seed, For: c.lasts, Every: 15 * time.Second, Postgres: c.postgres, Hang: c.hang}) {
				if f.For != hang {
					continue
				}
				n++
				seen[f.Target] = true
				if f.At+f.For > c.lasts || f.Target == fault.Postgres != (f.Kind == fault.Stop) {
					t.Errorf("%s, seed %d: %s", c.name, seed, f)
				}
			}
			if n != c.want {
				t.Errorf("%s, seed %d: the database hangs %d times, want %d", c.name, seed, n, c.want)
			}
		}
		if want := min(2*c.want, 2); len(seen) != want {
			t.Errorf("%s: all seeds have hangs of %v, want %d sorts", c.name, seen, want)
		}
	}
}

func TestTemporalIsSlowOnceInFiveMinutes(t *testing.T) {
	for lasts, want := range map[time.Duration]int{20 * time.Second: 0, time.Minute: 1, 5 * time.Minute: 1, 10 * time.Minute: 2} {
		for seed := range uint64(20) {
			n := 0
			for _, f := range fault.Plan(fault.Options{Seed: seed, For: lasts, Every: 15 * time.Second}) {
				if f.Kind != fault.Slow {
					continue
				}
				n++
				if f.Target != fault.AllTemporal || f.For < 30*time.Second || f.For > time.Minute || f.At+f.For > lasts {
					t.Errorf("%s, seed %d: %s", lasts, seed, f)
				}
			}
			if n != want {
				t.Errorf("%s, seed %d: slow %d times, want %d", lasts, seed, n, want)
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
