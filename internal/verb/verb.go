package verb

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/khronicle/khronicle/external/apiclient"
)

// Group is the cobra group of the commands.
const Group = "checks"

// OperationCommands returns the commands that operate Khronicle.
func OperationCommands() []*cobra.Command {
	return []*cobra.Command{WithCode(ExitUnknown, doctorCommand()), WithCode(ExitUnknown, manifestsCommand())}
}

// Commands returns the commands on checks. An error of theirs has an exit code; see Exit.
func Commands(ledgers Ledgers) []*cobra.Command {
	commands := []*cobra.Command{
		getCommand(ledgers), describeCommand(), historyCommand(ledgers), evidenceCommand(ledgers), logsCommand(ledgers), openCommand(),
		runCommand(), pauseCommand(), resumeCommand(), waitCommand(),
	}
	for _, command := range commands {
		command.GroupID = Group
		WithCode(ExitUnknown, command)
	}
	return commands
}

// completionTimeout bounds how long a shell waits for names.
const completionTimeout = 3 * time.Second

// names completes the arguments of a command by the names of checks and jobs.
func (c *connection) names(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	api, err := c.api()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	namespace, err := c.namespace()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for check, err := range api.Checks(ctx, apiclient.ListChecksParams{Limit: new(500)}) {
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		names = append(names, check.Namespace+"/"+check.Name)
		if check.Namespace == namespace {
			names = append(names, check.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeFlag completes a flag by these values.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	// The flag exists, which is the only thing that can be wrong.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// addLimit adds the flag --limit.
func addLimit(f *pflag.FlagSet, limit *int, most int) {
	f.IntVar(limit, "limit", most, "how many runs to show, the newest first")
}

func validLimit(limit int) error {
	if limit < 1 {
		return usagef("--limit: %d is less than 1", limit)
	}
	return nil
}
