package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Errors of Copy that callers test for.
var (
	// ErrNotEmpty is the error of a target with rows that are no copy of the source.
	ErrNotEmpty = errors.New("it has rows that are no copy of FROM: name an empty database")
	// ErrSameLedger is the error of a source and a target that are one ledger.
	ErrSameLedger = errors.New("FROM and TO are the same ledger, or one is a backup of the other")
	// ErrTargetNewer is the error of a target with a later tick than the source.
	ErrTargetNewer = errors.New("it has a later tick than FROM, so FROM is an old backup: name an empty database")
)

// CopyOptions are the settings of Copy. The zero value means the defaults.
type CopyOptions struct {
	// Chunk is how many rows one transaction compares, 2000 by default.
	Chunk int
	// Progress, if any, is called after each transaction with the number of rows of a table that are copied.
	Progress func(table string, rows int64)
}

// CopiedTable is what Copy did to a table of the target.
type CopiedTable struct {
	Name string
	// Before is the number of rows of the source, and After that of the target.
	Before, After int64
	// Written and Removed are the rows that this call added to the target and removed from it.
	Written, Removed int64
	// Same is true when the rows of source and target are equal in each column.
	Same bool
}

// Copy makes the database to a copy of the ledger from: records, evidence, counts and all else. The source may be in use. Copy
// reads one state of it, and does not change it. The target must be empty, or a copy of the same ledger that nobody has written
// to since, complete or not. Rows that are there already are not written again. So a call that was interrupted is continued by
// the next, and a second call only copies what has changed.
//
// Nobody else can write to the target meanwhile, and nobody can open it until the copy is complete.
func Copy(ctx context.Context, from, to string, o CopyOptions) ([]CopiedTable, error) {
	source, err := OpenToRead(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("FROM: %w", err)
	}
	defer source.Close()
	tx, err := source.reader().BeginTx(ctx, source.store().snapshot())
	if err != nil {
		return nil, fmt.Errorf("FROM: begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	c := newCopier(tx, o)
	if err := c.readSource(ctx); err != nil {
		return nil, fmt.Errorf("FROM: %w", err)
	}
	if c.target, err = hold(ctx, to, func(find finder) error { return c.admit(ctx, find) }); err != nil {
		return nil, fmt.Errorf("TO: open ledger: %w", err)
	}
	return c.tables, errors.Join(c.run(ctx), c.target.close())
}

type copier struct {
	source  finder
	target  target
	options CopyOptions
	from    lineage
	newest  int64 // tick of the source
	tables  []CopiedTable
	digests []uint64 // of the tables of the source
}

func newCopier(source *sql.Tx, o CopyOptions) *copier {
	if o.Chunk < 1 {
		o.Chunk = 2000
	}
	if o.Progress == nil {
		o.Progress = func(string, int64) {}
	}
	c := &copier{source: reading(source), options: o, tables: make([]CopiedTable, len(copied)), digests: make([]uint64, len(copied))}
	for i, t := range copied {
		c.tables[i].Name = t.name
	}
	return c
}

func (c *copier) run(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return fmt.Errorf("TO: %w", err)
	}
	for i, t := range copied {
		if err := c.copyTable(ctx, i, t); err != nil {
			return fmt.Errorf("copy table %s: %w", t.name, err)
		}
	}
	if err := c.compare(ctx); err != nil {
		return fmt.Errorf("compare FROM with TO: %w", err)
	}
	return c.end(ctx)
}

func (c *copier) readSource(ctx context.Context) (err error) {
	if err := c.source(ctx, selectLineage, c.from.scan); err != nil {
		return err
	}
	c.newest, err = newestTick(ctx, c.source)
	return err
}

// begin says in the target what it is a copy of, if it still may become one.
func (c *copier) begin(ctx context.Context) error {
	return c.target.write(ctx, func(tx transaction) error {
		if err := c.admit(ctx, within(tx)); err != nil {
			return err
		}
		return one(ctx, tx, `UPDATE totals SET copy_of = $1, copy_open = 1`, nil, c.from.identity)
	})
}

// admit returns why a database must not become a copy of the source.
func (c *copier) admit(ctx context.Context, find finder) error {
	var to lineage
	if err := find(ctx, selectLineage, to.scan); err != nil {
		return err
	}
	if to.identity == c.from.identity {
		return ErrSameLedger
	}
	if to.copyOf == c.from.identity {
		present, err := newestTick(ctx, find)
		if err == nil && present > c.newest {
			err = fmt.Errorf("%w (%s)", ErrTargetNewer, time.UnixMicro(present).UTC().Format(time.RFC3339))
		}
		return err
	}
	for _, t := range copied {
		empty := true
		if err := find(ctx, `SELECT 1 FROM `+t.name+` LIMIT 1`, func(scanner) error { empty = false; return nil }); err != nil {
			return err
		}
		if !empty {
			return fmt.Errorf("table %s: %w", t.name, ErrNotEmpty)
		}
	}
	return nil
}

func newestTick(ctx context.Context, find finder) (tick int64, err error) {
	err = find(ctx, `SELECT coalesce(max(last_tick), 0) FROM checks`, func(scan scanner) error { return scan(&tick) })
	return tick, err
}

// compare counts the rows of the target, and compares them with those of the source.
func (c *copier) compare(ctx context.Context) error {
	return c.target.scan(ctx, func(tx transaction) error {
		for i, t := range copied {
			var sum digest
			if err := one(ctx, tx, t.selectAll(""), func(scan scanner) error {
				r, err := t.scan(scan)
				sum.add(r)
				c.tables[i].After++
				return err
			}); err != nil {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
			c.tables[i].Same = c.tables[i].After == c.tables[i].Before && uint64(sum) == c.digests[i]
		}
		return nil
	})
}

// ErrDiffers is the error of a copy whose rows are not those of the source.
var ErrDiffers = errors.New("the copy differs from its source")

// end stores the totals, and makes the copy complete if it is equal.
func (c *copier) end(ctx context.Context) error {
	for _, t := range c.tables {
		if !t.Same {
			return fmt.Errorf("%w in table %s", ErrDiffers, t.Name)
		}
	}
	var records, pruned int64
	if err := c.source(ctx, `SELECT records, pruned FROM totals`, func(scan scanner) error { return scan(&records, &pruned) }); err != nil {
		return fmt.Errorf("FROM: read the totals: %w", err)
	}
	return c.target.write(ctx, func(tx transaction) error {
		for _, statement := range c.target.numbered() {
			if err := tx.script(ctx, statement); err != nil {
				return fmt.Errorf("TO: number further rows: %w", err)
			}
		}
		return one(ctx, tx, `UPDATE totals SET records = $1, pruned = $2, copy_open = 0`, nil, records, pruned)
	})
}
