// Command khronicle runs Kubernetes health checks as durable Temporal workflows.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	_ "time/tzdata" // the zones of cron schedules, where the machine has none: Windows, and images without a base

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/khronicle/khronicle/internal/duration"
	"github.com/khronicle/khronicle/internal/verb"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	program := "khronicle"
	if strings.HasPrefix(filepath.Base(os.Args[0]), "kubectl-") {
		program = "kubectl khronicle"
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: program}
	}
	return verb.Exit(os.Stderr, program, root.ExecuteContext(ctx))
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:          "khronicle",
		Short:        "Kubernetes health checks as durable workflows, every run recorded",
		Version:      buildVersion(),
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return withHint(err) })
	root.AddGroup(&cobra.Group{ID: verb.Group, Title: "Checks and their runs:"}, &cobra.Group{ID: groupOperate, Title: "Operation:"})
	for _, command := range operationCommands() {
		command.GroupID = groupOperate
		root.AddCommand(verb.WithCode(verb.ExitFailed, command))
	}
	root.AddCommand(verb.Commands(verb.Ledgers{Variable: envLedger, Open: openLedgerAPI})...)
	return root
}

// withHint adds to the error of a duration such as "30d" what to write instead.
func withHint(err error) error {
	if wrong := (*pflag.InvalidValueError)(nil); errors.As(err, &wrong) && wrong.GetFlag().Value.Type() == "duration" {
		return fmt.Errorf("%w%s", err, duration.Hint(wrong.GetValue()))
	}
	return err
}
