package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/view"
)

// EvidenceReader is the part of the ledger that the command evidence reads.
type EvidenceReader interface {
	RunOf(ctx context.Context, ref check.Ref, workflowID string) (ledger.Record, bool, error)
	RunAt(ctx context.Context, ref check.Ref, at time.Time) (ledger.Record, bool, error)
	LastFault(ctx context.Context, ref check.Ref) (ledger.Record, bool, error)
	Evidence(ctx context.Context, key ledger.Key) ([]ledger.Evidence, error)
}

// Choice finds the run whose evidence is shown.
type Choice struct {
	find func(ctx context.Context, records EvidenceReader, ref check.Ref) (ledger.Record, bool, error)
	// what names such a run in the error of a check that has none.
	what string
}

// ChooseRun returns the choice of the flags --run and --at, of which at most one is set. Without them it is the newest run
// that failed, timed out or had a failed attempt.
func ChooseRun(runUUID, at string) (Choice, error) {
	switch {
	case runUUID != "":
		return Choice{func(ctx context.Context, records EvidenceReader, ref check.Ref) (ledger.Record, bool, error) {
			return records.RunOf(ctx, ref, strings.ToLower(runUUID))
		}, "run with that UUID"}, nil
	case at != "":
		tick, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return Choice{}, fmt.Errorf("--at: %q is not a time such as 2026-11-23T02:00:00Z", at)
		}
		if tick.Nanosecond() == 0 { // the command records shows times without the fraction of the second
			tick = tick.Add(time.Second - time.Microsecond)
		}
		return Choice{func(ctx context.Context, records EvidenceReader, ref check.Ref) (ledger.Record, bool, error) {
			return records.RunAt(ctx, ref, tick)
		}, "run with a tick then or before"}, nil
	}
	return Choice{func(ctx context.Context, records EvidenceReader, ref check.Ref) (ledger.Record, bool, error) {
		return records.LastFault(ctx, ref)
	}, "run with a fault"}, nil
}

// of returns the newest such run of the check and the job NAMESPACE/NAME.
func (c Choice) of(ctx context.Context, records EvidenceReader, name string) (newest ledger.Record, err error) {
	refs, err := refsOf(name)
	if err != nil {
		return newest, err
	}
	found := false
	for _, ref := range refs {
		record, ok, err := c.find(ctx, records, ref)
		if err != nil {
			return newest, err
		}
		if ok && (!found || record.Tick.After(newest.Tick)) {
			newest, found = record, true
		}
	}
	if !found {
		return newest, fmt.Errorf("the ledger has no %s of a check or job %s", c.what, name)
	}
	return newest, nil
}

// ShowEvidence writes the record and the evidence of a run of the check or job NAMESPACE/NAME.
func ShowEvidence(ctx context.Context, records EvidenceReader, name string, choice Choice, format Format, out io.Writer) error {
	record, err := choice.of(ctx, records, name)
	if err != nil {
		return err
	}
	record = view.Hidden(record)
	pieces, err := records.Evidence(ctx, record.Key)
	if err != nil {
		return err
	}
	view.SortEvidence(pieces)
	if format == JSON {
		return evidenceJSON(out, record, pieces)
	}
	evidenceText(out, record, pieces)
	return nil
}

// shownPiece is a piece of evidence in JSON.
type shownPiece struct {
	Kind, Name string
	// Size is the number of bytes of the whole, of which Content may be a part.
	Size    int
	Content string
}

// evidenceJSON writes a record and its evidence as JSON.
func evidenceJSON(out io.Writer, record ledger.Record, pieces []ledger.Evidence) error {
	shown := struct {
		Record   ledger.Record
		Evidence []shownPiece
	}{record, []shownPiece{}}
	for _, e := range pieces {
		shown.Evidence = append(shown.Evidence, shownPiece{e.Kind, e.Name, e.Size, e.Content})
	}
	return writeJSON(out, shown)
}

// evidenceText writes a record and its evidence for a person.
func evidenceText(out io.Writer, a ledger.Record, pieces []ledger.Evidence) {
	fmt.Fprintf(out, "%s %s/%s, tick %s (%s): %s\n", a.Kind, a.Namespace, a.Name, a.Tick.Format(time.RFC3339), a.Trigger, cmp.Or(string(a.Outcome), "running"))
	fmt.Fprintf(out, "run %s, node %s, attempts %d, took %s\n", cmp.Or(a.WorkflowID, "-"), cmp.Or(a.Node, "-"), a.Attempts, between(a.Started, a.Concluded))
	for _, text := range a.Errors {
		fmt.Fprintf(out, "error: %s\n", Printable([]byte(text)))
	}
	for _, text := range a.Notes {
		fmt.Fprintf(out, "note: %s\n", Printable([]byte(text)))
	}
	if len(pieces) == 0 {
		fmt.Fprintln(out, "\nThere is no evidence: the first attempt succeeded, or the run had no pod, or the evidence was pruned.")
	}
	for _, e := range pieces {
		fmt.Fprintf(out, "\n=== %s %s (%s)\n", e.Kind, Printable([]byte(e.Name)), sizeOf(e))
		content := Printable([]byte(e.Content))
		fmt.Fprint(out, content)
		if !strings.HasSuffix(content, "\n") {
			fmt.Fprintln(out)
		}
	}
}

// sizeOf returns the size of a piece in words, and whether the content is a part of it.
func sizeOf(e ledger.Evidence) string {
	if e.Size <= len(e.Content) {
		return fmt.Sprintf("%d bytes", len(e.Content))
	}
	part := "a part"
	if e.Kind == check.EvidenceLog {
		part = "the end"
	}
	return fmt.Sprintf("%s: %d of at least %d bytes", part, len(e.Content), e.Size)
}
