package starter

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/khronicle/khronicle/workflows"
)

// EnsureNamespace makes a Temporal namespace if there is none. Ended runs stay in it for the retention. It returns an error until
// the server uses the namespace, which may take seconds. A worker that polls sooner would be refused for good.
func EnsureNamespace(ctx context.Context, temporal client.Client, namespace string, retention time.Duration) error {
	service := temporal.WorkflowService()
	_, err := service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if missing := (*serviceerror.NamespaceNotFound)(nil); errors.As(err, &missing) {
		err = registerNamespace(ctx, service, namespace, retention)
	}
	if err == nil {
		_, err = service.CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace})
	}
	if err != nil {
		return fmt.Errorf("find Temporal namespace %s: %w", namespace, err)
	}
	return nil
}

func registerNamespace(ctx context.Context, service workflowservice.WorkflowServiceClient, namespace string, retention time.Duration) error {
	_, err := service.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	if present := (*serviceerror.NamespaceAlreadyExists)(nil); errors.As(err, &present) {
		return nil
	}
	return err
}

// EnsureSearchAttributes registers Khronicle's missing search attributes in a Temporal namespace.
func EnsureSearchAttributes(ctx context.Context, temporal client.Client, namespace string) error {
	operator := temporal.OperatorService()
	present, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list search attributes of Temporal namespace %s: %w", namespace, err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, key := range workflows.SearchAttributeKeys() {
		if _, ok := present.GetCustomAttributes()[key.GetName()]; !ok {
			missing[key.GetName()] = key.GetValueType()
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: missing,
	})
	if err != nil {
		return fmt.Errorf("add search attributes to Temporal namespace %s: %w", namespace, err)
	}
	return nil
}

// SearchAttributeNames returns the names of the search attributes that Khronicle needs, all of type Keyword.
func SearchAttributeNames() []string {
	var names []string
	for _, key := range workflows.SearchAttributeKeys() {
		names = append(names, key.GetName())
	}
	return names
}
