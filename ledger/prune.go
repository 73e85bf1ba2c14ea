package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Retention says what Prune leaves. A zero field means the default.
type Retention struct {
	// PassesFor is how long passes stay: succeeded, skipped, paused and canceled records without a failed attempt. 90 days by
	// default.
	PassesFor time.Duration
	// FailuresFor is how long all other records stay, at least as long as passes. 400 days by default.
	FailuresFor time.Duration
	// EvidenceFor is how long evidence stays. 30 days by default.
	EvidenceFor time.Duration
	// EvidenceRuns is how many of the newest runs of each check keep their evidence. 100 by default.
	EvidenceRuns int
	// EvidenceBytes is how much all evidence may take, as it is stored. Above that, the oldest is removed first. 2 GiB by
	// default.
	EvidenceBytes int64
	// MaxRows is the number of records. Above it, the oldest passes are removed first, then the oldest failures, a day at a
	// time. 20 million by default.
	MaxRows int64
}

// RollupsFor is how long the counts by hour and day stay, or as long as failures where that is longer.
const RollupsFor = 400 * 24 * time.Hour

// DefaultRetention returns the defaults.
func DefaultRetention() Retention {
	const days = 24 * time.Hour
	return Retention{
		PassesFor: 90 * days, FailuresFor: 400 * days, EvidenceFor: 30 * days, EvidenceRuns: 100, EvidenceBytes: 2 << 30, MaxRows: 20_000_000,
	}
}

func (r Retention) withDefaults() Retention {
	d := DefaultRetention()
	return Retention{
		PassesFor: cmp.Or(r.PassesFor, d.PassesFor), FailuresFor: cmp.Or(r.FailuresFor, d.FailuresFor),
		EvidenceFor: cmp.Or(r.EvidenceFor, d.EvidenceFor), EvidenceRuns: cmp.Or(r.EvidenceRuns, d.EvidenceRuns),
		EvidenceBytes: cmp.Or(r.EvidenceBytes, d.EvidenceBytes), MaxRows: cmp.Or(r.MaxRows, d.MaxRows),
	}
}

// Validate returns what is wrong with the retention.
func (r Retention) Validate() error {
	r = r.withDefaults()
	if r.PassesFor < 0 || r.EvidenceFor < 0 || r.EvidenceRuns < 0 || r.EvidenceBytes < 0 || r.MaxRows < 0 {
		return errors.New("retention: no value may be negative")
	}
	if r.FailuresFor < r.PassesFor {
		return fmt.Errorf("retention: failures must be kept at least as long as passes, %s", r.PassesFor)
	}
	return nil
}

// Pruned is how many rows were removed.
type Pruned struct {
	Passes, Failures, Evidence, Hours, Days, Checks int64
}

// The conditions of the two classes of records. An open record is in neither.
const (
	passes   = `r.outcome IN (1, 5, 6, 8) AND r.flaky = 0 AND r.infra_failures = 0`
	failures = `r.outcome <> 0`
)

// pruneBatch is how many rows one transaction removes. Recording waits for one such transaction at most.
const pruneBatch = 1000

// Prune removes the rows that are too old or too many as of now, in small transactions. Open records stay. After an error
// the counts say what was removed until then.
func (l *Ledger) Prune(ctx context.Context, keep Retention, now time.Time) (Pruned, error) {
	if err := keep.Validate(); err != nil {
		return Pruned{}, err
	}
	keep = keep.withDefaults()
	p := pruner{ctx: ctx, ledger: l, keep: keep, now: now}
	for _, step := range []func() error{
		func() error { return p.records(passes, p.before(keep.PassesFor), &p.done.Passes) },
		func() error { return p.records(failures, p.before(keep.FailuresFor), &p.done.Failures) },
		func() error { return p.excess(keep.MaxRows) },
		func() error { return p.evidence(p.before(min(keep.EvidenceFor, keep.FailuresFor))) },
		func() error { return p.evidenceOfOldRuns(keep.EvidenceRuns) },
		func() error { return p.excessEvidence(keep.EvidenceBytes) },
		p.days,
		func() error { return p.rollups("hourly", "hour", &p.done.Hours) },
		func() error { return p.rollups("daily", "day", &p.done.Days) },
		p.checks,
	} {
		if err := step(); err != nil {
			return p.done, fmt.Errorf("prune ledger: %w", err)
		}
	}
	return p.done, nil
}

type pruner struct {
	ctx    context.Context //nolint:containedctx // of one call of Prune
	ledger *Ledger
	keep   Retention
	now    time.Time
	done   Pruned
}

func (p *pruner) before(age time.Duration) int64 { return p.now.Add(-age).UnixMicro() }

func (p *pruner) number(query string, args ...any) (n int64, err error) {
	err = queryRows(p.ctx, p.ledger.reader(), query, func(scan scanner) error { return scan(&n) }, args...)
	return n, err
}

// records removes the records of a class that are older than limit, check by check, in the order of the table. It searches
// outside of a transaction. Meanwhile another pruner can only make the found records fewer.
func (p *pruner) records(class string, limit int64, done *int64) error {
	ids, err := p.checkIDs()
	if err != nil {
		return err
	}
	var work [][]any
	var rows int64
	for len(ids) > 0 {
		n, last, err := p.oldest(class, ids[0], limit)
		if err != nil {
			return err
		}
		if n > 0 {
			work, rows = append(work, []any{ids[0], last + 1}), rows+n
		}
		if n < pruneBatch {
			ids = ids[1:]
		}
		if rows >= pruneBatch || n == pruneBatch || len(ids) == 0 {
			if err := p.remove(class, work, done); err != nil {
				return err
			}
			work, rows = nil, 0
		}
	}
	return nil
}

func (p *pruner) checkIDs() (ids []int64, err error) {
	err = queryRows(p.ctx, p.ledger.reader(), `SELECT id FROM checks ORDER BY id`, func(scan scanner) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

func (p *pruner) oldest(class string, id, limit int64) (n, last int64, err error) {
	query := `SELECT count(*), coalesce(max(tick), 0) FROM (SELECT r.tick FROM records r
WHERE r.check_id = $1 AND r.tick < $2 AND ` + class + ` ORDER BY r.tick LIMIT $3) oldest`
	err = queryRows(p.ctx, p.ledger.reader(), query, func(scan scanner) error { return scan(&n, &last) }, id, limit, pruneBatch)
	return n, last, err
}

func (p *pruner) remove(class string, work [][]any, done *int64) error {
	if len(work) == 0 {
		return nil
	}
	var removed int64
	err := p.ledger.store().write(p.ctx, func(tx transaction) error {
		err := tx.each(p.ctx, `DELETE FROM records AS r WHERE r.check_id = $1 AND r.tick < $2 AND `+class+` RETURNING 1`, work,
			func(int, scanner) error { removed++; return nil })
		if err != nil {
			return err
		}
		if err := tx.each(p.ctx, newestAfterPrune, work, nil); err != nil {
			return err
		}
		var end int64
		for _, list := range work {
			end = max(end, ceil(list[1].(int64), hour))
		}
		return one(p.ctx, tx, `UPDATE totals SET records = records - $1, copy_of = NULL,
pruned = CASE WHEN pruned < $2 THEN $2 ELSE pruned END`, nil, removed, end)
	})
	if err == nil {
		*done += removed
	}
	return err
}

// If a check was deleted long ago, its newest record is removed too.
var newestAfterPrune = `UPDATE checks SET last_tick = (` + strings.Replace(newestClosed, "tick, trigger", "tick", 1) + `),
last_trigger = (` + strings.Replace(newestClosed, "tick, trigger", "trigger", 1) + `) WHERE id = $1 AND last_tick < $2`

// excess removes the oldest days until no more than limit records are left.
func (p *pruner) excess(limit int64) error {
	oldest, err := p.oldestHour()
	if err != nil {
		return err
	}
	for _, class := range []struct {
		condition string
		done      *int64
	}{{passes, &p.done.Passes}, {failures, &p.done.Failures}} {
		for end := oldest + day; ; end += day {
			rows, err := p.number(`SELECT records FROM totals`)
			if err != nil || rows <= limit {
				return err
			}
			if err := p.records(class.condition, end, class.done); err != nil {
				return err
			}
			if end > p.now.UnixMicro() {
				break
			}
		}
	}
	return nil
}

// oldestHour returns the beginning of the hour of the oldest record, by one look at the key of each check.
func (p *pruner) oldestHour() (int64, error) {
	oldest, err := p.number(`SELECT coalesce(min((SELECT min(r.tick) FROM records r WHERE r.check_id = c.id)), 0) FROM checks c`)
	return floor(oldest, hour), err
}

// evidence removes the evidence that is older than limit.
func (p *pruner) evidence(limit int64) error {
	return p.slices(`SELECT coalesce(max(tick), 0) FROM (SELECT tick FROM evidence
WHERE tick < $1 ORDER BY tick LIMIT 100) oldest`, `DELETE FROM evidence WHERE tick <= $1 RETURNING 1`, limit, &p.done.Evidence)
}

// rollupLimit is the day from which the counts stay: as long as there may be rows.
func (p *pruner) rollupLimit() int64 {
	return floor(p.before(max(RollupsFor, p.keep.FailuresFor)), day)
}

// days subtracts the hours that will be removed from the day of checks that were deleted long ago.
func (p *pruner) days() error {
	return p.ledger.store().write(p.ctx, func(tx transaction) error {
		var ids []int64
		all := map[int64]*newest{}
		err := one(p.ctx, tx, `SELECT id, `+strings.Join(newestColumns, ", ")+` FROM checks WHERE day_since < $1`,
			func(scan scanner) error {
				var id int64
				var n newest
				err := n.scan(scan, &id)
				n.since, ids, all[id] = p.rollupLimit(), append(ids, id), &n
				return err
			}, p.rollupLimit())
		if err != nil {
			return err
		}
		if err := sumDays(p.ctx, tx, all, ids); err != nil {
			return err
		}
		return putNewest(p.ctx, tx, all, ids)
	})
}

// excessEvidence removes the oldest evidence until the rest takes no more than limit.
func (p *pruner) excessEvidence(limit int64) error {
	newest, err := p.number(`SELECT coalesce(max(tick), -1) FROM (SELECT tick, sum(length(content)) OVER (ORDER BY tick DESC) AS bytes
FROM evidence) sums WHERE bytes > $1`, limit)
	if err != nil {
		return err
	}
	return p.evidence(newest + 1)
}

// evidenceOfOldRuns removes the evidence of a check's runs, except the newest runs.
func (p *pruner) evidenceOfOldRuns(runs int) error {
	var checks []string
	err := queryRows(p.ctx, p.ledger.reader(), `SELECT DISTINCT check_uid FROM evidence`, func(scan scanner) error {
		var uid string
		err := scan(&uid)
		checks = append(checks, uid)
		return err
	})
	if err != nil {
		return err
	}
	for _, uid := range checks {
		limit, err := p.number(`SELECT coalesce(max(tick), 0) FROM (SELECT DISTINCT tick FROM evidence
WHERE check_uid = $1 ORDER BY tick DESC LIMIT 1 OFFSET $2) next`, uid, runs)
		if err != nil {
			return err
		}
		err = p.slices(`SELECT coalesce(max(tick), 0) FROM (SELECT tick FROM evidence
WHERE check_uid = $2 AND tick <= $1 ORDER BY tick LIMIT 100) oldest`,
			`DELETE FROM evidence WHERE check_uid = $2 AND tick <= $1 RETURNING 1`, limit, &p.done.Evidence, uid)
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pruner) rollups(table, column string, done *int64) error {
	limit := p.rollupLimit()
	return p.slices(`SELECT coalesce(min(`+column+`), 0) FROM `+table+` WHERE `+column+` < $1`,
		`DELETE FROM `+table+` WHERE `+column+` <= $1 RETURNING 1`, limit, done)
}

// slices removes rows up to a bound, and looks for the next bound, until there is none. Both statements get the further
// arguments after the bound.
func (p *pruner) slices(bound, remove string, limit int64, done *int64, further ...any) error {
	for {
		end, err := p.number(bound, append([]any{limit}, further...)...)
		if err != nil || end == 0 {
			return err
		}
		var removed int64
		err = p.ledger.store().write(p.ctx, func(tx transaction) error {
			return one(p.ctx, tx, remove, func(scanner) error { removed++; return nil }, append([]any{end}, further...)...)
		})
		if err != nil {
			return err
		}
		*done += removed
	}
}

// checks removes the checks without any record or count.
func (p *pruner) checks() error {
	var removed int64
	err := p.ledger.store().write(p.ctx, func(tx transaction) error {
		return one(p.ctx, tx, `DELETE FROM checks AS c WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.check_id = c.id)
AND NOT EXISTS (SELECT 1 FROM daily d WHERE d.check_id = c.id) RETURNING 1`,
			func(scanner) error { removed++; return nil })
	})
	if err == nil {
		p.done.Checks += removed
	}
	return err
}
