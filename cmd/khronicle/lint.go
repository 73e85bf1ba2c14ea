package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/internal/lint"
)

// lintOptions say what counts as wrong, and how it is written.
type lintOptions struct {
	strict bool
	output string
}

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
	var o lintOptions
	command := &cobra.Command{
		Use: "lint FILE…", Short: "Say what is wrong with manifests of checks and jobs, without a cluster",
		Long: lintHelp, Example: lintExample, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runLint(cmd, o, args) },
	}
	f := command.Flags()
	f.BoolVar(&o.strict, "strict", false, "exit code 1 for warnings too")
	f.StringVarP(&o.output, "output", "o", "text", "text, or json: an array of findings")
	return command
}

func runLint(cmd *cobra.Command, o lintOptions, args []string) error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output: %q is not text or json", o.output)
	}
	linter := lint.New()
	manifests{linter: linter, input: cmd.InOrStdin(), seen: map[string]bool{}}.read(args)
	report := linter.Report()
	if err := writeLint(cmd.OutOrStdout(), report, o.output); err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	if wrong := report.Count(lint.Error); wrong > 0 {
		return errors.New("lint: " + lint.Plural(wrong, "error"))
	}
	if doubtful := report.Count(lint.Warning); o.strict && doubtful > 0 {
		return errors.New("lint: " + lint.Plural(doubtful, "warning") + ", with --strict")
	}
	return nil
}

func writeLint(out io.Writer, report lint.Report, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(append([]lint.Finding{}, report.Findings...))
	}
	for _, finding := range report.Findings {
		if _, err := fmt.Fprintln(out, finding); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, report.Summary())
	return err
}
