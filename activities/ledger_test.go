package activities_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// fakeLedger stores what it is sent, refuses it, or hangs.
type fakeLedger struct {
	mu     sync.Mutex
	refuse error
	// hang is true for a ledger that never answers: each call ends with its context.
	hang bool
	// room is how many calls of RecordTicks succeed before the ledger hangs. 0 means all.
	room            int
	begun, finished []ledger.Record
	ticks           [][]ledger.Record
	// rows are the records of ticks, by their tick.
	rows     map[time.Time]ledger.Record
	evidence []piece
	open     []ledger.Record
}

// answer is the ledger's answer to a call.
func (f *fakeLedger) answer(ctx context.Context) error {
	f.mu.Lock()
	hang, refuse := f.hang, f.refuse
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return refuse
}

func (f *fakeLedger) Begin(ctx context.Context, record ledger.Record) error {
	err := f.answer(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = append(f.begun, record)
	return err
}

func (f *fakeLedger) Finish(ctx context.Context, record ledger.Record) error {
	err := f.answer(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finished = append(f.finished, record)
	if err == nil {
		f.open = slices.DeleteFunc(f.open, func(r ledger.Record) bool { return r.Key == record.Key })
	}
	return err
}

func (f *fakeLedger) RecordTicks(ctx context.Context, records []ledger.Record) (added []ledger.Record, err error) {
	if err := f.answer(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room--; f.room == 0 {
		f.hang = true
	}
	f.ticks = append(f.ticks, slices.Clone(records))
	if f.rows == nil {
		f.rows = map[time.Time]ledger.Record{}
	}
	for _, record := range records {
		at := record.Tick.UTC()
		if _, there := f.rows[at]; !there {
			f.rows[at] = record
			added = append(added, record)
		}
	}
	return added, nil
}

// outcomes are the outcomes of the ticks in the ledger, by their ticks.
func (f *fakeLedger) outcomes() map[time.Time]check.Outcome {
	found := map[time.Time]check.Outcome{}
	for at, record := range f.rows {
		found[at] = record.Outcome
	}
	return found
}

func (f *fakeLedger) Last(ctx context.Context, _ string, _ check.Trigger, before time.Time) (last ledger.Record, ok bool, err error) {
	if err := f.answer(ctx); err != nil {
		return last, false, err
	}
	for at, record := range f.rows {
		if at.Before(before) && (!ok || at.After(last.Tick)) {
			last, ok = record, true
		}
	}
	return last, ok, nil
}

// LastOutcomes returns what was finished, the newest first.
func (f *fakeLedger) LastOutcomes(ctx context.Context, checkUID string, limit int) (found []ledger.Record, err error) {
	if err := f.answer(ctx); err != nil {
		return nil, err
	}
	for _, record := range slices.Backward(f.finished) {
		if record.CheckUID == checkUID {
			found = append(found, record)
		}
	}
	return found[:min(limit, len(found))], nil
}

func (f *fakeLedger) PutEvidence(ctx context.Context, key ledger.Key, e ledger.Evidence) error {
	if err := f.answer(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.evidence = append(f.evidence, piece{key, e})
	return nil
}

// OpenRuns lists the open records as package ledger does: by their keys, beginning with the first one greater than after.
func (f *fakeLedger) OpenRuns(ctx context.Context, before time.Time, after ledger.Key, limit int) (found []ledger.Record, err error) {
	if err := f.answer(ctx); err != nil {
		return nil, err
	}
	order := func(a, b ledger.Key) int {
		return cmp.Or(cmp.Compare(a.CheckUID, b.CheckUID), a.Tick.Compare(b.Tick))
	}
	for _, record := range f.open {
		if record.Deadline.Before(before) && (after == (ledger.Key{}) || order(record.Key, after) > 0) {
			found = append(found, record)
		}
	}
	slices.SortFunc(found, func(a, b ledger.Record) int { return order(a.Key, b.Key) })
	return found[:min(limit, len(found))], nil
}

func (f *fakeLedger) Ping(ctx context.Context) error { return f.answer(ctx) }
