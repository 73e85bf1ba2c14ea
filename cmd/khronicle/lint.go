package main

import (
	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/internal/cli"
)

const lintHelp = `Read manifests of KuberhealthyChecks and KuberhealthyJobs and list what is wrong with them: the object, the field and
what would be right. No cluster is needed. An error is what the API server or Khronicle would refuse. A warning is what works, but
may not do what was intended.

FILE is a YAML or JSON file, a directory, or - for the standard input. Of a directory, all *.yaml, *.yml and *.json files are read,
also in the directories below it. Objects of other kinds are only counted. Render templates and overlays first.

The exit code is 1 if there is an error or, with --strict, a warning.`

const lintExample = `  khronicle lint checks/ jobs.yaml
  helm template ./chart | khronicle lint --strict -
  kubectl get khchecks,khjobs --all-namespaces -o yaml | khronicle lint -`

func lintCommand() *cobra.Command {
	var o cli.LintOptions
	var output string
	command := &cobra.Command{
		Use: "lint FILE…", Short: "List what is wrong with manifests of checks and jobs, without a cluster",
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
