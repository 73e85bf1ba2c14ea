package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// batch is a group of requests that are stored in one transaction, in few round trips. It reads the rows of all keys,
// decides in memory, and writes the rows that change.
type batch struct {
	requests   []*request
	dictionary map[string]int64 // IDs of words; the batch does not change it
	added      map[string]int64 // IDs of further words, which are valid once the transaction is committed

	entries []*entry // one for each key of the batch, in the order of their first change
	byKey   map[Key]*entry
	newest  map[int64]*newest // of each check in the batch, by its ID
}

// entry is one key in the batch.
type entry struct {
	record   Record // the record to write; until that is decided, the first record of the key, for its names
	checkID  int64
	old, now row
	changed  bool
}

func newBatch(dictionary map[string]int64, requests []*request) *batch {
	b := &batch{requests: requests, dictionary: dictionary, added: map[string]int64{}, byKey: map[Key]*entry{}, newest: map[int64]*newest{}}
	for _, r := range requests {
		for _, c := range r.changes {
			if b.byKey[c.record.Key] == nil {
				e := &entry{record: c.record}
				b.entries = append(b.entries, e)
				b.byKey[c.record.Key] = e
			}
		}
	}
	return b
}

func (b *batch) write(ctx context.Context, tx transaction) error {
	steps := []func(context.Context, transaction) error{
		b.findChecks, b.load, b.decide, b.addWords, b.putRecords, b.rollUp, b.keepNewest, b.putEvidence, b.count,
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
	// Not joined with checks: PostgreSQL would choose its plan while the table is small, and later read the whole table
	// each time.
	loadRow = `SELECT outcome, flaky, revision, workflow_id, duration FROM records
WHERE check_id = $1 AND tick = $2 AND trigger = $3`
)

// findChecks finds the ID of the check of every entry. It reads the ID each time: a check that was pruned gets another one.
func (b *batch) findChecks(ctx context.Context, tx transaction) error {
	ids := map[string]int64{}
	var firsts []Record
	for _, e := range b.entries {
		if _, listed := ids[e.record.CheckUID]; !listed {
			ids[e.record.CheckUID] = 0
			firsts = append(firsts, e.record)
		}
	}
	for _, step := range []struct {
		statement string
		columns   func(Record) []any
		scan      func(n *newest, scan scanner, id *int64) error
	}{
		{
			findCheck, func(r Record) []any { return []any{r.CheckUID} },
			func(n *newest, scan scanner, id *int64) error { return n.scan(scan, id) },
		},
		{
			addCheck, func(r Record) []any { return []any{r.CheckUID, string(r.Kind), r.Namespace, r.Name} },
			func(_ *newest, scan scanner, id *int64) error { return scan(id) },
		},
	} {
		missing := slices.DeleteFunc(slices.Clone(firsts), func(r Record) bool { return ids[r.CheckUID] != 0 })
		lists := make([][]any, 0, len(missing))
		for _, r := range missing {
			lists = append(lists, step.columns(r))
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
		e.checkID = ids[e.record.CheckUID]
	}
	return nil
}

func (b *batch) load(ctx context.Context, tx transaction) error {
	keys := make([][]any, 0, len(b.entries))
	for _, e := range b.entries {
		keys = append(keys, []any{e.checkID, e.record.Tick.UnixMicro(), triggerIndex(e.record.Trigger)})
	}
	err := tx.each(ctx, loadRow, keys, func(i int, scan scanner) (err error) {
		b.entries[i].old, err = scanRow(scan)
		return err
	})
	if err != nil {
		return fmt.Errorf("load records: %w", err)
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

func (b *batch) decide(context.Context, transaction) error {
	for _, e := range b.entries {
		e.now = e.old
	}
	for _, r := range b.requests {
		r.refusal, r.added = nil, nil
		for _, c := range r.changes {
			e := b.byKey[c.record.Key]
			replace, refusal := merge(e.now, c)
			if refusal != nil {
				r.refusal = refusal
			}
			if !replace {
				continue
			}
			if c.intent == tick {
				r.added = append(r.added, c.record)
			}
			e.record, e.now, e.changed = c.record, rowOf(c.record), true
		}
	}
	return nil
}

const (
	findWord = `SELECT id FROM dictionary WHERE word = $1`
	addWord  = `INSERT INTO dictionary (word) VALUES ($1) RETURNING id`
)

func (b *batch) addWords(ctx context.Context, tx transaction) error {
	for _, statement := range []string{findWord, addWord} {
		var missing []string
		for e := range b.changed() {
			for _, word := range wordsOf(&e.record) {
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
			b.added[missing[i]] = id
			return err
		})
		if err != nil {
			return fmt.Errorf("add words: %w", err)
		}
	}
	return nil
}

// wordID returns the ID of a word as an argument of a statement: nil is NULL.
func (b *batch) wordID(word string) any {
	if id, ok := b.dictionary[word]; ok {
		return id
	}
	if id, ok := b.added[word]; ok {
		return id
	}
	return nil
}

func (b *batch) changed() func(func(*entry) bool) {
	return func(yield func(*entry) bool) {
		for _, e := range b.entries {
			if e.changed && !yield(e) {
				return
			}
		}
	}
}

var putRecord = upsert("records", recordKey, recordValues, func(column string) string { return "excluded." + column })

func (b *batch) putRecords(ctx context.Context, tx transaction) error {
	var lists [][]any
	for e := range b.changed() {
		lists = append(lists, columnsOf(e, b.wordID))
	}
	if err := tx.each(ctx, putRecord, lists, nil); err != nil {
		return fmt.Errorf("put records: %w", err)
	}
	return nil
}

// count stores the number of records, and that this ledger is no copy of another one any more. A batch without requests commits nothing else.
func (b *batch) count(ctx context.Context, tx transaction) error {
	var added int64
	for e := range b.changed() {
		if !e.old.exists {
			added++
		}
	}
	if added == 0 && len(b.entries) > 0 {
		return nil
	}
	return one(ctx, tx, `UPDATE totals SET records = records + $1, copy_of = NULL`, nil, added)
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
