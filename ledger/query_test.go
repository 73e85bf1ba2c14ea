package ledger_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// counted adds up the records as a roll-up should.
func counted(records []ledger.Record, from, to time.Time) ledger.Counts {
	var c ledger.Counts
	fields := map[check.Outcome]*int64{
		check.Succeeded: &c.Succeeded, check.Failed: &c.Failed, check.InfraFailed: &c.InfraFailed, check.TimedOut: &c.TimedOut,
		check.Skipped: &c.Skipped, check.Paused: &c.Paused, check.Missed: &c.Missed, check.Canceled: &c.Canceled,
	}
	for _, a := range records {
		if a.Tick.Before(from) || !a.Tick.Before(to) {
			continue
		}
		*fields[a.Outcome]++
		if a.Flaky {
			c.Flaky++
		}
		if d, ok := a.Duration(); ok {
			c.Timed++
			c.DurationSum += d
			c.DurationMax = max(c.DurationMax, d)
		}
	}
	return c
}

func TestUptimeCountsWhatTheRowsSay(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		l := open(t, dsn)
		var all []ledger.Record
		every := []check.Outcome{
			check.Succeeded, check.Failed, check.InfraFailed, check.TimedOut, check.Skipped, check.Paused, check.Missed, check.Canceled,
		}
		for at := time.Duration(0); at < 5*24*time.Hour; at += 7 * time.Minute {
			a := record("dns", at, every[random.IntN(len(every))])
			a.Flaky = a.Outcome == check.Succeeded && random.IntN(2) == 0
			a.Reported = a.Started.Add(time.Duration(random.IntN(5_000_000)) * time.Microsecond)
			if random.IntN(3) == 0 {
				a.Reported, a.Concluded = time.Time{}, time.Time{}
			}
			all = append(all, a)
		}
		must(t, ledger.Load(t.Context(), l, all))
		must(t, l.Finish(t.Context(), record("other", 0, check.Failed)))
		must(t, l.Begin(t.Context(), opened(record("dns", 6*24*time.Hour, check.Failed))))
		spans := [][2]time.Duration{{0, 0}, {time.Hour, 0}, {0, time.Hour}, {time.Minute, 20 * time.Minute}, {-time.Hour, 200 * time.Hour}}
		for range 40 {
			spans = append(spans, [2]time.Duration{rand.N(130 * time.Hour), rand.N(130 * time.Hour)})
		}
		for _, s := range spans {
			from, to := noon.Add(s[0]), noon.Add(s[1])
			got, err := l.Uptime(t.Context(), ref("dns"), from, to)
			must(t, err)
			if diff := gocmp.Diff(counted(all, from, to), got); diff != "" {
				t.Errorf("from %s to %s (-want +got):\n%s", from, to, diff)
			}
		}
		verify(t, l)
	})
}

func TestUptimeOfNothingIsNotKnown(t *testing.T) {
	if share, ok := (ledger.Counts{Missed: 3, InfraFailed: 2}).Uptime(); ok {
		t.Errorf("uptime of missed runs is %v, want none", share)
	}
	if share, ok := (ledger.Counts{Succeeded: 3, TimedOut: 1, Missed: 9}).Uptime(); !ok || share != 0.75 {
		t.Errorf("uptime is %v, %t, want 0.75", share, ok)
	}
}

// An amendment subtracts its first record from the roll-ups, also from the longest duration.
func TestAmendmentsAreTakenBack(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		slow, quick := record("dns", 0, check.TimedOut), record("dns", time.Minute, check.Succeeded)
		slow.Reported = slow.Started.Add(time.Hour)
		must(t, l.Finish(t.Context(), slow))
		must(t, l.Finish(t.Context(), quick))
		slow.Outcome, slow.Flaky, slow.Revision, slow.Reported = check.Succeeded, true, 1, slow.Started.Add(time.Second)
		must(t, l.Finish(t.Context(), slow))
		want := ledger.Counts{Succeeded: 2, Flaky: 1, Timed: 2, DurationSum: 3 * time.Second, DurationMax: 2 * time.Second}
		got, err := l.Uptime(t.Context(), ref("dns"), noon.Add(-12*time.Hour), noon.Add(12*time.Hour))
		must(t, err)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		verify(t, l)
	})
}

func TestLastRunsAndOverview(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		old := record("dns", -2*time.Hour, check.Failed) // of a check that was deleted and made again
		old.CheckUID = "uid-before"
		last := record("dns", 0, check.Succeeded)
		running := opened(record("dns", time.Minute, check.Failed))
		manual := record("dns", -time.Minute, check.TimedOut)
		manual.Trigger = check.TriggerManual
		for _, a := range []ledger.Record{old, record("dns", -48*time.Hour, check.Missed), manual, last, record("web", 0, check.Failed)} {
			must(t, l.Finish(t.Context(), a))
		}
		must(t, l.Begin(t.Context(), running))
		runs, err := l.LastRuns(t.Context(), ref("dns"), 4)
		must(t, err)
		if diff := gocmp.Diff([]ledger.Record{running, last, manual, old}, runs); diff != "" {
			t.Errorf("last runs (-want +got):\n%s", diff)
		}
		if len(ticks(t, l, "dns")) != 3 {
			t.Errorf("the ticks of the schedule are %v, want 3 without the manual run", ticks(t, l, "dns"))
		}
		overview, err := l.Overview(t.Context(), noon.Add(2*time.Minute))
		must(t, err)
		if len(overview) != 3 {
			t.Fatalf("%d checks in the overview, want 3", len(overview))
		}
		dns := overview[1]
		if dns.CheckUID != "uid-dns" || overview[0].CheckUID != "uid-before" || overview[2].Ref.Name != "web" {
			t.Errorf("the overview is not in order: %v", overview)
		}
		if diff := gocmp.Diff(&last, dns.Last); diff != "" {
			t.Errorf("last record (-want +got):\n%s", diff)
		}
		if dns.Day.Total() != 2 || dns.Day.TimedOut != 1 || dns.Running != 1 {
			t.Errorf("the day is %+v, %d running, want 2 records, one timed out, and one", dns.Day, dns.Running)
		}
	})
}

func TestLastReturnsTheNewestRecordBeforeATime(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		want := func(a ledger.Record, there bool) {
			t.Helper()
			got, ok, err := l.Last(t.Context(), "uid-dns", check.TriggerSchedule, record("dns", 90*time.Minute, check.Succeeded).Tick)
			must(t, err)
			if diff := gocmp.Diff(a, got); diff != "" || ok != there {
				t.Errorf("last tick is there=%t, want %t (-want +got):\n%s", ok, there, diff)
			}
		}
		manual := record("dns", 2*time.Hour, check.Failed)
		manual.Trigger = check.TriggerManual
		must(t, l.Finish(t.Context(), manual))
		must(t, l.Finish(t.Context(), record("other", 3*time.Hour, check.Failed)))
		want(ledger.Record{}, false)
		late, early := record("dns", time.Hour, check.Succeeded), record("dns", 0, check.Succeeded)
		must(t, l.Begin(t.Context(), opened(late)))
		must(t, l.Finish(t.Context(), early))
		want(opened(late), true)
		must(t, l.Finish(t.Context(), late))
		want(late, true)
		missed := missedTick(record("dns", 61*time.Minute, check.Succeeded))
		must(t, recordTicks(t.Context(), l, missed))
		want(missed, true)
		if _, ok, err := l.Last(t.Context(), "of nobody", check.TriggerSchedule, time.Now()); ok || err != nil {
			t.Errorf("a check without records has a last tick: %t, %v", ok, err)
		}
	})
}

// The query must use the key, however many records there are.
func TestLastGoesByTheKey(t *testing.T) {
	plan, err := ledger.Explain(t.Context(), open(t, sqliteDSN(t)), ledger.NewestQuery, 1, 2, 3)
	must(t, err)
	if !strings.Contains(plan, "SEARCH r USING PRIMARY KEY") || strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("plan:\n%s", plan)
	}
}

func TestVerifyFindsContradictions(t *testing.T) {
	for name, spoil := range map[string]string{
		"a row is gone":         `DELETE FROM records WHERE tick % 7 = 0`,
		"an outcome is another": `UPDATE records SET outcome = 2 WHERE outcome = 1`,
		"an hour is gone":       `DELETE FROM hourly`,
		"a day counts more":     `UPDATE daily SET failed = failed + 1`,
		"a duration is another": `UPDATE hourly SET duration_max = 1`,
		"an older record":       `UPDATE checks SET last_tick = last_tick - 1`,
		"no newest record":      `UPDATE checks SET last_tick = NULL, last_trigger = NULL`,
		"a last day with more":  `UPDATE checks SET day_skipped = day_skipped + 1`,
		"a wrong total":         `UPDATE totals SET records = records + 1`,
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, dsn string) {
				l := open(t, dsn)
				for i := range 14 {
					a := record("dns", time.Duration(i)*time.Microsecond, check.Succeeded)
					must(t, l.Finish(t.Context(), a))
				}
				must(t, ledger.Exec(t.Context(), l, spoil))
				f, err := l.Verify(t.Context(), noon)
				if err != nil || len(f.Problems) == 0 {
					t.Errorf("problems are %v, %v, want some", f.Problems, err)
				}
			})
		})
	}
}

func TestVerifyListsWhatIsOpenTooLong(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		early := opened(record("dns", 0, check.Failed))
		must(t, l.Begin(t.Context(), early))
		must(t, l.Begin(t.Context(), opened(record("dns", time.Hour, check.Failed))))
		f, err := l.Verify(t.Context(), noon.Add(time.Minute))
		must(t, err)
		if diff := gocmp.Diff([]ledger.Record{early}, f.Overdue); diff != "" || f.Open != 2 || len(f.Problems) > 0 {
			t.Errorf("findings are %+v; overdue (-want +got):\n%s", f, diff)
		}
	})
}

// OpenRuns goes through all open records whose deadline has passed, page by page.
func TestOpenRunsInPages(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		var want []ledger.Key
		for _, name := range []string{"b", "c", "a"} {
			for i := range 5 {
				run := opened(record(name, time.Duration(i)*time.Minute, check.Succeeded))
				run.Trigger = []check.Trigger{check.TriggerSchedule, check.TriggerManual}[i%2]
				run.Deadline = run.Tick.Add(time.Hour)
				if i == 4 { // it counts by its tick
					run.Tick, run.Deadline = run.Tick.Add(time.Hour-5*time.Minute), time.Time{}
				}
				must(t, l.Begin(t.Context(), run))
				want = append(want, run.Key)
			}
			must(t, l.Finish(t.Context(), record(name, time.Second, check.Failed)))
		}
		slices.SortFunc(want, func(a, b ledger.Key) int {
			return cmp.Or(strings.Compare(a.CheckUID, b.CheckUID), a.Tick.Compare(b.Tick))
		})
		pages := func(before time.Time) (all []ledger.Key) {
			for after := (ledger.Key{}); ; after = all[len(all)-1] {
				page, err := l.OpenRuns(t.Context(), before, after, 4)
				must(t, err)
				for _, r := range page {
					all = append(all, r.Key)
				}
				if len(page) < 4 {
					return all
				}
			}
		}
		if diff := gocmp.Diff(want, pages(noon.Add(24*time.Hour))); diff != "" {
			t.Errorf("all open runs (-want +got):\n%s", diff)
		}
		want = slices.DeleteFunc(want, func(k ledger.Key) bool {
			return k.Tick.After(noon.Add(time.Minute)) && k.Tick.Before(noon.Add(50*time.Minute))
		})
		if diff := gocmp.Diff(want, pages(noon.Add(time.Hour+90*time.Second))); diff != "" {
			t.Errorf("open runs past their deadline (-want +got):\n%s", diff)
		}
		none, err := l.OpenRuns(t.Context(), noon, ledger.Key{}, 4)
		if err != nil || len(none) > 0 {
			t.Errorf("runs before their deadline: %v, %v, want none", none, err)
		}
	})
}

func TestEvidenceIsBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		key := record("dns", 0, check.Failed).Key
		log := strings.Repeat("0123456789abcdef", 10_000) + "the end"
		must(t, l.PutEvidence(t.Context(), key, ledger.Evidence{Kind: "report", Content: "{}"}))
		must(t, l.PutEvidence(t.Context(), key, ledger.Evidence{Kind: "log", Name: "main", Content: "first"}))
		must(t, l.PutEvidence(t.Context(), key, ledger.Evidence{Kind: "log", Name: "main", Content: log}))
		must(t, l.PutEvidence(t.Context(), key, ledger.Evidence{Kind: "events"}))
		want := []ledger.Evidence{
			{Kind: "events", Content: ""},
			{Kind: "log", Name: "main", Content: log[len(log)-ledger.MaxEvidence:], Size: len(log)},
			{Kind: "report", Content: "{}", Size: 2},
		}
		got, err := l.Evidence(t.Context(), key)
		must(t, err)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("evidence (-want +got):\n%s", diff)
		}
		for i := range ledger.MaxPieces - 3 {
			must(t, l.PutEvidence(t.Context(), key, ledger.Evidence{Kind: "log", Name: strings.Repeat("x", i+1)}))
		}
		if err := l.PutEvidence(t.Context(), key, ledger.Evidence{Kind: "one more"}); !errors.Is(err, ledger.ErrEvidenceFull) {
			t.Errorf("one piece too many: %v, want ErrEvidenceFull", err)
		}
		must(t, l.PutEvidence(t.Context(), key, ledger.Evidence{Kind: "report", Content: "{}"})) // one that is there
		other := key
		other.Trigger = check.TriggerManual
		if none, err := l.Evidence(t.Context(), other); err != nil || len(none) > 0 {
			t.Errorf("evidence of another record is %v, %v, want none", none, err)
		}
	})
}

func TestPrune(t *testing.T) {
	const days = 24 * time.Hour
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		must(t, ledger.Load(t.Context(), l, history("dns", 500*days, 6*time.Hour)))
		must(t, ledger.Load(t.Context(), l, history("minutely", 4*days, time.Minute)))
		must(t, l.Begin(t.Context(), opened(record("dns", -time.Second, check.Failed))))
		must(t, l.Finish(t.Context(), record("gone", -450*days, check.Failed)))
		for _, age := range []time.Duration{40 * days, 20 * days} {
			must(t, l.PutEvidence(t.Context(), record("dns", -age, check.Failed).Key, ledger.Evidence{Kind: "log"}))
		}
		done, err := l.Prune(t.Context(), ledger.Retention{PassesFor: 2 * days, FailuresFor: 100 * days}, noon)
		must(t, err)
		if done.Evidence != 1 || done.Checks != 1 {
			t.Errorf("pruned %d pieces of evidence and %d checks, want one of each", done.Evidence, done.Checks)
		}
		for what, none := range map[string]bool{
			"passes": done.Passes == 0, "failures": done.Failures == 0, "days": done.Days == 0, "hours": done.Hours == 0,
		} {
			if none {
				t.Errorf("pruned no %s: %+v", what, done)
			}
		}
		wantOldest(t, l, "dns", check.Succeeded, noon.Add(-2*days))
		wantOldest(t, l, "dns", check.Failed, noon.Add(-100*days))
		wantOldest(t, l, "minutely", check.Succeeded, noon.Add(-2*days))
		if f := verify(t, l); f.Open != 1 {
			t.Errorf("%d open records, want 1: they stay", f.Open)
		}
		got, err := l.Uptime(t.Context(), ref("dns"), noon.Add(-300*days), noon)
		must(t, err)
		if want := int64(300 * 4); got.Total() != want {
			t.Errorf("the roll-ups count %d of 300 days, want %d although rows are deleted", got.Total(), want)
		}
		again, err := l.Prune(t.Context(), ledger.Retention{PassesFor: 2 * days, FailuresFor: 100 * days}, noon)
		if err != nil || again != (ledger.Pruned{}) {
			t.Errorf("pruned %+v, %v the second time, want nothing", again, err)
		}
		done, err = l.Prune(t.Context(), ledger.Retention{PassesFor: 2 * days, FailuresFor: 100 * days, MaxRows: 1500}, noon)
		must(t, err)
		if f := verify(t, l); f.Records > 1500 || f.Records < 20 || done.Failures != 0 {
			t.Errorf("%d records left, %+v pruned, want at most 1500 and only passes deleted", f.Records, done)
		}
	})
}

// history returns records up to noon, every seventh failed.
func history(name string, age, every time.Duration) (records []ledger.Record) {
	for at := -age; at < 0; at += every {
		outcome := check.Succeeded
		if len(records)%7 == 0 {
			outcome = check.Failed
		}
		records = append(records, record(name, at, outcome))
	}
	return records
}

func wantOldest(t *testing.T, l *ledger.Ledger, name string, outcome check.Outcome, limit time.Time) {
	t.Helper()
	for _, a := range ticks(t, l, name) {
		if a.Outcome == outcome {
			if a.Tick.Before(limit) || a.Tick.After(limit.Add(2*24*time.Hour)) {
				t.Errorf("the oldest %s of %s is of %s, want one just after %s", outcome, name, a.Tick, limit)
			}
			return
		}
	}
	t.Errorf("%s has no record that %s", name, outcome)
}

// If the retention of failures is longer than the default retention of counts, counts stay as long.
func TestCountsAreKeptAsLongAsFailures(t *testing.T) {
	const days = 24 * time.Hour
	l := open(t, sqliteDSN(t))
	must(t, l.Finish(t.Context(), record("dns", -500*days, check.Failed)))
	done, err := l.Prune(t.Context(), ledger.Retention{FailuresFor: 600 * days}, noon)
	if err != nil || done != (ledger.Pruned{}) {
		t.Errorf("pruned %+v, %v, want nothing", done, err)
	}
	verify(t, l)
}

func TestRetentionIsChecked(t *testing.T) {
	l := open(t, sqliteDSN(t))
	for _, r := range []ledger.Retention{{PassesFor: -1}, {MaxRows: -1}, {EvidenceRuns: -1}, {EvidenceBytes: -1}, {FailuresFor: time.Hour}} {
		if _, err := l.Prune(context.Background(), r, noon); err == nil {
			t.Errorf("retention %+v was taken", r)
		}
	}
}
