//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

func (s *stack) ledgerDSN() string {
	return cmp.Or(s.ledger, "sqlite:"+filepath.Join(s.state, "ledger.db"))
}

// openLedger reads what the worker writes.
func openLedger(t *testing.T) (kept *ledger.Ledger) {
	t.Helper()
	eventually(t, 30*time.Second, "the worker has made the ledger", func() (bool, string) {
		var err error
		kept, err = ledger.OpenToRead(t.Context(), under.ledgerDSN())
		return err == nil, fmt.Sprint(err)
	})
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	return kept
}

// awaitRecords waits for records of a check that satisfy the condition, the newest first.
func awaitRecords(t *testing.T, kept *ledger.Ledger, kind khv1.KHWorkload, namespace, name string, within time.Duration, what string, ok func([]ledger.Record) bool) []ledger.Record {
	t.Helper()
	var found []ledger.Record
	eventually(t, within, "records of "+namespace+"/"+name+": "+what, func() (bool, string) {
		var err error
		found, err = kept.LastRuns(t.Context(), check.Ref{Kind: kind, Namespace: namespace, Name: name}, 100)
		return err == nil && ok(found), fmt.Sprintf("%s, error %v", describe(found...), err)
	})
	return found
}

// describe tells what became of each record; printed as they are, they say only which tick they are of.
func describe(records ...ledger.Record) string {
	var lines strings.Builder
	for _, a := range records {
		outcome := string(a.Outcome)
		if a.Outcome == check.Unfinished {
			outcome = "not finished"
		}
		fmt.Fprintf(&lines, "\n\t%s of %s: %s", a.Trigger, a.Tick.Format(clock), outcome)
		for _, at := range []struct {
			what string
			time time.Time
		}{{"started", a.Started}, {"pod created", a.PodCreated}, {"running", a.Running}, {"reported", a.Reported}, {"exited", a.Exited}, {"recorded", a.Recorded}} {
			if !at.time.IsZero() {
				fmt.Fprintf(&lines, ", %s %s", at.what, at.time.Format(clock))
			}
		}
		if len(a.Errors) > 0 {
			fmt.Fprintf(&lines, ", %q", a.Errors)
		}
	}
	return lines.String()
}

const clock = "15:04:05.000"

func TestRecordsOfRuns(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	apply(t, demoCheck(namespace, "failing", env{"REPORT_ERRORS": "broken", "REPORT_DELAY": "1s"}))
	applyJob(t, demoJob(namespace, "job", env{"SKIP_REPORT": "true"}))
	closed := func(records []ledger.Record) bool { return len(records) == 1 && records[0].Outcome != "" }

	a := awaitRecords(t, kept, khv1.KHCheck, namespace, "failing", 30*time.Second, "one, closed", closed)[0]
	if a.Outcome != check.Failed || a.Trigger != check.TriggerFirst || len(a.Errors) != 1 || a.Errors[0] != "broken" {
		t.Errorf("record is %s", describe(a))
	}
	times := []time.Time{a.Tick, a.Started, a.PodCreated.Add(time.Second), a.Reported, a.Recorded} // Kubernetes has whole seconds
	for i, at := range times {
		if at.IsZero() || i > 0 && at.Before(times[i-1]) {
			t.Errorf("times are not in order: %v", times)
		}
	}
	for field, empty := range map[string]bool{
		"Running": a.Running.IsZero(), "Exited": a.Exited.IsZero(), "ImageDigest": a.ImageDigest == "",
		"SpecHash": a.SpecHash == "", "WorkerBuild": a.WorkerBuild == "", "RunID": a.RunID == "",
	} {
		if empty {
			t.Errorf("record has no %s: %s", field, describe(a))
		}
	}
	if a.Node != "kubebox" || a.Attempts != 1 {
		t.Errorf("record is of %d attempts on node %q, want 1 on kubebox", a.Attempts, a.Node)
	}
	job := awaitRecords(t, kept, khv1.KHJob, namespace, "job", 30*time.Second, "one, closed", closed)[0]
	if job.Outcome != check.Failed || job.Trigger != check.TriggerJob {
		t.Errorf("record of the job is %s", describe(job))
	}
}

// TestEveryDueTickHasOneRecord: some runs take longer than the interval, and everything that starts runs has an outage.
// Each tick of the whole time has one record with the right outcome.
func TestEveryDueTickHasOneRecord(t *testing.T) {
	restart(t, "worker", "temporal")
	kept, namespace := openLedger(t), newNamespace(t)
	const interval = 2 * time.Second
	c := demoCheck(namespace, "busy", env{"REPORT_DELAY": "5s"}) // skips two ticks of three
	c.Spec.RunInterval = interval.String()
	apply(t, c)
	const idle = 8 * time.Second // between the runs of this one there is time for an outage
	quick := demoCheck(namespace, "quick", nil)
	quick.Spec.RunInterval = idle.String()
	apply(t, quick)
	finished := func(n int) func([]ledger.Record) bool {
		return func(records []ledger.Record) bool { return countOf(records, check.Succeeded) >= n }
	}
	awaitRecords(t, kept, khv1.KHCheck, namespace, "busy", 60*time.Second, "three runs", finished(3))
	runs := awaitRecords(t, kept, khv1.KHCheck, namespace, "quick", 30*time.Second, "any run", finished(1))
	ended := awaitRecords(t, kept, khv1.KHCheck, namespace, "quick", 30*time.Second, "a run that has just ended", finished(countOf(runs, check.Succeeded)+1))
	allSettled(t, ended)
	under.kill("temporal")
	time.Sleep(4 * idle) // nobody is there to start a run: this is what is tested
	if err := under.start("temporal"); err != nil {
		t.Fatal(err)
	}
	if err := under.ready(time.Minute, "worker", "starter", "reportapi"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]check.Outcome{"busy": check.Skipped, "quick": check.Missed} {
		before := awaitRecords(t, kept, khv1.KHCheck, namespace, name, 60*time.Second, "any", func([]ledger.Record) bool { return true })
		more := countOf(before, check.Succeeded) + 3
		records := awaitRecords(t, kept, khv1.KHCheck, namespace, name, 90*time.Second, "three more runs, and "+string(want)+" ticks",
			func(records []ledger.Record) bool {
				return countOf(records, check.Succeeded) >= more && countOf(records, want) >= 2
			})
		checkGrid(t, name, settledOf(records), map[string]time.Duration{"busy": interval, "quick": idle}[name])
	}
	found, err := kept.Verify(t.Context(), time.Now().Add(-5*time.Minute))
	if err != nil || len(found.Problems) != 0 || len(found.Overdue) != 0 {
		t.Errorf("the ledger is not consistent: %+v, error %v", found, err)
	}
}

// TestADeletedCheckOwesNoRecord: ticks that were due while its last run was going on have records too, though no further tick
// comes to enter them.
func TestADeletedCheckOwesNoRecord(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	const interval = 2 * time.Second
	c := demoCheck(namespace, "doomed", env{"REPORT_DELAY": "5s"})
	c.Spec.RunInterval = interval.String()
	apply(t, c)
	running := func(records []ledger.Record) bool {
		return countOf(records, check.Succeeded) >= 2 && records[0].Outcome == check.Unfinished
	}
	awaitRecords(t, kept, khv1.KHCheck, namespace, "doomed", 60*time.Second, "two runs, and a third that goes on", running)
	time.Sleep(interval + interval/2) // ticks that the run keeps from others: this is what is tested
	deleted := time.Now()             // before it: a tick may be due while the API server answers
	if err := under.kube.checks(namespace).Delete(t.Context(), "doomed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, "no workflow of the check is open", func() (bool, string) {
		open := openWorkflows(t, namespace)
		return len(open) == 0, strings.Join(open, " ")
	})
	records := awaitRecords(t, kept, khv1.KHCheck, namespace, "doomed", 10*time.Second, "all closed", func(records []ledger.Record) bool {
		return countOf(records, check.Unfinished) == 0
	})
	if behind := deleted.Sub(records[0].Tick); behind > interval || records[0].Outcome != check.Skipped {
		t.Errorf("the last record is %s, %s before the deletion, want a tick that was skipped at most %s before", describe(records[0]), behind, interval)
	}
	canceled := slices.IndexFunc(records, func(r ledger.Record) bool { return r.Outcome == check.Canceled })
	if countOf(records, check.Canceled) != 1 || countOf(records[:max(canceled, 0)], check.Missed) != 0 { // a busy machine may miss earlier ones
		t.Errorf("records are %s, want the last run canceled, and no tick missed", describe(records...))
	}
	checkGrid(t, "doomed", ticksOf(records), interval)
}

func countOf(records []ledger.Record, outcome check.Outcome) int {
	n := 0
	for _, a := range records {
		if a.Outcome == outcome {
			n++
		}
	}
	return n
}

// allSettled waits until the runs with these records are closed: a run is recorded a step before its end.
func allSettled(t *testing.T, records []ledger.Record) {
	t.Helper()
	for _, r := range records {
		if r.Outcome == check.Succeeded {
			settled(t, r.WorkflowID)
		}
	}
}

// ticksOf leaves the scheduled ones of records, the newest first.
func ticksOf(records []ledger.Record) []ledger.Record {
	return slices.DeleteFunc(slices.Clone(records), func(a ledger.Record) bool { return a.Trigger != check.TriggerSchedule })
}

// settledOf returns the ticks before the newest run but one: their records are certainly complete.
func settledOf(records []ledger.Record) []ledger.Record {
	ticks := ticksOf(records)
	for runs := 0; runs < 2; ticks = ticks[1:] {
		if ticks[0].Outcome == check.Succeeded {
			runs++
		}
	}
	return ticks
}

// checkGrid looks whether ticks, the newest first, are as far from one another as the interval says: none is missing and none is
// there twice.
func checkGrid(t *testing.T, name string, ticks []ledger.Record, interval time.Duration) {
	t.Helper()
	counts := map[check.Outcome]int{}
	for i, a := range ticks {
		counts[a.Outcome]++
		if i > 0 && ticks[i-1].Tick.Sub(a.Tick) != interval {
			t.Errorf("%s: from %s (%s) to %s (%s) there is no record, or one too many", name, a.Tick, a.Outcome, ticks[i-1].Tick, ticks[i-1].Outcome)
		}
	}
	t.Logf("%s: %d ticks, %v", name, len(ticks), counts)
}
