package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// book brings a batch of requests into the database, in few round trips: it reads the rows of all keys, decides in memory
// and writes what has changed.
type book struct {
	requests []*request
	known    map[string]int64 // IDs of words; not written to
	learned  map[string]int64 // those that count once the transaction is committed

	entries []*entry // one for each key of the batch, in the order of their first change
	byKey   map[Key]*entry
	newest  map[int64]*newest // of each check in the batch, by its ID
}

// entry is one account in the batch.
type entry struct {
	account  Account // the newest, where it is to be written; before that the first, for its names
	checkID  int64
	old, now row
	changed  bool
}

func newBook(known map[string]int64, requests []*request) *book {
	b := &book{requests: requests, known: known, learned: map[string]int64{}, byKey: map[Key]*entry{}, newest: map[int64]*newest{}}
	for _, r := range requests {
		for _, c := range r.changes {
			if b.byKey[c.account.Key] == nil {
				e := &entry{account: c.account}
				b.entries = append(b.entries, e)
				b.byKey[c.account.Key] = e
			}
		}
	}
	return b
}

func (b *book) write(ctx context.Context, tx transaction) error {
	steps := []func(context.Context, transaction) error{
		b.findChecks, b.load, b.decide, b.learnWords, b.putAccounts, b.rollUp, b.keepNewest, b.putEvidence, b.count,
	}
	for _, step := range steps {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

const (
	addCheck = `INSERT INTO checks (uid, kind, namespace, name) VALUES ($1, $2, $3, $4) RETURNING id`
	// Not joined with checks: PostgreSQL would choose its plan while the table is small, and read all of it ever after.
	loadRow = `SELECT outcome, flaky, revision, workflow_id, duration FROM accounts
WHERE check_id = $1 AND nominal = $2 AND cause = $3`
)

// findChecks gives every entry the ID of its check. None is remembered: one that is pruned comes back with another.
func (b *book) findChecks(ctx context.Context, tx transaction) error {
	ids := map[string]int64{}
	var firsts []Account
	for _, e := range b.entries {
		if _, listed := ids[e.account.CheckUID]; !listed {
			ids[e.account.CheckUID] = 0
			firsts = append(firsts, e.account)
		}
	}
	for _, step := range []struct {
		statement string
		columns   func(Account) []any
		scan      func(n *newest, scan scanner, id *int64) error
	}{
		{
			findCheck, func(a Account) []any { return []any{a.CheckUID} },
			func(n *newest, scan scanner, id *int64) error { return n.scan(scan, id) },
		},
		{
			addCheck, func(a Account) []any { return []any{a.CheckUID, string(a.Kind), a.Namespace, a.Name} },
			func(_ *newest, scan scanner, id *int64) error { return scan(id) },
		},
	} {
		missing := slices.DeleteFunc(slices.Clone(firsts), func(a Account) bool { return ids[a.CheckUID] != 0 })
		lists := make([][]any, 0, len(missing))
		for _, a := range missing {
			lists = append(lists, step.columns(a))
		}
		err := tx.each(ctx, step.statement, lists, func(i int, scan scanner) error {
			var id int64
			n := &newest{}
			err := step.scan(n, scan, &id)
			ids[missing[i].CheckUID], b.newest[id] = id, n
			return err
		})
		if err != nil {
			return fmt.Errorf("find checks: %w", err)
		}
	}
	for _, e := range b.entries {
		e.checkID = ids[e.account.CheckUID]
	}
	return nil
}

func (b *book) load(ctx context.Context, tx transaction) error {
	keys := make([][]any, 0, len(b.entries))
	for _, e := range b.entries {
		keys = append(keys, []any{e.checkID, e.account.Nominal.UnixMicro(), causeOf(e.account.Trigger)})
	}
	err := tx.each(ctx, loadRow, keys, func(i int, scan scanner) (err error) {
		b.entries[i].old, err = scanRow(scan)
		return err
	})
	if err != nil {
		return fmt.Errorf("load accounts: %w", err)
	}
	return nil
}

func scanRow(scan scanner) (row, error) {
	var outcome, flaky, revision int64
	var duration *int64
	var workflowID []byte
	if err := scan(&outcome, &flaky, &revision, &workflowID, &duration); err != nil {
		return row{}, err
	}
	r := row{
		exists: true, flaky: flaky != 0, revision: int(revision), workflowID: unpackID(workflowID), timed: duration != nil,
	}
	if duration != nil {
		r.duration = *duration
	}
	var err error
	r.outcome, err = outcomeOf(outcome)
	return r, err
}

func (b *book) decide(context.Context, transaction) error {
	for _, e := range b.entries {
		e.now = e.old
	}
	for _, r := range b.requests {
		r.refusal, r.standing = nil, nil
		for _, c := range r.changes {
			e := b.byKey[c.account.Key]
			replace, refusal := merge(e.now, c)
			if refusal != nil {
				r.refusal = refusal
			}
			if replace {
				e.account, e.now, e.changed = c.account, rowOf(c.account), true
			}
			if c.intent == tick && e.now.workflowID == "" && e.now.outcome == c.account.Outcome {
				r.standing = append(r.standing, c.account)
			}
		}
	}
	return nil
}

const (
	findWord = `SELECT id FROM words WHERE word = $1`
	addWord  = `INSERT INTO words (word) VALUES ($1) RETURNING id`
)

func (b *book) learnWords(ctx context.Context, tx transaction) error {
	for _, statement := range []string{findWord, addWord} {
		var missing []string
		for e := range b.changed() {
			for _, word := range wordsOf(&e.account) {
				if b.wordID(word) == nil && word != "" && !slices.Contains(missing, word) {
					missing = append(missing, word)
				}
			}
		}
		lists := make([][]any, 0, len(missing))
		for _, word := range missing {
			lists = append(lists, []any{word})
		}
		err := tx.each(ctx, statement, lists, func(i int, scan scanner) error {
			var id int64
			err := scan(&id)
			b.learned[missing[i]] = id
			return err
		})
		if err != nil {
			return fmt.Errorf("learn words: %w", err)
		}
	}
	return nil
}

// wordID returns the ID of a word as an argument of a statement: nil is NULL.
func (b *book) wordID(word string) any {
	if id, ok := b.known[word]; ok {
		return id
	}
	if id, ok := b.learned[word]; ok {
		return id
	}
	return nil
}

func (b *book) changed() func(func(*entry) bool) {
	return func(yield func(*entry) bool) {
		for _, e := range b.entries {
			if e.changed && !yield(e) {
				return
			}
		}
	}
}

var putAccount = upsert("accounts", accountKey, accountValues, func(column string) string { return "excluded." + column })

func (b *book) putAccounts(ctx context.Context, tx transaction) error {
	var lists [][]any
	for e := range b.changed() {
		lists = append(lists, columnsOf(e, b.wordID))
	}
	if err := tx.each(ctx, putAccount, lists, nil); err != nil {
		return fmt.Errorf("put accounts: %w", err)
	}
	return nil
}

// count keeps the number of accounts. It is also what a ping commits.
func (b *book) count(ctx context.Context, tx transaction) error {
	var added int64
	for e := range b.changed() {
		if !e.old.exists {
			added++
		}
	}
	if added == 0 && len(b.entries) > 0 {
		return nil
	}
	return one(ctx, tx, `UPDATE totals SET accounts = accounts + $1`, nil, added)
}

// upsert returns a statement that inserts a row, or sets its values where the key has one.
func upsert(table string, key, values []string, set func(column string) string) string {
	columns := slices.Concat(key, values)
	marks := make([]string, len(columns))
	for i := range columns {
		marks[i] = fmt.Sprintf("$%d", i+1)
	}
	sets := make([]string, len(values))
	for i, column := range values {
		sets[i] = column + " = " + set(column)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (%s) DO UPDATE SET %s",
		table, strings.Join(columns, ", "), strings.Join(marks, ", "), strings.Join(key, ", "), strings.Join(sets, ", "))
}
