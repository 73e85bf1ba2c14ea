//go:build unix

package view_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/view"
)

// large is a cluster of n checks that have run ten times each. A tenth are failing, and a fifth have a cron expression.
func large(n int) *cluster {
	c := &cluster{}
	for i := range n {
		one := newCheck(fmt.Sprintf("check-%04d", i), func(c *khv1.KuberhealthyCheck) {
			c.ResourceVersion = fmt.Sprint(i + 1)
			if i%5 == 0 {
				c.Spec.RunInterval, c.Spec.Schedule, c.Spec.TimeZone = "", "*/5 * * * *", "Europe/Berlin"
			}
		})
		outcomes := []check.Outcome{good, good, good, good, good, good, good, good, good, good}
		if i%10 == 0 {
			outcomes[9] = bad
		}
		state := stateOf(khv1.KHCheck, one.Name, outcomes...)
		state.ResourceVersion = fmt.Sprint(2*n + i)
		c.checks, c.states = append(c.checks, one), append(c.states, state)
	}
	return c
}

// largeLedger has 60 runs of each of n checks.
func largeLedger(b *testing.B, n int) *ledger.Ledger {
	b.Helper()
	l := openLedger(b)
	for run := range 60 {
		records := make([]ledger.Record, n)
		for i := range n {
			outcome := good
			if (i+run)%50 == 0 {
				outcome = bad
			}
			records[i] = record(fmt.Sprintf("check-%04d", i), noon.Add(-time.Duration(run+1)*time.Minute), outcome, time.Duration(1000+i%977)*time.Millisecond)
		}
		ledgertest.Fill(b, l, records)
	}
	return l
}

// cpuTime is the processor time of this process. On a busy machine it says more than the elapsed time.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func reportCPU(b *testing.B, before time.Duration) {
	b.Helper()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkSnapshot makes a snapshot of 3,000 checks, while none changes and while a tenth has a new outcome each time.
func BenchmarkSnapshot(b *testing.B) {
	for name, changed := range map[string]bool{"same": false, "a-tenth-changed": true} {
		b.Run(name, func(b *testing.B) {
			c := large(3000)
			v := view.New(view.Options{Cluster: c, Now: at(noon)})
			v.Snapshot()
			version, before := 1_000_000, cpuTime(b)
			for b.Loop() {
				for i := 0; changed && i < len(c.states); i += 10 {
					version++
					c.states[i].ResourceVersion = fmt.Sprint(version)
				}
				if len(v.Snapshot().Checks) != 3000 {
					b.Fatal("checks are missing")
				}
			}
			reportCPU(b, before)
		})
	}
}

// BenchmarkRefresh reads the statistics of 3,000 checks with 60 runs each: all of them, and what is read every half minute.
func BenchmarkRefresh(b *testing.B) {
	l := largeLedger(b, 3000)
	fresh := func() *view.View { return view.New(view.Options{Cluster: &cluster{}, Ledger: l, Now: at(noon)}) }
	b.Run("all", func(b *testing.B) {
		before := cpuTime(b)
		for b.Loop() {
			must(b, fresh().Refresh(b.Context()))
		}
		reportCPU(b, before)
	})
	b.Run("often", func(b *testing.B) {
		v := fresh()
		must(b, v.Refresh(b.Context()))
		before := cpuTime(b)
		for b.Loop() {
			must(b, v.Refresh(b.Context()))
		}
		reportCPU(b, before)
	})
}
