package starter

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/workqueue"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/workflows"
)

// The status of a check is written by a loop of its own, which needs no Temporal. It compares what the status should be with
// what it is. It does so when the check or its state changes, when its schedule begins, and at each resync.

const (
	// settleWithin is the longest time from a change until a starter looks at the status. Each starter takes a random part of
	// it, so that mostly one starter writes and the others see that.
	settleWithin = 500 * time.Millisecond
	// statusWorkers is how many statuses are written at the same time.
	statusWorkers = 4
)

// scheduling is what this process knows of the schedule of one revision of a check.
type scheduling struct {
	revision workflows.Revision
	check.Scheduling
	// begun is true when the workflows of the check have started. A check whose first run has a later place in the order of
	// starts is scheduled, but has not begun.
	begun bool
}

func newStatusQueue() workqueue.TypedRateLimitingInterface[key] {
	return workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[key](time.Second, 5*time.Minute))
}

// touchStatus makes the loop look at the status of a check soon.
func (s *starter) touchStatus(k key) { s.statuses.AddAfter(k, rand.N(settleWithin)) }

func (s *starter) touchStatusOf(namespace, name string) {
	s.touchStatus(key{kind: khv1.KHCheck, namespace: namespace, name: name})
}

// noteSchedule stores what reconciling a check found out about its schedule.
func (s *starter) noteSchedule(k key, c *khv1.KuberhealthyCheck, found check.Scheduling) {
	if c == nil {
		s.schedulings.Delete(k)
		return
	}
	before, ok := s.schedulingOf(k, c)
	if found.Scheduled && found.Next.IsZero() {
		found.Next = before.Next
	}
	now := scheduling{revision: revisionOf(c), Scheduling: found, begun: found.Scheduled && !s.spread.delays(k)}
	now.Known = true
	s.schedulings.Store(k, now)
	if !ok || before.Next.IsZero() != now.Next.IsZero() || before.Scheduled != now.Scheduled || before.Problem != now.Problem || before.begun != now.begun {
		s.touchStatus(k)
	}
}

// noteFailure stores why reconciling a check failed.
func (s *starter) noteFailure(k key, c *khv1.KuberhealthyCheck, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.noteSchedule(k, c, check.Scheduling{Problem: "scheduling failed and is tried again: " + err.Error()})
	}
}

// noteTooLong stores that the name of a check is too long.
func (s *starter) noteTooLong(k key) {
	if c, ok := s.Cluster.Check(k.namespace, k.name); ok && k.kind == khv1.KHCheck {
		s.noteSchedule(k, c, check.Scheduling{Problem: "metadata.name: it is too long: a shorter name would be right", Final: true})
	}
}

// schedulingOf returns what is known of the schedule of the present revision of a check.
func (s *starter) schedulingOf(k key, c *khv1.KuberhealthyCheck) (scheduling, bool) {
	stored, _ := s.schedulings.Load(k)
	known, ok := stored.(scheduling)
	if !ok || known.revision != revisionOf(c) {
		return scheduling{}, false
	}
	return known, true
}

// errBehind is the error of a status that another writer was faster to write: then the cache is behind.
var errBehind = errors.New("the check has changed since it was read")

// reconcileStatus starts or follows the run that a check asks for, and shows it in the status with everything else. It
// returns how long to wait before the next look, or 0. A request that fails does not prevent the status from being written.
func (s *starter) reconcileStatus(ctx context.Context, k key) (after time.Duration, err error) {
	c, ok := s.Cluster.Check(k.namespace, k.name)
	if !ok {
		return 0, nil
	}
	known, _ := s.schedulingOf(k, c)
	request, after, err := s.followRequest(ctx, c, known)
	if err != nil {
		request = c.Status.LastRequest
	}
	return after, errors.Join(err, s.writeStatus(ctx, k, c, known.Scheduling, request))
}

// writeStatus writes the status of a check if it should change, and the events that belong to the change.
func (s *starter) writeStatus(ctx context.Context, k key, c *khv1.KuberhealthyCheck, known check.Scheduling, request *khv1.RunRequest) error {
	state, _ := s.Cluster.State(k.namespace, check.StateName(k.name))
	status, changed := check.NextStatus(check.StatusFacts{Check: c, State: state, Scheduling: known, Request: request, Now: time.Now()})
	if !changed {
		return nil
	}
	written, err := s.Cluster.WriteCheckStatus(ctx, c, status)
	switch {
	case err != nil:
		return err
	case !written:
		return errBehind
	}
	for _, event := range check.StatusEvents(c.Status, status) {
		s.Cluster.Announce(c, event)
	}
	return nil
}
