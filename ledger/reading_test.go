package ledger_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

func openToRead(t *testing.T, dsn string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.OpenToRead(t.Context(), dsn)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

// wantToRead fails the test unless a ledger that was opened for reading has the one record of dns.
func wantToRead(t *testing.T, dsn string) *ledger.Ledger {
	t.Helper()
	l := openToRead(t, dsn)
	runs, err := l.LastRuns(t.Context(), ref("dns"), 10)
	must(t, err)
	all, err := l.Overview(t.Context(), noon)
	must(t, err)
	if len(runs) != 1 || len(all) != 1 {
		t.Errorf("%d runs, %d checks, want 1 of each", len(runs), len(all))
	}
	verify(t, l)
	return l
}

// withOneRecord returns the ledger that wrote a record of dns into a new database.
func withOneRecord(t *testing.T, dsn string) *ledger.Ledger {
	t.Helper()
	l := open(t, dsn)
	must(t, l.Finish(t.Context(), record("dns", 0, check.Failed)))
	return l
}

func TestReadingWaitsForNoWriter(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		release := ledger.Hold(withOneRecord(t, dsn))
		wantToRead(t, dsn)
		must(t, release())
	})
}

func TestALedgerToReadIsNotWrittenTo(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		withOneRecord(t, dsn)
		l := wantToRead(t, dsn)
		must(t, l.Ping(t.Context()))
		a := record("dns", 0, check.Succeeded)
		_, pruned := l.Prune(t.Context(), ledger.Retention{}, noon.AddDate(10, 0, 0))
		for name, err := range map[string]error{
			"Finish": l.Finish(t.Context(), a), "PutEvidence": l.PutEvidence(t.Context(), a.Key, ledger.Evidence{Kind: "log"}),
			"Prune": pruned,
		} {
			if !errors.Is(err, ledger.ErrReadOnly) {
				t.Errorf("%s: error %v, want ErrReadOnly", name, err)
			}
		}
		if _, err := ledger.Query(t.Context(), l, `DELETE FROM records RETURNING 1`); err == nil {
			t.Error("the database itself would have taken a change")
		}
		wantToRead(t, dsn)
	})
}

func TestReadingChangesNoSchema(t *testing.T) {
	latest := ledger.Migrations()
	tests := []struct {
		name    string
		prepare func(t *testing.T, dsn string)
		is      error
		want    []string
	}{
		{"empty", func(t *testing.T, dsn string) {
			if path, isFile, _ := ledger.SQLitePath(dsn); isFile {
				must(t, os.WriteFile(path, nil, 0o600))
			}
		}, ledger.ErrOlderSchema, []string{"there is none", fmt.Sprintf("version %d is needed", latest), "a worker creates the tables"}},
		{"newer", func(t *testing.T, dsn string) {
			must(t, ledger.Exec(t.Context(), open(t, dsn), `INSERT INTO schema_version (version) VALUES (99)`))
		}, ledger.ErrNewerSchema, []string{fmt.Sprintf("it has version 99, and this version of Khronicle knows %d", latest), "use a newer one"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, dsn string) {
				tt.prepare(t, dsn)
				for range 2 { // the first look changed nothing
					l, err := ledger.OpenToRead(t.Context(), dsn)
					if err == nil {
						must(t, l.Close())
					}
					if !errors.Is(err, tt.is) {
						t.Fatalf("error is %v, want %v", err, tt.is)
					}
					for _, want := range tt.want {
						if !strings.Contains(err.Error(), want) {
							t.Errorf("error lacks %q: %v", want, err)
						}
					}
				}
			})
		})
	}
}

// A role that may only SELECT can read everything.
func TestARoleThatMayOnlySelectReads(t *testing.T) {
	dsn := postgresDSN(t)
	l := withOneRecord(t, dsn)
	address, err := url.Parse(dsn)
	must(t, err)
	role := "reader_of_" + strings.TrimPrefix(address.Path, "/") // roles are the server's, not the database's
	must(t, ledger.Exec(t.Context(), l, fmt.Sprintf(`CREATE ROLE %s LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO %[1]s`, role)))
	query := address.Query()
	query.Set("user", role)
	address.RawQuery = query.Encode()
	wantToRead(t, address.String())
}

func TestALedgerThatIsNotThereIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, err := ledger.OpenToRead(t.Context(), path)
	if err == nil {
		must(t, l.Close())
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v, want that there is no such file", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was made: %v", err)
	}
}

// A killed worker has left the files, or they are a copy. The newest records are in the -wal file.
func TestReadingACopy(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "ledger.db"), filepath.Join(t.TempDir(), "copy.db")
	withOneRecord(t, from)
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(from + suffix)
		must(t, err)
		must(t, os.WriteFile(to+suffix, content, 0o600))
	}
	before, err := os.ReadFile(to)
	must(t, err)
	must(t, wantToRead(t, to).Close())
	if after, err := os.ReadFile(to); err != nil || string(after) != string(before) {
		t.Errorf("reading has changed the file: %v", err)
	}
}

// If the -shm file can neither be read nor made, as in a folder without write permission, the error says what is needed.
func TestReadingNeedsTheSharedMemoryOfSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	must(t, withOneRecord(t, path).Close())
	must(t, os.Symlink("nowhere", path+"-shm")) // which SQLite does not follow
	l, err := ledger.OpenToRead(t.Context(), path)
	if err == nil {
		must(t, l.Close())
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), "with its -wal and -shm files") {
		t.Errorf("error is %v, want one that says what is missing", err)
	}
}
