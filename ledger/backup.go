package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotAFile is the error of Backup for a ledger in PostgreSQL.
var ErrNotAFile = errors.New("the ledger is a PostgreSQL database: back it up with pg_dump, or copy it into a file with `khronicle ledger copy`")

// Backup writes a copy of a SQLite ledger to a new file. The ledger may be in use: the copy is of one moment, and no writer
// waits for it. The file is complete and on the disk as soon as it has its name.
func Backup(ctx context.Context, dsn, file string) error {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("back up ledger: %s: %w", file, fs.ErrExist)
	}
	_, isFile, err := SQLitePath(dsn)
	if err == nil && !isFile {
		err = ErrNotAFile
	}
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	l, err := OpenToRead(ctx, dsn)
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	return errors.Join(l.backUp(ctx, file), l.Close())
}

func (l *Ledger) backUp(ctx context.Context, file string) error {
	partial, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".partial-*") // readable by its owner alone
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	defer os.Remove(partial.Name()) // fails once the file has its name
	defer partial.Close()
	if err := l.vacuumInto(ctx, partial.Name()); err != nil {
		return fmt.Errorf("back up ledger into %s: %w", partial.Name(), err)
	}
	if err := partial.Sync(); err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	if err := os.Link(partial.Name(), file); err != nil { // unlike a rename, it replaces no file
		return fmt.Errorf("back up ledger: %w", err)
	}
	return syncFolder(filepath.Dir(file))
}

// vacuumInto needs no folder for temporary files, which a container may not have.
func (l *Ledger) vacuumInto(ctx context.Context, file string) error {
	conn, err := l.reader().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `PRAGMA temp_store = MEMORY`); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `VACUUM INTO $1`, file)
	return err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
