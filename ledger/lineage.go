package ledger

import (
	"context"
	"errors"
	"fmt"
)

// ErrCopyIncomplete is the error of a ledger into which Copy was interrupted.
var ErrCopyIncomplete = errors.New("the copy into this ledger is not complete")

// lineage says which ledger a database is, and of which one it is a copy.
type lineage struct {
	identity string
	// copyOf is the identity of the source of a copy to which nobody else has written. Otherwise it is empty.
	copyOf string
	// open is true until the copy is complete.
	open bool
}

const selectLineage = `SELECT identity, coalesce(copy_of, ''), copy_open FROM totals`

func (l *lineage) scan(scan scanner) error {
	var open int64
	err := scan(&l.identity, &l.copyOf, &open)
	l.open = open != 0
	return err
}

// completeLineage returns ErrCopyIncomplete for a copy that is not complete.
func completeLineage(ctx context.Context, s store) (l lineage, err error) {
	if err := queryRows(ctx, s.reader(), selectLineage, l.scan); err != nil {
		return l, fmt.Errorf("read the identity of the ledger: %w", err)
	}
	if l.open {
		return l, fmt.Errorf("%w: run `khronicle ledger copy` again", ErrCopyIncomplete)
	}
	return l, nil
}

// adopt makes a complete copy a ledger of its own: a further copy must not replace what is written from now on.
func adopt(ctx context.Context, s store) error {
	l, err := completeLineage(ctx, s)
	if err != nil || l.copyOf == "" {
		return err
	}
	return s.write(ctx, func(tx transaction) error {
		return one(ctx, tx, `UPDATE totals SET copy_of = NULL WHERE copy_open = 0`, nil)
	})
}
