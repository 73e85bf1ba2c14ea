package ledger

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
)

// RecentRun is what a list of many checks shows of a record.
type RecentRun struct {
	Tick    time.Time
	Trigger check.Trigger
	// Outcome is check.Unfinished while the record is open.
	Outcome check.Outcome
	Flaky   bool
	// Duration is how long the run took. Timed is false where that is not known.
	Duration time.Duration
	Timed    bool
}

// recentChecks is for how many checks one statement asks. Each check has three arguments.
const recentChecks = 200

// Recent returns the newest records of each of some checks or jobs, open ones too, the newest first. The lists are in the
// order of refs, which need kind, namespace and name. Records of deleted checks of the same name are included. One statement
// reads 200 checks.
func (l *Ledger) Recent(ctx context.Context, refs []check.Ref, limit int) ([][]RecentRun, error) {
	all := make([][]RecentRun, 0, len(refs))
	if limit <= 0 {
		return make([][]RecentRun, len(refs)), nil
	}
	for some := range slices.Chunk(refs, recentChecks) {
		lists, err := l.recent(ctx, some, limit)
		if err != nil {
			return nil, fmt.Errorf("recent runs of %d checks: %w", len(refs), err)
		}
		all = append(all, lists...)
	}
	return all, nil
}

func (l *Ledger) recent(ctx context.Context, refs []check.Ref, limit int) ([][]RecentRun, error) {
	lists := make([][]RecentRun, len(refs))
	args := []any{limit - 1}
	for _, ref := range refs {
		args = append(args, string(ref.Kind), ref.Namespace, ref.Name)
	}
	err := queryRows(ctx, l.reader(), selectRecent(len(refs)), func(scan scanner) error {
		i, run, err := scanRecent(scan)
		if err == nil {
			lists[i] = append(lists[i], run)
		}
		return err
	}, args...)
	for i, list := range lists {
		slices.SortFunc(list, func(a, b RecentRun) int {
			return cmp.Or(b.Tick.Compare(a.Tick), cmp.Compare(triggerIndex(b.Trigger), triggerIndex(a.Trigger)))
		})
		lists[i] = list[:min(len(list), limit)]
	}
	return lists, err
}

// selectRecent returns the statement for a number of checks. It finds the tick of the last record of each list by the key, and
// reads from there on. CROSS JOIN tells SQLite to begin with the checks that are asked for.
func selectRecent(checks int) string {
	asked := make([]string, checks)
	for i := range asked {
		asked[i] = fmt.Sprintf("(%d, $%d, $%d, $%d)", i, 3*i+2, 3*i+3, 3*i+4)
	}
	return `WITH asked (number, kind, namespace, name) AS (VALUES ` + strings.Join(asked, ", ") + `)
SELECT a.number, r.tick, r.trigger, r.outcome, r.flaky, r.duration FROM asked a CROSS JOIN checks c CROSS JOIN records r
WHERE c.kind = a.kind AND c.namespace = a.namespace AND c.name = a.name AND r.check_id = c.id
AND r.tick >= coalesce((SELECT n.tick FROM records n WHERE n.check_id = c.id ORDER BY n.tick DESC, n.trigger DESC LIMIT 1 OFFSET $1), ` +
		fmt.Sprint(math.MinInt64+1) + `)`
}

func scanRecent(scan scanner) (i int, run RecentRun, err error) {
	var tick, trigger, outcome int64
	var took *int64
	if err := scan(&i, &tick, &trigger, &outcome, &run.Flaky, &took); err != nil {
		return 0, run, err
	}
	if trigger < 0 || trigger >= int64(len(triggers)) {
		return 0, run, fmt.Errorf("unknown trigger %d in the database", trigger)
	}
	run.Tick, run.Trigger = time.UnixMicro(tick).UTC(), triggers[trigger]
	if took != nil {
		run.Duration, run.Timed = time.Duration(*took)*time.Microsecond, true
	}
	run.Outcome, err = outcomeOf(outcome)
	return i, run, err
}
