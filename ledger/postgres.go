package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresStore is a database of a PostgreSQL server. It has separate connections for writing, so that readers cannot block
// a writer.
type postgresStore struct {
	writing, reading *pgxpool.Pool
	db               *sql.DB // of reading
}

// Writers take turns by one advisory lock, which the server frees when a transaction or its connection ends. If a writer
// stops within its transaction, the server ends the transaction, because the other writers wait for it.
//
// A writer finds rows by keys alone. If the server believes that a table is empty, it plans to read the whole table, and
// uses this plan while the table grows. So the setting makes reading a whole table look expensive. Compiling such a
// statement takes 20 ms each time, so compiling is off.
const (
	takeTurn   = `SELECT pg_advisory_xact_lock(5497853346150310)`
	boundPause = `SET LOCAL idle_in_transaction_session_timeout = '10s'`
	goByKeys   = `SET LOCAL enable_seqscan = off`
	interpret  = `SET LOCAL jit = off`
)

// readOnlySettings make a server refuse to write.
var readOnlySettings = map[string]string{"default_transaction_read_only": "on"}

// Bounds for a server behind a network that neither refuses nor delivers packets.
const (
	connectWithin = 5 * time.Second
	// pongWithin bounds the test of an idle connection before it is used.
	pongWithin = time.Second
	// silence is how long packets may stay without an acknowledgement before a connection counts as broken.
	silence     = 5 * time.Second
	closeWithin = 3 * time.Second
)

// writers is how many connections write: one for records, and one that prunes.
const writers = 2

func openPostgres(ctx context.Context, dsn string, conns int, settings map[string]string) (*postgresStore, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.PingTimeout = pongWithin
	config.ConnConfig.ConnectTimeout = cmp.Or(config.ConnConfig.ConnectTimeout, connectWithin)
	config.ConnConfig.DialFunc = dialer().DialContext
	maps.Copy(config.ConnConfig.RuntimeParams, settings)
	writing, err := newPool(ctx, config, writers)
	if err != nil {
		return nil, err
	}
	reading, err := newPool(ctx, config, conns)
	if err != nil {
		writing.Close()
		return nil, err
	}
	return &postgresStore{writing: writing, reading: reading, db: stdlib.OpenDBFromPool(reading)}, nil
}

func newPool(ctx context.Context, config *pgxpool.Config, conns int) (*pgxpool.Pool, error) {
	config = config.Copy()
	config.MaxConns = int32(conns) //nolint:gosec // Options.Validate bounds it
	return pgxpool.NewWithConfig(ctx, config)
}

// dialer returns a dialer whose connections break soon after the other side is lost.
func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence, Interval: silence / 5, Count: 5},
		Control:         boundSilence,
	}
}

func (s *postgresStore) reader() *sql.DB { return s.db }

func (s *postgresStore) discard() {
	s.writing.Reset()
	s.reading.Reset()
}

func (s *postgresStore) snapshot() *sql.TxOptions {
	return &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
}

func (s *postgresStore) versioned() string { return `SELECT count(to_regclass('schema_version'))` }

func (s *postgresStore) keywords() *strings.Replacer {
	return strings.NewReplacer(
		"{{identity}}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{{bytes}}", "BYTEA", "{{clustered}}", "")
}

func (s *postgresStore) write(ctx context.Context, do func(transaction) error) error {
	// Read committed, whatever the server's default is: a writer must not read what was true before its turn.
	options := pgx.TxOptions{IsoLevel: pgx.ReadCommitted}
	return pgx.BeginTxFunc(ctx, s.writing, options, func(tx pgx.Tx) error {
		var start pgx.Batch
		for _, statement := range []string{boundPause, goByKeys, interpret, takeTurn} {
			start.Queue(statement)
		}
		if err := tx.SendBatch(ctx, &start).Close(); err != nil {
			return err
		}
		return do(postgresTx{tx})
	})
}

// refused tests the classes of PostgreSQL's codes: 22 data, 23 constraint, 54 limit of the program. P0001 is the error of a
// trigger.
func (s *postgresStore) refused(err error) bool {
	var coded *pgconn.PgError
	if !errors.As(err, &coded) || len(coded.Code) < 2 {
		return false
	}
	switch coded.Code[:2] {
	case "22", "23", "54", "P0":
		return true
	}
	return false
}

// close waits for a bounded time. A connection to a server that does not answer closes at the latest when the process ends.
func (s *postgresStore) close() error {
	err := s.db.Close()
	closed := make(chan struct{})
	go func() {
		s.reading.Close()
		s.writing.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeWithin):
	}
	return err
}

type postgresTx struct{ tx pgx.Tx }

func (t postgresTx) script(ctx context.Context, statements string) error {
	_, err := t.tx.Exec(ctx, statements)
	return err
}

// each sends all statements in one round trip.
func (t postgresTx) each(ctx context.Context, statement string, arguments [][]any, found func(int, scanner) error) error {
	if len(arguments) == 0 {
		return nil
	}
	var sent pgx.Batch
	for i, list := range arguments {
		queued := sent.Queue(statement, list...)
		if found == nil {
			continue
		}
		queued.Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := found(i, rows.Scan); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
	return t.tx.SendBatch(ctx, &sent).Close()
}
