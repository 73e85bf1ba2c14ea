package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
)

// Uptime counts the records of a check or job with a tick in [from, to) by their outcome. Whole days and hours come from
// the roll-ups, the rest from the rows. If rows of the rest were pruned, the whole hour counts. Records of a deleted check
// of the same name are included.
func (l *Ledger) Uptime(ctx context.Context, ref check.Ref, from, to time.Time) (Counts, error) {
	var total tally
	err := l.uptime(ctx, ref, ceilMicro(from), ceilMicro(to), &total)
	if err != nil {
		return Counts{}, fmt.Errorf("uptime of %s: %w", ref, err)
	}
	return total.counts(), nil
}

func (l *Ledger) uptime(ctx context.Context, ref check.Ref, from, to int64, total *tally) error {
	tx, err := l.reader().BeginTx(ctx, l.store().snapshot())
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	pruned, err := prunedUpTo(ctx, tx)
	if err != nil {
		return err
	}
	if from < pruned {
		from = floor(from, hour)
	}
	if to < pruned {
		to = ceil(to, hour)
	}
	ids, err := checkIDs(ctx, tx, ref)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := splitTime(from, to).count(ctx, tx, id, total); err != nil {
			return err
		}
	}
	return nil
}

func prunedUpTo(ctx context.Context, q queryer) (pruned int64, err error) {
	err = queryRows(ctx, q, `SELECT pruned FROM totals`, func(scan scanner) error { return scan(&pruned) })
	return pruned, err
}

// span is a range of time, without its end.
type span struct{ from, to int64 }

// split is a range of time, divided by where its counts come from.
type split struct {
	rows  []span
	hours []int64
	days  span
}

func splitTime(from, to int64) split {
	var s split
	first, last := ceil(from, hour), floor(to, hour)
	if first >= last {
		if from < to {
			s.rows = append(s.rows, span{from, to})
		}
		return s
	}
	for _, end := range []span{{from, first}, {last, to}} {
		if end.from < end.to {
			s.rows = append(s.rows, end)
		}
	}
	s.days = span{ceil(first, day), floor(last, day)}
	if s.days.from >= s.days.to {
		s.days = span{first, first}
	}
	for h := first; h < last; h += hour {
		if h < s.days.from || h >= s.days.to {
			s.hours = append(s.hours, h)
		}
	}
	return s
}

func (s split) count(ctx context.Context, q queryer, id int64, total *tally) error {
	add := func(scan scanner) error {
		var t tally
		err := scan(t.destinations()...)
		total.plus(t)
		return err
	}
	if s.days.from < s.days.to {
		query := "SELECT " + sums("") + " FROM daily WHERE check_id = $1 AND day >= $2 AND day < $3"
		if err := queryRows(ctx, q, query, add, id, s.days.from, s.days.to); err != nil {
			return err
		}
	}
	if len(s.hours) > 0 { // as a list: the hours of one check are not neighbours in the key of hourly
		args := []any{id}
		marks := make([]string, len(s.hours))
		for i, h := range s.hours {
			marks[i] = fmt.Sprintf("$%d", i+2)
			args = append(args, h)
		}
		query := "SELECT " + sums("") + " FROM hourly WHERE check_id = $1 AND hour IN (" + strings.Join(marks, ", ") + ")"
		if err := queryRows(ctx, q, query, add, args...); err != nil {
			return err
		}
	}
	for _, r := range s.rows {
		query := "SELECT " + rowCounts + " FROM records r WHERE r.check_id = $1 AND r.tick >= $2 AND r.tick < $3"
		if err := queryRows(ctx, q, query, add, id, r.from, r.to); err != nil {
			return err
		}
	}
	return nil
}

// rowCounts are the columns of a roll-up, counted from rows. Open rows do not count: they are never flaky, and have no
// duration.
var rowCounts = func() string {
	var list []string
	for i := range outcomes[1:] {
		list = append(list, fmt.Sprintf("sum(CASE WHEN r.outcome = %d THEN 1 ELSE 0 END)", i+1))
	}
	list = append(list, "sum(r.flaky)", "count(r.duration)", "sum(r.duration)", "max(r.duration)")
	for i := range list {
		list[i] = "CAST(coalesce(" + list[i] + ", 0) AS BIGINT) AS " + tallyColumns[i]
	}
	return strings.Join(list, ", ")
}()
