package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// recordsCommand shows the records of the ledger.
func recordsCommand() *cobra.Command {
	c := defaultConfig()
	var limit int
	var output string
	command := &cobra.Command{
		Use: "records [NAMESPACE/NAME]", Short: "Show the outcome of each tick and run, from the ledger", Args: cobra.MaximumNArgs(1),
		Example: "  khronicle records --ledger sqlite:.state/temporal/ledger.db\n  khronicle records shop/checkout --limit 50",
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output: %q is not text or json", output)
			}
			if limit < 1 {
				return fmt.Errorf("--limit: %d is less than 1", limit)
			}
			return showRecords(cmd.Context(), c.ledger, args, limit, output == "json", cmd.OutOrStdout())
		},
	}
	f := command.Flags()
	c.addLedgerFlag(f)
	f.IntVar(&limit, "limit", 50, "how many records of a check to show, the newest first")
	f.StringVarP(&output, "output", "o", "text", "format of the output: text or json")
	return command
}

func showRecords(ctx context.Context, dsn string, args []string, limit int, asJSON bool, out io.Writer) error {
	opened, err := openToRead(ctx, dsn)
	if err != nil {
		return err
	}
	defer opened.Close()
	if len(args) == 0 {
		summaries, err := opened.Overview(ctx, time.Now())
		if err != nil {
			return err
		}
		return show(out, asJSON, summaries, summaryTable)
	}
	refs, err := refsOf(args[0])
	if err != nil {
		return err
	}
	var records []ledger.Record
	for _, ref := range refs {
		found, err := opened.LastRuns(ctx, ref, limit)
		if err != nil {
			return err
		}
		now := time.Now()
		counts, err := opened.Uptime(ctx, ref, now.AddDate(0, 0, -30), now)
		if err != nil {
			return err
		}
		if uptime, known := counts.Uptime(); known && !asJSON {
			fmt.Fprintf(out, "%s %s: %.1f %% of %d runs in 30 days succeeded\n", ref.Kind, ref, 100*uptime, counts.Known())
		}
		records = append(records, found...)
	}
	if len(records) == 0 && !asJSON {
		return fmt.Errorf("the ledger has no record of a check or job %s", args[0])
	}
	for i := range records {
		hideRun(&records[i])
	}
	return show(out, asJSON, records, recordTable)
}

// hideRun removes the run UUID of a run in flight: it could be used to report.
func hideRun(r *ledger.Record) {
	if r.Outcome == check.Unfinished {
		r.WorkflowID = ""
	}
}

// openToRead opens a ledger that exists, and does not change it.
func openToRead(ctx context.Context, dsn string) (*ledger.Ledger, error) {
	if dsn == "" {
		return nil, errors.New("--ledger: is empty; name the ledger, such as sqlite:.state/temporal/ledger.db [KHRONICLE_LEDGER]")
	}
	opened, err := ledger.OpenToRead(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("--ledger: %w", err)
	}
	return opened, nil
}

// refsOf returns the check and the job that NAMESPACE/NAME may mean.
func refsOf(arg string) ([]check.Ref, error) {
	namespace, name, ok := strings.Cut(arg, "/")
	if !ok {
		return nil, fmt.Errorf("%q is not NAMESPACE/NAME", arg)
	}
	return []check.Ref{
		{Kind: khv1.KHCheck, Namespace: namespace, Name: name}, {Kind: khv1.KHJob, Namespace: namespace, Name: name},
	}, nil
}

// show writes a list as JSON, or as a table.
func show[T any](out io.Writer, asJSON bool, found []T, table func(io.Writer, []T)) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(append([]T{}, found...))
	}
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	table(columns, found)
	return columns.Flush()
}

func summaryTable(out io.Writer, summaries []ledger.Summary) {
	fmt.Fprintln(out, "CHECK\tLAST TICK\tOUTCOME\tRUNNING\t24H: OK\tFAILED\tTIMED OUT\tINFRA\tSKIPPED\tMISSED")
	for _, s := range summaries {
		tick, outcome := "-", "-"
		if s.Last != nil {
			tick, outcome = s.Last.Tick.Format(time.RFC3339), string(s.Last.Outcome)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", s.Ref, tick, outcome, s.Running,
			s.Day.Succeeded, s.Day.Failed, s.Day.TimedOut, s.Day.InfraFailed, s.Day.Skipped, s.Day.Missed)
	}
}

func recordTable(out io.Writer, records []ledger.Record) {
	fmt.Fprintln(out, "TICK\tTRIGGER\tOUTCOME\tLATE\tQUEUED\tTOOK\tATTEMPTS\tNODE\tERROR")
	for _, a := range records {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", a.Tick.Format(time.RFC3339), a.Trigger, outcomeText(a),
			between(a.Tick, a.Started), queuedText(a.Queued), between(a.Started, a.Concluded), a.Attempts, cmp.Or(a.Node, "-"), firstLine(a.Errors))
	}
}

// outcomeText is the outcome in words, with the number of attempts where there was more than one.
func outcomeText(r ledger.Record) string {
	if r.Outcome == check.Unfinished {
		return "running"
	}
	var details []string
	if r.Flaky {
		details = append(details, "flaky")
	}
	if r.Attempts > 1 {
		details = append(details, fmt.Sprintf("%d attempts", r.Attempts))
	}
	if r.Attempts > 1 && r.InfraFailures > 0 {
		details = append(details, fmt.Sprintf("infrastructure failures: %d", r.InfraFailures))
	}
	if len(details) == 0 {
		return string(r.Outcome)
	}
	return fmt.Sprintf("%s (%s)", r.Outcome, strings.Join(details, ", "))
}

func between(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	return to.Sub(from).Round(time.Millisecond).String()
}

func queuedText(queued time.Duration) string {
	if queued == 0 {
		return "-"
	}
	return queued.Round(time.Millisecond).String()
}

func firstLine(texts []string) string {
	if len(texts) == 0 {
		return "-"
	}
	line, _, _ := strings.Cut(texts[0], "\n")
	return printable([]byte(strings.ReplaceAll(line, "\t", " ")))
}
