//go:build linux

package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stages say how kwok simulates a kubelet. A node is ready, a pod runs at once, and a deleted pod disappears at once.
//
//go:embed stages.yaml
var stages []byte

// kwokMark is the annotation by which kwok finds its nodes, the taint that keeps other pods away, and a label.
const kwokMark = "kwok.x-k8s.io/node"

// nodes is how many nodes kwok plays.
const nodes = 4

// kwokCommand returns the command of kwok.
func (s *stack) kwokCommand() (*exec.Cmd, error) {
	config := filepath.Join(s.state, "stages.yaml")
	if err := os.WriteFile(config, stages, 0o644); err != nil {
		return nil, err
	}
	return exec.Command(filepath.Join(s.bin, "kwok"), "--config="+config, "--kubeconfig="+s.kubeconfig,
		"--manage-all-nodes=false", "--manage-nodes-with-annotation-selector="+kwokMark+"=fake",
		"--cidr=10.245.0.0/16", "--node-ip=10.230.0.1", "--node-lease-duration-seconds=40"), nil
}

// makeNodes adds kwok's nodes and waits until they are ready.
func (s *stack) makeNodes(ctx context.Context) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1000"), corev1.ResourceMemory: resource.MustParse("1Ti"),
		corev1.ResourcePods: resource.MustParse("20000"),
	}
	for i := range nodes {
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("kwok-%d", i), Annotations: map[string]string{kwokMark: "fake"},
				Labels: map[string]string{kwokMark: "fake", corev1.LabelHostname: fmt.Sprintf("kwok-%d", i)},
			},
			Spec:   corev1.NodeSpec{Taints: []corev1.Taint{{Key: kwokMark, Value: "fake", Effect: corev1.TaintEffectNoSchedule}}},
			Status: corev1.NodeStatus{Allocatable: room, Capacity: room},
		}
		if _, err := s.core.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	_, err := s.kubebox(ctx, "kubectl", "wait", "--for=condition=Ready", "--timeout=60s", "node", "--selector="+kwokMark+"=fake")
	return err
}
