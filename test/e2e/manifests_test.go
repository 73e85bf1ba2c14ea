//go:build e2e

package e2e

import (
	"testing"
)

// TestManifestsAreAccepted lets the API server judge what is deployed in a cluster, without keeping it.
func TestManifestsAreAccepted(t *testing.T) {
	t.Parallel()
	for namespace, folder := range map[string]string{
		"kuberhealthy": "../../deploy/manifests", "khronicle-examples": "../../examples",
	} {
		// The API server can check what is in a namespace only when the namespace exists.
		makeNamespace(t, namespace)
		_, err := under.kubebox("kubectl", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", folder)
		if err != nil {
			t.Error(err)
		}
	}
}
