package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteStore is a file in WAL mode: readers never wait. It has one connection that writes.
type sqliteStore struct {
	read  *sql.DB
	db    *sql.DB
	conn  *sql.Conn
	turn  chan struct{} // holds one token while somebody writes with conn
	ready map[string]*sql.Stmt
}

// busy is how long a writer waits for one of another process.
const busy = 10 * time.Second

// Every commit is on the disk before it is acknowledged (synchronous FULL): a power cut loses nothing that was answered.
var sqlitePragmas = []string{
	fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
	"journal_mode(WAL)",
	"synchronous(FULL)",
	"cache_size(-16384)",           // KiB: the hot pages of 1,000 checks
	"journal_size_limit(67108864)", // bytes: the WAL shrinks again after a burst
}

// openSQLite opens a file, or makes it. The further pragmas are of the connection that writes, and come before the usual ones.
func openSQLite(ctx context.Context, path string, conns int, further ...string) (*sqliteStore, error) {
	s := &sqliteStore{turn: make(chan struct{}, 1), ready: map[string]*sql.Stmt{}}
	var err error
	if s.db, err = sql.Open("sqlite", sqliteURI(path, append(further, sqlitePragmas...)...)); err != nil {
		return nil, err
	}
	if s.read, err = sql.Open("sqlite", sqliteURI(path, append(sqlitePragmas, "query_only(1)")...)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.read.SetMaxOpenConns(conns)
	s.read.SetMaxIdleConns(conns)
	if s.conn, err = connect(ctx, s.db); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// openSQLiteToRead opens a file that exists. Beside it SQLite uses a -wal and a -shm file. Without these, nobody could read
// while another process writes.
func openSQLiteToRead(path string, conns int) (*sqliteStore, error) {
	if _, err := os.Stat(path); err != nil { // SQLite would only say that it cannot open it
		return nil, err
	}
	db, err := sql.Open("sqlite", sqliteURI(path, sqlitePragmas[0])+"&mode=ro")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return &sqliteStore{read: db, db: db}, nil
}

// connect waits while another process changes a new file to WAL mode. SQLite itself does not wait for that.
func connect(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	for end := time.Now().Add(busy); ; {
		conn, err := db.Conn(ctx)
		if err == nil || !isBusy(err) || time.Now().After(end) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func sqliteURI(path string, pragmas ...string) string {
	query := url.Values{"_pragma": pragmas}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}).String()
}

func (s *sqliteStore) reader() *sql.DB          { return s.read }
func (s *sqliteStore) snapshot() *sql.TxOptions { return &sql.TxOptions{ReadOnly: true} }

func (s *sqliteStore) versioned() string {
	return `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'`
}

func (s *sqliteStore) keywords() *strings.Replacer {
	return strings.NewReplacer("{{identity}}", "INTEGER PRIMARY KEY", "{{bytes}}", "BLOB", "{{clustered}}", " WITHOUT ROWID")
}

func (s *sqliteStore) write(ctx context.Context, do func(transaction) error) (err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// A transaction is rolled back also when BEGIN fails: if the context ends at that moment, it may have begun. The error is
	// ignored. After a full disk, for example, SQLite has already rolled back.
	defer func() {
		if err != nil {
			_, _ = s.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	if _, err := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := do((*sqliteTx)(s)); err != nil {
		return err
	}
	if _, err := s.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// discard has nothing to do: there is no connection that could break.
func (s *sqliteStore) discard() {}

func (s *sqliteStore) refused(err error) bool {
	switch primaryCode(err) {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return true
	}
	return false
}

func isBusy(err error) bool {
	code := primaryCode(err)
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

func primaryCode(err error) int {
	var coded *sqlite.Error
	if !errors.As(err, &coded) {
		return sqlite3.SQLITE_OK
	}
	return coded.Code() & 0xff
}

func (s *sqliteStore) close() error {
	var errs []error
	for _, statement := range s.ready {
		errs = append(errs, statement.Close())
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}

type sqliteTx sqliteStore

func (tx *sqliteTx) script(ctx context.Context, statements string) error {
	_, err := tx.conn.ExecContext(ctx, statements)
	return err
}

func (tx *sqliteTx) each(ctx context.Context, statement string, arguments [][]any, found func(int, scanner) error) error {
	if len(arguments) == 0 {
		return nil
	}
	prepared, err := tx.prepare(ctx, statement)
	if err != nil {
		return err
	}
	for i, list := range arguments {
		if found == nil {
			_, err = prepared.ExecContext(ctx, list...)
		} else {
			err = queryEach(ctx, prepared, list, func(scan scanner) error { return found(i, scan) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *sqliteTx) prepare(ctx context.Context, statement string) (*sql.Stmt, error) {
	if prepared, ok := tx.ready[statement]; ok {
		return prepared, nil
	}
	prepared, err := tx.conn.PrepareContext(ctx, statement)
	if err == nil {
		tx.ready[statement] = prepared
	}
	return prepared, err
}

func queryEach(ctx context.Context, prepared *sql.Stmt, arguments []any, found func(scanner) error) error {
	rows, err := prepared.QueryContext(ctx, arguments...)
	if err != nil {
		return err
	}
	return eachRow(rows, found)
}
