package verb

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/external/apiclient"
)

const evidenceLong = `Show the evidence of a run: of each attempt that did not succeed the pod's spec, status, events and logs, and the reports.
Without --run and --at it is the newest run with evidence. Characters that a terminal would obey are escaped. JSON has them as they are.`

// evidence shows what is stored of a run whose pod may be deleted.
type evidence struct {
	*source
	run, at string
	format  string
}

func evidenceCommand(ledgers Ledgers) *cobra.Command {
	e := &evidence{source: newSource(ledgers)}
	command := &cobra.Command{
		Use: "evidence CHECK", Short: "Show logs, events and pod of a run that failed", Long: evidenceLong, Args: cobra.ExactArgs(1),
		Example: `  khronicle evidence shop/checkout
  khronicle evidence shop/checkout --at 2026-11-23T02:00:00Z -o json
  khronicle evidence shop/checkout --ledger sqlite:.state/temporal/ledger.db`,
		ValidArgsFunction: e.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := e.read(cmd, args[0], time.Now())
			if err != nil {
				return err
			}
			if e.format == "text" {
				return writeEvidence(cmd.OutOrStdout(), found)
			}
			return (&output{e.format}).print(cmd.OutOrStdout(), list{value: found})
		},
	}
	e.addFlags(command)
	f := command.Flags()
	f.StringVar(&e.run, "run", "", "run to show: its run UUID, or its ID as history lists it")
	f.StringVar(&e.at, "at", "", "show the newest run that was scheduled at this time or before: a time such as 2026-11-23T02:00:00Z, or how long ago, such as 24h")
	f.StringVarP(&e.format, "output", "o", "text", "text, json, yaml or jsonpath=TEMPLATE")
	command.MarkFlagsMutuallyExclusive("run", "at")
	completeFlag(command, "output", "text", "json", "yaml", "jsonpath=")
	return command
}

// read returns the run that the flags choose, with its evidence.
func (e *evidence) read(cmd *cobra.Command, arg string, now time.Time) (found apiclient.Evidence, err error) {
	if e.format != "text" {
		if err := validDocument(e.format); err != nil {
			return found, err
		}
	}
	at, err := timeOf("--at", e.at, now)
	if err != nil {
		return found, err
	}
	if cmd.Flags().Changed("run") && e.run == "" {
		return found, usagef("--run: is empty")
	}
	name, err := e.ref(arg)
	if err != nil {
		return found, err
	}
	client, err := e.connect(cmd)
	if err != nil {
		return found, err
	}
	defer e.close()
	if e.run == "" {
		return evidenceAt(cmd.Context(), client, name, at)
	}
	return apiclient.Decode[apiclient.Evidence](client.GetEvidence(cmd.Context(), name.namespace, name.name, e.run, nil))
}

// validDocument returns an error for a format that is not one of a single object.
func validDocument(format string) error {
	if format == "json" || format == "yaml" || strings.HasPrefix(format, "jsonpath=") {
		return (&output{format}).validate()
	}
	return usagef("--output: %q is not text, json, yaml or jsonpath=TEMPLATE", format)
}

// evidenceAt returns the newest run that was not scheduled after a time. Without a time it is the newest run with evidence.
func evidenceAt(ctx context.Context, client *apiclient.Client, name ref, at *time.Time) (found apiclient.Evidence, err error) {
	params, what := apiclient.ListRunsParams{Limit: new(1), Evidence: new(true)}, "with evidence, which is stored in a ledger of runs that did not succeed at once"
	if at != nil {
		params.Evidence, params.Until, what = nil, new(after(*at)), "that was scheduled then or before"
	}
	newest, err := apiclient.Decode[apiclient.RunList](client.ListRuns(ctx, name.namespace, name.name, &params))
	if err != nil {
		return found, err
	}
	if len(newest.Items) == 0 {
		return found, fmt.Errorf("there is no run of %s %s", name, what)
	}
	run := newest.Items[0]
	return apiclient.Decode[apiclient.Evidence](client.GetEvidence(ctx, name.namespace, name.name, run.ID, &apiclient.GetEvidenceParams{Kind: &run.Kind}))
}

// after returns the first time that is not meant by another one. Tables show times without the fraction of the second.
func after(at time.Time) time.Time {
	if at.Nanosecond() == 0 {
		return at.Add(time.Second)
	}
	return at.Add(time.Microsecond)
}

// writeEvidence writes a run and its evidence for a person.
func writeEvidence(out io.Writer, e apiclient.Evidence) error {
	var text strings.Builder
	r := e.Run
	fmt.Fprintf(&text, "%s %s/%s, scheduled %s (%s): %s\n", r.Kind, r.Namespace, r.Name, r.ScheduledAt.UTC().Format(time.RFC3339), r.Trigger, outcomeText(r))
	fmt.Fprintf(&text, "run %s, node %s, attempts %d, took %s\n", nameOfRun(r), orDash(r.Node), r.Attempts, seconds(r.DurationSeconds))
	for _, line := range r.Errors {
		fmt.Fprintf(&text, "error: %s\n", line)
	}
	for _, line := range r.Notes {
		fmt.Fprintf(&text, "note: %s\n", line)
	}
	for _, c := range e.Containers {
		fmt.Fprintf(&text, "container %s of attempt %d: %s\n", c.Name, c.Attempt, stateOf(c))
	}
	if len(e.Pieces) == 0 {
		fmt.Fprintln(&text, "\nThere is no evidence: the first attempt succeeded, there was no pod, the evidence was pruned, or there is no ledger.")
	}
	for _, piece := range e.Pieces {
		fmt.Fprintf(&text, "\n=== %s (%s)\n%s\n", titleOf(piece), sizeOf(piece), strings.TrimSuffix(piece.Content, "\n"))
	}
	_, err := io.WriteString(out, printable(text.String()))
	return err
}

// nameOfRun returns the run UUID, or the ID of a run that has none.
func nameOfRun(r apiclient.Run) string {
	if r.UUID != nil {
		return *r.UUID
	}
	return r.ID
}

// stateOf says what became of a container.
func stateOf(c apiclient.Container) string {
	text := c.State
	if c.ExitCode != nil {
		text += ", exit code " + strconv.Itoa(int(*c.ExitCode))
	}
	if c.Reason != nil {
		text += ", " + *c.Reason
	}
	if c.Message != nil {
		text += ": " + *c.Message
	}
	return text
}

// titleOf returns the kind of a piece, and its attempt and container.
func titleOf(p apiclient.Piece) string {
	title := p.Kind
	if p.Attempt != nil {
		title += " " + strconv.Itoa(*p.Attempt)
	}
	if p.Container != nil {
		title += "/" + *p.Container
	}
	return title
}

// sizeOf returns the size of a piece in words, and whether the content is a part of it.
func sizeOf(p apiclient.Piece) string {
	if !p.Cut {
		return fmt.Sprintf("%d bytes", len(p.Content))
	}
	part := "a part"
	if p.Kind == kindLog {
		part = "the end"
	}
	return fmt.Sprintf("%s: %d of at least %d bytes", part, len(p.Content), p.Size)
}

// kindLog is the kind of a piece that is a log.
const kindLog = "log"
