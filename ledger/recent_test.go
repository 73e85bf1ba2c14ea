package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// recentOf are the newest records of a check as Recent has them, from the records themselves.
func recentOf(t *testing.T, l *ledger.Ledger, of check.Ref, limit int) (runs []ledger.RecentRun) {
	t.Helper()
	records, err := l.LastRuns(t.Context(), of, limit)
	must(t, err)
	for _, r := range records {
		run := ledger.RecentRun{Tick: r.Tick, Trigger: r.Trigger, Outcome: r.Outcome, Flaky: r.Flaky}
		run.Duration, run.Timed = r.Duration()
		runs = append(runs, run)
	}
	return runs
}

func TestRecentRunsOfManyChecksAreThoseOfEach(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		must(t, ledger.Load(t.Context(), l, history("dns", 3*time.Hour, 11*time.Minute)))
		must(t, ledger.Load(t.Context(), l, history("web", 30*time.Minute, 10*time.Minute)))
		again := record("dns", -20*time.Minute, check.Failed) // of a check that was deleted
		again.CheckUID = "uid-earlier"
		must(t, l.Finish(t.Context(), again))
		must(t, l.Begin(t.Context(), opened(record("dns", 0, check.Failed))))
		must(t, recordTicks(t.Context(), l, missedTick(record("web", 5*time.Minute, check.Missed))))
		manual := record("web", -10*time.Minute, check.Failed) // its tick is that of another run
		manual.Trigger, manual.WorkflowID = check.TriggerManual, "run-manual"
		must(t, l.Finish(t.Context(), manual))
		job := ref("dns")
		job.Kind = khv1.KHJob
		refs := []check.Ref{ref("web"), ref("none"), ref("dns"), job, ref("dns")}
		for _, limit := range []int{1, 2, 3, 10, 1000} {
			got, err := l.Recent(t.Context(), refs, limit)
			must(t, err)
			var want [][]ledger.RecentRun
			for _, one := range refs {
				want = append(want, recentOf(t, l, one, limit))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the last %d (-each +many):\n%s", limit, diff)
			}
		}
		for _, limit := range []int{0, -1} {
			if got, err := l.Recent(t.Context(), refs, limit); err != nil || len(got) != len(refs) || len(got[0]) != 0 {
				t.Errorf("the last %d are %v, %v, want an empty list for each check", limit, got, err)
			}
		}
		if got, err := l.Recent(t.Context(), nil, 10); err != nil || len(got) != 0 {
			t.Errorf("of no check: %v, %v", got, err)
		}
	})
}

// More checks than one statement has room for.
func TestRecentRunsOfAllChecks(t *testing.T) {
	l := open(t, sqliteDSN(t))
	must(t, ledger.Load(t.Context(), l, history("dns", time.Hour, 11*time.Minute)))
	refs := make([]check.Ref, 1001)
	for i := range refs {
		refs[i] = ref("none")
	}
	refs[0], refs[500], refs[1000] = ref("dns"), ref("dns"), ref("dns")
	got, err := l.Recent(t.Context(), refs, 3)
	must(t, err)
	want := recentOf(t, l, ref("dns"), 3)
	for i, list := range got {
		if refs[i].Name == "dns" != (cmp.Diff(want, list) == "") {
			t.Fatalf("number %d of %d is %v", i, len(got), list)
		}
	}
}

// However many records there are, those of the lists alone are read.
func TestRecentRunsGoByTheKey(t *testing.T) {
	args := []any{39}
	for range 50 {
		args = append(args, "KHCheck", "ns", "dns")
	}
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		for _, name := range []string{"dns", "a", "b", "c", "d"} {
			must(t, ledger.Load(t.Context(), l, history(name, 20*time.Hour, time.Minute)))
		}
		must(t, ledger.Settle(t.Context(), l))
		plan, err := ledger.Explain(t.Context(), l, ledger.RecentQuery(50), args...)
		must(t, err)
		for _, wrong := range []string{"SCAN r", "SCAN n", "Scan on records", "TEMP B-TREE", "Sort"} {
			if strings.Contains(plan, wrong) {
				t.Errorf("records are read without the key:\n%s", plan)
			}
		}
		if !strings.Contains(plan, "SEARCH r USING PRIMARY KEY (check_id=? AND tick>?)") && !strings.Contains(plan, "Index Cond: ((check_id = c.id) AND (tick >= ") {
			t.Errorf("records before the first of the list are read:\n%s", plan)
		}
	})
}
