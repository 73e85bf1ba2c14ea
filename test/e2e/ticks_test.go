//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/wait"
)

var outage = flag.Duration("outage", 30*time.Second, "how long TestEverythingDown keeps everything down")

// scheduledOf returns the records of ticks alone, the oldest first.
func scheduledOf(records []ledger.Record) []ledger.Record {
	var ticks []ledger.Record
	for i := len(records) - 1; i >= 0; i-- {
		if records[i].Trigger == check.TriggerSchedule {
			ticks = append(ticks, records[i])
		}
	}
	return ticks
}

// firstsOf returns the records of the runs at once of new revisions, the oldest first.
func firstsOf(records []ledger.Record) []ledger.Record {
	var firsts []ledger.Record
	for i := len(records) - 1; i >= 0; i-- {
		if records[i].Trigger == check.TriggerFirst {
			firsts = append(firsts, records[i])
		}
	}
	return firsts
}

// withoutGap looks whether the ticks are one interval apart from one another, but for one step where a new schedule began.
func withoutGap(t *testing.T, ticks []ledger.Record, interval, next time.Duration, began time.Time) {
	t.Helper()
	for i, tick := range ticks {
		if i == 0 {
			continue
		}
		before := ticks[i-1].Tick
		switch step := tick.Tick.Sub(before); {
		case before.Before(began) && tick.Tick.After(began):
			if left := began.Sub(before); left > interval+time.Second {
				t.Errorf("the last tick of the old schedule is at %s, %s before the new one began: ticks are missing", before, left)
			}
			if left := tick.Tick.Sub(began); left > next+time.Second {
				t.Errorf("the first tick of the new schedule is at %s, %s after it began: ticks are missing", tick.Tick, left)
			}
		case tick.Tick.Before(began) && step != interval, !tick.Tick.Before(began) && step != next:
			t.Errorf("from %s (%s) to %s (%s) there is no record, or one too many", before, ticks[i-1].Outcome, tick.Tick, tick.Outcome)
		}
	}
}

// TestTicksOfASuspendedCheck: each tick that was due while the check was suspended is there, as paused, once it is resumed.
func TestTicksOfASuspendedCheck(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	const interval = 3 * time.Second
	c := demoCheck(namespace, "sleeper", nil)
	c.Spec.RunInterval = interval.String()
	apply(t, c)
	awaitRecords(t, kept, khv1.KHCheck, namespace, "sleeper", 40*time.Second, "a run of its schedule", func(records []ledger.Record) bool {
		return countOf(scheduledOf(records), check.Succeeded) >= 1
	})
	id := "khcheck/" + namespace + "/sleeper"
	schedule := scheduleRun(t, id)
	edit(t, namespace, "sleeper", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true })
	eventually(t, 10*time.Second, "the schedule is paused", func() (bool, string) { return scheduleRun(t, id) != schedule, "" })
	suspended := time.Now()
	time.Sleep(4 * interval) // ticks of a suspended check: this is what is tested
	edit(t, namespace, "sleeper", func(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = false })
	records := awaitRecords(t, kept, khv1.KHCheck, namespace, "sleeper", 40*time.Second, "runs after it", func(records []ledger.Record) bool {
		firsts, ticks := firstsOf(records), scheduledOf(records)
		ranAfter := func(tick ledger.Record) bool {
			return tick.Outcome == check.Succeeded && tick.Tick.After(firsts[1].Tick)
		}
		return len(firsts) == 2 && countOf(ticks, check.Paused) >= 3 && slices.ContainsFunc(ticks, ranAfter)
	})
	resumed := firstsOf(records)[1].Tick
	var before, during []ledger.Record
	for _, tick := range scheduledOf(records) {
		switch {
		case tick.Tick.After(resumed):
		case tick.Tick.Before(suspended):
			before = append(before, tick)
		default:
			during = append(during, tick)
		}
	}
	for _, tick := range during[1:] { // the first one may belong to a run that was in flight
		if tick.Outcome != check.Paused {
			t.Errorf("tick at %s is %s, want paused", tick.Tick, tick.Outcome)
		}
	}
	withoutGap(t, append(before, during...), interval, interval, suspended)
	t.Logf("%d ticks before the suspension, %d during it", len(before), len(during))
}

// TestEditLeavesNoTickWithoutRecord: the ticks of the old schedule are recorded up to the moment at which the new one
// begins. That holds also when no starter was there for a while to begin the new schedule.
func TestEditLeavesNoTickWithoutRecord(t *testing.T) {
	restart(t, "starter")
	kept, namespace := openLedger(t), newNamespace(t)
	const interval, next = 2 * time.Second, 3 * time.Second
	c := demoCheck(namespace, "edited", env{"REPORT_DELAY": "5s"})
	c.Spec.RunInterval = interval.String()
	apply(t, c)
	awaitRecords(t, kept, khv1.KHCheck, namespace, "edited", time.Minute, "a run of its schedule", func(records []ledger.Record) bool {
		return countOf(scheduledOf(records), check.Succeeded) >= 1
	})
	// The schedule ends, as if Temporal had lost it, and the edit comes while no starter is there.
	under.stop("starter")
	if err := temporal(t).TerminateWorkflow(t.Context(), "khcheck/"+namespace+"/edited", "", "a fault of the test"); err != nil {
		t.Fatal(err)
	}
	edit(t, namespace, "edited", func(c *khv1.KuberhealthyCheck) { c.Spec.RunInterval = next.String() })
	time.Sleep(10 * time.Second) // ticks are due and nobody is there: this is what is tested
	if err := under.start("starter"); err != nil {
		t.Fatal(err)
	}
	records := awaitRecords(t, kept, khv1.KHCheck, namespace, "edited", time.Minute, "a tick of the new schedule that ran", func(records []ledger.Record) bool {
		firsts, ticks := firstsOf(records), scheduledOf(records)
		ranAfter := func(tick ledger.Record) bool {
			return tick.Outcome == check.Succeeded && tick.Tick.After(firsts[1].Tick)
		}
		return len(firsts) == 2 && slices.ContainsFunc(ticks, ranAfter) && countOf(ticks, check.Missed) > 0
	})
	ticks := scheduledOf(records)
	withoutGap(t, ticks, interval, next, firstsOf(records)[1].Tick)
	if n := countOf(ticks, check.Missed); n < 3 {
		t.Errorf("%d ticks were missed, want those of ten seconds", n)
	}
}

// TestEverythingDown: worker, starter, report API, Temporal and the API server stop, and start again. The ticks of the
// outage are missed, and each check has one run at once. With a long -outage, such as 5m, the page shows the checks as
// unknown. It does so from the start of the report API until the other parts work again.
func TestEverythingDown(t *testing.T) {
	restart(t, "temporal", "worker", "starter", "reportapi")
	kept, namespace := openLedger(t), newNamespace(t)
	const interval, checks = 10 * time.Second, 3
	// After an outage of the API server, the scheduler and the kubelet may need up to a minute until they watch again. A run
	// that starts before that has to wait.
	const timeout = 2 * time.Minute
	name := func(n int) string { return fmt.Sprintf("check-%d", n) }
	for n := range checks {
		c := demoCheck(namespace, name(n), nil)
		c.Spec.RunInterval, c.Spec.Timeout = interval.String(), timeout.String()
		apply(t, c)
	}
	for n := range checks {
		awaitRecords(t, kept, khv1.KHCheck, namespace, name(n), time.Minute, "two runs of its schedule", func(records []ledger.Record) bool {
			return countOf(scheduledOf(records), check.Succeeded) >= 2
		})
	}
	// A run that was in flight would go on after the outage, and the ticks until then would be skipped, not missed.
	var newestRuns []ledger.Record
	eventually(t, time.Minute, "no check runs, and none is due at once", func() (bool, string) {
		newestRuns = nil
		for n := range checks {
			newest := scheduledOf(awaitRecords(t, kept, khv1.KHCheck, namespace, name(n), time.Second, "any", func([]ledger.Record) bool { return true }))
			last := newest[len(newest)-1]
			if last.Outcome == check.Unfinished || time.Since(last.Tick) > interval*8/10 {
				return false, describe(last)
			}
			newestRuns = append(newestRuns, last)
		}
		return true, ""
	})
	allSettled(t, newestRuns)
	for _, role := range []string{"starter", "worker", "reportapi", "temporal"} {
		under.kill(role)
	}
	if _, err := under.kubebox("kill", "kube-apiserver", "--hold"); err != nil {
		t.Fatal(err)
	}
	down := time.Now()
	t.Cleanup(func() { _, _ = under.kubebox("start", "kube-apiserver") }) // where the test ended before it did
	time.Sleep(*outage)
	if _, err := under.kubebox("start", "kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	if err := under.start("reportapi"); err != nil {
		t.Fatal(err)
	}
	if *outage > timeout+time.Minute { // well beyond the interval, the timeout and a grace of 30 s
		eventually(t, time.Minute, "the page is back", func() (bool, string) {
			return wait.Answers(t.Context(), reportBase+"/"), "no page"
		})
		eventually(t, time.Minute, "all checks are unknown", func() (bool, string) {
			page := statusPage(t, "?namespace="+namespace)
			n := 0
			for _, details := range page.CheckDetails {
				if len(details.Errors) > 0 && strings.HasPrefix(details.Errors[0], "unknown: ") {
					n++
				}
			}
			return n == checks && !page.OK, fmt.Sprintf("%+v", page)
		})
	}
	for _, role := range []string{"temporal", "worker", "starter"} {
		if err := under.start(role); err != nil {
			t.Fatal(err)
		}
	}
	if err := under.ready(time.Minute, "worker", "starter", "reportapi"); err != nil {
		t.Fatal(err)
	}
	up := time.Now()
	missed := 0
	for n := range checks {
		records := awaitRecords(t, kept, khv1.KHCheck, namespace, name(n), timeout, "two runs after it", func(records []ledger.Record) bool {
			after := 0
			for _, a := range records {
				if a.Started.After(down) && a.Outcome == check.Succeeded {
					after++
				}
			}
			return after >= 2
		})
		var overdue []ledger.Record // runs that began at once, for a tick of the outage
		for _, a := range scheduledOf(records) {
			switch {
			case a.Tick.After(down.Add(interval)) && a.Tick.Before(up.Add(-interval)) && a.Outcome != check.Missed && a.WorkflowID == "":
				t.Errorf("%s: tick at %s, in the outage, is %s", name(n), a.Tick, a.Outcome)
			case a.Tick.After(down) && a.Tick.Before(up) && a.WorkflowID != "" && a.Started.After(down.Add(*outage)):
				overdue = append(overdue, a)
			}
			if a.Outcome == check.Missed {
				missed++
			}
		}
		if len(overdue) != 1 || overdue[0].Started.Sub(up) > 9*time.Second {
			t.Errorf("%s: %d runs caught up, want one at once: %s", name(n), len(overdue), describe(overdue...))
		}
		checkGrid(t, name(n), settledOf(records), interval)
	}
	if least := checks * int(*outage/interval-1); missed < least {
		t.Errorf("%d ticks were missed, want at least %d", missed, least)
	}
	t.Logf("outage of %s: %d missed ticks of %d checks; one run of each caught up", *outage, missed, checks)
}
