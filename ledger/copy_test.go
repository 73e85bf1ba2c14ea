package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// eachWay runs a test for each pair of databases, each time with new ones.
func eachWay(t *testing.T, test func(t *testing.T, from, to string)) {
	t.Helper()
	kinds := map[string]func(testing.TB) string{"SQLite": sqliteDSN, "PostgreSQL": postgresDSN}
	for source, from := range kinds {
		for target, to := range kinds {
			t.Run(source+" to "+target, func(t *testing.T) { test(t, from(t), to(t)) })
		}
	}
}

// hostile are texts that break what does not expect them.
var hostile = []string{
	"a \x00 zero byte", "\xff\xfe no text", "'; DROP TABLE records; --", "$1 {{identity}} %s \\x00 \\", "line\nand\ttab\r\x1b[31m",
	"\u202eright to left, 日本語, 🎉, e\u0301", strings.Repeat("ä", 5000), "",
}

// fillHostile stores what is hard to copy: hostile texts, large evidence, ticks of all kinds in several time zones, pruned records.
func fillHostile(t *testing.T, dsn string) {
	t.Helper()
	l := open(t, dsn)
	kathmandu := time.FixedZone("Asia/Kathmandu", 5*3600+45*60)
	noise := rand.NewChaCha8([32]byte{1})
	random := make([]byte, 80<<10)
	_, _ = noise.Read(random) // never fails
	for i, text := range hostile {
		a := record(fmt.Sprintf("check-%d", i), time.Duration(i)*time.Minute, check.Failed)
		a.Tick = a.Tick.In(kathmandu).Add(123456 * time.Microsecond)
		a.Errors, a.Notes, a.Node, a.RunID = []string{text, "x"}, hostile, "node "+text, text
		must(t, l.Finish(t.Context(), a))
		for n := range 5 {
			must(t, l.PutEvidence(t.Context(), a.Key, ledger.Evidence{Kind: "log", Name: fmt.Sprint(n, text), Content: text + string(random)}))
		}
	}
	must(t, ledger.Load(t.Context(), l, history("dns", 30*time.Hour, time.Minute)))
	must(t, ledger.Load(t.Context(), l, history("old", 120*24*time.Hour, 3*time.Hour)))
	must(t, l.Begin(t.Context(), opened(record("dns", time.Hour, check.Succeeded))))
	added, err := l.RecordTicks(t.Context(), []ledger.Record{missedTick(record("dns", 2*time.Hour, check.Missed))})
	must(t, err)
	if len(added) != 1 {
		t.Fatalf("%d ticks were added, want 1", len(added))
	}
	pruned, err := l.Prune(t.Context(), ledger.Retention{}, noon)
	must(t, err)
	if pruned.Passes == 0 {
		t.Fatal("nothing was pruned")
	}
}

// contents returns every row of every table as text, in order. Only the identity of the ledger is left out.
func contents(t *testing.T, dsn string) map[string][]string {
	t.Helper()
	l, err := ledger.OpenToRead(t.Context(), dsn)
	must(t, err)
	defer l.Close()
	all, err := ledger.Contents(t.Context(), l)
	must(t, err)
	return all
}

func wantSame(t *testing.T, from, to string) {
	t.Helper()
	if diff := cmp.Diff(contents(t, from), contents(t, to)); diff != "" {
		t.Errorf("the copy differs (-from +to):\n%.3000s", diff)
	}
}

func mustCopy(t *testing.T, from, to string) map[string]ledger.CopiedTable {
	t.Helper()
	tables, err := ledger.Copy(t.Context(), from, to, ledger.CopyOptions{Chunk: 100})
	must(t, err)
	byName := map[string]ledger.CopiedTable{}
	for _, c := range tables {
		if !c.Same || c.Before != c.After {
			t.Errorf("table %s: %d rows before, %d after, the same: %t", c.Name, c.Before, c.After, c.Same)
		}
		byName[c.Name] = c
	}
	return byName
}

func TestACopyHasAllThatTheLedgerHas(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to string) {
		fillHostile(t, from)
		before := contents(t, from)
		tables := mustCopy(t, from, to)
		if got := tables["evidence"]; got.After != int64(5*len(hostile)) || got.Written != got.After {
			t.Errorf("%+v, want %d pieces of evidence, each written once", got, 5*len(hostile))
		}
		wantSame(t, from, to)
		if diff := cmp.Diff(before, contents(t, from)); diff != "" {
			t.Errorf("the source has changed (-before +after):\n%.3000s", diff)
		}
		wantLedgerGoesOn(t, from, to)
	})
}

// wantLedgerGoesOn shows that a copy is a ledger: it answers as its source, does not contradict itself, and takes new checks.
func wantLedgerGoesOn(t *testing.T, from, to string) {
	t.Helper()
	source, l := open(t, from), open(t, to)
	wantTicks(t, l, "dns", ticks(t, source, "dns")...)
	verify(t, l)
	a := record("new", 3*time.Hour, check.Succeeded)
	a.Node = "a node that the dictionary does not have"
	must(t, l.Finish(t.Context(), a))
	wantTicks(t, l, "new", a)
	must(t, l.Finish(t.Context(), record("dns", time.Hour, check.Succeeded))) // the run that was open
	verify(t, l)
}

func TestASecondCopyWritesOnlyWhatHasChanged(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to string) {
		fillHostile(t, from)
		mustCopy(t, from, to)
		for name, c := range mustCopy(t, from, to) {
			if c.Written != 0 || c.Removed != 0 {
				t.Errorf("%s: %d rows were written and %d removed, though nothing has changed", name, c.Written, c.Removed)
			}
		}
		l := open(t, from)
		must(t, l.Finish(t.Context(), record("dns", time.Hour, check.Succeeded))) // was open
		must(t, l.Finish(t.Context(), record("new", 0, check.Failed)))
		pruned, err := l.Prune(t.Context(), ledger.Retention{}, noon.Add(24*time.Hour))
		must(t, err)
		tables := mustCopy(t, from, to)
		if got := tables["records"]; got.Written != 2 || got.Removed != pruned.Passes+1 {
			t.Errorf("records: %+v, want 2 written, and the open one and %d pruned ones removed", got, pruned.Passes)
		}
		wantSame(t, from, to)
	})
}

// copyUntilKilled is a process that copies in small steps and says after each one so.
func copyUntilKilled(from, to string) int {
	_, err := ledger.Copy(context.Background(), from, to, ledger.CopyOptions{
		Chunk: 20, Progress: func(table string, rows int64) { fmt.Println(table, rows) },
	})
	fmt.Println("end", err)
	return 0
}

// killCopy starts a copy, and kills it after some steps. It returns the last thing that the process said.
func killCopy(t *testing.T, from, to string, steps int) (last string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LEDGER_TEST_COPY_FROM="+from, "LEDGER_TEST_COPY_TO="+to)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range steps {
		if !lines.Scan() {
			t.Fatal("the copy ended before it was killed")
		}
		last = lines.Text()
	}
	must(t, cmd.Process.Signal(syscall.SIGKILL))
	for lines.Scan() {
		last = lines.Text()
	}
	_ = cmd.Wait() // it was killed
	return last
}

func TestAnInterruptedCopyIsContinued(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to string) {
		fillHostile(t, from)
		if last := killCopy(t, from, to, 60); !strings.HasPrefix(last, "records ") {
			t.Fatalf("the copy was killed after %q, want amid the records", last)
		}
		for name, open := range map[string]func() (*ledger.Ledger, error){
			"a worker": func() (*ledger.Ledger, error) { return ledger.Open(t.Context(), to, ledger.Options{}) },
			"a reader": func() (*ledger.Ledger, error) { return ledger.OpenToRead(t.Context(), to) },
		} {
			if l, err := open(); !errors.Is(err, ledger.ErrCopyIncomplete) || !strings.Contains(err.Error(), "run `khronicle ledger copy` again") {
				t.Errorf("%s opened half a copy: %v, %v", name, l, err)
			}
		}
		// The source goes on meanwhile.
		must(t, open(t, from).Finish(t.Context(), record("dns", 5*time.Hour, check.Failed)))
		tables := mustCopy(t, from, to)
		if got := tables["records"]; got.Written == 0 || got.Written > got.After-500 {
			t.Errorf("records: %+v, want that those of the first copy were not written again", got)
		}
		wantSame(t, from, to)
		wantLedgerGoesOn(t, from, to)
	})
}

// A copy is of one moment, though the workers of the source write all the time. The second copy, after their end, has the rest.
func TestACopyOfALedgerInUse(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to string) {
		l := open(t, from)
		must(t, ledger.Load(t.Context(), l, history("dns", 30*time.Hour, time.Minute)))
		ctx, stop := context.WithCancel(t.Context())
		var writing sync.WaitGroup
		for w := range 4 {
			writing.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					a := record(fmt.Sprint("busy-", w), time.Duration(i)*time.Second, check.Succeeded)
					must(t, l.Begin(t.Context(), opened(a)))
					must(t, l.PutEvidence(t.Context(), a.Key, ledger.Evidence{Kind: "log", Content: a.WorkflowID}))
					must(t, l.Finish(t.Context(), a))
				}
			})
		}
		mustCopy(t, from, to)
		half, err := ledger.OpenToRead(t.Context(), to)
		must(t, err)
		verify(t, half)
		must(t, half.Close())
		stop()
		writing.Wait()
		if got := mustCopy(t, from, to)["records"]; got.Written == 0 {
			t.Errorf("%+v, want that the source had written more", got)
		}
		wantSame(t, from, to)
	})
}

func TestWhatMustNotBecomeACopyIsRefused(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to string) {
		must(t, open(t, from).Finish(t.Context(), record("dns", 0, check.Succeeded)))
		tests := []struct {
			name     string
			from, to func(t *testing.T) string
			is       error
			want     string
		}{
			{"a ledger with other rows", func(*testing.T) string { return from }, func(t *testing.T) string {
				must(t, open(t, to).Finish(t.Context(), record("web", 0, check.Succeeded)))
				return to
			}, ledger.ErrNotEmpty, "TO: open ledger: table checks: it has rows"},
			{"the same ledger", func(*testing.T) string { return from }, func(*testing.T) string { return from }, ledger.ErrSameLedger, ""},
			{"a source that is not there", func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "none.db") }, func(*testing.T) string { return to }, os.ErrNotExist, "FROM: open ledger: "},
			{"a source without tables", func(t *testing.T) string { return postgresDSN(t) }, func(*testing.T) string { return to }, ledger.ErrOlderSchema, "FROM: open ledger: "},
			{"a target that a newer Khronicle has migrated", func(*testing.T) string { return from }, func(t *testing.T) string {
				newer := sqliteDSN(t)
				must(t, ledger.Exec(t.Context(), open(t, newer), `INSERT INTO schema_version (version) VALUES (99)`))
				return newer
			}, ledger.ErrNewerSchema, "TO: open ledger: "},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				_, err := ledger.Copy(t.Context(), tt.from(t), tt.to(t), ledger.CopyOptions{})
				if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %v with %q", err, tt.is, tt.want)
				}
			})
		}
	})
}

// Once a worker has opened a copy, it is a ledger of its own. Another copy would remove what the worker writes.
func TestACopyInUseIsNotReplaced(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to string) {
		must(t, open(t, from).Finish(t.Context(), record("dns", 0, check.Succeeded)))
		mustCopy(t, from, to)
		must(t, open(t, to).Finish(t.Context(), record("dns", time.Minute, check.Failed)))
		before := contents(t, to)
		if _, err := ledger.Copy(t.Context(), from, to, ledger.CopyOptions{}); !errors.Is(err, ledger.ErrNotEmpty) && !errors.Is(err, ledger.ErrInUse) {
			t.Errorf("error %v, want ErrNotEmpty", err)
		}
		if diff := cmp.Diff(before, contents(t, to)); diff != "" {
			t.Errorf("the ledger has changed (-before +after):\n%s", diff)
		}
	})
}

// A ledger that was restored from an old backup must not take rows from its newer copy.
func TestACopyDoesNotBecomeOlder(t *testing.T) {
	from, to, old := sqliteDSN(t), postgresDSN(t), sqliteDSN(t)
	must(t, open(t, from).Finish(t.Context(), record("dns", 0, check.Succeeded)))
	backUp(t, from, old)
	must(t, open(t, from).Finish(t.Context(), record("dns", time.Minute, check.Succeeded)))
	mustCopy(t, from, to)
	if _, err := ledger.Copy(t.Context(), old, to, ledger.CopyOptions{}); !errors.Is(err, ledger.ErrTargetNewer) || !strings.Contains(err.Error(), "2026-03-01T12:01:00Z") {
		t.Errorf("error %v, want ErrTargetNewer with the tick", err)
	}
	wantSame(t, from, to)
}

// While a copy is written, no worker can add rows to the target: not even one that was there before.
func TestNobodyElseWritesToTheTarget(t *testing.T) {
	from, to := sqliteDSN(t), postgresDSN(t)
	must(t, open(t, from).Finish(t.Context(), record("dns", 0, check.Succeeded)))
	worker, err := ledger.Open(t.Context(), to, ledger.Options{WriteTimeout: 200 * time.Millisecond})
	must(t, err)
	var once sync.Once
	_, err = ledger.Copy(t.Context(), from, to, ledger.CopyOptions{Progress: func(string, int64) {
		once.Do(func() {
			if err := worker.Finish(t.Context(), record("web", 0, check.Failed)); !errors.Is(err, ledger.ErrUnavailable) {
				t.Errorf("error %v, want ErrUnavailable", err)
			}
		})
	}})
	must(t, err)
	must(t, worker.Close())
	wantSame(t, from, to)
}

func TestAFileThatIsOpenElsewhereIsNoTarget(t *testing.T) {
	from, to := sqliteDSN(t), sqliteDSN(t)
	must(t, open(t, from).Finish(t.Context(), record("dns", 0, check.Succeeded)))
	must(t, open(t, to).Ping(t.Context()))
	if _, err := ledger.Copy(t.Context(), from, to, ledger.CopyOptions{}); !errors.Is(err, ledger.ErrInUse) {
		t.Errorf("error %v, want ErrInUse", err)
	}
}

// Nothing that Khronicle wrote is refused. If somebody else wrote it, the error names the row.
func TestARowThatTheTargetRefusesIsNamed(t *testing.T) {
	from, to := sqliteDSN(t), postgresDSN(t)
	l := open(t, from)
	must(t, l.Finish(t.Context(), record("dns", 0, check.Succeeded)))
	must(t, ledger.Exec(t.Context(), l, `INSERT INTO dictionary (word) VALUES ('a' || char(0) || 'b')`))
	_, err := ledger.Copy(t.Context(), from, to, ledger.CopyOptions{})
	if err == nil || !strings.Contains(err.Error(), "copy table dictionary: row id=5: ") {
		t.Errorf("error %v, want one that names the row", err)
	}
}
