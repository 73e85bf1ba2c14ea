package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

const evidenceRun = "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c913"

// ledgerWithEvidence is that of filledLedger with evidence of its failed run, and a later run that succeeded.
func ledgerWithEvidence(t *testing.T) (dsn string, tick time.Time) {
	t.Helper()
	dsn = filledLedger(t)
	kept, err := ledger.Open(t.Context(), dsn, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ref := check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart"}
	failed, ok, err := kept.LastFault(t.Context(), ref)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, e := range []ledger.Evidence{
		{Kind: "log", Name: "1/main", Content: "one\x1b[31m\ntwo\ttab ä \u202e \xff end", Size: 100_000},
		{Kind: "status", Name: "1", Content: "{\"exitCode\": 3}\n"},
		{Kind: "spec", Name: "1", Content: "{}\n", Size: 99},
		{Kind: "new", Content: "x"},
	} {
		if err := kept.PutEvidence(t.Context(), failed.Key, e); err != nil {
			t.Fatal(err)
		}
	}
	fine := failed
	fine.Outcome, fine.Errors, fine.Tick, fine.WorkflowID = check.Succeeded, nil, failed.Tick.Add(time.Minute+time.Millisecond), evidenceRun
	fine.Attempts, fine.InfraFailures = 1, 0
	if err := kept.Finish(t.Context(), fine); err != nil {
		t.Fatal(err)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	return dsn, failed.Tick
}

func TestEvidence(t *testing.T) {
	dsn, tick := ledgerWithEvidence(t)
	at := func(d time.Duration) []string { return []string{"shop/cart", "--at", tick.Add(d).Format(time.RFC3339)} }
	failed := []string{"KHCheck shop/cart, tick " + tick.Format(time.RFC3339) + " (schedule): failed\nrun w, node node-1, attempts 2, took 1.5s\nerror: broken\nsecond line\n"}
	fine := []string{": succeeded\nrun " + evidenceRun, "There is no evidence"}
	tests := []struct {
		name string
		args []string
		want []string // parts of the output in this order, or of the error
		fail bool
	}{
		{"of the newest that failed", []string{"shop/cart"}, append(failed,
			"\n=== new  (1 bytes)\nx\n", "\n=== status 1 (16 bytes)\n{\"exitCode\": 3}\n",
			"\n=== log 1/main (the end: 29 of at least 100000 bytes)\none\\x1b[31m\ntwo\ttab ä \\u202e \\xff end\n",
			"\n=== spec 1 (a part: 3 of at least 99 bytes)\n{}\n"), false},
		{"of the tick at that time", at(0), failed, false},
		{"of the tick a little before", at(59 * time.Second), failed, false},
		{"of the tick in that second", at(time.Minute), fine, false},
		{"by its run UUID", []string{"shop/cart", "--run", strings.ToUpper(evidenceRun)}, fine, false},
		{"of a tick without a run", at(-time.Minute), []string{": missed\nrun -, node -"}, false},
		{"of a time before all", at(-time.Hour), []string{"the ledger has no run with a tick then or before of a check or job shop/cart"}, true},
		{"of a check that is not there", []string{"shop/none"}, []string{"the ledger has no run with a fault of a check or job shop/none"}, true},
		{"at no time", []string{"shop/cart", "--at", "noon"}, []string{`--at: "noon" is not a time such as 2026-11-23T02:00:00Z`}, true},
		{"by both", []string{"shop/cart", "--at", "noon", "--run", "x"}, []string{"none of the others can be"}, true},
		{"of no name", []string{"cart"}, []string{`"cart" is not NAMESPACE/NAME`}, true},
		{"in no format", []string{"shop/cart", "-o", "xml"}, []string{`--output: "xml" is not text or json`}, true},
		{"of a ledger that is not there", []string{"shop/cart", "--ledger", dsn + "-typo"}, []string{"--ledger: open ledger: stat "}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			isolate(t)
			t.Setenv("KHRONICLE_LEDGER", dsn)
			out, err := execute(t, append([]string{"evidence"}, tt.args...)...)
			if (err != nil) != tt.fail {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				out = err.Error()
			}
			rest := out
			for _, want := range tt.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Errorf("output lacks %q, or has it too early:\n%s", want, out)
					break
				}
				rest = after
			}
		})
	}
}

func TestEvidenceAsJSON(t *testing.T) {
	dsn, tick := ledgerWithEvidence(t)
	isolate(t)
	out, err := execute(t, "evidence", "shop/cart", "--ledger", dsn, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Record   ledger.Record
		Evidence []struct {
			Kind, Content string
			Size          int
		}
	}
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		t.Fatal(err)
	}
	if !shown.Record.Tick.Equal(tick) || len(shown.Evidence) != 4 {
		t.Errorf("shown are %+v", shown)
	}
	if log := shown.Evidence[2]; log.Kind != "log" || log.Size != 100_000 || !strings.HasPrefix(log.Content, "one\x1b[31m\n") {
		t.Errorf("log is %+v", log)
	}
	if out, err = execute(t, "evidence", "shop/cart", "--ledger", dsn, "--run", evidenceRun, "-o", "json"); err != nil || !strings.Contains(out, `"Evidence": []`) {
		t.Errorf("of a success: %s, error %v", out, err)
	}
}
