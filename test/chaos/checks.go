package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// applyChecks makes the namespace and the checks.
func (s *stack) applyChecks(ctx context.Context) error {
	progress("applying %d checks", s.checks)
	wanted := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := s.core.CoreV1().Namespaces().Create(ctx, wanted, metav1.CreateOptions{}); err != nil {
		return err
	}
	hasAccount := eventually(ctx, time.Minute, func() bool {
		_, err := s.core.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	if !hasAccount {
		return fmt.Errorf("namespace %s has no service account", namespace)
	}
	for i := range s.checks {
		if _, err := s.group.Checks(namespace).Create(ctx, s.check(fmt.Sprintf("c%02d", i)), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// check is one of the checks: a pod of package check, which keeps its journal on the machine.
func (s *stack) check(name string) *khv1.KuberhealthyCheck {
	grace, noToken := int64(1), false
	container := corev1.Container{
		Name: "check", Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
		Env: []corev1.EnvVar{
			{Name: "CHAOS_SEED", Value: strconv.FormatUint(s.Seed, 10)},
			{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "journal", MountPath: "/journal"}},
	}
	pod := corev1.PodSpec{
		Containers: []corev1.Container{container}, TerminationGracePeriodSeconds: &grace, AutomountServiceAccountToken: &noToken,
		Volumes: []corev1.Volume{{Name: "journal", VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: s.journals()},
		}}},
	}
	return &khv1.KuberhealthyCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       khv1.CheckConfig{RunInterval: s.interval.String(), Timeout: s.timeout.String(), PodSpec: pod},
	}
}

func (s *stack) journals() string { return filepath.Join(s.state, "journal") }

// suspendChecks ends the schedules, and leaves what runs.
func (s *stack) suspendChecks(ctx context.Context) error {
	checks := s.group.Checks(namespace)
	list, err := checks.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, c := range list.Items {
		if c.Spec.Suspend {
			continue
		}
		c.Spec.Suspend = true
		if _, err := checks.Update(ctx, &c, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// deleteChecks deletes all checks, and returns what is left of them after a while.
func (s *stack) deleteChecks(ctx context.Context) (left []string) {
	list, err := s.group.Checks(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{fmt.Sprintf("the checks could not be listed: %v", err)}
	}
	for _, c := range list.Items {
		if err := s.group.Checks(namespace).Delete(ctx, c.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			left = append(left, fmt.Sprintf("check %s could not be deleted: %v", c.Name, err))
		}
	}
	var there []string
	eventually(ctx, 90*time.Second, func() bool {
		there = s.ofChecks(ctx)
		return len(there) == 0
	})
	return append(left, there...)
}

// ofChecks lists what there is of the checks: pods, states, open workflows, cgroups.
func (s *stack) ofChecks(ctx context.Context) (there []string) {
	pods, err := s.core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{fmt.Sprintf("the pods could not be listed: %v", err)}
	}
	for _, pod := range pods.Items {
		there = append(there, fmt.Sprintf("pod %s, %s", pod.Name, pod.Status.Phase))
	}
	states, err := s.group.States(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return append(there, fmt.Sprintf("the states could not be listed: %v", err))
	}
	for _, state := range states.Items {
		there = append(there, "state "+state.Name)
	}
	open, err := s.workflows(ctx, ourOpen)
	if err != nil {
		return append(there, fmt.Sprintf("the open workflows could not be listed: %v", err))
	}
	for _, w := range open {
		there = append(there, fmt.Sprintf("open workflow %s %s", w.GetType().GetName(), w.GetExecution().GetWorkflowId()))
	}
	return append(there, podCgroups()...)
}
