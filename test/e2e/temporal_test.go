//go:build e2e

package e2e

import (
	"fmt"
	"sync"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

var temporalClient = sync.OnceValues(func() (client.Client, error) {
	return client.NewLazyClient(client.Options{HostPort: fmt.Sprintf("127.0.0.1:%d", temporalPort)})
})

func temporal(t testing.TB) client.Client {
	t.Helper()
	c, err := temporalClient()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// openWorkflows returns the IDs of the open workflows of a namespace's checks.
func openWorkflows(t testing.TB, namespace string) []string {
	t.Helper()
	return workflowIDs(t, fmt.Sprintf("KhNamespace = '%s' AND ExecutionStatus = 'Running'", namespace))
}

func workflowIDs(t testing.TB, query string) []string {
	t.Helper()
	page, err := temporal(t).ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, execution := range page.GetExecutions() {
		ids = append(ids, execution.GetExecution().GetWorkflowId())
	}
	return ids
}

func countRequest(query string) *workflowservice.CountWorkflowExecutionsRequest {
	return &workflowservice.CountWorkflowExecutionsRequest{Query: query}
}
