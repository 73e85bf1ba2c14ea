package ledger

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// copyTable copies a table group by group, and each group chunk by chunk in the order of its numbers.
func (c *copier) copyTable(ctx context.Context, i int, t copiedTable) error {
	groups, err := c.groups(ctx, t)
	if err != nil {
		return err
	}
	for _, group := range groups {
		s := section{group: group}
		for last := false; !last; s.after = s.until {
			if s.until, err = c.bound(ctx, t, s); err != nil {
				return err
			}
			last = s.until == nil
			if err := c.copySection(ctx, i, t, s); err != nil {
				return err
			}
			c.options.Progress(t.name, c.tables[i].Before)
		}
	}
	return nil
}

// groups returns the groups of a table in the source or the target. A table without groups is one group.
func (c *copier) groups(ctx context.Context, t copiedTable) ([]string, error) {
	if t.group == "" {
		return []string{""}, nil
	}
	all := map[string]bool{}
	query := `SELECT DISTINCT ` + t.group + ` FROM ` + t.name
	collect := func(scan scanner) error {
		var group string
		err := scan(&group)
		all[group] = true
		return err
	}
	if err := c.source(ctx, query, collect); err != nil {
		return nil, err
	}
	err := c.target.scan(ctx, func(tx transaction) error { return one(ctx, tx, query, collect) })
	return slices.Sorted(maps.Keys(all)), err
}

// bound returns the numbers at which a chunk that begins after s.after ends. Nil means that it takes the rest.
func (c *copier) bound(ctx context.Context, t copiedTable, s section) (until []any, err error) {
	condition, arguments := t.where(section{group: s.group, after: s.after})
	order := strings.Join(t.order, ", ")
	query := fmt.Sprintf(`SELECT %[1]s FROM %[2]s%[3]s ORDER BY %[1]s LIMIT 1 OFFSET %[4]d`, order, t.name, condition, cmp.Or(t.chunk, c.options.Chunk)-1)
	err = c.source(ctx, query, func(scan scanner) error {
		numbers := make([]int64, len(t.order))
		destinations := make([]any, len(numbers))
		for i := range numbers {
			destinations[i] = &numbers[i]
		}
		if err := scan(destinations...); err != nil {
			return err
		}
		for _, n := range numbers {
			until = append(until, n)
		}
		return nil
	}, arguments...)
	return until, err
}

// copySection makes a part of the target equal to that of the source.
func (c *copier) copySection(ctx context.Context, i int, t copiedTable, s section) error {
	wanted, err := t.read(ctx, c.source, s)
	if err != nil {
		return fmt.Errorf("read FROM: %w", err)
	}
	var d difference
	err = c.target.write(ctx, func(tx transaction) error {
		present, err := t.read(ctx, within(tx), s)
		if err != nil {
			return fmt.Errorf("read TO: %w", err)
		}
		d = differenceOf(t, wanted, present)
		return d.write(ctx, tx, t, c.target.givenID())
	})
	if err != nil {
		return c.explain(ctx, err, t, d)
	}
	sum := digest(c.digests[i])
	for _, r := range wanted {
		sum.add(r)
	}
	c.digests[i] = uint64(sum)
	c.tables[i].Before += int64(len(wanted))
	c.tables[i].Written += int64(len(d.added))
	c.tables[i].Removed += int64(len(d.removed))
	return nil
}

// difference is what to do to the target. A row with other values is removed and added.
type difference struct{ removed, added [][]any }

func differenceOf(t copiedTable, wanted, present map[string]rowValues) (d difference) {
	key := len(t.primary())
	for name, r := range present {
		if w, ok := wanted[name]; !ok || !bytes.Equal(w.encoded(), r.encoded()) {
			d.removed = append(d.removed, r[:key])
		}
	}
	for name, r := range wanted {
		if p, ok := present[name]; !ok || !bytes.Equal(p.encoded(), r.encoded()) {
			d.added = append(d.added, r)
		}
	}
	// In the order of the table, which databases store fastest.
	slices.SortFunc(d.added, func(a, b []any) int { return bytes.Compare(rowValues(a[:key]).encoded(), rowValues(b[:key]).encoded()) })
	return d
}

func (d difference) write(ctx context.Context, tx transaction, t copiedTable, givenID string) error {
	if err := tx.each(ctx, t.remove(), d.removed, nil); err != nil {
		return fmt.Errorf("remove from TO: %w", err)
	}
	if err := tx.each(ctx, t.insert(givenID), d.added, nil); err != nil {
		return fmt.Errorf("add to TO: %w", err)
	}
	return nil
}

// explain finds the row that the target refused, and names it. The rows before it are stored then, which the next call finds.
func (c *copier) explain(ctx context.Context, cause error, t copiedTable, d difference) error {
	if !c.target.refused(cause) {
		return cause
	}
	write := func(d difference) error {
		return c.target.write(ctx, func(tx transaction) error { return d.write(ctx, tx, t, c.target.givenID()) })
	}
	if err := write(difference{removed: d.removed}); err != nil {
		return err
	}
	for _, r := range d.added {
		if err := write(difference{added: [][]any{r}}); err != nil {
			return fmt.Errorf("row %s: %w", t.rowName(r), err)
		}
	}
	return cause
}
