package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
)

var (
	recordColumns = "c.uid, c.kind, c.namespace, c.name, r.tick, r.trigger, r.outcome, r.flaky, r.revision, r.attempts, r.infra_failures, r." +
		strings.Join(timeColumns, ", r.") +
		", w1.word, w2.word, w3.word, w4.word, r.queued, r.workflow_id, r.run_id, r.errors, r.notes"
	wordJoins = ` LEFT JOIN dictionary w1 ON w1.id = r.node LEFT JOIN dictionary w2 ON w2.id = r.image_digest
LEFT JOIN dictionary w3 ON w3.id = r.spec_hash LEFT JOIN dictionary w4 ON w4.id = r.worker_build`
	selectRecords = "SELECT " + recordColumns + " FROM records r JOIN checks c ON c.id = r.check_id" + wordJoins
)

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// queryRows calls found for every row.
func queryRows(ctx context.Context, q queryer, query string, found func(scanner) error, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, found)
}

// eachRow calls found for every row, and closes the rows.
func eachRow(rows *sql.Rows, found func(scanner) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := found(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func queryRecords(ctx context.Context, q queryer, query string, args ...any) ([]Record, error) {
	var records []Record
	err := queryRows(ctx, q, query, func(scan scanner) error {
		r, err := scanRecord(scan)
		records = append(records, r)
		return err
	}, args...)
	return records, err
}

// queryRecord returns the first of the records that a query finds.
func queryRecord(ctx context.Context, q queryer, query string, args ...any) (Record, bool, error) {
	records, err := queryRecords(ctx, q, query, args...)
	if err != nil || len(records) == 0 {
		return Record{}, false, err
	}
	return records[0], true, nil
}

func scanRecord(scan scanner) (Record, error) {
	var r Record
	var tick, trigger, outcome int64
	var afters [8]*int64
	var queued *int64
	var words [4]*string
	var workflowID, runID []byte
	var errs, notes *string
	list := []any{
		&r.CheckUID, &r.Kind, &r.Namespace, &r.Name, &tick, &trigger, &outcome, &r.Flaky, &r.Revision, &r.Attempts,
		&r.InfraFailures,
	}
	for i := range afters {
		list = append(list, &afters[i])
	}
	for i := range words {
		list = append(list, &words[i])
	}
	if err := scan(append(list, &queued, &workflowID, &runID, &errs, &notes)...); err != nil {
		return r, err
	}
	if queued != nil {
		r.Queued = time.Duration(*queued) * time.Microsecond
	}
	r.Tick = time.UnixMicro(tick).UTC()
	for i, t := range r.times() {
		if afters[i] != nil {
			*t = time.UnixMicro(tick + *afters[i]).UTC()
		}
	}
	for i, s := range []*string{&r.Node, &r.ImageDigest, &r.SpecHash, &r.WorkerBuild} {
		if words[i] != nil {
			*s = *words[i]
		}
	}
	r.WorkflowID, r.RunID = unpackID(workflowID), unpackID(runID)
	return r, r.unpack(trigger, outcome, errs, notes)
}

func (r *Record) unpack(trigger, outcome int64, errs, notes *string) (err error) {
	if trigger < 0 || trigger >= int64(len(triggers)) {
		return fmt.Errorf("unknown trigger %d in the database", trigger)
	}
	r.Trigger = triggers[trigger]
	if r.Outcome, err = outcomeOf(outcome); err != nil {
		return err
	}
	if r.Errors, err = unpackTexts(errs); err != nil {
		return err
	}
	r.Notes, err = unpackTexts(notes)
	return err
}

// checkIDs returns the rows of a check or job. There are several if it was deleted and created again under the same name.
func checkIDs(ctx context.Context, q queryer, ref check.Ref) (ids []int64, err error) {
	err = queryRows(ctx, q, `SELECT id FROM checks WHERE kind = $1 AND namespace = $2 AND name = $3`,
		func(scan scanner) error {
			var id int64
			err := scan(&id)
			ids = append(ids, id)
			return err
		}, string(ref.Kind), ref.Namespace, ref.Name)
	return ids, err
}

// LastRuns returns the newest records of a check or job, open ones too, the newest first. ref needs kind, namespace and
// name. Records of a deleted check of the same name are included.
func (l *Ledger) LastRuns(ctx context.Context, ref check.Ref, limit int) ([]Record, error) {
	db := l.reader()
	ids, err := checkIDs(ctx, db, ref)
	if err != nil {
		return nil, fmt.Errorf("last runs of %s: %w", ref, err)
	}
	var runs []Record
	for _, id := range ids {
		some, err := queryRecords(ctx, db,
			selectRecords+` WHERE r.check_id = $1 ORDER BY r.tick DESC, r.trigger DESC LIMIT $2`, id, max(0, limit))
		if err != nil {
			return nil, fmt.Errorf("last runs of %s: %w", ref, err)
		}
		runs = append(runs, some...)
	}
	slices.SortStableFunc(runs, func(a, b Record) int { return b.Tick.Compare(a.Tick) })
	return runs[:min(len(runs), max(0, limit))], nil
}

var selectNewest = selectRecords + ` WHERE r.check_id = $1 AND r.trigger = $2 AND r.tick < $3 ORDER BY r.tick DESC LIMIT 1`

// Last returns the newest record of a check with this trigger and a tick before another time. It may be open. ok is false
// if there is none. The query uses the key, and skips only records with other triggers.
func (l *Ledger) Last(ctx context.Context, checkUID string, trigger check.Trigger, before time.Time) (r Record, ok bool, err error) {
	var id int64
	db := l.reader()
	err = queryRows(ctx, db, `SELECT id FROM checks WHERE uid = $1`, func(scan scanner) error { return scan(&id) }, checkUID)
	if err == nil {
		r, ok, err = queryRecord(ctx, db, selectNewest, id, triggerIndex(trigger), ceilMicro(before))
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("last record of %s (%s): %w", checkUID, trigger, err)
	}
	return r, ok, nil
}

// LastOutcomes returns the newest closed records of runs of a check or job, the newest first. It leaves out cancelled runs
// and ticks without a run. There is no index for it: the records of the check are read from the newest on.
func (l *Ledger) LastOutcomes(ctx context.Context, checkUID string, limit int) ([]Record, error) {
	records, err := queryRecords(ctx, l.reader(),
		selectRecords+` WHERE c.uid = $1 AND r.outcome IN (1, 2, 3, 4) ORDER BY r.tick DESC, r.trigger DESC LIMIT $2`, checkUID, max(0, limit))
	if err != nil {
		return nil, fmt.Errorf("last outcomes of %s: %w", checkUID, err)
	}
	return records, nil
}

// ceilMicro returns the first whole microsecond not before t.
func ceilMicro(t time.Time) int64 {
	return t.Add(time.Microsecond - 1).UnixMicro()
}

// The index of the open records is small, so all of it is read.
const selectOpen = ` WHERE r.outcome = 0 AND r.tick + coalesce(r.deadline_after, 0) < $1 AND (c.uid, r.tick, r.trigger) > ($2, $3, $4)
ORDER BY c.uid, r.tick, r.trigger LIMIT $5`

// OpenRuns returns the records without an outcome whose deadline is before a time. A record without a deadline counts by
// its tick. The records are in the order of their keys, and begin with the first key that is greater than after. The zero
// Key is less than all others. At most limit are returned. For the next ones, pass the last key as after.
func (l *Ledger) OpenRuns(ctx context.Context, before time.Time, after Key, limit int) ([]Record, error) {
	runs, err := queryRecords(ctx, l.reader(), selectRecords+selectOpen,
		ceilMicro(before), after.CheckUID, after.Tick.UnixMicro(), triggerIndex(after.Trigger), max(0, limit))
	if err != nil {
		return nil, fmt.Errorf("open runs: %w", err)
	}
	return runs, nil
}

// Summary is one check or job in the overview.
type Summary struct {
	CheckUID string
	Ref      check.Ref
	// Last is its newest closed record, and nil where it has none.
	Last *Record
	// Day counts the records since the full hour 24 hours ago. Its DurationMax is not known, and 0.
	Day Counts
	// Running is how many records are open.
	Running int
}

// Overview returns every check and job that has records, by namespace, name and kind. The ledger does not know which of
// them still exist.
func (l *Ledger) Overview(ctx context.Context, now time.Time) ([]Summary, error) {
	tx, err := l.reader().BeginTx(ctx, l.store().snapshot())
	if err != nil {
		return nil, fmt.Errorf("overview: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	o := overview{tx: tx, summaries: map[int64]*Summary{}, newest: map[int64]*newest{}}
	for _, read := range []func() error{
		func() error { return o.readChecks(ctx) },
		func() error { return o.readLast(ctx) },
		func() error { return o.readDay(ctx, windowBefore(now.UnixMicro())) },
		func() error { return o.readRunning(ctx) },
	} {
		if err := read(); err != nil {
			return nil, fmt.Errorf("overview: %w", err)
		}
	}
	list := make([]Summary, 0, len(o.summaries))
	for _, s := range o.summaries {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Summary) int {
		return cmp.Or(
			cmp.Compare(a.Ref.Namespace, b.Ref.Namespace), cmp.Compare(a.Ref.Name, b.Ref.Name),
			cmp.Compare(a.Ref.Kind, b.Ref.Kind), cmp.Compare(a.CheckUID, b.CheckUID))
	})
	return list, nil
}
