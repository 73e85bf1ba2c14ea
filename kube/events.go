package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	eventsv1 "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/tools/events"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// announcer records events of checks. An event that repeats within minutes becomes a series: one object with a count.
type announcer struct {
	broadcaster events.EventBroadcaster
	recorder    events.EventRecorder
}

func newAnnouncer(client eventsv1.EventsV1Interface) (*announcer, error) {
	kinds := runtime.NewScheme()
	if err := khv1.AddToScheme(kinds); err != nil {
		return nil, fmt.Errorf("register %s: %w", khv1.GroupVersion, err)
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client})
	return &announcer{broadcaster, broadcaster.NewRecorder(kinds, fieldManager)}, nil
}

// start sends events until ctx ends. Without an announcer it does nothing.
func (a *announcer) start(ctx context.Context) {
	if a == nil {
		return
	}
	_ = a.broadcaster.StartRecordingToSinkWithContext(ctx) // fails only after a shutdown, which never happens
}

// Announce records an event of a check. It returns at once. An event that the API server does not take within minutes is
// lost, and so is one that waits when the process ends. Options.Events must be set.
func (c *Cluster) Announce(about *khv1.KuberhealthyCheck, event check.StatusEvent) {
	if c.announcer == nil {
		return
	}
	kind := corev1.EventTypeNormal
	if event.Warning {
		kind = corev1.EventTypeWarning
	}
	c.announcer.recorder.Eventf(about, nil, kind, event.Reason, event.Action, "%s", event.Note)
}
