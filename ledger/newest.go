package ledger

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/khronicle/khronicle/check"
)

// newest is the part of a row of checks that describes its records. It holds the key of the newest closed record, and the
// counts of all hours from since on. It has no longest duration, because a maximum cannot be subtracted.
type newest struct {
	key    recordTime
	closed bool // there is a key
	since  int64
	day    tally
}

// recordTime is the part of a record's key that orders those of one check.
type recordTime struct{ tick, trigger int64 }

func (t recordTime) compare(other recordTime) int {
	return cmp.Or(cmp.Compare(t.tick, other.tick), cmp.Compare(t.trigger, other.trigger))
}

// newestColumns are the columns of newest, and newestFields where they are scanned.
var newestColumns = func() []string {
	list := []string{"last_tick", "last_trigger", "day_since"}
	for _, column := range tallyColumns[:durationMax] {
		list = append(list, "day_"+column)
	}
	return list
}()

func (n *newest) scan(scan scanner, before ...any) error {
	var tick, trigger *int64
	list := append(before, &tick, &trigger, &n.since)
	if err := scan(append(list, n.day.destinations()[:durationMax]...)...); err != nil {
		return err
	}
	if n.closed = tick != nil && trigger != nil; n.closed {
		n.key = recordTime{*tick, *trigger}
	}
	return nil
}

// windowBefore returns the full hour in which the day before a time begins.
func windowBefore(t int64) int64 { return max(0, floor(t-day, hour)) }

var (
	findCheck   = `SELECT id, ` + strings.Join(newestColumns, ", ") + ` FROM checks WHERE uid = $1`
	writeNewest = func() string {
		sets := make([]string, len(newestColumns))
		for i, column := range newestColumns {
			sets[i] = fmt.Sprintf("%s = $%d", column, i+2)
		}
		return `UPDATE checks SET ` + strings.Join(sets, ", ") + ` WHERE id = $1`
	}()
	// Hours are listed, because the hours of one check are not neighbours in the key of hourly.
	sumOfDay = func() string {
		hours := make([]string, day/hour+1)
		for i := range hours {
			hours[i] = fmt.Sprintf("$%d", i+2)
		}
		return `SELECT ` + sums("") + ` FROM hourly WHERE check_id = $1 AND hour IN (` + strings.Join(hours, ", ") + `)`
	}()
)

const newestClosed = `SELECT tick, trigger FROM records WHERE check_id = $1 AND outcome <> 0
ORDER BY tick DESC, trigger DESC LIMIT 1`

// keepNewest brings the rows of the batch's checks up to date, once the records and hours are written.
func (b *batch) keepNewest(ctx context.Context, tx transaction) error {
	changed := map[int64]*newest{}
	var order, reopened []int64
	for e := range b.changed() {
		if e.old.outcome == check.Unfinished && e.now.outcome == check.Unfinished {
			continue
		}
		n := b.newest[e.checkID]
		if changed[e.checkID] == nil {
			changed[e.checkID], order = n, append(order, e.checkID)
		}
		if n.count(e) {
			reopened = append(reopened, e.checkID)
		}
	}
	if err := findNewest(ctx, tx, changed, reopened); err != nil {
		return err
	}
	var moved []int64
	for _, id := range order {
		if n := changed[id]; n.closed && windowBefore(n.key.tick) > n.since {
			n.since, moved = windowBefore(n.key.tick), append(moved, id)
		}
	}
	if err := sumDays(ctx, tx, changed, moved); err != nil {
		return err
	}
	return putNewest(ctx, tx, changed, order)
}

// count adds a change of a record. It returns true when this was the newest closed record and is open now. Then another one
// must be found.
func (n *newest) count(e *entry) (reopened bool) {
	at := recordTime{e.record.Tick.UnixMicro(), int64(triggerIndex(e.record.Trigger))}
	if at.tick >= n.since {
		n.day.add(e.old, -1)
		n.day.add(e.now, 1)
	}
	if e.now.outcome == check.Unfinished {
		return n.closed && at == n.key
	}
	if !n.closed || at.compare(n.key) > 0 {
		n.key, n.closed = at, true
	}
	return false
}

// findNewest looks in the records for the newest closed ones of some checks.
func findNewest(ctx context.Context, tx transaction, all map[int64]*newest, ids []int64) error {
	lists := make([][]any, len(ids))
	for i, id := range ids {
		lists[i], all[id].closed = []any{id}, false
	}
	err := tx.each(ctx, newestClosed, lists, func(i int, scan scanner) error {
		n := all[ids[i]]
		n.closed = true
		return scan(&n.key.tick, &n.key.trigger)
	})
	if err != nil {
		return fmt.Errorf("find newest records: %w", err)
	}
	return nil
}

// sumDays counts the hours of some checks again. There are at most 25 hours from since on, because since follows the newest
// record.
func sumDays(ctx context.Context, tx transaction, all map[int64]*newest, ids []int64) error {
	lists := make([][]any, len(ids))
	for i, id := range ids {
		lists[i] = []any{id}
		for h := all[id].since; h <= all[id].since+day; h += hour {
			lists[i] = append(lists[i], h)
		}
	}
	err := tx.each(ctx, sumOfDay, lists, func(i int, scan scanner) error { return scan(all[ids[i]].day.destinations()...) })
	if err != nil {
		return fmt.Errorf("count the day: %w", err)
	}
	return nil
}

func putNewest(ctx context.Context, tx transaction, all map[int64]*newest, ids []int64) error {
	lists := make([][]any, len(ids))
	for i, id := range ids {
		n := all[id]
		lists[i] = []any{id, nil, nil, n.since}
		if n.closed {
			lists[i][1], lists[i][2] = n.key.tick, n.key.trigger
		}
		for _, count := range n.day[:durationMax] {
			lists[i] = append(lists[i], count)
		}
	}
	if err := tx.each(ctx, writeNewest, lists, nil); err != nil {
		return fmt.Errorf("store the newest records: %w", err)
	}
	return nil
}
