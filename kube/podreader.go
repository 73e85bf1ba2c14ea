package kube

import (
	"context"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
)

// PodReader reads checker pods and their logs by requests. It needs the rights to list pods and to get pods/log.
type PodReader struct{ core typedcorev1.CoreV1Interface }

// NewPodReader returns a reader for the API server of config.
func NewPodReader(config *rest.Config) (*PodReader, error) {
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client of pods: %w", err)
	}
	return &PodReader{core}, nil
}

// PodsOf returns the pods of the check of a name, the oldest first. If the check has none, they are those of the job of that name.
func (r *PodReader) PodsOf(ctx context.Context, namespace, name string) ([]corev1.Pod, error) {
	selector := labels.Set{protocol.LabelCheckName: name}.String()
	list, err := r.core.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list pods of %s/%s: %w", namespace, name, err)
	}
	var ofCheck, ofJob []corev1.Pod
	for _, pod := range list.Items {
		if check.KindOf(pod.OwnerReferences) == khv1.KHJob {
			ofJob = append(ofJob, pod)
			continue
		}
		ofCheck = append(ofCheck, pod)
	}
	if len(ofCheck) == 0 {
		ofCheck = ofJob
	}
	slices.SortStableFunc(ofCheck, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return ofCheck, nil
}

// Log returns the log of a container as it is written. The caller closes it.
func (r *PodReader) Log(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	stream, err := r.core.Pods(namespace).GetLogs(pod, o).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read log of container %s of pod %s/%s: %w", o.Container, namespace, pod, err)
	}
	return stream, nil
}
