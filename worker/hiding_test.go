package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// The API server or a webhook may quote a run UUID, and the errors of activities are shown in Temporal.
func TestErrorsOfActivitiesDoNotSayTheRunUUID(t *testing.T) {
	quoted := errors.New("denied: kuberhealthy-run-id is " + strings.ToUpper(runUUID))
	tests := []struct {
		name     string
		err      error
		want     string // the text of the error
		refused  bool
		typeName string
	}{
		{"quoted", fmt.Errorf("delete pod: %w", quoted), "delete pod: denied: kuberhealthy-run-id is ***", false, "*fmt.wrapError"},
		{
			"permanent", temporal.NewNonRetryableApplicationError("refused for "+runUUID, "Refused", quoted),
			"refused for ***", true, "Refused",
		},
		{"permanent, by its cause", temporal.NewNonRetryableApplicationError("refused", "Refused", quoted), "refused", true, "Refused"},
		{"another text", errors.New("connection refused"), "connection refused", false, ""},
		{"another UUID", errors.New("6f6cf0a5-2d3a-4c9b-8f4e-1f5f0f6f7a11"), "6f6cf0a5-2d3a-4c9b-8f4e-1f5f0f6f7a11", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := withoutRuns(tt.err, "khcheck/shop/cart", runUUID)
			if strings.Contains(strings.ToLower(fmt.Sprintf("%+v %v", err, errors.Unwrap(err))), runUUID) || !strings.Contains(err.Error(), strings.TrimSuffix(tt.want, "***")) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			var application *temporal.ApplicationError
			if errors.As(err, &application) != (tt.typeName != "") {
				t.Fatalf("got a %T", err)
			}
			if application != nil && (application.NonRetryable() != tt.refused || application.Type() != tt.typeName) {
				t.Errorf("permanent is %t, type %q, want %t, %q", application.NonRetryable(), application.Type(), tt.refused, tt.typeName)
			}
		})
	}
	if err := withoutRuns(nil, runUUID); err != nil {
		t.Errorf("success became %v", err)
	}
}

func TestWorkerHidesTheRunUUIDOfAnActivity(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(sdk.Options{
		Interceptors:             []interceptor.WorkerInterceptor{&hiding{}},
		DeadlockDetectionTimeout: time.Minute, // a busy machine is no deadlock
	})
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: runUUID})
	fails := func(context.Context) error { return errors.New("denied: kuberhealthy-run-id is " + runUUID) }
	env.RegisterActivity(fails)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: time.Second, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
		})
		return workflow.ExecuteActivity(ctx, fails).Get(ctx, nil)
	})
	if err := env.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "kuberhealthy-run-id is ***") {
		t.Errorf("got %v, want an error with a hidden run UUID", err)
	}
}
