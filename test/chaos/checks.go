//go:build linux

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
	"github.com/khronicle/khronicle/test/wait"
)

// applyChecks makes the namespace and the checks.
func (s *stack) applyChecks(ctx context.Context) error {
	progress("applying %d checks; %d more will follow", s.checks-s.late(), s.late())
	wanted := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := s.core.CoreV1().Namespaces().Create(ctx, wanted, metav1.CreateOptions{}); err != nil {
		return err
	}
	hasAccount := wait.Until(ctx, time.Minute, func() bool {
		_, err := s.core.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	if !hasAccount {
		return fmt.Errorf("namespace %s has no service account", namespace)
	}
	for i := range s.checks - s.late() {
		if err := s.apply(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// late is how many checks are applied while the chaos goes on, so that their schedules start in it.
func (s *stack) late() int { return s.checks / 4 }

// applyLate applies the late checks, one after the other, in the first half of the chaos. The API server may be away.
func (s *stack) applyLate(ctx context.Context) {
	for i := range s.late() {
		if !wait.Sleep(ctx, s.For/2/time.Duration(s.late())) {
			return
		}
		n := s.checks - s.late() + i
		applied := wait.Until(ctx, time.Minute, func() bool { return s.apply(ctx, n) == nil })
		if !applied && ctx.Err() == nil {
			progress("check %d was not applied within a minute", n)
		}
	}
}

func nameOf(i int) string { return fmt.Sprintf("c%02d", i) }

func (s *stack) apply(ctx context.Context, i int) error {
	_, err := s.group.Checks(namespace).Create(ctx, s.check(nameOf(i)), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // by a request whose answer was lost
		return nil
	}
	return err
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

// suspendChecks lets the schedules run nothing more, and leaves what runs.
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
	if s.cgroupSeen = s.cgroupSeen || len(podCgroups()) > 0; !s.cgroupSeen || len(s.ofChecks(ctx)) < s.checks {
		left = append(left, "what must be there before the checks are deleted was not seen: the search for what is left does not work")
	}
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
	wait.Until(ctx, 90*time.Second, func() bool {
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
