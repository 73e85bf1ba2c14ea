package ledger

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
)

// RunsQuery chooses records of one check or job. The zero value chooses all.
type RunsQuery struct {
	// Since and Until bound the ticks: not before Since, and before Until. The zero time is no bound.
	Since, Until time.Time
	// Outcomes are the outcomes to find. Empty means all. check.Unfinished finds records that are open.
	Outcomes []check.Outcome
	// WithEvidence is true to find only records with evidence.
	WithEvidence bool
	// After is the last record of the page before: only older records follow it. Its CheckUID does not matter. The zero Key
	// begins with the newest record.
	After Key
	// Limit is the most records to return. 0 or less returns none.
	Limit int
}

// Runs returns the records of a check or job, the newest first. ref needs kind, namespace and name. Records of a deleted
// check of the same name are included. With outcomes that are rare, many records are read to find few.
func (l *Ledger) Runs(ctx context.Context, ref check.Ref, q RunsQuery) ([]Record, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	db := l.reader()
	ids, err := checkIDs(ctx, db, ref)
	if err != nil {
		return nil, fmt.Errorf("runs of %s: %w", ref, err)
	}
	condition, args, err := q.condition()
	if err != nil {
		return nil, fmt.Errorf("runs of %s: %w", ref, err)
	}
	var runs []Record
	for _, id := range ids {
		some, err := queryRecords(ctx, db, selectRecords+condition, append([]any{id}, args...)...)
		if err != nil {
			return nil, fmt.Errorf("runs of %s: %w", ref, err)
		}
		runs = append(runs, some...)
	}
	slices.SortStableFunc(runs, func(a, b Record) int {
		return cmp.Or(b.Tick.Compare(a.Tick), cmp.Compare(triggerIndex(b.Trigger), triggerIndex(a.Trigger)))
	})
	return runs[:min(len(runs), q.Limit)], nil
}

// ofEvidence is the condition of a record with evidence. A check has many records, and few of them have any.
const ofEvidence = ` AND (r.tick, r.trigger) IN (SELECT e.tick, e.trigger FROM evidence e
WHERE e.check_uid = (SELECT uid FROM checks WHERE id = $1))`

// condition returns the end of the statement, and its arguments from $2 on. $1 is the ID of the check.
func (q RunsQuery) condition() (text string, args []any, err error) {
	from, until, trigger := int64(math.MinInt64), int64(math.MaxInt64), len(triggers)
	if !q.Since.IsZero() {
		from = ceilMicro(q.Since)
	}
	if !q.Until.IsZero() {
		until = ceilMicro(q.Until)
	}
	last := int64(math.MaxInt64)
	if !q.After.Tick.IsZero() {
		if last, trigger = q.After.Tick.UnixMicro(), triggerIndex(q.After.Trigger); trigger < 0 {
			return "", nil, fmt.Errorf("%w: trigger %q", ErrInvalid, q.After.Trigger)
		}
	}
	numbers := make([]string, len(q.Outcomes))
	for i, outcome := range q.Outcomes {
		n := slices.Index(outcomes, outcome)
		if n < 0 {
			return "", nil, fmt.Errorf("%w: outcome %q", ErrInvalid, outcome)
		}
		numbers[i] = strconv.Itoa(n)
	}
	text = ` WHERE r.check_id = $1 AND r.tick >= $2 AND r.tick < $3 AND r.tick <= $4 AND (r.tick < $4 OR r.trigger < $5)`
	if len(numbers) > 0 {
		text += ` AND r.outcome IN (` + strings.Join(numbers, ", ") + `)`
	}
	if q.WithEvidence {
		text += ofEvidence
	}
	return text + ` ORDER BY r.tick DESC, r.trigger DESC LIMIT $6`, []any{from, until, last, trigger, q.Limit}, nil
}

// RunOfTick returns the record of a check or job with this tick and trigger. Records of a deleted check of the same name
// count too.
func (l *Ledger) RunOfTick(ctx context.Context, ref check.Ref, tick time.Time, trigger check.Trigger) (r Record, ok bool, err error) {
	n := triggerIndex(trigger)
	if n < 0 {
		return Record{}, false, nil
	}
	return l.newest(ctx, ref, `r.tick = $2 AND r.trigger = $3`, tick.UnixMicro(), n)
}
