package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/internal/cli"
	"github.com/khronicle/khronicle/ledger"
)

var errNoLedger = errors.New("--ledger: is empty; name the ledger, such as sqlite:.state/temporal/ledger.db [KHRONICLE_LEDGER]")

// ledgerCommand groups the commands on a whole ledger.
func ledgerCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "ledger", Short: "Copy a ledger to another database, or back it up", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(ledgerCopyCommand(), ledgerBackupCommand())
	return command
}

func ledgerCopyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "copy FROM TO", Short: "Copy a ledger to another database, with all records, evidence and counts", Args: cobra.ExactArgs(2),
		Long: `Copy a ledger to another database, with all records, evidence and counts: from SQLite to PostgreSQL, back, or between two of a kind.

FROM may be in use, and is not changed. The copy is of one moment. TO must be empty, or an earlier copy of FROM that no worker has opened.
A repeated call continues an interrupted copy, and otherwise copies what has changed since. No worker can open TO until the copy is complete.
The command compares every row of TO with FROM, and its exit code is 1 if one differs.`,
		Example: "  khronicle ledger copy sqlite:/var/lib/khronicle/ledger.db postgres://postgres.example.com:5432/khronicle",
		RunE: func(cmd *cobra.Command, args []string) error {
			for i, name := range []string{"FROM", "TO"} {
				if _, _, err := ledger.SQLitePath(args[i]); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return cli.CopyLedger(cmd.Context(), args[0], args[1], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

func ledgerBackupCommand() *cobra.Command {
	c := defaultConfig()
	command := &cobra.Command{
		Use: "backup FILE", Short: "Write a backup of a SQLite ledger to a new file, or to the standard output", Args: cobra.ExactArgs(1),
		Long: `Write a backup of a SQLite ledger to a new file. The ledger may be in use, and no worker waits. The backup is of one moment.
With - the backup goes to the standard output, such as through kubectl exec. Meanwhile it is beside the ledger, and takes as much room.`,
		Example: "  khronicle ledger backup ledger-2026-11-30.db --ledger sqlite:/var/lib/khronicle/ledger.db\n" +
			"  kubectl exec -n kuberhealthy khronicle-0 -c khronicle -- /khronicle ledger backup - > ledger.db",
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.ledger == "" {
				return errNoLedger
			}
			if _, _, err := ledger.SQLitePath(c.ledger); err != nil {
				return fmt.Errorf("%s: %w", c.source(flagLedger, envLedger), err)
			}
			return cli.BackUpLedger(cmd.Context(), c.ledger, args[0], cmd.OutOrStdout())
		},
	}
	c.flags = command.Flags()
	c.addLedgerFlag(c.flags)
	return command
}
