package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// standaloneCommand runs all roles in one process. Temporal is another process, which nobody starts here.
func standaloneCommand() *cobra.Command {
	c := defaultConfig()
	command := &cobra.Command{
		Use: "standalone", Short: "Run all roles in one process, beside a Temporal server of its own", Args: cobra.NoArgs,
		Long: `Run worker, starter and report API in one process, with one cache of the cluster and one ledger.
Temporal runs beside it, such as in a second container of the pod. The process waits for Temporal, and makes its namespace.`,
		Example: "  khronicle standalone --ledger sqlite:/var/lib/khronicle/ledger.db --temporal-address 127.0.0.1:7233",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStandalone(cmd.Context(), c) },
	}
	c.addFlagsOfAllRoles(command.Flags())
	command.Flags().StringVar(&c.temporalAddress, flagTemporalAddress, "",
		"address of Temporal's frontend, in place of that of the TEMPORAL_* settings; without both it is 127.0.0.1:7233")
	return command
}

func runStandalone(ctx context.Context, c *config) error {
	if c.ledger == "" {
		return fmt.Errorf("--%s: is empty; name a file on the volume, such as sqlite:/var/lib/khronicle/ledger.db [%s]", flagLedger, envLedger)
	}
	c.makesNamespace = true
	return runRoles(ctx, c, allRoles...)
}
