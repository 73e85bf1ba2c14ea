package ledger_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

func TestFind(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		flaky := record("dns", 3*time.Minute, check.Succeeded)
		flaky.Flaky = true
		infra := record("dns", time.Minute, check.InfraFailed)
		infra.WorkflowID = "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"
		records := []ledger.Record{
			record("dns", 0, check.Failed), infra, record("dns", 2*time.Minute, check.Succeeded), flaky,
			record("dns", 4*time.Minute, check.Succeeded), record("other", 5*time.Minute, check.Failed),
		}
		for _, a := range records {
			must(t, l.Finish(t.Context(), a))
		}
		must(t, recordTicks(t.Context(), l, ledger.Record{
			Key:  ledger.Key{CheckUID: flaky.CheckUID, Trigger: check.TriggerSchedule, Tick: noon.Add(5 * time.Minute)},
			Kind: flaky.Kind, Namespace: flaky.Namespace, Name: flaky.Name, Outcome: check.Missed,
		}))
		of := func(id string) func() (ledger.Record, bool, error) {
			return func() (ledger.Record, bool, error) { return l.RunOf(t.Context(), ref("dns"), id) }
		}
		tests := map[string]struct {
			find func() (ledger.Record, bool, error)
			want time.Duration // after noon; below 0 for none
		}{
			"by its run UUID":       {of(infra.WorkflowID), time.Minute},
			"by an unknown run":     {of("nobody"), -1},
			"by no run":             {of(""), -1},
			"by a run UUID in part": {of(infra.WorkflowID[:8]), -1},
		}
		for name, tt := range tests {
			a, ok, err := tt.find()
			must(t, err)
			if ok != (tt.want >= 0) || ok && (!cmp.Equal(a.Tick, noon.Add(tt.want)) || a.Name != "dns") {
				t.Errorf("%s: %t, %s of %s", name, ok, a.Tick, a.Name)
			}
		}
		outcomes, err := l.LastOutcomes(t.Context(), flaky.CheckUID, 3)
		must(t, err)
		var newest []time.Duration // without the tick that was missed
		for _, r := range outcomes {
			newest = append(newest, r.Tick.Sub(noon))
		}
		if diff := cmp.Diff([]time.Duration{4 * time.Minute, 3 * time.Minute, 2 * time.Minute}, newest); diff != "" {
			t.Errorf("last outcomes (-want +got):\n%s", diff)
		}
		if none, err := l.LastOutcomes(t.Context(), "uid of nobody", 3); err != nil || len(none) != 0 {
			t.Errorf("outcomes of nobody are %v, error %v", none, err)
		}
		must(t, l.Close())
		if _, _, err := l.RunOf(t.Context(), ref("dns"), infra.WorkflowID); err == nil {
			t.Error("no error of a closed database")
		}
	})
}

// The record of a run with a fault has the retention of failures, although newer runs succeeded.
func TestFaultsAreKept(t *testing.T) {
	const days = 24 * time.Hour
	tests := []struct {
		name   string
		change func(*ledger.Record)
		fault  bool
	}{
		{"failed", func(a *ledger.Record) { a.Outcome = check.Failed }, true},
		{"failed by the platform", func(a *ledger.Record) { a.Outcome = check.InfraFailed }, true},
		{"timed out", func(a *ledger.Record) { a.Outcome = check.TimedOut }, true},
		{"flaky", func(a *ledger.Record) { a.Attempts, a.Flaky = 2, true }, true},
		{"succeeded after an attempt that the platform ended", func(a *ledger.Record) { a.Attempts, a.InfraFailures = 2, 1 }, true},
		{"canceled after such an attempt", func(a *ledger.Record) { a.Outcome, a.Attempts, a.InfraFailures = check.Canceled, 2, 1 }, true},
		{"succeeded", func(*ledger.Record) {}, false},
		{"amended to a success", func(a *ledger.Record) { a.Revision = 1 }, false},
		{"canceled", func(a *ledger.Record) { a.Outcome = check.Canceled }, false},
	}
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		for _, tt := range tests {
			a := record(tt.name, -100*days, check.Succeeded)
			tt.change(&a)
			must(t, l.Finish(t.Context(), a))
			must(t, l.Finish(t.Context(), record(tt.name, 0, check.Succeeded)))
		}
		done, err := l.Prune(t.Context(), ledger.Retention{}, noon)
		if want := (ledger.Pruned{Passes: 3}); err != nil || done != want {
			t.Errorf("pruned %+v, %v, want %+v", done, err, want)
		}
		for _, tt := range tests {
			left, err := l.LastRuns(t.Context(), ref(tt.name), 3)
			must(t, err)
			if kept := len(left) == 2 && left[1].Tick.Equal(noon.Add(-100*days)); kept != tt.fault {
				t.Errorf("%s: %d records are left; is kept: %t, want %t", tt.name, len(left), kept, tt.fault)
			}
		}
	})
}

// The evidence of the newest runs of each check is kept, whatever other checks have.
func TestPruneKeepsTheEvidenceOfTheNewestRuns(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		put := func(name string, runs int) {
			for i := range runs {
				for _, kind := range []string{"log", "status"} {
					must(t, l.PutEvidence(t.Context(), record(name, -time.Duration(i)*time.Minute, check.Failed).Key, ledger.Evidence{Kind: kind}))
				}
			}
		}
		put("often", 150)
		put("seldom", 3)
		done, err := l.Prune(t.Context(), ledger.Retention{}, noon)
		must(t, err)
		if want := (ledger.Pruned{Evidence: 100}); done != want {
			t.Errorf("pruned %+v, want %+v", done, want)
		}
		for name, tests := range map[string]map[int]int{"often": {0: 2, 99: 2, 100: 0, 149: 0}, "seldom": {0: 2, 2: 2}} {
			for i, want := range tests {
				got, err := l.Evidence(t.Context(), record(name, -time.Duration(i)*time.Minute, check.Failed).Key)
				must(t, err)
				if len(got) != want {
					t.Errorf("%s, run %d: %d pieces, want %d", name, i, len(got), want)
				}
			}
		}
		if again, err := l.Prune(t.Context(), ledger.Retention{}, noon); err != nil || again != (ledger.Pruned{}) {
			t.Errorf("pruned %+v, %v the second time, want nothing", again, err)
		}
		if done, err = l.Prune(t.Context(), ledger.Retention{EvidenceRuns: 1}, noon); err != nil || done.Evidence != 2*(99+2) {
			t.Errorf("pruned %+v, %v with one run a check", done, err)
		}
	})
}

// All evidence together has a bound. The oldest is removed first, whatever check it belongs to.
func TestPruneKeepsEvidenceWithinItsBytes(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		const runs, size = 30, 1000
		key := func(run int) ledger.Key {
			return record([]string{"often", "seldom"}[run%2], -time.Duration(run)*time.Minute, check.Failed).Key
		}
		noise := make([]byte, size) // it does not become shorter when compressed
		random := rand.NewChaCha8([32]byte{})
		for run := range runs {
			_, _ = random.Read(noise)
			must(t, l.PutEvidence(t.Context(), key(run), ledger.Evidence{Kind: "log", Content: string(noise)}))
		}
		if done, err := l.Prune(t.Context(), ledger.Retention{EvidenceBytes: runs * size * 2}, noon); err != nil || done != (ledger.Pruned{}) {
			t.Errorf("pruned %+v, %v where all may stay", done, err)
		}
		done, err := l.Prune(t.Context(), ledger.Retention{EvidenceBytes: 10*size + size/2}, noon)
		if want := (ledger.Pruned{Evidence: 20}); err != nil || done != want {
			t.Errorf("pruned %+v, %v, want %+v", done, err, want)
		}
		for run := range runs {
			got, err := l.Evidence(t.Context(), key(run))
			must(t, err)
			if there := len(got) == 1; there != (run < 10) {
				t.Errorf("run %d minutes ago: evidence is there: %t", run, there)
			}
		}
	})
}
