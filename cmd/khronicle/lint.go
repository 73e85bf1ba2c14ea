package main

import (
	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/internal/cli"
)

const lintHelp = `Read manifests of KuberhealthyChecks and KuberhealthyJobs and say what is wrong with them: object, field and what would
be right. No cluster is asked. Errors are what the API server or Khronicle would refuse; warnings are what works, but may
not do what was meant.

FILE is YAML or JSON, a directory (its *.yaml, *.yml and *.json, and those of the directories in it), or - for the
standard input. Objects of other kinds are counted and left alone. Templates and overlays are to be rendered first.

The exit code is 1 if there is an error or, with --strict, a warning.`

const lintExample = `  khronicle lint checks/ jobs.yaml
  helm template ./chart | khronicle lint --strict -
  kubectl get khchecks,khjobs --all-namespaces -o yaml | khronicle lint -`

func lintCommand() *cobra.Command {
	var o cli.LintOptions
	var output string
	command := &cobra.Command{
		Use: "lint FILE…", Short: "Say what is wrong with manifests of checks and jobs, without a cluster",
		Long: lintHelp, Example: lintExample, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Format, err = cli.ParseFormat(output); err != nil {
				return err
			}
			return cli.Lint(cmd.InOrStdin(), cmd.OutOrStdout(), o, args)
		},
	}
	f := command.Flags()
	f.BoolVar(&o.Strict, "strict", false, "exit code 1 for warnings too")
	f.StringVarP(&output, "output", "o", "text", "text, or json: an array of findings")
	return command
}
