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
}

// entry is one account in the batch.
type entry struct {
	account  Account // the newest, where it is to be written; before that the first, for its names
	checkID  int64
	old, now row
	changed  bool
}

func newBook(known map[string]int64, requests []*request) *book {
	b := &book{requests: requests, known: known, learned: map[string]int64{}, byKey: map[Key]*entry{}}
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
		b.load, b.addChecks, b.decide, b.learnWords, b.putAccounts, b.rollUp, b.putEvidence, b.count,
	}
	for _, step := range steps {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

const loadRow = `SELECT c.id, a.outcome, a.flaky, a.revision, a.workflow_id, a.duration FROM checks c
LEFT JOIN accounts a ON a.check_id = c.id AND a.nominal = $2 AND a.cause = $3 WHERE c.uid = $1`

func (b *book) load(ctx context.Context, tx transaction) error {
	keys := make([][]any, 0, len(b.entries))
	for _, e := range b.entries {
		keys = append(keys, []any{e.account.CheckUID, e.account.Nominal.UnixMicro(), causeOf(e.account.Trigger)})
	}
	return tx.each(ctx, loadRow, keys, func(i int, scan scanner) error {
		e := b.entries[i]
		var outcome, flaky, revision, duration *int64
		var workflowID []byte
		if err := scan(&e.checkID, &outcome, &flaky, &revision, &workflowID, &duration); err != nil {
			return fmt.Errorf("load accounts: %w", err)
		}
		if outcome == nil {
			return nil
		}
		e.old = row{
			exists: true, flaky: *flaky != 0, revision: int(*revision), workflowID: unpackID(workflowID), timed: duration != nil,
		}
		if duration != nil {
			e.old.duration = *duration
		}
		var err error
		e.old.outcome, err = outcomeOf(*outcome)
		return err
	})
}

const addCheck = `INSERT INTO checks (uid, kind, namespace, name) VALUES ($1, $2, $3, $4) RETURNING id`

func (b *book) addChecks(ctx context.Context, tx transaction) error {
	ids := map[string]int64{}
	var uids []string
	var lists [][]any
	for _, e := range b.entries {
		a := e.account
		if _, listed := ids[a.CheckUID]; e.checkID == 0 && !listed {
			ids[a.CheckUID] = 0
			uids = append(uids, a.CheckUID)
			lists = append(lists, []any{a.CheckUID, string(a.Kind), a.Namespace, a.Name})
		}
	}
	err := tx.each(ctx, addCheck, lists, func(i int, scan scanner) error {
		var id int64
		err := scan(&id)
		ids[uids[i]] = id
		return err
	})
	if err != nil {
		return fmt.Errorf("add checks: %w", err)
	}
	for _, e := range b.entries {
		if e.checkID == 0 {
			e.checkID = ids[e.account.CheckUID]
		}
	}
	return nil
}

func (b *book) decide(context.Context, transaction) error {
	for _, e := range b.entries {
		e.now = e.old
	}
	for _, r := range b.requests {
		r.refusal = nil
		for _, c := range r.changes {
			e := b.byKey[c.account.Key]
			replace, refusal := merge(e.now, c)
			if refusal != nil {
				r.refusal = refusal
			}
			if replace {
				e.account, e.now, e.changed = c.account, rowOf(c.account), true
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
