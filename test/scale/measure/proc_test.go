package measure_test

import (
	"testing"
	"time"

	"github.com/khronicle/khronicle/test/scale/measure"
)

func TestParseProcessStat(t *testing.T) {
	const tail = " S 12 1 1 0 -1 4194560 100 200 3 4 150 50 30 7 20 0 9 0 1000 1 2 3"
	want := measure.ProcessStat{Parent: 12, Own: 2 * time.Second, Ended: 370 * time.Millisecond}
	for _, name := range []string{"postgres", "a b) c", "("} {
		got, err := measure.ParseProcessStat("77 (" + name + ")" + tail)
		if err != nil || got != want {
			t.Errorf("%q: got %+v %v, want %+v", name, got, err, want)
		}
	}
	for _, text := range []string{"", "77 (x) S 12 1", "77 (x) S 12 1 1 0 -1 4194560 100 200 3 4 many 50 30 7"} {
		if got, err := measure.ParseProcessStat(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

func TestParseMachineStat(t *testing.T) {
	got, err := measure.ParseMachineStat("cpu  100 10 50 800 20 1 2 3 99 99\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
	want := measure.MachineStat{Busy: 1660 * time.Millisecond, Idle: 8200 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
	for _, text := range []string{"", "intr 1 2 3 4 5 6 7 8", "cpu 1 2 3 x 5 6 7 8"} {
		if got, err := measure.ParseMachineStat(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

func TestIdleShare(t *testing.T) {
	before := measure.MachineStat{Busy: time.Second, Idle: time.Second}
	if got := measure.IdleShare(before, measure.MachineStat{Busy: 4 * time.Second, Idle: 2 * time.Second}); got != 0.25 {
		t.Errorf("got %v, want 0.25", got)
	}
	if got := measure.IdleShare(before, before); got != 0 {
		t.Errorf("no time between: got %v, want 0", got)
	}
}

func TestParseSize(t *testing.T) {
	const text = "Name:\tworker\nVmRSS:\t   1024 kB\nVmRSSX:\t 5 kB\nPss:  x kB\n"
	if got, err := measure.ParseSize(text, "VmRSS"); err != nil || got != 1<<20 {
		t.Errorf("got %d %v, want %d", got, err, 1<<20)
	}
	for _, name := range []string{"Vm", "Rss", "Pss"} {
		if got, err := measure.ParseSize(text, name); err == nil {
			t.Errorf("%s: got %d, want an error", name, got)
		}
	}
}
