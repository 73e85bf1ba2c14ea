package starter_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/starter"
	"github.com/khronicle/khronicle/workflows"
)

// world is a cluster and a Temporal with a starter between them.
type world struct {
	cluster  *fakeCluster
	temporal *fakeTemporal
	log      bytes.Buffer // read it only when the starter is idle
	stop     func()
}

// inWorld runs a test in a bubble of fake time. The cluster starts with these objects, and the starter is running.
func inWorld(t *testing.T, objects []any, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{cluster: newCluster(), temporal: newTemporal()}
		for _, object := range objects {
			w.cluster.apply(object)
		}
		w.start(t)
		test(t, w)
	})
}

// start starts a starter, which ends with the test, or when stop is called.
func (w *world) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	logger := slog.New(slog.NewTextHandler(&w.log, nil))
	go func() {
		ended <- starter.Run(ctx, starter.Options{Cluster: w.cluster, Temporal: w.temporal, Logger: logger})
	}()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("starter ended with %v", err)
		}
		ended <- nil
	}
	t.Cleanup(func() { w.stop() })
}

// expect compares what was done since the last call, at once or within a time.
func (w *world) expect(t *testing.T, within time.Duration, want ...string) {
	t.Helper()
	time.Sleep(within) // of fake time
	synctest.Wait()
	w.temporal.mu.Lock()
	defer w.temporal.mu.Unlock()
	if diff := cmp.Diff(want, w.temporal.did); diff != "" {
		t.Errorf("what was done differs (-want +got):\n%s", diff)
	}
	w.temporal.did = nil
}

const (
	atOnce  = 0
	cartID  = "khcheck/shop/cart"
	jobUID  = "uid-of-smoke"
	cartUID = "uid-of-cart"
)

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example/check:1"}}}
}

// cart is the check of these tests, changed.
func cart(changes ...func(*khv1.KuberhealthyCheck)) *khv1.KuberhealthyCheck {
	c := &khv1.KuberhealthyCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: cartUID, CreationTimestamp: metav1.Now()},
		Spec:       khv1.CheckConfig{RunInterval: "2m", Timeout: "1m", PodSpec: podSpec()},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func every(interval string) func(*khv1.KuberhealthyCheck) {
	return func(c *khv1.KuberhealthyCheck) { c.Spec.RunInterval = interval }
}

func suspended(c *khv1.KuberhealthyCheck) { c.Spec.Suspend = true }

func anew(c *khv1.KuberhealthyCheck) { c.UID = "uid-of-another-cart" }

func smoke(phase khv1.JobPhase) *khv1.KuberhealthyJob {
	return &khv1.KuberhealthyJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "smoke", UID: jobUID, Generation: 1},
		Spec:       khv1.JobConfig{Phase: phase, Timeout: "1m", PodSpec: podSpec()},
	}
}

// firstRun is the workflow ID of the tick that starts the first run of a revision of the check cart.
func firstRun(uid string, generation int64) string {
	return workflows.FirstRunID(check.Ref{Kind: khv1.KHCheck, Namespace: "shop", Name: "cart", UID: types.UID(uid), Generation: generation})
}
