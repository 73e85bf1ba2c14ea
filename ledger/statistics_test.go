package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// The counts of all checks are those of their records, whether the time begins within an hour, a day or this hour.
func TestCountsSinceAreThoseOfTheRecords(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		all := map[string][]ledger.Record{"a": history("a", 5*24*time.Hour, 47*time.Minute), "b": history("b", 30*time.Hour, 13*time.Minute)}
		for _, records := range all {
			must(t, ledger.Load(t.Context(), l, records))
		}
		must(t, l.Begin(t.Context(), opened(record("a", 0, check.Failed)))) // counts nowhere
		for _, ago := range []time.Duration{0, 20 * time.Minute, 90 * time.Minute, 12*time.Hour + time.Minute, 25 * time.Hour, 72 * time.Hour, 100 * 24 * time.Hour} {
			t.Run(ago.String(), func(t *testing.T) {
				from := noon.Add(-ago)
				got, err := l.CountsSince(t.Context(), from)
				must(t, err)
				want := map[string]ledger.Counts{}
				for name, records := range all {
					if counts := counted(records, from.Truncate(time.Hour), noon.AddDate(1, 0, 0)); counts != (ledger.Counts{}) {
						want["uid-"+name] = counts
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("counts (-records +got):\n%s", diff)
				}
			})
		}
	})
}

func TestDurationsAreThoseOfTheNewestRecords(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		for i := range 5 {
			a := record("dns", time.Duration(i)*time.Minute, check.Succeeded)
			a.Reported = a.Started.Add(time.Duration(i+1) * time.Second)
			must(t, l.Finish(t.Context(), a))
		}
		must(t, recordTicks(t.Context(), l, missedTick(record("dns", 5*time.Minute, check.Missed))))
		must(t, l.Finish(t.Context(), record("web", 0, check.Failed)))
		tests := []struct {
			name    string
			uids    []string
			records int
			want    map[string][]time.Duration
		}{
			{"of the newest three, of which one has none", []string{"uid-dns"}, 3, map[string][]time.Duration{"uid-dns": {5 * time.Second, 4 * time.Second}}},
			{"of several checks", []string{"uid-web", "uid-dns"}, 2, map[string][]time.Duration{"uid-web": {2 * time.Second}, "uid-dns": {5 * time.Second}}},
			{"of a check without records", []string{"uid-none"}, 10, map[string][]time.Duration{}},
			{"of no check", nil, 10, map[string][]time.Duration{}},
			{"of no record", []string{"uid-dns"}, -1, map[string][]time.Duration{}},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				got, err := l.Durations(t.Context(), tt.uids, tt.records)
				must(t, err)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("durations (-want +got):\n%s", diff)
				}
			})
		}
	})
}

// Pages of runs, one after the other, are all runs in their order, also when two runs have one tick.
func TestRunsOfAllPagesAreAllRuns(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		records := history("dns", 3*time.Hour, 11*time.Minute)
		manual := records[4]
		manual.Trigger, manual.WorkflowID = check.TriggerManual, "run-manual"
		first := manual
		first.Trigger, first.WorkflowID = check.TriggerFirst, "run-first"
		must(t, ledger.Load(t.Context(), l, append(records, manual, first)))
		again := record("dns", -5*24*time.Hour, check.Failed) // of a check that was deleted
		again.CheckUID = "uid-earlier"
		must(t, l.Finish(t.Context(), again))
		must(t, l.Begin(t.Context(), opened(record("dns", 0, check.Failed))))
		must(t, l.Finish(t.Context(), record("web", 0, check.Failed)))
		all, err := l.LastRuns(t.Context(), ref("dns"), 1000)
		must(t, err)
		for _, size := range []int{1, 2, 5, 100} {
			var got []ledger.Record
			for q := (ledger.RunsQuery{Limit: size}); ; q.After = got[len(got)-1].Key {
				page, err := l.Runs(t.Context(), ref("dns"), q)
				must(t, err)
				if got = append(got, page...); len(page) < size {
					break
				}
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("pages of %d (-all +got):\n%s", size, diff)
			}
		}
	})
}

func TestRunsAreChosen(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		outcomes := []check.Outcome{check.Succeeded, check.Failed, check.TimedOut, check.Succeeded}
		for i, outcome := range outcomes {
			must(t, l.Finish(t.Context(), record("dns", time.Duration(i)*time.Minute, outcome)))
		}
		must(t, l.Begin(t.Context(), opened(record("dns", 4*time.Minute, check.Failed))))
		for _, minute := range []time.Duration{1, 2} {
			for _, kind := range []string{"log", "status"} {
				must(t, l.PutEvidence(t.Context(), record("dns", minute*time.Minute, check.Failed).Key, ledger.Evidence{Kind: kind}))
			}
		}
		must(t, l.PutEvidence(t.Context(), record("other", 3*time.Minute, check.Failed).Key, ledger.Evidence{Kind: "log"}))
		at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
		tests := []struct {
			name  string
			query ledger.RunsQuery
			want  []int // minutes of their ticks
		}{
			{"all", ledger.RunsQuery{Limit: 10}, []int{4, 3, 2, 1, 0}},
			{"the newest", ledger.RunsQuery{Limit: 2}, []int{4, 3}},
			{"none", ledger.RunsQuery{}, nil},
			{"from a time on", ledger.RunsQuery{Since: at(2), Limit: 10}, []int{4, 3, 2}},
			{"before a time", ledger.RunsQuery{Until: at(2), Limit: 10}, []int{1, 0}},
			{"of an outcome", ledger.RunsQuery{Outcomes: []check.Outcome{check.Succeeded}, Limit: 10}, []int{3, 0}},
			{"of two outcomes", ledger.RunsQuery{Outcomes: []check.Outcome{check.Failed, check.TimedOut}, Limit: 10}, []int{2, 1}},
			{"open", ledger.RunsQuery{Outcomes: []check.Outcome{check.Unfinished}, Limit: 10}, []int{4}},
			{"with evidence", ledger.RunsQuery{WithEvidence: true, Limit: 10}, []int{2, 1}},
			{"the newest with evidence", ledger.RunsQuery{WithEvidence: true, Limit: 1}, []int{2}},
			{"with evidence, of an outcome, before a time", ledger.RunsQuery{WithEvidence: true, Outcomes: outcomes[1:2], Until: at(3), Limit: 10}, []int{1}},
			{"after another", ledger.RunsQuery{After: ledger.Key{Tick: at(2), Trigger: check.TriggerSchedule}, Limit: 10}, []int{1, 0}},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				runs, err := l.Runs(t.Context(), ref("dns"), tt.query)
				must(t, err)
				var got []int
				for _, r := range runs {
					got = append(got, int(r.Tick.Sub(noon)/time.Minute))
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("runs of the minutes %v, want %v", got, tt.want)
				}
			})
		}
		for _, wrong := range []ledger.RunsQuery{{Outcomes: []check.Outcome{"fine"}, Limit: 1}, {After: ledger.Key{Tick: noon, Trigger: "moon"}, Limit: 1}} {
			if _, err := l.Runs(t.Context(), ref("dns"), wrong); !errors.Is(err, ledger.ErrInvalid) {
				t.Errorf("%+v: error %v, want ErrInvalid", wrong, err)
			}
		}
		r, ok, err := l.RunOfTick(t.Context(), ref("dns"), at(1), check.TriggerSchedule)
		if must(t, err); !ok || r.Outcome != check.Failed {
			t.Errorf("run of a tick is %+v, %t", r, ok)
		}
		for _, trigger := range []check.Trigger{check.TriggerManual, "moon"} {
			if _, ok, err := l.RunOfTick(t.Context(), ref("dns"), at(1), trigger); ok || err != nil {
				t.Errorf("trigger %s: %t, %v, want none", trigger, ok, err)
			}
		}
	})
}

// A reader may start before the worker that creates the database.
func TestAReaderWaitsForItsDatabase(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	l, err := ledger.New(dsn, ledger.Options{})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { l.RunToRead(ctx); close(ended) }()
	if _, err := l.Overview(t.Context(), noon); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	writer := open(t, dsn)
	must(t, writer.Finish(t.Context(), record("dns", 0, check.Failed)))
	var all []ledger.Summary
	for end := time.Now().Add(time.Minute); len(all) == 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		all, err = l.Overview(t.Context(), noon)
	}
	if len(all) != 1 {
		t.Errorf("overview is %v, %v, want the check", all, err)
	}
	if err := l.Finish(t.Context(), record("dns", time.Minute, check.Failed)); !errors.Is(err, ledger.ErrReadOnly) {
		t.Errorf("error %v, want ErrReadOnly", fmt.Sprint(err))
	}
	stop()
	<-ended
}
