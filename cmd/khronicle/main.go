// Command khronicle runs Kubernetes health checks as durable Temporal workflows.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/khronicle/khronicle/internal/duration"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "khronicle:", err)
		return 1
	}
	return 0
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:          "khronicle",
		Short:        "Kubernetes health checks as durable workflows, every run recorded",
		Version:      buildVersion(),
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return withHint(err) })
	root.AddCommand(
		roleCommand("Run checks: poll Temporal and do what the runs need", workerRole,
			(*config).addOperationsFlags, (*config).addRunFlags),
		roleCommand("Keep the schedules in step with the KHChecks and KHJobs of the cluster", starterRole,
			(*config).addOperationsFlags, (*config).addStartFlags),
		roleCommand("Serve reports, the status page, the metrics and the API", reportRole,
			(*config).addReportFlags, (*config).addLedgerFlag),
		devCommand(),
		watchCommand(),
		recordsCommand(),
		evidenceCommand(),
		lintCommand(),
	)
	return root
}

// withHint adds to the error of a duration such as "30d" what to write instead.
func withHint(err error) error {
	if wrong := (*pflag.InvalidValueError)(nil); errors.As(err, &wrong) && wrong.GetFlag().Value.Type() == "duration" {
		return fmt.Errorf("%w%s", err, duration.Hint(wrong.GetValue()))
	}
	return err
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
