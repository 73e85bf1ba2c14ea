package ledger

import (
	"context"
	"database/sql"
	"strings"
)

// store is a database. All statements have the same text for both kinds; only the methods differ.
type store interface {
	// reader is where queries go.
	reader() *sql.DB
	// snapshot returns the options of a transaction that sees one state of the database.
	snapshot() *sql.TxOptions
	// write runs do in a transaction and commits it durably. Only one writer of the database may be in a transaction at a
	// time, in any process. So what it reads stays true until it commits, and no two writers wait for each other.
	write(ctx context.Context, do func(transaction) error) error
	// discard closes idle connections. After a timeout they may be broken.
	discard()
	// refused is true when the database refused a row, but would accept others.
	refused(err error) bool
	// versioned is a query that returns 1 if the table schema_version exists, and 0 if not.
	versioned() string
	// keywords replaces the keywords in double braces of the migrations.
	keywords() *strings.Replacer
	close() error
}

// transaction is a transaction of write.
type transaction interface {
	// each runs a statement once for every list of arguments, in one round trip if the driver can. found is called with the
	// index of the list and a scanner for every row that comes back. It is nil for a statement without rows.
	each(ctx context.Context, statement string, arguments [][]any, found func(i int, scan scanner) error) error
	// script runs statements without arguments.
	script(ctx context.Context, statements string) error
}

// scanner copies the columns of a row, as sql.Rows does.
type scanner func(destinations ...any) error

// one runs a statement for one list of arguments.
func one(ctx context.Context, tx transaction, statement string, found func(scanner) error, arguments ...any) error {
	if found == nil {
		return tx.each(ctx, statement, [][]any{arguments}, nil)
	}
	return tx.each(ctx, statement, [][]any{arguments}, func(_ int, scan scanner) error { return found(scan) })
}
