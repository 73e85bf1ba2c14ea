package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Findings is what Verify found.
type Findings struct {
	// Records is the number of rows. Open is the number of rows without an outcome.
	Records, Open int64
	// Problems are contradictions in words, at most MaxProblems of each kind. If there are none, the ledger is consistent.
	Problems []string
	// Overdue are the open records with a tick before the limit, the oldest first.
	Overdue []Record
}

// MaxProblems bounds how many contradictions of one kind Verify lists.
const MaxProblems = 100

// Verify looks for contradictions in one state of the database. It compares the rows with the hours, the hours with the
// days, and the number of rows with the total. It also compares the columns for the overview of each check with its newest
// record and last day. It lists the records that are open since before openSince. It reads the whole database.
func (l *Ledger) Verify(ctx context.Context, openSince time.Time) (Findings, error) {
	var f Findings
	if err := l.verify(ctx, &f, openSince.UnixMicro()); err != nil {
		return f, fmt.Errorf("verify ledger: %w", err)
	}
	return f, nil
}

func (l *Ledger) verify(ctx context.Context, f *Findings, openSince int64) error {
	tx, err := l.reader().BeginTx(ctx, l.store().snapshot())
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	if err := f.countRows(ctx, tx); err != nil {
		return err
	}
	pruned, err := prunedUpTo(ctx, tx)
	if err != nil {
		return err
	}
	if err := f.differences(ctx, tx, rowsAgainstHours, pruned); err != nil {
		return err
	}
	if err := f.differences(ctx, tx, hoursAgainstDays); err != nil {
		return err
	}
	if err := f.differences(ctx, tx, newestAgainstRows); err != nil {
		return err
	}
	if err := f.differences(ctx, tx, daysAgainstHours); err != nil {
		return err
	}
	f.Overdue, err = queryRecords(ctx, tx,
		selectRecords+` WHERE r.outcome = 0 AND r.tick < $1 ORDER BY r.tick, r.check_id`, openSince)
	return err
}

func (f *Findings) countRows(ctx context.Context, q queryer) error {
	var counted int64
	err := queryRows(ctx, q, `SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM records WHERE outcome = 0),
(SELECT records FROM totals)`, func(scan scanner) error { return scan(&f.Records, &f.Open, &counted) })
	if err == nil && counted != f.Records {
		f.Problems = append(f.Problems, fmt.Sprintf("%d records, but %d were counted", f.Records, counted))
	}
	return err
}

func (f *Findings) differences(ctx context.Context, q queryer, query string, args ...any) error {
	return queryRows(ctx, q, query, func(scan scanner) error {
		var what string
		var id, start int64
		if err := scan(&what, &id, &start); err != nil {
			return err
		}
		f.Problems = append(f.Problems,
			fmt.Sprintf("%s of check %d at %s differ", what, id, time.UnixMicro(start).UTC().Format(time.RFC3339)))
		return nil
	}, args...)
}

// An hour whose rows were pruned counts more than there are rows. In other hours every number must agree. An hour from
// which every record was removed has zeros and no rows.
var (
	rowsAgainstHours = fmt.Sprintf(`SELECT 'rows and hours', coalesce(t.check_id, h.check_id), coalesce(t.start, h.hour)
FROM (SELECT r.check_id, r.tick - r.tick %% %d AS start, %s FROM records r WHERE r.outcome <> 0 GROUP BY 1, 2) t
FULL JOIN hourly h ON h.check_id = t.check_id AND h.hour = t.start
WHERE (coalesce(t.start, h.hour) >= $1 AND (%s)) OR (%s) LIMIT %d`,
		hour, rowCounts, anyOf(tallyColumns, "coalesce(t.%[1]s, 0) <> coalesce(h.%[1]s, 0)"),
		anyOf(tallyColumns[:durationSum], "coalesce(t.%[1]s, 0) > coalesce(h.%[1]s, 0)"), MaxProblems)
	hoursAgainstDays = fmt.Sprintf(`SELECT 'hours and days', coalesce(s.check_id, d.check_id), coalesce(s.start, d.day)
FROM (SELECT h.check_id, h.hour - h.hour %% %d AS start, %s FROM hourly h GROUP BY 1, 2) s
FULL JOIN daily d ON d.check_id = s.check_id AND d.day = s.start WHERE %s LIMIT %d`,
		day, sums("h."), anyOf(tallyColumns, "coalesce(s.%[1]s, 0) <> coalesce(d.%[1]s, 0)"), MaxProblems)
)

// The columns of each check for the overview.
var (
	newestAgainstRows = fmt.Sprintf(`SELECT 'newest record', c.id, coalesce(c.last_tick, 0) FROM checks c
WHERE c.last_tick IS DISTINCT FROM (%s) OR c.last_trigger IS DISTINCT FROM (%s) LIMIT %d`,
		newestOf("tick"), newestOf("trigger"), MaxProblems)
	daysAgainstHours = fmt.Sprintf(`SELECT 'last day and hours', c.id, c.day_since FROM checks c
LEFT JOIN (SELECT k.id, %s FROM hourly h JOIN checks k ON k.id = h.check_id WHERE h.hour >= k.day_since GROUP BY k.id) s
ON s.id = c.id WHERE %s LIMIT %d`,
		sums("h."), anyOf(tallyColumns[:durationMax], "coalesce(s.%[1]s, 0) <> c.day_%[1]s"), MaxProblems)
)

// newestOf returns a query of one column of the newest closed record of the check c.
func newestOf(column string) string {
	return fmt.Sprintf(`SELECT r.%s FROM records r WHERE r.check_id = c.id AND r.outcome <> 0
ORDER BY r.tick DESC, r.trigger DESC LIMIT 1`, column)
}

// anyOf joins a condition on every column by OR.
func anyOf(columns []string, condition string) string {
	list := make([]string, len(columns))
	for i, column := range columns {
		list[i] = fmt.Sprintf(condition, column)
	}
	return strings.Join(list, " OR ")
}
