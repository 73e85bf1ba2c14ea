package ledger

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// overview reads the overview from one snapshot of the database.
type overview struct {
	tx        queryer
	summaries map[int64]*Summary // by the ID of the check
	newest    map[int64]*newest
}

var (
	selectChecks = `SELECT id, uid, kind, namespace, name, ` + strings.Join(newestColumns, ", ") + ` FROM checks`
	// CROSS JOIN tells SQLite to begin with the checks.
	selectLast = `SELECT c.id, ` + recordColumns + ` FROM checks c CROSS JOIN records r` + wordJoins +
		` WHERE r.check_id = c.id AND r.tick = c.last_tick AND r.trigger = c.last_trigger`
	selectHours = `SELECT c.id, h.` + strings.Join(tallyColumns, ", h.") + ` FROM checks c CROSS JOIN hourly h
WHERE c.day_since = $1 AND h.check_id = c.id AND h.hour IN (`
)

func (o *overview) readChecks(ctx context.Context) error {
	return queryRows(ctx, o.tx, selectChecks, func(scan scanner) error {
		var id int64
		var uid, kind string
		var s Summary
		var n newest
		err := n.scan(scan, &id, &uid, &kind, &s.Ref.Namespace, &s.Ref.Name)
		s.CheckUID, s.Ref.Kind, s.Ref.UID = uid, khv1.KHWorkload(kind), types.UID(uid)
		o.summaries[id], o.newest[id] = &s, &n
		return err
	})
}

func (o *overview) readLast(ctx context.Context) error {
	return queryRows(ctx, o.tx, selectLast, func(scan scanner) error {
		var id int64
		a, err := scanRecord(func(rest ...any) error { return scan(append([]any{&id}, rest...)...) })
		if s := o.summaries[id]; err == nil && s != nil {
			s.Last = &a
		}
		return err
	})
}

// readDay subtracts the cached hours before from. Usually there are none. Just after an hour has begun there is one, and
// there are never more than 24. If a cached count begins after from, all checks are counted from the hours.
func (o *overview) readDay(ctx context.Context, from int64) error {
	lags := map[int64]bool{} // the beginnings of the counts that have hours to subtract
	for _, n := range o.newest {
		switch {
		case n.since > from:
			return o.sumDay(ctx, from)
		case n.since+day < from:
			n.day = tally{}
		case n.since < from:
			lags[n.since] = true
		}
	}
	for since := range lags {
		if err := o.takeHours(ctx, since, from); err != nil {
			return err
		}
	}
	for id, n := range o.newest {
		o.summaries[id].Day = n.day.counts()
	}
	return nil
}

func (o *overview) takeHours(ctx context.Context, since, from int64) error {
	args, marks := []any{since}, []string{}
	for h := since; h < from; h += hour {
		args = append(args, h)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	return queryRows(ctx, o.tx, selectHours+strings.Join(marks, ", ")+")", func(scan scanner) error {
		var id int64
		var t tally
		err := scan(append([]any{&id}, t.destinations()...)...)
		if n := o.newest[id]; n != nil {
			for i := range durationMax {
				n.day[i] -= t[i]
			}
		}
		return err
	}, args...)
}

func (o *overview) sumDay(ctx context.Context, from int64) error {
	return queryRows(ctx, o.tx, "SELECT check_id, "+sums("")+" FROM hourly WHERE hour >= $1 GROUP BY check_id",
		func(scan scanner) error {
			var id int64
			var t tally
			err := scan(append([]any{&id}, t.destinations()...)...)
			if s := o.summaries[id]; s != nil {
				t[durationMax] = 0
				s.Day = t.counts()
			}
			return err
		}, from)
}

func (o *overview) readRunning(ctx context.Context) error {
	return queryRows(ctx, o.tx, `SELECT check_id, count(*) FROM records WHERE outcome = 0 GROUP BY check_id`,
		func(scan scanner) error {
			var id int64
			var n int
			err := scan(&id, &n)
			if s := o.summaries[id]; s != nil {
				s.Running = n
			}
			return err
		})
}

// sums returns the columns that add up roll-ups; PostgreSQL's sum of a BIGINT is no BIGINT.
func sums(prefix string) string {
	list := make([]string, len(tallyColumns))
	for i, column := range tallyColumns {
		function := "sum"
		if i == durationMax {
			function = "max"
		}
		list[i] = "CAST(coalesce(" + function + "(" + prefix + column + "), 0) AS BIGINT) AS " + column
	}
	return strings.Join(list, ", ")
}
