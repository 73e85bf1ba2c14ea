package verb

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/khronicle/khronicle/external/apiclient"
)

// followed writes the log of the pod that runs, or of the next one, until the pod ends or the user interrupts.
func (l *logs) followed(cmd *cobra.Command) error {
	ctx := cmd.Context()
	pod, err := l.nextPod(cmd)
	if err == nil {
		l.say("log of pod %s/%s, created %s", pod.Namespace, pod.Name, ago(&pod.CreationTimestamp.Time, time.Now()))
		err = l.followPod(ctx, pod)
	}
	if ctx.Err() != nil {
		return nil // interrupted
	}
	return err
}

// nextPod returns the newest pod that has not ended. If there is none, it waits for the next pod.
func (l *logs) nextPod(cmd *cobra.Command) (corev1.Pod, error) {
	ctx := cmd.Context()
	pods, err := l.list(ctx)
	if err != nil {
		return corev1.Pod{}, err
	}
	known := map[types.UID]bool{}
	for _, pod := range pods {
		known[pod.UID] = ended(pod)
	}
	if pod, ok := newestUnknown(pods, known); ok {
		return pod, nil
	}
	if err := l.announce(cmd); err != nil {
		return corev1.Pod{}, err
	}
	for pause(ctx) {
		pods, err := l.list(ctx)
		if permanent(err) {
			return corev1.Pod{}, err
		}
		if err != nil {
			l.say("%s, trying again", err)
		}
		if pod, ok := newestUnknown(pods, known); ok {
			return pod, nil
		}
	}
	return corev1.Pod{}, ctx.Err()
}

// newestUnknown returns the newest pod that is not known to have ended. A short run may end between two looks.
func newestUnknown(pods []corev1.Pod, known map[types.UID]bool) (corev1.Pod, bool) {
	for _, pod := range slices.Backward(pods) {
		if !known[pod.UID] {
			return pod, true
		}
	}
	return corev1.Pod{}, false
}

// announce says that the command waits, and when the next run is due if that can be read. It returns an error if there is no such check.
func (l *logs) announce(cmd *cobra.Command) error {
	text := ""
	if client, err := l.api(); err == nil {
		ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
		defer cancel()
		found, err := apiclient.Decode[apiclient.Check](client.GetCheck(ctx, l.name.namespace, l.name.name, nil))
		switch {
		case apiclient.IsNotFound(err):
			return err
		case err == nil && found.State == apiclient.StatePaused:
			text = ", which is paused"
		case err == nil && found.NextRunAt != nil:
			text = ", due " + until(found.NextRunAt, time.Now())
		}
	}
	l.say("no pod runs: waiting for the next run of %s%s", l.name, text)
	return nil
}

// followPod writes the logs of the containers of a pod, each from when it starts, until the pod has ended.
func (l *logs) followPod(ctx context.Context, pod corev1.Pod) error {
	names, err := l.containersOf(pod)
	if err != nil {
		return err
	}
	writing, ctx := errgroup.WithContext(ctx)
	started := map[string]bool{}
	for {
		for _, name := range names {
			if ready, _ := hasStarted(pod, name); ready && !started[name] {
				started[name] = true
				one := stream{pod, name}
				writing.Go(func() error { return l.write(ctx, one, len(names) > 1, true) })
			}
		}
		if ended(pod) || !pause(ctx) {
			break
		}
		if pod, err = l.again(ctx, pod); err != nil {
			writing.Go(func() error { return err }) // which ends the writing too
			break
		}
	}
	if err := writing.Wait(); err != nil || len(started) > 0 {
		return err
	}
	var errs []error
	for _, name := range names {
		_, why := hasStarted(pod, name)
		errs = append(errs, notStarted(pod, name, why))
	}
	return errors.Join(errs...)
}

// again reads a pod again. A pod that is deleted has ended.
func (l *logs) again(ctx context.Context, pod corev1.Pod) (corev1.Pod, error) {
	pods, err := l.list(ctx)
	if err != nil && !permanent(err) {
		return pod, nil
	}
	for _, one := range pods {
		if one.UID == pod.UID {
			return one, nil
		}
	}
	pod.Status.Phase = corev1.PodFailed
	return pod, err
}

func ended(pod corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// pause waits until the next look. It returns false when ctx has ended.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(lookEvery):
		return true
	}
}
