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

// accountsCommand shows what the ledger has.
func accountsCommand() *cobra.Command {
	c := defaultConfig()
	var limit int
	var output string
	command := &cobra.Command{
		Use: "accounts [NAMESPACE/NAME]", Short: "Show what became of each due run, from the ledger", Args: cobra.MaximumNArgs(1),
		Example: "  khronicle accounts --ledger sqlite:.state/temporal/ledger.db\n  khronicle accounts shop/checkout --limit 50",
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output: %q is not text or json", output)
			}
			if limit < 1 {
				return fmt.Errorf("--limit: %d is less than 1", limit)
			}
			return showAccounts(cmd.Context(), c.ledger, args, limit, output == "json", cmd.OutOrStdout())
		},
	}
	f := command.Flags()
	c.addLedgerFlag(f)
	f.IntVar(&limit, "limit", 50, "how many accounts of a check are shown, the newest first")
	f.StringVarP(&output, "output", "o", "text", "text or json")
	return command
}

func showAccounts(ctx context.Context, dsn string, args []string, limit int, asJSON bool, out io.Writer) error {
	kept, err := openToRead(ctx, dsn)
	if err != nil {
		return err
	}
	defer kept.Close()
	if len(args) == 0 {
		summaries, err := kept.Overview(ctx, time.Now())
		if err != nil {
			return err
		}
		return show(out, asJSON, summaries, summaryTable)
	}
	refs, err := refsOf(args[0])
	if err != nil {
		return err
	}
	var accounts []ledger.Account
	for _, ref := range refs {
		found, err := kept.LastRuns(ctx, ref, limit)
		if err != nil {
			return err
		}
		now := time.Now()
		counts, err := kept.Uptime(ctx, ref, now.AddDate(0, 0, -30), now)
		if err != nil {
			return err
		}
		if uptime, known := counts.Uptime(); known && !asJSON {
			fmt.Fprintf(out, "%s %s: %.1f %% of %d runs in 30 days succeeded\n", ref.Kind, ref, 100*uptime, counts.Known())
		}
		accounts = append(accounts, found...)
	}
	if len(accounts) == 0 && !asJSON {
		return fmt.Errorf("the ledger has no account of a check or job %s", args[0])
	}
	for i := range accounts {
		hideRun(&accounts[i])
	}
	return show(out, asJSON, accounts, accountTable)
}

// hideRun takes the run UUID of a run in flight away: it could be used to report.
func hideRun(a *ledger.Account) {
	if a.Outcome == ledger.Unfinished {
		a.WorkflowID = ""
	}
}

// openToRead opens a ledger that is there, and leaves it as it is.
func openToRead(ctx context.Context, dsn string) (*ledger.Ledger, error) {
	if dsn == "" {
		return nil, errors.New("--ledger: is empty; name the ledger, such as sqlite:.state/temporal/ledger.db [KHRONICLE_LEDGER]")
	}
	kept, err := ledger.OpenToRead(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("--ledger: %w", err)
	}
	return kept, nil
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

// show writes what was found as JSON, or as a table.
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
	fmt.Fprintln(out, "CHECK\tLAST DUE\tOUTCOME\tRUNNING\t24H: OK\tFAILED\tTIMED OUT\tINFRA\tSKIPPED\tMISSED")
	for _, s := range summaries {
		due, outcome := "-", "-"
		if s.Last != nil {
			due, outcome = s.Last.Nominal.Format(time.RFC3339), string(s.Last.Outcome)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", s.Ref, due, outcome, s.Running,
			s.Day.Succeeded, s.Day.Failed, s.Day.TimedOut, s.Day.InfraFailed, s.Day.Skipped, s.Day.Missed)
	}
}

func accountTable(out io.Writer, accounts []ledger.Account) {
	fmt.Fprintln(out, "DUE\tTRIGGER\tOUTCOME\tLATE\tTOOK\tATTEMPTS\tNODE\tERROR")
	for _, a := range accounts {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", a.Nominal.Format(time.RFC3339), a.Trigger, outcomeText(a),
			between(a.Due, a.Started), between(a.Started, a.Judged), a.Attempts, cmp.Or(a.Node, "-"), firstLine(a.Errors))
	}
}

// outcomeText is the outcome in words, with what the attempts add to it.
func outcomeText(a ledger.Account) string {
	if a.Outcome == ledger.Unfinished {
		return "running"
	}
	var details []string
	if a.Flaky {
		details = append(details, "flaky")
	}
	if a.Attempts > 1 {
		details = append(details, fmt.Sprintf("%d attempts", a.Attempts))
	}
	if a.Attempts > 1 && a.InfraFailures > 0 {
		details = append(details, fmt.Sprintf("%d ended by the platform", a.InfraFailures))
	}
	if len(details) == 0 {
		return string(a.Outcome)
	}
	return fmt.Sprintf("%s (%s)", a.Outcome, strings.Join(details, ", "))
}

func between(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	return to.Sub(from).Round(time.Millisecond).String()
}

func firstLine(texts []string) string {
	if len(texts) == 0 {
		return "-"
	}
	line, _, _ := strings.Cut(texts[0], "\n")
	return printable([]byte(strings.ReplaceAll(line, "\t", " ")))
}
