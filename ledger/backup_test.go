package ledger_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

func path(t *testing.T, dsn string) string {
	t.Helper()
	file, isFile, err := ledger.SQLitePath(dsn)
	must(t, err)
	if !isFile {
		t.Fatal("not a file")
	}
	return file
}

func backUp(t *testing.T, from, to string) {
	t.Helper()
	must(t, ledger.Backup(t.Context(), from, path(t, to)))
}

// The worker goes on while it is copied, and the backup becomes a ledger by its name alone.
func TestABackupIsRestored(t *testing.T) {
	from, to := sqliteDSN(t), sqliteDSN(t)
	fillHostile(t, from)
	l := open(t, from)
	release := ledger.Hold(l) // a writer amid a transaction
	backUp(t, from, to)
	must(t, release())
	wantSame(t, from, to)
	must(t, l.Finish(t.Context(), record("dns", 9*time.Hour, check.Failed)))
	wantNoRest(t, to)
	info, err := os.Stat(path(t, to))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has the mode %v, want that its owner alone reads the logs of checks", info.Mode())
	}
	restored := open(t, to)
	verify(t, restored)
	must(t, restored.Finish(t.Context(), record("dns", 9*time.Hour, check.Failed)))
	wantTicks(t, restored, "dns", ticks(t, l, "dns")...)
}

// wantNoRest fails the test if something lies beside a backup.
func wantNoRest(t *testing.T, dsn string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(path(t, dsn)))
	must(t, err)
	for _, file := range files {
		if !strings.HasPrefix(filepath.Base(path(t, dsn)), strings.TrimSuffix(strings.TrimSuffix(file.Name(), "-wal"), "-shm")) {
			t.Errorf("%s lies beside the backup", file.Name())
		}
	}
}

func TestABackupReplacesNothing(t *testing.T) {
	from := sqliteDSN(t)
	must(t, open(t, from).Finish(t.Context(), record("dns", 0, check.Succeeded)))
	taken := filepath.Join(t.TempDir(), "taken.db")
	must(t, os.WriteFile(taken, []byte("precious"), 0o600))
	if err := ledger.Backup(t.Context(), from, taken); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), taken) {
		t.Errorf("error %v, want one that the file exists", err)
	}
	if content, err := os.ReadFile(taken); err != nil || string(content) != "precious" {
		t.Errorf("the file has changed: %q %v", content, err)
	}
}

func TestABackupThatFailsLeavesNothing(t *testing.T) {
	from, to := sqliteDSN(t), sqliteDSN(t)
	if err := ledger.Backup(t.Context(), from, path(t, to)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that there is no ledger", err)
	}
	if err := ledger.Backup(t.Context(), postgresDSN(t), path(t, to)); !errors.Is(err, ledger.ErrNotAFile) {
		t.Errorf("error %v, want one that says what to do", err)
	}
	must(t, open(t, from).Finish(t.Context(), record("dns", 0, check.Succeeded)))
	if err := ledger.Backup(t.Context(), from, filepath.Join(t.TempDir(), "none", "x.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that there is no folder", err)
	}
	wantNoRest(t, to)
}

// pg_dump while workers write, and pg_restore into an empty database: what the document says.
func TestPostgresIsDumpedAndRestored(t *testing.T) {
	from, to := postgresDSN(t), postgresDSN(t)
	fillHostile(t, from)
	p, err := startPostgres()
	must(t, err)
	dump := filepath.Join(p.Data(), "ledger.dump") // a folder in which the user of PostgreSQL may write
	t.Cleanup(func() { _ = os.Remove(dump) })
	must(t, p.Run("pg_dump", "--format=custom", "--file="+dump, from))
	must(t, p.Run("pg_restore", "--dbname="+to, dump))
	wantSame(t, from, to)
	wantLedgerGoesOn(t, from, to)
}
