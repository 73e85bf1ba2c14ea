package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/internal/cli"
)

// recordsCommand shows the records of the ledger.
func recordsCommand() *cobra.Command {
	c, o, output := defaultConfig(), cli.RecordsOptions{}, ""
	command := &cobra.Command{
		Use: "records [NAMESPACE/NAME]", Short: "Show the outcome of each tick and run, from the ledger", Args: cobra.MaximumNArgs(1),
		Example: "  khronicle records --ledger sqlite:.state/temporal/ledger.db\n  khronicle records shop/checkout --limit 50",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Format, err = cli.ParseFormat(output); err != nil {
				return err
			}
			if o.Limit < 1 {
				return fmt.Errorf("--limit: %d is less than 1", o.Limit)
			}
			opened, err := c.openToRead(cmd.Context())
			if err != nil {
				return err
			}
			defer opened.Close()
			if len(args) == 0 {
				return cli.ShowAllRecords(cmd.Context(), opened, o.Format, cmd.OutOrStdout())
			}
			return cli.ShowRecords(cmd.Context(), opened, args[0], o, cmd.OutOrStdout())
		},
	}
	c.flags = command.Flags()
	c.addLedgerFlag(c.flags)
	command.Flags().IntVar(&o.Limit, "limit", 50, "how many records of a check to show, the newest first")
	command.Flags().StringVarP(&output, "output", "o", "text", "format of the output: text or json")
	return command
}

// evidenceCommand shows the evidence of a run, whose pod may be deleted.
func evidenceCommand() *cobra.Command {
	c, runUUID, at, output := defaultConfig(), "", "", ""
	command := &cobra.Command{
		Use: "evidence NAMESPACE/NAME", Short: "Show the evidence of a failed run, from the ledger", Args: cobra.ExactArgs(1),
		Long: `Show the evidence of a run: of each failed attempt the pod's spec, status, events and logs, and the reports.
The command shows the newest run that failed, timed out or had a failed attempt. Choose another run by --run or --at.`,
		Example: "  khronicle evidence shop/checkout --ledger sqlite:.state/temporal/ledger.db\n  khronicle evidence shop/checkout --at 2026-11-23T02:00:00Z",
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := cli.ParseFormat(output)
			if err != nil {
				return err
			}
			choice, err := cli.ChooseRun(runUUID, at)
			if err != nil {
				return err
			}
			opened, err := c.openToRead(cmd.Context())
			if err != nil {
				return err
			}
			defer opened.Close()
			return cli.ShowEvidence(cmd.Context(), opened, args[0], choice, format, cmd.OutOrStdout())
		},
	}
	c.flags = command.Flags()
	c.addLedgerFlag(c.flags)
	command.Flags().StringVar(&runUUID, "run", "", "UUID of the run to show")
	command.Flags().StringVar(&at, "at", "", "show the newest run whose tick was at this time or before, such as 2026-11-23T02:00:00Z")
	command.Flags().StringVarP(&output, "output", "o", "text", "format of the output: text or json")
	command.MarkFlagsMutuallyExclusive("run", "at")
	return command
}
