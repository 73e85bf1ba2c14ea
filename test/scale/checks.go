//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/test/wait"
)

func (o options) namespaceOf(check int) string { return fmt.Sprintf("scale-%d", check%o.namespaces) }

func nameOf(check int) string { return fmt.Sprintf("check-%04d", check) }

// makeNamespaces adds the namespaces of the checks, and waits until pods can be made there.
func (s *stack) makeNamespaces(ctx context.Context) error {
	for i := range s.namespaces {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespaceOf(i)}}
		if _, err := s.core.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
			return err
		}
		hasAccount := wait.Until(ctx, startTimeout, func() bool {
			_, err := s.core.CoreV1().ServiceAccounts(namespace.Name).Get(ctx, "default", metav1.GetOptions{})
			return err == nil
		})
		if !hasAccount {
			return errors.Join(fmt.Errorf("namespace %s has no service account", namespace.Name), ctx.Err())
		}
	}
	return nil
}

// applyChecks applies all checks at once, as an installation over existing checks does.
func (s *stack) applyChecks(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(8)
	for i := range s.checks {
		work.Go(func() error {
			c := s.check(i)
			_, err := s.group.Checks(c.Namespace).Create(ctx, c, metav1.CreateOptions{})
			return err
		})
	}
	return work.Wait()
}

// check is one of the checks. Its pod can run on kwok's nodes alone; the player is what runs in it.
func (o options) check(i int) *khv1.KuberhealthyCheck {
	noToken := false
	pod := corev1.PodSpec{
		Containers:                   []corev1.Container{{Name: "check", Image: "registry.local/played:1"}},
		NodeSelector:                 map[string]string{kwokMark: "fake"},
		Tolerations:                  []corev1.Toleration{{Key: kwokMark, Operator: corev1.TolerationOpExists}},
		AutomountServiceAccountToken: &noToken,
	}
	return &khv1.KuberhealthyCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: o.namespaceOf(i), Name: nameOf(i)},
		Spec:       khv1.CheckConfig{RunInterval: o.interval.String(), Timeout: o.timeout.String(), PodSpec: pod},
	}
}
