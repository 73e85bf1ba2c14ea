package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

var spaces = regexp.MustCompile(` +`)

// filledLedger is a ledger with one failed run and one missed tick.
func filledLedger(t *testing.T) (dsn string) {
	t.Helper()
	dsn = "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	kept, err := ledger.Open(t.Context(), dsn, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.Now().UTC().Truncate(time.Second).Add(-time.Minute)
	record := ledger.Record{
		Key:  ledger.Key{CheckUID: "u", Trigger: check.TriggerSchedule, Tick: tick},
		Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", Outcome: check.Failed, WorkflowID: "w", Attempts: 2, InfraFailures: 1, Node: "node-1",
		Started: tick.Add(40 * time.Millisecond), Concluded: tick.Add(1540 * time.Millisecond), Errors: []string{"broken\nsecond line"},
	}
	if err := kept.Finish(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	missed := ledger.Record{Key: record.Key, Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", Outcome: check.Missed}
	missed.Tick = tick.Add(-time.Minute)
	if _, err := kept.RecordTicks(t.Context(), []ledger.Record{missed}); err != nil {
		t.Fatal(err)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func TestLedgerCopyShowsTheRowsBeforeAndAfter(t *testing.T) {
	isolate(t)
	from, to := filledLedger(t), "sqlite:"+filepath.Join(t.TempDir(), "copy.db")
	for _, added := range []string{"2 2 yes 2 0", "2 2 yes 0 0"} { // the second call finds that everything is there
		out, err := execute(t, "ledger", "copy", from, to)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"TABLE BEFORE AFTER EQUAL ADDED REMOVED\n", "\nrecords " + added + "\n", "\nevidence 0 0 yes 0 0\n"} {
			if text := spaces.ReplaceAllString(out, " "); !strings.Contains(text, want) {
				t.Errorf("output lacks %q:\n%s", want, text)
			}
		}
	}
	if out, err := execute(t, "history", "shop/cart", "--ledger", to); err != nil || !strings.Contains(out, "broken") {
		t.Errorf("the copy shows %v:\n%s", err, out)
	}
}

func TestLedgerBackup(t *testing.T) {
	from := filledLedger(t)
	file := filepath.Join(t.TempDir(), "backup.db")
	backUp := map[string]func(t *testing.T){
		"to a file": func(t *testing.T) {
			if out, err := execute(t, "ledger", "backup", file, "--ledger", from); err != nil || !strings.HasPrefix(out, file+": ") {
				t.Fatalf("error %v, output %q", err, out)
			}
		},
		"to the standard output": func(t *testing.T) {
			out, err := execute(t, "ledger", "backup", "-", "--ledger", from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, run := range backUp {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			_ = os.Remove(file) // or there is none
			run(t)
			if out, err := execute(t, "history", "shop/cart", "--ledger", file); err != nil || !strings.Contains(out, "broken") {
				t.Errorf("the backup shows %v:\n%s", err, out)
			}
			path, _, err := ledger.SQLitePath(from)
			if err != nil {
				t.Fatal(err)
			}
			if rest, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".backup-*")); err != nil || len(rest) > 0 {
				t.Errorf("%q lies beside the ledger, error %v", rest, err)
			}
		})
	}
}

func TestLedgerCommandsSayWhatIsWrong(t *testing.T) {
	from := filledLedger(t)
	const secret = "5c0d6f7e-password"
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"FROM of another kind", []string{"copy", "mysql://a:" + secret + "@b", "b.db"}, `FROM: want "sqlite:PATH", a path or "postgres://…"`},
		{"TO of another kind", []string{"copy", from, "mysql://a:" + secret + "@b"}, `TO: want "sqlite:PATH", a path or "postgres://…"`},
		{"address of TO", []string{"copy", from, "postgres://a:" + secret + "@b:port/c"}, "TO: open ledger: "},
		{"FROM that is not there", []string{"copy", from + "-typo", "b.db"}, "FROM: open ledger: stat "},
		{"the same", []string{"copy", from, from}, "TO: open ledger: FROM and TO are the same ledger, or one is a backup of the other"},
		{"one argument", []string{"copy", from}, "accepts 2 arg(s), received 1"},
		{"no ledger", []string{"backup", "a.db"}, "--ledger: is empty; name the ledger"},
		{"ledger in PostgreSQL", []string{"backup", "-", "--ledger", "postgres://a/b"}, "back up ledger: the ledger is a PostgreSQL database: back it up with pg_dump"},
		{"ledger that is not there", []string{"backup", "-", "--ledger", from + "-typo"}, "back up ledger: stat "},
		{"unknown command", []string{"move"}, `unknown command "move" for "khronicle ledger"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			isolate(t)
			_, err := execute(t, append([]string{"ledger"}, tt.args...)...)
			if !strings.HasPrefix(errorText(err), tt.want) || strings.Contains(errorText(err), secret) {
				t.Errorf("error %v, want %s… without the password", err, tt.want)
			}
		})
	}
}
