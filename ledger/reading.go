package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"
)

// ErrReadOnly is the error of a call that would write to a ledger from OpenToRead.
var ErrReadOnly = errors.New("the ledger is open for reading only")

// ErrOlderSchema is the error of OpenToRead for a database that this version of Khronicle has not brought up to date.
var ErrOlderSchema = errors.New("database schema is missing, or older than this version of Khronicle")

// OpenToRead opens the database that dsn names, only to read it. It does not make or change a ledger, and waits for no
// writer. A standby is enough, or a role that may SELECT. If the schema has another version, or there is none, the error is
// ErrOlderSchema or ErrNewerSchema. Calls that would write fail with ErrReadOnly.
//
// SQLite makes an empty -wal file and a -shm file beside a file that nobody has open, and leaves them there.
func OpenToRead(ctx context.Context, dsn string) (*Ledger, error) {
	l, err := New(dsn, Options{})
	if err != nil {
		return nil, err
	}
	if err := l.openToRead(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Ledger) openToRead(ctx context.Context) error {
	s, err := openStoreToRead(ctx, l.dsn, l.options)
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	err = checkVersion(ctx, s)
	if err == nil {
		_, err = completeLineage(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("open ledger: %w", errors.Join(err, s.close()))
	}
	l.use(readOnly{s})
	return nil
}

func openStoreToRead(ctx context.Context, dsn string, options Options) (store, error) {
	path, isFile, err := SQLitePath(dsn)
	switch {
	case err != nil:
		return nil, err
	case isFile:
		return openSQLiteToRead(path, options.MaxConns)
	}
	return openPostgres(ctx, dsn, options.MaxConns, readOnlySettings)
}

// checkVersion returns what to do if the schema has another version.
func checkVersion(ctx context.Context, s store) error {
	files, err := migrationFiles()
	if err != nil {
		return err
	}
	found, err := readVersion(ctx, s.reader(), s.versioned())
	known := len(files)
	switch code := primaryCode(err); {
	case code == sqlite3.SQLITE_CANTOPEN || code == sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%w: SQLite reads a ledger with its -wal and -shm files, or makes them: "+
			"have both beside it, or put it, with its -wal file, into a folder that may be written", err)
	case err != nil:
		return err
	case found == 0:
		return fmt.Errorf("%w: there is none, and version %d is needed; a worker creates the tables when it starts", ErrOlderSchema, known)
	case found < known:
		return fmt.Errorf("%w: it has version %d, and %d is needed; a worker of this version updates it when it starts",
			ErrOlderSchema, found, known)
	case found > known:
		return fmt.Errorf("%w: it has version %d, and this version of Khronicle knows %d; use a newer one", ErrNewerSchema, found, known)
	}
	return nil
}

// readVersion returns 0 for a database without a schema.
func readVersion(ctx context.Context, db *sql.DB, versioned string) (version int, err error) {
	if err := db.QueryRowContext(ctx, versioned).Scan(&version); err != nil || version == 0 {
		return 0, err
	}
	err = db.QueryRowContext(ctx, selectVersion).Scan(&version)
	return version, err
}

// readOnly is a store that refuses to write.
type readOnly struct{ store }

func (readOnly) write(context.Context, func(transaction) error) error { return ErrReadOnly }
