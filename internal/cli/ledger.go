package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/khronicle/khronicle/ledger"
)

// progressEvery is the time between two lines that say how far a copy is.
const progressEvery = 5 * time.Second

// CopyLedger copies a ledger, and writes the number of rows of each table before and after. Progress goes to another writer.
func CopyLedger(ctx context.Context, from, to string, out, progress io.Writer) error {
	last := time.Now()
	tables, err := ledger.Copy(ctx, from, to, ledger.CopyOptions{Progress: func(table string, rows int64) {
		if time.Since(last) >= progressEvery {
			last = time.Now()
			fmt.Fprintf(progress, "%s: %d rows\n", table, rows)
		}
	}})
	if err != nil && !errors.Is(err, ledger.ErrDiffers) {
		return err
	}
	return errors.Join(err, writeCopied(out, tables))
}

func writeCopied(out io.Writer, tables []ledger.CopiedTable) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tBEFORE\tAFTER\tEQUAL\tADDED\tREMOVED")
	for _, t := range tables {
		equal := "yes"
		if !t.Same {
			equal = "NO"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\t%d\n", t.Name, t.Before, t.After, equal, t.Written, t.Removed)
	}
	return w.Flush()
}

// BackUpLedger writes a backup to a new file, or to out if the file is "-".
func BackUpLedger(ctx context.Context, dsn, file string, out io.Writer) error {
	if file == "-" {
		return streamBackup(ctx, dsn, out)
	}
	if err := ledger.Backup(ctx, dsn, file); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s: %d bytes\n", file, info.Size())
	return err
}

// streamBackup makes the backup beside the ledger, because no other folder of a container may be writable.
func streamBackup(ctx context.Context, dsn string, out io.Writer) error {
	path, isFile, err := ledger.SQLitePath(dsn)
	if err != nil {
		return err
	}
	if !isFile {
		return fmt.Errorf("back up ledger: %w", ledger.ErrNotAFile)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("back up ledger: %w", err)
	}
	folder, err := os.MkdirTemp(filepath.Dir(path), ".backup-*")
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	defer os.RemoveAll(folder)
	whole := filepath.Join(folder, "ledger.db")
	if err := ledger.Backup(ctx, dsn, whole); err != nil {
		return err
	}
	content, err := os.Open(whole)
	if err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	defer content.Close()
	if _, err := io.Copy(out, content); err != nil {
		return fmt.Errorf("back up ledger: %w", err)
	}
	return nil
}
