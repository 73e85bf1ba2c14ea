package ledger

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// The newest closed account of a check is found at the end of its part of the primary key, whatever lies before. CROSS JOIN
// tells SQLite to begin with the checks; without it, it reads all accounts.
const newest = `(SELECT m.%s FROM accounts m WHERE m.check_id = c.id AND m.outcome <> 0
ORDER BY m.nominal DESC, m.cause DESC LIMIT 1)`

var selectLast = "SELECT c.id, " + accountColumns + " FROM checks c CROSS JOIN accounts a" + wordJoins +
	" WHERE a.check_id = c.id AND a.nominal = " + strings.ReplaceAll(newest, "%s", "nominal") +
	" AND a.cause = " + strings.ReplaceAll(newest, "%s", "cause")

func readLast(ctx context.Context, q queryer, summaries map[int64]*Summary) error {
	err := queryRows(ctx, q, `SELECT id, uid, kind, namespace, name FROM checks`, func(scan scanner) error {
		var id int64
		var uid, kind string
		var s Summary
		err := scan(&id, &uid, &kind, &s.Ref.Namespace, &s.Ref.Name)
		s.CheckUID, s.Ref.Kind, s.Ref.UID = uid, khv1.KHWorkload(kind), types.UID(uid)
		summaries[id] = &s
		return err
	})
	if err != nil {
		return err
	}
	return queryRows(ctx, q, selectLast, func(scan scanner) error {
		var id int64
		a, err := scanAccount(func(rest ...any) error { return scan(append([]any{&id}, rest...)...) })
		if s := summaries[id]; err == nil && s != nil {
			s.Last = &a
		}
		return err
	})
}

func readDay(ctx context.Context, q queryer, summaries map[int64]*Summary, from int64) error {
	return queryRows(ctx, q, "SELECT check_id, "+sums("")+" FROM hourly WHERE hour >= $1 GROUP BY check_id",
		func(scan scanner) error {
			var id int64
			var t tally
			err := scan(append([]any{&id}, t.destinations()...)...)
			if s := summaries[id]; s != nil {
				s.Day = t.counts()
			}
			return err
		}, from)
}

func readRunning(ctx context.Context, q queryer, summaries map[int64]*Summary) error {
	return queryRows(ctx, q, `SELECT check_id, count(*) FROM accounts WHERE outcome = 0 GROUP BY check_id`,
		func(scan scanner) error {
			var id int64
			var n int
			err := scan(&id, &n)
			if s := summaries[id]; s != nil {
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
