package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/khronicle/khronicle/check"
)

// The columns of records, in the order of columnsOf.
var (
	recordKey    = []string{"check_id", "tick", "trigger"}
	timeColumns  = []string{"deadline_after", "started_after", "pod_created_after", "running_after", "reported_after", "concluded_after", "exited_after", "recorded_after"}
	wordColumns  = []string{"node", "image_digest", "spec_hash", "worker_build"}
	recordValues = slices.Concat(
		[]string{"outcome", "flaky", "revision", "attempts", "infra_failures"}, timeColumns, []string{"queued", "duration"}, wordColumns,
		[]string{"workflow_id", "run_id", "errors", "notes"})
)

func columnsOf(e *entry, wordID func(string) any) []any {
	r := &e.record
	list := []any{
		e.checkID, r.Tick.UnixMicro(), triggerIndex(r.Trigger),
		slices.Index(outcomes, r.Outcome), flag(e.now.flaky), r.Revision, r.Attempts, r.InfraFailures,
	}
	for _, t := range r.times() {
		list = append(list, after(r.Tick, *t))
	}
	list = append(list, orNull(r.Queued.Microseconds(), r.Queued > 0), orNull(e.now.duration, e.now.timed))
	for _, word := range wordsOf(r) {
		list = append(list, wordID(word))
	}
	return append(list, packID(r.WorkflowID), packID(r.RunID), packTexts(r.Errors), packTexts(r.Notes))
}

// wordsOf returns the texts of a record that are stored in the dictionary.
func wordsOf(r *Record) []string { return []string{r.Node, r.ImageDigest, r.SpecHash, r.WorkerBuild} }

func triggerIndex(t check.Trigger) int { return slices.Index(triggers, t) }

func outcomeOf(stored int64) (check.Outcome, error) {
	if stored < 0 || stored >= int64(len(outcomes)) {
		return "", fmt.Errorf("unknown outcome %d in the database", stored)
	}
	return outcomes[stored], nil
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// orNull returns a number as an argument of a statement; nil is NULL.
func orNull(n int64, known bool) any {
	if !known {
		return nil
	}
	return n
}

func after(tick, t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro() - tick.UnixMicro()
}

// packID stores a UUID in 17 bytes instead of 36, and any other text as it is. The first byte says which.
func packID(id string) []byte {
	if id == "" {
		return nil
	}
	if parsed, err := uuid.Parse(id); err == nil && parsed.String() == id {
		return append([]byte{1}, parsed[:]...)
	}
	return append([]byte{0}, id...)
}

func unpackID(packed []byte) string {
	if len(packed) == 0 {
		return ""
	}
	if parsed, err := uuid.FromBytes(packed[1:]); packed[0] == 1 && err == nil {
		return parsed.String()
	}
	return string(packed[1:])
}

func packTexts(texts []string) any {
	if len(texts) == 0 {
		return nil
	}
	packed, err := json.Marshal(texts)
	if err != nil { // strings cannot fail
		panic(err)
	}
	return string(packed)
}

func unpackTexts(packed *string) (texts []string, err error) {
	if packed == nil {
		return nil, nil
	}
	err = json.Unmarshal([]byte(*packed), &texts)
	return texts, err
}
