// Command khronicle runs Kubernetes health checks as durable Temporal workflows.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
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
		Short:        "Kubernetes health checks as durable workflows, every run accounted for",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(
		roleCommand("worker", "Run checks: poll Temporal and do what the runs need", workerRole),
		roleCommand("starter", "Keep the schedules in step with the KHChecks and KHJobs of the cluster", starterRole),
		roleCommand("reportapi", "Serve reports, the status page and the metrics", reportRole),
		devCommand(),
		watchCommand(),
	)
	return root
}

func roleCommand(name, short string, r role) *cobra.Command {
	c := defaultConfig()
	command := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRoles(cmd.Context(), c, r) },
	}
	c.addFlags(command.Flags())
	return command
}
