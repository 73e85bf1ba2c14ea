package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// Judge asks an API server whether it would create an object: by a dry run, with all its validation and admission. Nothing is
// created. The errors are those of the API server.
type Judge struct {
	core  kubernetes.Interface
	typed *Client
}

// NewJudge returns a judge for the API server of config.
func NewJudge(config *rest.Config) (*Judge, error) {
	config = rest.CopyConfig(config)
	config.UserAgent, config.QPS, config.Burst = "khronicle/lint", requestsPerSecond, requestsBurst
	config.WarningHandlerWithContext = warningsOfRequest{}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make Kubernetes client: %w", err)
	}
	typed, err := NewClient(config)
	if err != nil {
		return nil, err
	}
	return &Judge{core: core, typed: typed}, nil
}

// dryRun makes a creation one without effect. Strict validation refuses fields that the server does not know.
var dryRun = metav1.CreateOptions{
	DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict,
}

// TryCheck returns the warnings about a check, and the refusal to create it.
func (j *Judge) TryCheck(ctx context.Context, c *khv1.KuberhealthyCheck) (warnings []string, err error) {
	_, err = j.typed.Checks(c.Namespace).Create(collecting(ctx, &warnings), c, dryRun)
	return warnings, err
}

// TryJob returns the warnings about a job, and the refusal to create it.
func (j *Judge) TryJob(ctx context.Context, job *khv1.KuberhealthyJob) (warnings []string, err error) {
	_, err = j.typed.Jobs(job.Namespace).Create(collecting(ctx, &warnings), job, dryRun)
	return warnings, err
}

// TryPod returns the warnings about a pod, and the refusal to create it.
func (j *Judge) TryPod(ctx context.Context, pod *corev1.Pod) (warnings []string, err error) {
	_, err = j.core.CoreV1().Pods(pod.Namespace).Create(collecting(ctx, &warnings), pod, dryRun)
	return warnings, err
}

// warningsKey is the key of the warnings in the context of a request.
type warningsKey struct{}

func collecting(ctx context.Context, warnings *[]string) context.Context {
	return context.WithValue(ctx, warningsKey{}, warnings)
}

// warningsOfRequest hands the warnings in an answer to the caller of the request.
type warningsOfRequest struct{}

// HandleWarningHeaderWithContext is part of rest.WarningHandlerWithContext.
func (warningsOfRequest) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if warnings, ok := ctx.Value(warningsKey{}).(*[]string); ok {
		*warnings = append(*warnings, text)
	}
}
