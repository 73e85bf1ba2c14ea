package starter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/khronicle/khronicle/activities"
	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/workflows"
)

// requestID is the ID of the ManualRun that a value asks for.
func requestID(value string) string { return workflows.RequestedRunID(cartRef, value) }

// ask sets the annotation of the check cart, as kubectl annotate does.
func (w *world) ask(value string) {
	w.cluster.annotate("shop", "cart", protocol.AnnotationRequestedAt, value)
}

// request returns the progress of a request that the status shows, after a time.
func (w *world) request(t *testing.T, within time.Duration) khv1.RunRequest {
	t.Helper()
	if last := w.status(t, within).LastRequest; last != nil {
		return *last
	}
	return khv1.RunRequest{}
}

// expectRequest compares the progress of a request but for its time.
func (w *world) expectRequest(t *testing.T, within time.Duration, want khv1.RunRequest) {
	t.Helper()
	got := w.request(t, within)
	if got.Value != "" && got.Time.IsZero() {
		t.Errorf("the request %+v has no time", got)
	}
	want.Time = got.Time
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// runRequest makes a worker start the run of a requested ManualRun, and returns its UUID.
func (w *world) runRequest(t *testing.T, value string) (uuid string) {
	t.Helper()
	uuid = w.temporal.get(t, requestID(value)).runID
	w.temporal.mu.Lock()
	defer w.temporal.mu.Unlock()
	w.temporal.put(client.StartWorkflowOptions{ID: uuid, Memo: map[string]any{
		workflows.MemoRecordKey: activities.RecordKey{Ref: cartRef, Trigger: check.TriggerManual}, workflows.MemoOfCluster: true,
	}}, workflows.CheckRunType, nil)
	return uuid
}

// endRequest ends the run of a request and its ManualRun.
func (w *world) endRequest(value, uuid string, outcome check.Outcome) {
	conclusion := check.Conclusion{Outcome: outcome}
	w.temporal.completeWith(uuid, workflows.CheckRunResult{Conclusion: conclusion})
	w.temporal.completeWith(requestID(value), workflows.ManualRunResult{Conclusion: conclusion})
}

func TestRequestStartsOneRun(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.ask("1")
		w.expect(t, written, "start "+requestID("1"))
		in, ok := w.temporal.get(t, requestID("1")).input.(workflows.ManualRunInput)
		if diff := cmp.Diff(workflows.ManualRunInput{Ref: cartRef, Timeout: time.Minute}, in); diff != "" || !ok {
			t.Errorf("input (-want +got):\n%s", diff)
		}
		w.expectRequest(t, written, khv1.RunRequest{Value: "1", Phase: khv1.RequestRunning})
		uuid := w.runRequest(t, "1")
		w.expectRequest(t, time.Minute, khv1.RunRequest{Value: "1", Phase: khv1.RequestRunning})
		w.endRequest("1", uuid, check.Failed)
		w.expectRequest(t, soon, khv1.RunRequest{Value: "1", Phase: khv1.RequestEnded, Outcome: "failed", RunUUID: uuid})
		// Neither the same value, nor an older one that is set again, starts another run.
		w.cluster.apply(cart(every("3m"), asks("1")))
		w.status(t, soon)
		w.stop()
		w.start(t)
		w.status(t, soon)
		w.temporal.forget()
		w.ask("1")
		w.status(t, time.Hour)
		w.ask("2")
		w.expect(t, written, "start "+requestID("2"))
		w.endRequest("2", w.runRequest(t, "2"), check.Succeeded)
		w.status(t, soon)
		w.ask("1")
		w.expectRequest(t, soon, khv1.RunRequest{Value: "1", Phase: khv1.RequestEnded, Outcome: "failed", RunUUID: uuid})
		w.expect(t, time.Hour)
	})
}

func asks(value string) func(*khv1.KuberhealthyCheck) {
	return func(c *khv1.KuberhealthyCheck) {
		c.Annotations = map[string]string{protocol.AnnotationRequestedAt: value}
	}
}

func TestStartersSideBySideStartARequestedRunOnce(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.start(t)
		w.start(t)
		w.status(t, time.Minute)
		w.ask("1")
		w.expect(t, time.Minute, "start "+requestID("1"))
	})
}

// A status that was lost, as in a restored backup, starts nothing anew.
func TestRequestWhoseProgressWasLostStartsNothing(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.ask("1")
		w.status(t, written)
		uuid := w.runRequest(t, "1")
		w.endRequest("1", uuid, check.Succeeded)
		w.status(t, soon)
		w.temporal.forget()
		w.cluster.mu.Lock()
		c := w.cluster.checks["shop/cart"].DeepCopy()
		c.Status, c.ResourceVersion = khv1.CheckStatus{}, "restored"
		w.cluster.checks["shop/cart"] = c
		w.cluster.mu.Unlock()
		w.expectRequest(t, time.Minute+soon, khv1.RunRequest{Value: "1", Phase: khv1.RequestEnded, Outcome: "succeeded", RunUUID: uuid})
		w.expect(t, atOnce)
	})
}

func TestRequestedRunWaitsForTheOpenRun(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		open := w.began(t)
		w.temporal.begin(workflows.ManualRunID(cartRef), "ManualRun")
		program := w.temporal.get(t, workflows.ManualRunID(cartRef)).runID
		w.ask("1")
		w.expectRequest(t, written, khv1.RunRequest{Value: "1", Phase: khv1.RequestWaiting})
		in, _ := w.temporal.get(t, requestID("1")).input.(workflows.ManualRunInput)
		want := []activities.OpenRun{{UUID: open, First: open}, {UUID: program, First: workflows.ManualRunID(cartRef)}}
		if diff := cmp.Diff(want, in.Before); diff != "" {
			t.Errorf("it waits for (-want +got):\n%s", diff)
		}
		w.expectRequest(t, time.Minute, khv1.RunRequest{Value: "1", Phase: khv1.RequestWaiting})
		w.runRequest(t, "1")
		w.expectRequest(t, soon, khv1.RunRequest{Value: "1", Phase: khv1.RequestRunning})
	})
}

// While a tick may be starting a run, nobody knows for which run to wait.
func TestRequestWaitsForTheDecisionOfATick(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.temporal.forget()
		time.Sleep(time.Until(w.temporal.get(t, cartID).executionTime))
		w.ask("1")
		w.expect(t, 2*time.Second)
		uuid := w.temporal.tick(t, cartID, false)
		w.expect(t, written, "start "+requestID("1"))
		in, _ := w.temporal.get(t, requestID("1")).input.(workflows.ManualRunInput)
		if diff := cmp.Diff([]activities.OpenRun{{UUID: uuid, First: uuid}}, in.Before); diff != "" {
			t.Errorf("it waits for (-want +got):\n%s", diff)
		}
	})
}

func TestPausedCheckRunsOnRequest(t *testing.T) {
	inWorld(t, []any{cart(suspended)}, func(t *testing.T, w *world) {
		w.status(t, written)
		w.temporal.forget()
		w.ask("1")
		w.expect(t, written, "start "+requestID("1"))
		if diff := cmp.Diff([]string{"Ready True Suspended", "Healthy Unknown Paused"}, w.conditions(t, written)); diff != "" {
			t.Errorf("conditions (-want +got):\n%s", diff)
		}
	})
}

// A check that is created or edited with a request first starts its first run. The requested one waits for that.
func TestRequestOfANewCheckWaitsForItsFirstRun(t *testing.T) {
	inWorld(t, []any{cart(asks("1"))}, func(t *testing.T, w *world) {
		w.expect(t, written, "start "+first, "start "+cartID, "start "+requestID("1"))
		open := w.temporal.uuid(t, first)
		in, _ := w.temporal.get(t, requestID("1")).input.(workflows.ManualRunInput)
		if len(in.Before) != 1 || in.Before[0].UUID != open {
			t.Errorf("it waits for %v, want %s", in.Before, open)
		}
	})
}

// The new spec of a check that is edited meanwhile runs when the requested run has ended.
func TestCheckThatIsEditedDuringARequestedRun(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.ask("1")
		w.expect(t, written, "start "+requestID("1"))
		uuid := w.runRequest(t, "1")
		w.status(t, soon)
		w.cluster.apply(cart(every("3m"), asks("1")))
		w.expect(t, 30*time.Second)
		w.endRequest("1", uuid, check.Succeeded)
		w.expect(t, soon, changed, "start "+second, "start "+cartID)
		w.expectRequest(t, soon, khv1.RunRequest{Value: "1", Phase: khv1.RequestEnded, Outcome: "succeeded", RunUUID: uuid})
	})
}

// Of the values that are set while a requested run is open, the last one starts a run.
func TestSecondRequestWaitsForTheFirst(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.ask("1")
		w.expect(t, written, "start "+requestID("1"))
		uuid := w.runRequest(t, "1")
		w.ask("2")
		w.ask("3")
		w.expectRequest(t, time.Minute, khv1.RunRequest{Value: "1", Phase: khv1.RequestRunning})
		w.expect(t, atOnce)
		w.endRequest("1", uuid, check.Succeeded)
		w.expect(t, 2*soon, "start "+requestID("3"))
	})
}

func TestRequestThatIsRefused(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.status(t, written)
		w.writes()
		long := strings.Repeat("x", 500)
		w.ask(long)
		w.expect(t, time.Minute)
		got := w.request(t, atOnce)
		if got.Value != long[:128] || got.Phase != khv1.RequestRefused || !strings.Contains(got.Message, "requested-at") {
			t.Errorf("request %+v", got)
		}
		if statuses, events := w.writes(); statuses != 1 || !cmp.Equal(events, []string{"cart: RunRefused"}) {
			t.Errorf("%d writes, events %v", statuses, events)
		}
		w.ask("1")
		w.expect(t, written, "start "+requestID("1"))
	})
}

func TestRequestedRunThatDoesNotEndInOrder(t *testing.T) {
	tests := []struct {
		name string
		end  func(t *testing.T, w *world) (uuid string)
		want khv1.RunRequest
	}{
		{
			"Temporal has lost it", func(_ *testing.T, w *world) string { w.temporal.lose(); return "" },
			khv1.RunRequest{Outcome: "infra-failed", Message: check.Lost().Text},
		},
		{
			"terminated before its run began", func(_ *testing.T, w *world) string { w.temporal.terminate(requestID("1")); return "" },
			khv1.RunRequest{Outcome: "canceled"},
		},
		{"terminated with its run", func(t *testing.T, w *world) string {
			uuid := w.runRequest(t, "1")
			w.temporal.terminate(requestID("1"))
			w.temporal.terminate(uuid)
			return uuid
		}, khv1.RunRequest{Outcome: "canceled"}},
		{"failed", func(t *testing.T, w *world) string {
			uuid := w.runRequest(t, "1")
			w.temporal.end(uuid, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED)
			w.temporal.end(requestID("1"), enumspb.WORKFLOW_EXECUTION_STATUS_FAILED)
			return uuid
		}, khv1.RunRequest{Outcome: "infra-failed"}},
		{"its run goes on without it", func(t *testing.T, w *world) string {
			uuid := w.runRequest(t, "1")
			w.temporal.terminate(requestID("1"))
			// The UUID of a run that is open is a credential.
			w.expectRequest(t, time.Minute, khv1.RunRequest{Value: "1", Phase: khv1.RequestRunning})
			w.temporal.completeWith(uuid, workflows.CheckRunResult{Conclusion: check.Conclusion{Outcome: check.TimedOut}})
			return uuid
		}, khv1.RunRequest{Outcome: "timed-out"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
				w.idle(t)
				w.ask("1")
				w.status(t, written)
				want := tt.want
				want.Value, want.Phase, want.RunUUID = "1", khv1.RequestEnded, tt.end(t, w)
				w.expectRequest(t, 2*soon, want)
			})
		})
	}
}

// Temporal is down when the request comes, and again while its run is open.
func TestRequestWhileTemporalIsDown(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.status(t, written)
		w.temporal.failNext("describe "+requestID("1"), errDown, errDown)
		w.temporal.failNext("execute "+requestID("1"), errDown)
		w.ask("1")
		w.expect(t, time.Minute, "start "+requestID("1"))
		w.temporal.failNext("describe "+requestID("1"), errDown, errDown, errDown)
		w.ended(check.Failed, "out of stock")
		if diff := cmp.Diff([]string{scheduled, "Healthy False Failed"}, w.conditions(t, written)); diff != "" {
			t.Errorf("conditions (-want +got):\n%s", diff)
		}
		uuid := w.runRequest(t, "1")
		w.endRequest("1", uuid, check.Succeeded)
		w.expectRequest(t, time.Minute, khv1.RunRequest{Value: "1", Phase: khv1.RequestEnded, Outcome: "succeeded", RunUUID: uuid})
	})
}

func TestRequestedRunOfADeletedCheckIsCancelled(t *testing.T) {
	inWorld(t, []any{cart()}, func(t *testing.T, w *world) {
		w.idle(t)
		w.ask("1")
		w.status(t, written)
		uuid := w.runRequest(t, "1")
		w.temporal.forget()
		w.cluster.forget("shop", "cart")
		w.expect(t, time.Minute, deleted, "cancel "+uuid)
	})
}
