package measure_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/test/scale/measure"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// after is some seconds after noon.
func after(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func TestGridCountsWholeSecondsFromTheFirstStart(t *testing.T) {
	g := measure.ScheduleOf(after(3.7), time.Minute)
	if want := after(3); !g.Origin.Equal(want) {
		t.Errorf("origin %s, want %s", g.Origin, want)
	}
}

func TestDue(t *testing.T) {
	g := measure.ScheduleOf(noon, time.Minute)
	tests := []struct {
		name        string
		from, until float64
		want        []int
	}{
		{"the start of the schedule is no tick", 0, 60, nil},
		{"before the start", -300, 61, []int{1}},
		{"from is in the window, until is not", 60, 180, []int{1, 2}},
		{"between two ticks", 61, 119, nil},
		{"several", 90, 301, []int{2, 3, 4, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, g.Due(after(tt.from), after(tt.until))); diff != "" {
				t.Errorf("slots -want +got:\n%s", diff)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	g := measure.ScheduleOf(noon, time.Minute)
	run := func(at float64, succeeded bool) measure.Run {
		return measure.Run{Start: after(at), Succeeded: succeeded}
	}
	tests := []struct {
		name string
		runs []measure.Run
		want measure.Ticks
	}{
		{
			"all on time, in any order",
			[]measure.Run{run(180.25, true), run(120.5, true)},
			measure.Ticks{Due: 2, Started: 2, Succeeded: 2, Lateness: []time.Duration{500 * time.Millisecond, 250 * time.Millisecond}},
		},
		{
			"one tick has no run",
			[]measure.Run{run(120, true)},
			measure.Ticks{Due: 2, Started: 1, Succeeded: 1, Lateness: []time.Duration{0}},
		},
		{
			"a run that failed",
			[]measure.Run{run(120, false), run(180, true)},
			measure.Ticks{Due: 2, Started: 2, Succeeded: 1, Lateness: []time.Duration{0, 0}},
		},
		{
			"two runs between two ticks",
			[]measure.Run{run(120, true), run(150, true), run(181, true)},
			measure.Ticks{Due: 2, Started: 2, Succeeded: 2, Extra: 1, Lateness: []time.Duration{0, time.Second}},
		},
		{"runs outside the window", []measure.Run{run(0, true), run(60, true), run(240, true)}, measure.Ticks{Due: 2}},
		{
			"a run whose tick was due before the end, started after it",
			[]measure.Run{run(239, true)},
			measure.Ticks{Due: 2, Started: 1, Succeeded: 1, Lateness: []time.Duration{59 * time.Second}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, g.Match(tt.runs, after(100), after(200))); diff != "" {
				t.Errorf("ticks -want +got:\n%s", diff)
			}
		})
	}
}

// The run of a tick is known by its tick, however late or early it started.
func TestMatchTicks(t *testing.T) {
	run := func(due, at float64, succeeded bool) measure.Run {
		return measure.Run{Tick: after(due), Start: after(at), Succeeded: succeeded}
	}
	runs := []measure.Run{run(60, 61, true), run(120, 119.5, true), run(180, 260, false), run(180, 261, true), run(300, 300, true)}
	got := measure.ScheduleOf(noon, time.Minute).MatchTicks(runs, after(61), after(250))
	want := measure.Ticks{Due: 3, Started: 2, Succeeded: 1, Extra: 1, Lateness: []time.Duration{-500 * time.Millisecond, 80 * time.Second}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ticks -want +got:\n%s", diff)
	}
	for within, want := range map[time.Duration]int{time.Second: 1, 80 * time.Second: 2} {
		if n := got.OnTime(within); n != want {
			t.Errorf("%d ticks are not later than %s, want %d", n, within, want)
		}
	}
}

func TestTicksOfSeveralChecksAreAdded(t *testing.T) {
	one := measure.Ticks{Due: 3, Started: 2, Succeeded: 1, Extra: 1, Lateness: []time.Duration{1, 2}}
	sum := one
	sum.Add(one)
	want := measure.Ticks{Due: 6, Started: 4, Succeeded: 2, Extra: 2, Lateness: []time.Duration{1, 2, 1, 2}}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("sum -want +got:\n%s", diff)
	}
}

func TestLags(t *testing.T) {
	runs := []measure.Run{{Start: after(120.5)}, {Start: after(60.25)}, {Start: after(1)}}
	times := []time.Time{after(60), after(120.5), after(180), after(240)}
	want := []time.Duration{250 * time.Millisecond, 0}
	if diff := cmp.Diff(want, measure.Lags(times, runs, time.Minute)); diff != "" {
		t.Errorf("lags -want +got:\n%s", diff)
	}
}
