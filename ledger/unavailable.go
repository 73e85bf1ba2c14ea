package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"time"
)

// unavailable is the store of a ledger that is not open: it refuses everything.
type unavailable struct{}

// nowhere is a database of which each query fails.
var nowhere = sql.OpenDB(refusing{})

func (unavailable) reader() *sql.DB                                      { return nowhere }
func (unavailable) snapshot() *sql.TxOptions                             { return nil }
func (unavailable) write(context.Context, func(transaction) error) error { return ErrUnavailable }
func (unavailable) refused(error) bool                                   { return false }
func (unavailable) discard()                                             {}
func (unavailable) versioned() string                                    { return "" }
func (unavailable) keywords() *strings.Replacer                          { return strings.NewReplacer() }
func (unavailable) close() error                                         { return nil }

// refusing is a driver that never connects.
type refusing struct{}

func (refusing) Connect(context.Context) (driver.Conn, error) { return nil, ErrUnavailable }
func (r refusing) Driver() driver.Driver                      { return r }
func (refusing) Open(string) (driver.Conn, error)             { return nil, ErrUnavailable }

// withTimeout is a store whose transactions end after some time.
type withTimeout struct {
	store
	within time.Duration
}

func (s withTimeout) write(ctx context.Context, do func(transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	return s.store.write(ctx, do)
}
