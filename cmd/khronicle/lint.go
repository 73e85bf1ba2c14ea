package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/cli"
	"github.com/khronicle/khronicle/kube"
)

const lintHelp = `Read manifests of KuberhealthyChecks and KuberhealthyJobs and list what is wrong with them: the object, the field and
what would be right. An error is what the API server or Khronicle would refuse. A warning is what works, but may not do what was
intended.

Without a cluster, the command knows the definitions of the resources and the rules of Khronicle. With --server it also asks an
API server for a dry run of each object, and of the pod that Khronicle would create for it. So it finds what the validation of
Kubernetes, a policy or a quota would refuse, in the words of the API server. Nothing is created. The command needs the right to
create khchecks, khjobs and pods in their namespaces.

FILE is a YAML or JSON file, a directory, or - for the standard input. Of a directory, all *.yaml, *.yml and *.json files are read,
also in the directories below it. Objects of other kinds are only counted. Render templates and overlays first.

The exit code is 1 if there is an error or, with --strict, a warning.`

const lintExample = `  khronicle lint checks/ jobs.yaml
  khronicle lint --server --context staging checks/
  helm template ./chart | khronicle lint --strict -
  kubectl get khchecks,khjobs --all-namespaces -o yaml | khronicle lint --server -`

func lintCommand() *cobra.Command {
	c := defaultConfig()
	var o cli.LintOptions
	var output string
	var server bool
	command := &cobra.Command{
		Use: "lint FILE…", Short: "List what is wrong with manifests of checks and jobs",
		Long: lintHelp, Example: lintExample, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Format, err = cli.ParseFormat(output); err != nil {
				return err
			}
			if c.reportingURL != "" && !check.IsHTTP(c.reportingURL) {
				return fmt.Errorf("%s: not a URL", c.source(flagReportingURL, envReportingURL))
			}
			o.ReportingURL = c.reportingURL
			if server {
				if o.Judge, err = c.judge(); err != nil {
					return err
				}
			}
			return cli.Lint(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), o, args)
		},
	}
	f := command.Flags()
	c.addKubeconfigFlags(f)
	c.addReportingURLFlag(f)
	f.BoolVar(&server, "server", false, "also ask the API server of the kubeconfig what it would refuse; nothing is created")
	f.BoolVar(&o.Strict, "strict", false, "exit code 1 for warnings too")
	f.StringVarP(&output, "output", "o", "text", "text, or json: an array of findings")
	return command
}

// judge returns the API server of the kubeconfig.
func (c *config) judge() (*cli.Judge, error) {
	config, err := c.restConfig()
	if err != nil {
		return nil, err
	}
	server, err := kube.NewJudge(config)
	if err != nil {
		return nil, err
	}
	kubeconfig := c.clientConfig()
	namespace, _, err := kubeconfig.Namespace()
	if err != nil {
		return nil, fmt.Errorf("find the namespace of the context: %w", err)
	}
	raw, err := kubeconfig.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("find the context: %w", err)
	}
	name := "the pod's own cluster"
	if current := cmp.Or(c.context, raw.CurrentContext); current != "" {
		name = "context " + current
	}
	return &cli.Judge{Server: server, Name: name + ", " + config.Host, Namespace: namespace}, nil
}
