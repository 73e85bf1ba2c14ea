package ledger

import (
	"context"
	"fmt"
	"time"
)

// Days are read for each check on its own, as the key of daily has them. CROSS JOIN tells SQLite to begin with the checks.
var (
	allDays = `SELECT c.uid, ` + sums("d.") + ` FROM checks c CROSS JOIN daily d
WHERE d.check_id = c.id AND d.day >= $1 GROUP BY c.id, c.uid`
	allHours = `SELECT c.uid, ` + sums("h.") + ` FROM hourly h JOIN checks c ON c.id = h.check_id
WHERE h.hour >= $1 AND h.hour < $2 GROUP BY c.id, c.uid`
)

// CountsSince counts the records of every check and job by their outcome, by the UID of the check. It counts from the full
// hour on in which from lies. All of it comes from the counts by hour and day: no record is read.
func (l *Ledger) CountsSince(ctx context.Context, from time.Time) (map[string]Counts, error) {
	tx, err := l.reader().BeginTx(ctx, l.store().snapshot())
	if err != nil {
		return nil, fmt.Errorf("count records since %s: %w", from.UTC().Format(time.RFC3339), err)
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	tallies := map[string]*tally{}
	add := func(scan scanner) error {
		var uid string
		var t tally
		err := scan(append([]any{&uid}, t.destinations()...)...)
		if tallies[uid] == nil {
			tallies[uid] = &tally{}
		}
		tallies[uid].plus(t)
		return err
	}
	first := max(0, floor(from.UnixMicro(), hour))
	firstDay := ceil(first, day)
	if err = queryRows(ctx, tx, allHours, add, first, firstDay); err == nil {
		err = queryRows(ctx, tx, allDays, add, firstDay)
	}
	if err != nil {
		return nil, fmt.Errorf("count records since %s: %w", from.UTC().Format(time.RFC3339), err)
	}
	counts := make(map[string]Counts, len(tallies))
	for uid, t := range tallies {
		counts[uid] = t.counts()
	}
	return counts, nil
}

// newestDurations reads the newest records of one check. It is one short query for each check. The two databases have no
// statement in common that finds the newest records of all checks by the key alone.
const newestDurations = `SELECT r.duration FROM records r WHERE r.check_id = (SELECT c.id FROM checks c WHERE c.uid = $1)
ORDER BY r.tick DESC, r.trigger DESC LIMIT $2`

// Durations returns how long the newest runs of some checks took, by the UID of the check. Of each check it looks at this
// many records, from the newest on, and leaves out those without a duration.
func (l *Ledger) Durations(ctx context.Context, checkUIDs []string, records int) (map[string][]time.Duration, error) {
	db := l.reader()
	prepared, err := db.PrepareContext(ctx, newestDurations)
	if err != nil {
		return nil, fmt.Errorf("read durations: %w", err)
	}
	defer prepared.Close()
	all := make(map[string][]time.Duration, len(checkUIDs))
	for _, uid := range checkUIDs {
		err := queryEach(ctx, prepared, []any{uid, max(0, records)}, func(scan scanner) error {
			var took *int64
			err := scan(&took)
			if took != nil {
				all[uid] = append(all[uid], time.Duration(*took)*time.Microsecond)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read durations of %s: %w", uid, err)
		}
	}
	return all, nil
}
