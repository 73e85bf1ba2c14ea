//go:build e2e

package e2e

import (
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

func (s *stack) ledgerDSN() string { return "sqlite:" + filepath.Join(s.state, "ledger.db") }

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

// awaitAccounts waits for accounts of a check that satisfy the condition, the newest first.
func awaitAccounts(t *testing.T, kept *ledger.Ledger, kind khv1.KHWorkload, namespace, name string, within time.Duration, what string, ok func([]ledger.Account) bool) []ledger.Account {
	t.Helper()
	var found []ledger.Account
	eventually(t, within, "accounts of "+namespace+"/"+name+": "+what, func() (bool, string) {
		var err error
		found, err = kept.LastRuns(t.Context(), check.Ref{Kind: kind, Namespace: namespace, Name: name}, 100)
		return err == nil && ok(found), fmt.Sprintf("%s, error %v", describe(found...), err)
	})
	return found
}

// describe tells what became of each account; printed as they are, they say only which tick they are of.
func describe(accounts ...ledger.Account) string {
	var lines strings.Builder
	for _, a := range accounts {
		outcome := string(a.Outcome)
		if a.Outcome == ledger.Unfinished {
			outcome = "not finished"
		}
		fmt.Fprintf(&lines, "\n\t%s of %s: %s", a.Trigger, a.Nominal.Format(clock), outcome)
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

func TestAccountsOfRuns(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	apply(t, demoCheck(namespace, "failing", env{"REPORT_ERRORS": "broken", "REPORT_DELAY": "1s"}))
	applyJob(t, demoJob(namespace, "job", env{"SKIP_REPORT": "true"}))
	closed := func(accounts []ledger.Account) bool { return len(accounts) == 1 && accounts[0].Outcome != "" }

	a := awaitAccounts(t, kept, khv1.KHCheck, namespace, "failing", 30*time.Second, "one, closed", closed)[0]
	if a.Outcome != ledger.Failed || a.Trigger != ledger.First || len(a.Errors) != 1 || a.Errors[0] != "broken" {
		t.Errorf("account is %s", describe(a))
	}
	times := []time.Time{a.Due, a.Started, a.PodCreated.Add(time.Second), a.Reported, a.Recorded} // Kubernetes has whole seconds
	for i, at := range times {
		if at.IsZero() || i > 0 && at.Before(times[i-1]) {
			t.Errorf("times are not in order: %v", times)
		}
	}
	if a.Running.IsZero() || a.Exited.IsZero() || a.Node != "kubebox" || a.Attempts != 1 || a.ImageDigest == "" || a.SpecHash == "" || a.WorkerBuild == "" || a.RunID == "" {
		t.Errorf("account lacks something: %s", describe(a))
	}
	job := awaitAccounts(t, kept, khv1.KHJob, namespace, "job", 30*time.Second, "one, closed", closed)[0]
	if job.Outcome != ledger.Failed || job.Trigger != ledger.Job {
		t.Errorf("account of the job is %s", describe(job))
	}
}

// TestEveryDueTickHasOneAccount: runs that take longer than the interval, and an outage of everything that starts runs; each
// due tick of the whole time has one account, and says what became of it.
func TestEveryDueTickHasOneAccount(t *testing.T) {
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
	finished := func(n int) func([]ledger.Account) bool {
		return func(accounts []ledger.Account) bool { return countOf(accounts, ledger.Succeeded) >= n }
	}
	awaitAccounts(t, kept, khv1.KHCheck, namespace, "busy", 60*time.Second, "three runs", finished(3))
	runs := awaitAccounts(t, kept, khv1.KHCheck, namespace, "quick", 30*time.Second, "any run", finished(1))
	awaitAccounts(t, kept, khv1.KHCheck, namespace, "quick", 30*time.Second, "a run that has just ended", finished(countOf(runs, ledger.Succeeded)+1))
	time.Sleep(time.Second) // the account is the last but one step of a run
	under.kill("temporal")
	time.Sleep(4 * idle) // nobody is there to start a run: this is what is tested
	if err := under.start("temporal"); err != nil {
		t.Fatal(err)
	}
	if err := under.ready(time.Minute, "worker", "starter", "reportapi"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]ledger.Outcome{"busy": ledger.Skipped, "quick": ledger.Missed} {
		before := awaitAccounts(t, kept, khv1.KHCheck, namespace, name, 60*time.Second, "any", func([]ledger.Account) bool { return true })
		more := countOf(before, ledger.Succeeded) + 3
		accounts := awaitAccounts(t, kept, khv1.KHCheck, namespace, name, 90*time.Second, "three more runs, and "+string(want)+" ticks",
			func(accounts []ledger.Account) bool {
				return countOf(accounts, ledger.Succeeded) >= more && countOf(accounts, want) >= 2
			})
		checkGrid(t, name, toldOf(accounts), map[string]time.Duration{"busy": interval, "quick": idle}[name])
	}
	found, err := kept.Verify(t.Context(), time.Now().Add(-5*time.Minute))
	if err != nil || len(found.Problems) != 0 || len(found.Overdue) != 0 {
		t.Errorf("the ledger is not consistent: %+v, error %v", found, err)
	}
}

// TestADeletedCheckOwesNoAccount: ticks that were due while its last run was going on have accounts too, though no further tick
// comes to enter them.
func TestADeletedCheckOwesNoAccount(t *testing.T) {
	t.Parallel()
	kept, namespace := openLedger(t), newNamespace(t)
	const interval = 2 * time.Second
	c := demoCheck(namespace, "doomed", env{"REPORT_DELAY": "5s"})
	c.Spec.RunInterval = interval.String()
	apply(t, c)
	running := func(accounts []ledger.Account) bool {
		return countOf(accounts, ledger.Succeeded) >= 2 && accounts[0].Outcome == ledger.Unfinished
	}
	awaitAccounts(t, kept, khv1.KHCheck, namespace, "doomed", 60*time.Second, "two runs, and a third that goes on", running)
	time.Sleep(interval + interval/2) // due times that the run keeps from others: this is what is tested
	if err := under.kube.checks(namespace).Delete(t.Context(), "doomed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	deleted := time.Now()
	eventually(t, 40*time.Second, "no workflow of the check is open", func() (bool, string) {
		open := openWorkflows(t, namespace)
		return len(open) == 0, strings.Join(open, " ")
	})
	accounts := awaitAccounts(t, kept, khv1.KHCheck, namespace, "doomed", 10*time.Second, "all closed", func(accounts []ledger.Account) bool {
		return countOf(accounts, ledger.Unfinished) == 0
	})
	if behind := deleted.Sub(accounts[0].Nominal); behind > interval || accounts[0].Outcome != ledger.Skipped {
		t.Errorf("the last account is %s, %s before the deletion, want a tick that was skipped at most %s before", describe(accounts[0]), behind, interval)
	}
	if countOf(accounts, ledger.Canceled) != 1 || countOf(accounts, ledger.Missed) != 0 {
		t.Errorf("accounts are %s, want the last run canceled, and no tick missed", describe(accounts...))
	}
	checkGrid(t, "doomed", ticksOf(accounts), interval)
}

func countOf(accounts []ledger.Account, outcome ledger.Outcome) int {
	n := 0
	for _, a := range accounts {
		if a.Outcome == outcome {
			n++
		}
	}
	return n
}

// ticksOf leaves the scheduled ones of accounts, the newest first.
func ticksOf(accounts []ledger.Account) []ledger.Account {
	return slices.DeleteFunc(slices.Clone(accounts), func(a ledger.Account) bool { return a.Trigger != ledger.Scheduled })
}

// toldOf returns the ticks behind the newest but one run: they have certainly been told.
func toldOf(accounts []ledger.Account) []ledger.Account {
	ticks := ticksOf(accounts)
	for runs := 0; runs < 2; ticks = ticks[1:] {
		if ticks[0].Outcome == ledger.Succeeded {
			runs++
		}
	}
	return ticks
}

// checkGrid looks whether ticks, the newest first, are as far from one another as the interval says: none is missing and none is
// there twice.
func checkGrid(t *testing.T, name string, ticks []ledger.Account, interval time.Duration) {
	t.Helper()
	counts := map[ledger.Outcome]int{}
	for i, a := range ticks {
		counts[a.Outcome]++
		if i > 0 && ticks[i-1].Nominal.Sub(a.Nominal) != interval {
			t.Errorf("%s: from %s (%s) to %s (%s) there is no account, or one too many", name, a.Nominal, a.Outcome, ticks[i-1].Nominal, ticks[i-1].Outcome)
		}
	}
	t.Logf("%s: %d ticks, %v", name, len(ticks), counts)
}
