package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrInUse is the error of Copy when another process has the target open.
var ErrInUse = errors.New("another process uses the database: stop the workers and readers of this ledger")

// target is a database to which nobody else can write until it is closed.
type target interface {
	// write runs do in a transaction that finds rows by keys, and commits it.
	write(ctx context.Context, do func(transaction) error) error
	// scan runs do in a transaction that reads whole tables.
	scan(ctx context.Context, do func(transaction) error) error
	// refused is true when the database refused a row, but would accept others.
	refused(err error) bool
	// numbered are statements to run after rows with numbers of their own were added to checks and dictionary.
	numbered() []string
	// givenID stands in an INSERT that gives a row its number.
	givenID() string
	close() error
}

// holdWithin is how long to wait for the transactions of others to end.
const holdWithin = 15 * time.Second

// hold opens the database that dsn names, brings its schema up to date, and keeps all other writers out. Before it waits for
// others to leave, it asks whether the database may be the target at all.
func hold(ctx context.Context, dsn string, admit func(finder) error) (target, error) {
	path, isFile, err := SQLitePath(dsn)
	if err != nil {
		return nil, err
	}
	s, err := openStore(ctx, dsn, Options{}.withDefaults())
	if err != nil {
		return nil, err
	}
	if err = migrate(ctx, s); err == nil {
		err = admit(reading(s.reader()))
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	if !isFile {
		return holdPostgres(ctx, s.(*postgresStore)) //nolint:forcetypeassert // openStore returns it for such a name
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	return holdSQLite(ctx, path)
}

// heldSQLite is a file that one connection has locked for itself.
type heldSQLite struct{ *sqliteStore }

func holdSQLite(ctx context.Context, path string) (target, error) {
	// The mode must be set before the connection reads the file, and it locks with the first write.
	s, err := openSQLite(ctx, path, 1, "locking_mode(EXCLUSIVE)")
	if err != nil {
		return nil, inUse(err)
	}
	held := heldSQLite{s}
	if err := held.write(ctx, func(tx transaction) error { return tx.script(ctx, `UPDATE totals SET id = id`) }); err != nil {
		return nil, errors.Join(inUse(err), s.close())
	}
	return held, nil
}

func inUse(err error) error {
	if isBusy(err) {
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	}
	return err
}

func (h heldSQLite) scan(ctx context.Context, do func(transaction) error) error {
	return h.write(ctx, do)
}
func (heldSQLite) numbered() []string { return nil }
func (heldSQLite) givenID() string    { return "" }

// heldPostgres has the lock that each writer takes for a transaction, for as long as its connection lives.
type heldPostgres struct {
	*postgresStore
	conn *pgxpool.Conn
}

const (
	keepTurn = `SELECT pg_advisory_lock(5497853346150310)`
	// A transaction may wait while the source is read.
	patience = `SET idle_in_transaction_session_timeout = 0`
)

func holdPostgres(ctx context.Context, s *postgresStore) (target, error) {
	conn, err := s.writing.Acquire(ctx)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	held := heldPostgres{s, conn}
	waiting, cancel := context.WithTimeout(ctx, holdWithin)
	defer cancel()
	for _, statement := range []string{patience, keepTurn} {
		if _, err := conn.Exec(waiting, statement); err != nil {
			if waiting.Err() != nil && ctx.Err() == nil {
				err = fmt.Errorf("%w (%w)", ErrInUse, err)
			}
			return nil, errors.Join(err, held.close())
		}
	}
	return held, nil
}

func (h heldPostgres) write(ctx context.Context, do func(transaction) error) error {
	return h.transact(ctx, do, goByKeys, interpret)
}

func (h heldPostgres) scan(ctx context.Context, do func(transaction) error) error {
	return h.transact(ctx, do)
}

func (h heldPostgres) transact(ctx context.Context, do func(transaction) error, settings ...string) error {
	return pgx.BeginTxFunc(ctx, h.conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		for _, setting := range settings {
			if _, err := tx.Exec(ctx, setting); err != nil {
				return err
			}
		}
		return do(postgresTx{tx})
	})
}

func (heldPostgres) numbered() []string {
	list := make([]string, 0, len(numberedTables))
	for _, table := range numberedTables {
		list = append(list, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%[1]s', 'id'), coalesce(max(id), 0) + 1, false) FROM %[1]s`, table))
	}
	return list
}

func (heldPostgres) givenID() string { return "OVERRIDING SYSTEM VALUE" }

// close closes the connection, and so frees the lock. Back in its pool, it would keep the lock.
func (h heldPostgres) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	return errors.Join(h.conn.Hijack().Close(ctx), h.postgresStore.close())
}
