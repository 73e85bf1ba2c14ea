package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// evidenceCommand shows the evidence of a run, whose pod may be deleted.
func evidenceCommand() *cobra.Command {
	c := defaultConfig()
	var runUUID, at, output string
	command := &cobra.Command{
		Use: "evidence NAMESPACE/NAME", Short: "Show the evidence of a failed run, from the ledger", Args: cobra.ExactArgs(1),
		Long: `Show the evidence of a run: of each failed attempt the pod's spec, status, events and logs, and the reports.
The command shows the newest run that failed, timed out or had a failed attempt. Choose another run by --run or --at.`,
		Example: "  khronicle evidence shop/checkout --ledger sqlite:.state/temporal/ledger.db\n  khronicle evidence shop/checkout --at 2026-11-23T02:00:00Z",
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output: %q is not text or json", output)
			}
			of, err := chooser(runUUID, at)
			if err != nil {
				return err
			}
			return showEvidence(cmd.Context(), c.ledger, args[0], of, output == "json", cmd.OutOrStdout())
		},
	}
	f := command.Flags()
	c.addLedgerFlag(f)
	f.StringVar(&runUUID, "run", "", "UUID of the run to show")
	f.StringVar(&at, "at", "", "show the newest run that was due at this time or before, such as 2026-11-23T02:00:00Z")
	f.StringVarP(&output, "output", "o", "text", "format of the output: text or json")
	command.MarkFlagsMutuallyExclusive("run", "at")
	return command
}

// choice finds one record of a check or job. The error of a check without such a record names it by what.
type choice struct {
	find func(ctx context.Context, records *ledger.Ledger, ref check.Ref) (ledger.Record, bool, error)
	what string
}

func chooser(runUUID, at string) (c choice, err error) {
	switch {
	case runUUID != "":
		return choice{func(ctx context.Context, records *ledger.Ledger, ref check.Ref) (ledger.Record, bool, error) {
			return records.RunOf(ctx, ref, strings.ToLower(runUUID))
		}, "run with that UUID"}, nil
	case at != "":
		tick, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return c, fmt.Errorf("--at: %q is not a time such as 2026-11-23T02:00:00Z", at)
		}
		if tick.Nanosecond() == 0 { // the command records shows times without the fraction of the second
			tick = tick.Add(time.Second - time.Microsecond)
		}
		return choice{func(ctx context.Context, records *ledger.Ledger, ref check.Ref) (ledger.Record, bool, error) {
			return records.RunAt(ctx, ref, tick)
		}, "run that was due then or before"}, nil
	}
	return choice{func(ctx context.Context, records *ledger.Ledger, ref check.Ref) (ledger.Record, bool, error) {
		return records.LastFault(ctx, ref)
	}, "run with a fault"}, nil
}

func showEvidence(ctx context.Context, dsn, arg string, of choice, asJSON bool, out io.Writer) error {
	refs, err := refsOf(arg)
	if err != nil {
		return err
	}
	opened, err := openToRead(ctx, dsn)
	if err != nil {
		return err
	}
	defer opened.Close()
	var record ledger.Record
	found := false
	for _, ref := range refs {
		a, ok, err := of.find(ctx, opened, ref)
		if err != nil {
			return err
		}
		if ok && (!found || a.Tick.After(record.Tick)) {
			record, found = a, true
		}
	}
	if !found {
		return fmt.Errorf("the ledger has no %s of a check or job %s", of.what, arg)
	}
	hideRun(&record)
	pieces, err := opened.Evidence(ctx, record.Key)
	if err != nil {
		return err
	}
	slices.SortStableFunc(pieces, func(a, b ledger.Evidence) int {
		return cmp.Compare(slices.Index(kindOrder, a.Kind), slices.Index(kindOrder, b.Kind))
	})
	if asJSON {
		return evidenceJSON(out, record, pieces)
	}
	evidenceText(out, record, pieces)
	return nil
}

// kindOrder is the order in which a person looks at evidence. Other kinds come first.
var kindOrder = []string{
	check.EvidenceStatus, check.EvidenceEvents, check.EvidenceLog, check.EvidenceReport,
	check.EvidenceFurther, check.EvidenceLate, check.EvidenceMissing, check.EvidenceSpec,
}

// shownPiece is a piece of evidence in JSON.
type shownPiece struct {
	Kind, Name string
	// Size is the number of bytes of the whole, of which Content may be a part.
	Size    int
	Content string
}

func evidenceJSON(out io.Writer, record ledger.Record, pieces []ledger.Evidence) error {
	shown := struct {
		Record   ledger.Record
		Evidence []shownPiece
	}{record, []shownPiece{}}
	for _, e := range pieces {
		shown.Evidence = append(shown.Evidence, shownPiece{e.Kind, e.Name, e.Size, e.Content})
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(shown)
}

func evidenceText(out io.Writer, a ledger.Record, pieces []ledger.Evidence) {
	fmt.Fprintf(out, "%s %s/%s, due %s (%s): %s\n", a.Kind, a.Namespace, a.Name, a.Tick.Format(time.RFC3339), a.Trigger, cmp.Or(string(a.Outcome), "running"))
	fmt.Fprintf(out, "run %s, node %s, attempts %d, took %s\n", cmp.Or(a.WorkflowID, "-"), cmp.Or(a.Node, "-"), a.Attempts, between(a.Started, a.Concluded))
	for _, text := range a.Errors {
		fmt.Fprintf(out, "error: %s\n", printable([]byte(text)))
	}
	for _, text := range a.Notes {
		fmt.Fprintf(out, "note: %s\n", printable([]byte(text)))
	}
	if len(pieces) == 0 {
		fmt.Fprintln(out, "\nThere is no evidence: the first attempt succeeded, or the run had no pod, or the evidence was pruned.")
	}
	for _, e := range pieces {
		fmt.Fprintf(out, "\n=== %s %s (%s)\n", e.Kind, printable([]byte(e.Name)), sizeOf(e))
		content := printable([]byte(e.Content))
		fmt.Fprint(out, content)
		if !strings.HasSuffix(content, "\n") {
			fmt.Fprintln(out)
		}
	}
}

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

// printable escapes the characters that a terminal would obey or hide, such as \x1b and \u202e.
func printable(content []byte) string {
	var text strings.Builder
	for len(content) > 0 {
		r, n := utf8.DecodeRune(content)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&text, `\x%02x`, content[0])
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			text.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			text.WriteString(quoted[1 : len(quoted)-1])
		}
		content = content[n:]
	}
	return text.String()
}
