package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The columns of accounts, in the order of columnsOf.
var (
	accountKey    = []string{"check_id", "nominal", "cause"}
	timeColumns   = []string{"due_after", "started_after", "pod_created_after", "running_after", "reported_after", "judged_after", "exited_after", "recorded_after"}
	wordColumns   = []string{"node", "image_digest", "spec_hash", "worker_build"}
	accountValues = slices.Concat(
		[]string{"outcome", "flaky", "revision", "attempts", "infra_failures"}, timeColumns, []string{"duration"}, wordColumns,
		[]string{"workflow_id", "run_id", "errors", "notes"})
)

func columnsOf(e *entry, wordID func(string) any) []any {
	a := &e.account
	list := []any{
		e.checkID, a.Nominal.UnixMicro(), causeOf(a.Trigger),
		slices.Index(outcomes, a.Outcome), flag(e.now.flaky), a.Revision, a.Attempts, a.InfraFailures,
	}
	for _, t := range a.times() {
		list = append(list, after(a.Nominal, *t))
	}
	if e.now.timed {
		list = append(list, e.now.duration)
	} else {
		list = append(list, nil)
	}
	for _, word := range wordsOf(a) {
		list = append(list, wordID(word))
	}
	return append(list, packID(a.WorkflowID), packID(a.RunID), packTexts(a.Errors), packTexts(a.Notes))
}

func wordsOf(a *Account) []string { return []string{a.Node, a.ImageDigest, a.SpecHash, a.WorkerBuild} }

func causeOf(t Trigger) int { return slices.Index(triggers, t) }

func outcomeOf(stored int64) (Outcome, error) {
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

func after(nominal, t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro() - nominal.UnixMicro()
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
