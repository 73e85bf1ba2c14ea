package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/khronicle/khronicle/internal/verb"
)

// groupOperate is the group of the commands that operate Khronicle.
const groupOperate = "operate"

// operationCommands returns the roles, and the commands that need more than a kubeconfig.
func operationCommands() []*cobra.Command {
	return append([]*cobra.Command{
		roleCommand("Run checks: poll Temporal and do what the runs need", workerRole,
			(*config).addOperationsFlags, (*config).addRunFlags),
		roleCommand("Keep the schedules in step with the KHChecks and KHJobs of the cluster", starterRole,
			(*config).addOperationsFlags, (*config).addStartFlags),
		roleCommand("Serve reports, the status page, the metrics and the API", reportRole,
			(*config).addReportFlags, (*config).addLedgerFlag),
		standaloneCommand(),
		devCommand(),
		ledgerCommand(),
		lintCommand(),
		versionCommand(),
	}, verb.OperationCommands()...)
}

func roleCommand(short string, r role, flags ...func(*config, *pflag.FlagSet)) *cobra.Command {
	c := defaultConfig()
	command := &cobra.Command{
		Use: r.name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRoles(cmd.Context(), c, r) },
	}
	c.addNameFlags(command.Flags())
	for _, add := range flags {
		add(c, command.Flags())
	}
	return command
}

// addFlagsOfAllRoles adds the flags of a process with all roles. Its report API serves /healthz, /readyz and /metrics.
func (c *config) addFlagsOfAllRoles(f *pflag.FlagSet) {
	c.addNameFlags(f)
	c.addReportFlags(f)
	c.addRunFlags(f)
	c.addStartFlags(f)
}
