package activities_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.temporal.io/sdk/interceptor"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/khronicle/khronicle/check"
)

// pulse notes when an activity says that it is alive.
type pulse struct {
	interceptor.WorkerInterceptorBase
	interceptor.ActivityInboundInterceptorBase
	interceptor.ActivityOutboundInterceptorBase

	mu    sync.Mutex
	beats []time.Time
	// details are those of each heartbeat.
	details [][]any
}

func (p *pulse) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	p.ActivityInboundInterceptorBase.Next = next
	return p
}

func (p *pulse) Init(outbound interceptor.ActivityOutboundInterceptor) error {
	p.ActivityOutboundInterceptorBase.Next = outbound
	return p.ActivityInboundInterceptorBase.Next.Init(p)
}

func (p *pulse) RecordHeartbeat(ctx context.Context, details ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats, p.details = append(p.beats, time.Now()), append(p.details, details)
	p.ActivityOutboundInterceptorBase.RecordHeartbeat(ctx, details...)
}

// heartbeatTimeout is the one that package workflows sets. After it, the server passes the wait to another worker.
const heartbeatTimeout = 20 * time.Second

// The SDK may delay a heartbeat for 0.8 of the timeout after the one before.
func TestWatchPodHeartbeatsTwiceInEachTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(podThat())
		p := &pulse{}
		env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{p}})
		last := time.Now()
		if _, err := env.ExecuteActivity(a.WatchPod, watched()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, beat := range append(p.beats, time.Now()) {
			if silence := beat.Sub(last); silence > heartbeatTimeout/2 {
				t.Errorf("silent for %s", silence)
			}
			last = beat
		}
		if len(p.beats) > 6 {
			t.Errorf("%d heartbeats in a minute, want no more than one each 10 s", len(p.beats))
		}
	})
}

var taken = check.Observation{Started: true, Deleting: true, Disrupted: true, Node: "node-1", Detail: "pod Evicted"}

// The heartbeat says that the platform takes the pod away. When the pod is deleted, another worker that continues the wait
// has no other source for it. The worker may die at any time after the disruption, so this heartbeat does not wait for the
// SDK's throttle.
func TestADisruptionIsSentAtOnceInSpiteOfTheThrottle(t *testing.T) {
	for name, down := range map[string]bool{"": false, "and by each later heartbeat when that fails": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(podThat(event{time.Second, running}, event{11 * time.Second, taken}))
				temporal := &fakeRuns{down: down}
				a.Runs = temporal
				p := &pulse{}
				env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{p}})
				want := []sentHeartbeat{{time.Now().Add(12 * time.Second), taken}}
				if _, err := env.ExecuteActivity(a.WatchPod, watched()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if diff := cmp.Diff(want, temporal.sent); diff != "" && !down {
					t.Errorf("sent at once (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([][]any{nil, {taken}, {taken}, {taken}}, p.details[:4], cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("details of the heartbeats (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// When a pod was deleted, what a worker saw before it died counts. A pod that still exists says itself how it ended.
func TestADisruptionSeenByAWorkerThatDiedIsRemembered(t *testing.T) {
	remembered := check.Observation{Gone: true, Started: true, Disrupted: true, Node: "node-1", Detail: "pod Evicted"}
	for name, tt := range map[string]struct{ shows, want check.Observation }{
		"gone":  {check.Observation{Gone: true}, remembered},
		"ended": {check.Observation{Started: true, Ended: true}, check.Observation{Started: true, Ended: true}},
	} {
		t.Run(name, func(t *testing.T) {
			a, env := worker(podThat(event{0, tt.shows}))
			env.SetHeartbeatDetails(taken)
			encoded, err := env.ExecuteActivity(a.WatchPod, watched())
			if diff := cmp.Diff(tt.want, value[check.Observation](t, encoded, err)); diff != "" {
				t.Errorf("observation differs (-want +got):\n%s", diff)
			}
		})
	}
}

// The second worker may die too, before it sees anything.
func TestADisruptionIsHandedOnToTheThirdWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(podThat())
		env.SetHeartbeatDetails(taken)
		p := &pulse{}
		env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{p}})
		if _, err := env.ExecuteActivity(a.WatchPod, watched()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i, details := range p.details {
			if diff := cmp.Diff([]any{taken}, details); diff != "" {
				t.Errorf("details of heartbeat %d (-want +got):\n%s", i, diff)
			}
		}
		if len(p.details) == 0 {
			t.Error("no heartbeat")
		}
	})
}

type fakeDeadman struct{ beats int }

func (f *fakeDeadman) Heartbeat(context.Context) { f.beats++ }

func TestHeartbeatOfTheDeadMansSwitch(t *testing.T) {
	a, env := worker(&fakeCluster{})
	if _, err := env.ExecuteActivity(a.Heartbeat); err != nil {
		t.Errorf("without a switch: %v", err)
	}
	deadman := &fakeDeadman{}
	a.Deadman = deadman
	if _, err := env.ExecuteActivity(a.Heartbeat); err != nil || deadman.beats != 1 {
		t.Errorf("%d heartbeats, error %v", deadman.beats, err)
	}
}
