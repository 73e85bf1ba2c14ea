package ledger

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresStore is a database of a PostgreSQL server.
type postgresStore struct {
	pool *pgxpool.Pool
	db   *sql.DB
}

// Writers take turns by one advisory lock, which the server frees when a transaction or its connection ends. A writer that
// was stopped in mid-transaction is thrown out, lest it keep the others waiting.
//
// All that a writer looks for goes by a key. The server would read the whole of a table that it believes to be empty, and
// keep to that plan while the table grows. Where it must read one all the same, such as the single row of totals, it now expects
// so high a cost that it would compile the statement, which takes 20 ms each time.
const (
	takeTurn   = `SELECT pg_advisory_xact_lock(5497853346150310)`
	boundPause = `SET LOCAL idle_in_transaction_session_timeout = '10s'`
	goByKeys   = `SET LOCAL enable_seqscan = off`
	interpret  = `SET LOCAL jit = off`
)

// readOnlySettings make a server refuse to write.
var readOnlySettings = map[string]string{"default_transaction_read_only": "on"}

func openPostgres(ctx context.Context, dsn string, conns int, settings map[string]string) (*postgresStore, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(conns) //nolint:gosec // Options.Validate bounds it
	maps.Copy(config.ConnConfig.RuntimeParams, settings)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &postgresStore{pool: pool, db: stdlib.OpenDBFromPool(pool)}, nil
}

func (s *postgresStore) reader() *sql.DB { return s.db }

func (s *postgresStore) snapshot() *sql.TxOptions {
	return &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
}

func (s *postgresStore) versioned() string { return `SELECT count(to_regclass('schema_version'))` }

func (s *postgresStore) words() *strings.Replacer {
	return strings.NewReplacer(
		"{{identity}}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{{bytes}}", "BYTEA", "{{clustered}}", "")
}

func (s *postgresStore) write(ctx context.Context, do func(transaction) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var batch pgx.Batch
		batch.Queue(boundPause)
		batch.Queue(goByKeys)
		batch.Queue(interpret)
		batch.Queue(takeTurn)
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		return do(postgresTx{tx})
	})
}

// refused knows the classes of PostgreSQL's codes: 22 data, 23 constraint, 54 limit of the program; P0001 is a trigger's.
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

func (s *postgresStore) close() error {
	err := s.db.Close()
	s.pool.Close()
	return err
}

type postgresTx struct{ tx pgx.Tx }

func (t postgresTx) script(ctx context.Context, statements string) error {
	_, err := t.tx.Exec(ctx, statements)
	return err
}

// each sends all in one round trip.
func (t postgresTx) each(ctx context.Context, statement string, arguments [][]any, found func(int, scanner) error) error {
	if len(arguments) == 0 {
		return nil
	}
	var batch pgx.Batch
	for i, list := range arguments {
		queued := batch.Queue(statement, list...)
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
	return t.tx.SendBatch(ctx, &batch).Close()
}
