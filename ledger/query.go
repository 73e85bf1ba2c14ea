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
	accountColumns = "c.uid, c.kind, c.namespace, c.name, a.nominal, a.cause, a.outcome, a.flaky, a.revision, a.attempts, a.infra_failures, a." +
		strings.Join(timeColumns, ", a.") +
		", w1.word, w2.word, w3.word, w4.word, a.workflow_id, a.run_id, a.errors, a.notes"
	wordJoins = ` LEFT JOIN words w1 ON w1.id = a.node LEFT JOIN words w2 ON w2.id = a.image_digest
LEFT JOIN words w3 ON w3.id = a.spec_hash LEFT JOIN words w4 ON w4.id = a.worker_build`
	selectAccounts = "SELECT " + accountColumns + " FROM accounts a JOIN checks c ON c.id = a.check_id" + wordJoins
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
	defer rows.Close()
	for rows.Next() {
		if err := found(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func queryAccounts(ctx context.Context, q queryer, query string, args ...any) ([]Account, error) {
	var accounts []Account
	err := queryRows(ctx, q, query, func(scan scanner) error {
		a, err := scanAccount(scan)
		accounts = append(accounts, a)
		return err
	}, args...)
	return accounts, err
}

// queryAccount returns the first of the accounts that a query finds.
func queryAccount(ctx context.Context, q queryer, query string, args ...any) (Account, bool, error) {
	accounts, err := queryAccounts(ctx, q, query, args...)
	if err != nil || len(accounts) == 0 {
		return Account{}, false, err
	}
	return accounts[0], true, nil
}

func scanAccount(scan scanner) (Account, error) {
	var a Account
	var nominal, cause, outcome int64
	var afters [8]*int64
	var words [4]*string
	var workflowID, runID []byte
	var errs, notes *string
	list := []any{
		&a.CheckUID, &a.Kind, &a.Namespace, &a.Name, &nominal, &cause, &outcome, &a.Flaky, &a.Revision, &a.Attempts,
		&a.InfraFailures,
	}
	for i := range afters {
		list = append(list, &afters[i])
	}
	for i := range words {
		list = append(list, &words[i])
	}
	if err := scan(append(list, &workflowID, &runID, &errs, &notes)...); err != nil {
		return a, err
	}
	a.Nominal = time.UnixMicro(nominal).UTC()
	for i, t := range a.times() {
		if afters[i] != nil {
			*t = time.UnixMicro(nominal + *afters[i]).UTC()
		}
	}
	for i, s := range []*string{&a.Node, &a.ImageDigest, &a.SpecHash, &a.WorkerBuild} {
		if words[i] != nil {
			*s = *words[i]
		}
	}
	a.WorkflowID, a.RunID = unpackID(workflowID), unpackID(runID)
	return a, a.unpack(cause, outcome, errs, notes)
}

func (a *Account) unpack(cause, outcome int64, errs, notes *string) (err error) {
	if cause < 0 || cause >= int64(len(triggers)) {
		return fmt.Errorf("unknown trigger %d in the database", cause)
	}
	a.Trigger = triggers[cause]
	if a.Outcome, err = outcomeOf(outcome); err != nil {
		return err
	}
	if a.Errors, err = unpackTexts(errs); err != nil {
		return err
	}
	a.Notes, err = unpackTexts(notes)
	return err
}

// checkIDs returns the rows of a check or job: more than one where it was deleted and made again under the same name.
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

// LastRuns returns the newest accounts of the check or job with the kind, namespace and name of ref, the newest first and
// open ones among them. Those of a deleted one that had the same name are included.
func (l *Ledger) LastRuns(ctx context.Context, ref check.Ref, limit int) ([]Account, error) {
	db := l.store.reader()
	ids, err := checkIDs(ctx, db, ref)
	if err != nil {
		return nil, fmt.Errorf("last runs of %s: %w", ref, err)
	}
	var runs []Account
	for _, id := range ids {
		some, err := queryAccounts(ctx, db,
			selectAccounts+` WHERE a.check_id = $1 ORDER BY a.nominal DESC, a.cause DESC LIMIT $2`, id, max(0, limit))
		if err != nil {
			return nil, fmt.Errorf("last runs of %s: %w", ref, err)
		}
		runs = append(runs, some...)
	}
	slices.SortStableFunc(runs, func(a, b Account) int { return b.Nominal.Compare(a.Nominal) })
	return runs[:min(len(runs), max(0, limit))], nil
}

var (
	selectNewest    = selectAccounts + ` WHERE a.check_id = $1 AND a.cause = $2 AND a.nominal < $3 ORDER BY a.nominal DESC LIMIT 1`
	selectNewestRun = selectAccounts + ` WHERE a.check_id = $1 AND a.cause = $2 AND a.nominal < $3 AND length(a.workflow_id) > 0
ORDER BY a.nominal DESC LIMIT 1`
)

// Last returns the newest account of a check with a trigger and a nominal time before another, closed or open; ok is false where
// it has none. It looks at one place of the check's part of the key, behind which only its accounts with other triggers lie.
func (l *Ledger) Last(ctx context.Context, checkUID string, trigger Trigger, before time.Time) (a Account, ok bool, err error) {
	return l.last(ctx, selectNewest, checkUID, trigger, before)
}

// LastRun is Last, but for ticks at which no run started: it passes over those.
func (l *Ledger) LastRun(ctx context.Context, checkUID string, trigger Trigger, before time.Time) (a Account, ok bool, err error) {
	return l.last(ctx, selectNewestRun, checkUID, trigger, before)
}

func (l *Ledger) last(ctx context.Context, query, checkUID string, trigger Trigger, before time.Time) (a Account, ok bool, err error) {
	var id int64
	db := l.store.reader()
	err = queryRows(ctx, db, `SELECT id FROM checks WHERE uid = $1`, func(scan scanner) error { return scan(&id) }, checkUID)
	if err == nil {
		a, ok, err = queryAccount(ctx, db, query, id, causeOf(trigger), ceilMicro(before))
	}
	if err != nil {
		return Account{}, false, fmt.Errorf("last account of %s (%s): %w", checkUID, trigger, err)
	}
	return a, ok, nil
}

// ceilMicro returns the first whole microsecond not before t.
func ceilMicro(t time.Time) int64 {
	return t.Add(time.Microsecond - 1).UnixMicro()
}

// OpenRuns returns the accounts without an outcome, the oldest first.
func (l *Ledger) OpenRuns(ctx context.Context) ([]Account, error) {
	runs, err := queryAccounts(ctx, l.store.reader(), selectAccounts+` WHERE a.outcome = 0`)
	if err != nil {
		return nil, fmt.Errorf("open runs: %w", err)
	}
	slices.SortStableFunc(runs, func(a, b Account) int { return a.Nominal.Compare(b.Nominal) })
	return runs, nil
}

// Summary is one check or job in the overview.
type Summary struct {
	CheckUID string
	Ref      check.Ref
	// Last is its newest closed account, and nil where it has none.
	Last *Account
	// Day counts the accounts since the full hour that is 24 hours ago. Its DurationMax is not known, and 0.
	Day Counts
	// Running is how many accounts are open.
	Running int
}

// Overview returns every check and job that has accounts, by namespace, name and kind, as of now. Which of them still
// exist, the ledger does not know.
func (l *Ledger) Overview(ctx context.Context, now time.Time) ([]Summary, error) {
	tx, err := l.store.reader().BeginTx(ctx, l.store.snapshot())
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
