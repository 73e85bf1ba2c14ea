package verb

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/khronicle/khronicle/deploy"
)

const manifestsLong = `Print manifests that this version of Khronicle needs, for kubectl apply. They are parts of deploy/manifests.

crds are the three custom resources. serviceaccounts are those of the worker, the starter and the report API. roles are what each of
these may do. bindings give each ServiceAccount its role.`

// manifestsCommand prints parts of the manifests.
func manifestsCommand() *cobra.Command {
	namespace := cmp.Or(os.Getenv(envService), deploy.DefaultNamespace)
	parts := strings.Join(deploy.Parts(), "|")
	command := &cobra.Command{
		Use: "manifests " + parts + "…", Short: "Print the custom resources and the rights that this version needs", Long: manifestsLong,
		Example:   "  khronicle manifests crds | kubectl apply --server-side --force-conflicts -f -",
		Args:      cobra.MinimumNArgs(1),
		ValidArgs: deploy.Parts(),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if !slices.Contains(deploy.Parts(), arg) {
					return usagef("%q is not one of %s", arg, strings.Join(deploy.Parts(), ", "))
				}
			}
			if wrong := validation.IsDNS1123Label(namespace); wrong != nil {
				return usagef("--service-namespace: %q is not the name of a namespace: %s", namespace, wrong[0])
			}
			return printManifests(cmd.OutOrStdout(), args, namespace)
		},
	}
	command.Flags().StringVar(&namespace, "service-namespace", namespace, "namespace of Khronicle ["+envService+"]")
	return command
}

func printManifests(out io.Writer, parts []string, namespace string) error {
	for _, part := range parts {
		for _, document := range deploy.Documents(part, namespace) {
			if _, err := fmt.Fprint(out, "---", document); err != nil {
				return err
			}
		}
	}
	return nil
}
