package activities_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// event is what the pod shows, and after how long.
type event struct {
	after time.Duration
	check.Observation
}

// podThat shows these observations one after another, and then nothing new.
func podThat(shows ...event) *fakeCluster {
	return &fakeCluster{awaitPod: func(ctx context.Context, until func(check.Observation) bool) (check.Observation, error) {
		for _, e := range shows {
			select {
			case <-time.After(e.after):
				if until(e.Observation) || e.Gone {
					return e.Observation, nil
				}
			case <-ctx.Done():
				return check.Observation{}, context.Cause(ctx)
			}
		}
		<-ctx.Done()
		return check.Observation{}, context.Cause(ctx)
	}}
}

var (
	pending  = check.Observation{Detail: "container main: ContainerCreating"}
	hopeless = check.Observation{Hopeless: "ErrImagePull", Detail: "container main: ErrImagePull"}
	running  = check.Observation{Started: true, Node: "node-1"}
	partly   = check.Observation{Started: true, PartlyEnded: true, Node: "node-1"}
	deleting = check.Observation{Started: true, Deleting: true, Node: "node-1"}
	ended    = check.Observation{Started: true, Ended: true, Node: "node-1", Detail: "all containers exited with code 0"}
	gone     = check.Observation{Gone: true, Node: "node-1"}
)

// wait is one of the two waiting activities.
type wait func(*activities.Activities) func(context.Context, activities.Pod) (check.Observation, error)

func forStart(a *activities.Activities) func(context.Context, activities.Pod) (check.Observation, error) {
	return a.WaitForPodStart
}

func forExit(a *activities.Activities) func(context.Context, activities.Pod) (check.Observation, error) {
	return a.WaitForPodExit
}

func forReporter(a *activities.Activities) func(context.Context, activities.Pod) (check.Observation, error) {
	return a.WaitForReporterExit
}

// onPod is a pod to be watched for a minute.
func onPod() activities.Pod {
	return activities.Pod{Namespace: "shop", Name: "cart-1", Deadline: time.Now().Add(time.Minute)}
}

func TestWaitForPod(t *testing.T) {
	tests := []struct {
		name  string
		wait  wait
		shows []event
		want  check.Observation
		took  time.Duration
	}{
		{"start: runs", forStart, []event{{time.Second, pending}, {time.Second, running}}, running, 2 * time.Second},
		{"start: has ended before it was seen running", forStart, []event{{time.Second, pending}, {time.Second, ended}}, ended, 2 * time.Second},
		{"start: cannot start by itself", forStart, []event{{time.Second, hopeless}}, hopeless, time.Second},
		{"start: gone", forStart, []event{{time.Second, pending}, {time.Second, gone}}, gone, 2 * time.Second},
		{"start: pending at the deadline", forStart, []event{{time.Second, check.Observation{}}, {time.Second, pending}}, pending, time.Minute},
		{"start: never seen", forStart, nil, check.Observation{}, time.Minute},
		{"exit: ended", forExit, []event{{time.Second, running}, {time.Second, ended}}, ended, 2 * time.Second},
		{"exit: gone", forExit, []event{{time.Second, running}, {time.Second, gone}}, gone, 2 * time.Second},
		{"exit: a pod that is told to go still runs", forExit, []event{{time.Second, deleting}, {time.Second, ended}}, ended, 2 * time.Second},
		{"exit: a hopeless container does not end the pod", forExit, []event{{time.Second, hopeless}}, hopeless, time.Minute},
		{"exit: a container has ended", forExit, []event{{time.Second, partly}}, partly, time.Minute},
		{"reporter: all have ended", forReporter, []event{{time.Second, running}, {time.Second, ended}}, ended, 2 * time.Second},
		{"reporter: one has ended, the others stay", forReporter, []event{{time.Second, partly}}, partly, 6 * time.Second},
		{"reporter: gone", forReporter, []event{{time.Second, gone}}, gone, time.Second},
		{"reporter: none has ended at the deadline", forReporter, []event{{time.Second, running}}, running, time.Minute},
		{"exit: running at the deadline", forExit, []event{{time.Second, pending}, {time.Second, running}}, running, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(podThat(tt.shows...))
				began := time.Now()
				encoded, err := env.ExecuteActivity(tt.wait(a), onPod())
				if diff := cmp.Diff(tt.want, value[check.Observation](t, encoded, err)); diff != "" {
					t.Errorf("observation differs (-want +got):\n%s", diff)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
			})
		})
	}
}

// A request that the deadline cuts off is no error: the wait is over, and what was seen before still counts.
func TestWaitForPodWhoseLastRequestIsCutOffByTheDeadline(t *testing.T) {
	for name, wait := range map[string]wait{"start": forStart, "exit": forExit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(&fakeCluster{awaitPod: func(ctx context.Context, until func(check.Observation) bool) (check.Observation, error) {
					until(pending)
					<-ctx.Done()
					return check.Observation{}, fmt.Errorf("get pod shop/cart-1: %w", ctx.Err())
				}})
				encoded, err := env.ExecuteActivity(wait(a), onPod())
				if diff := cmp.Diff(pending, value[check.Observation](t, encoded, err)); diff != "" {
					t.Errorf("observation differs (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A worker that takes a wait over when its time is up still looks at the pod.
func TestWaitForPodThatBeginsAfterTheDeadlineStillLooks(t *testing.T) {
	for name, wait := range map[string]wait{"start": forStart, "exit": forExit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(podThat(event{time.Second, ended}))
				late := onPod()
				late.Deadline = time.Now().Add(-time.Hour)
				encoded, err := env.ExecuteActivity(wait(a), late)
				if diff := cmp.Diff(ended, value[check.Observation](t, encoded, err)); diff != "" {
					t.Errorf("observation differs (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWaitForPodWithoutADeadlineWaitsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(podThat(event{5 * time.Minute, ended}))
		encoded, err := env.ExecuteActivity(a.WaitForPodExit, activities.Pod{Namespace: "shop", Name: "cart-1"})
		if diff := cmp.Diff(ended, value[check.Observation](t, encoded, err)); diff != "" {
			t.Errorf("observation differs (-want +got):\n%s", diff)
		}
	})
}

func TestWaitForPodThatCannotBeRead(t *testing.T) {
	for name, wait := range map[string]wait{"start": forStart, "exit": forExit} {
		t.Run(name, func(t *testing.T) {
			a, env := worker(&fakeCluster{awaitPod: func(context.Context, func(check.Observation) bool) (check.Observation, error) {
				return check.Observation{}, errors.New("connection refused")
			}})
			if _, err := env.ExecuteActivity(wait(a), onPod()); err == nil || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("error %v, want one to be tried again", err)
			}
		})
	}
}

// pulse notes when an activity says that it is alive.
type pulse struct {
	interceptor.WorkerInterceptorBase
	interceptor.ActivityInboundInterceptorBase
	interceptor.ActivityOutboundInterceptorBase
	beats []time.Time
	// details are those of the last beat that had some.
	details []any
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
	p.beats = append(p.beats, time.Now())
	if len(details) > 0 {
		p.details = details
	}
	p.ActivityOutboundInterceptorBase.RecordHeartbeat(ctx, details...)
}

// heartbeatTimeout is the one that package workflows sets: a longer silence hands the wait to another worker.
const heartbeatTimeout = 10 * time.Second

func TestWaitForPodHeartbeats(t *testing.T) {
	for name, wait := range map[string]wait{"start": forStart, "exit": forExit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(podThat())
				p := &pulse{}
				env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{p}})
				last := time.Now()
				if _, err := env.ExecuteActivity(wait(a), onPod()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				for _, beat := range append(p.beats, time.Now()) {
					if silence := beat.Sub(last); silence > heartbeatTimeout/2 {
						t.Errorf("silent for %s", silence)
					}
					last = beat
				}
			})
		})
	}
}

// That the platform takes a pod away is told at once, and known to the worker that takes the wait over: when the pod is gone
// by then, nothing else says so.
func TestWaitForPodRemembersADisruption(t *testing.T) {
	taken := check.Observation{Started: true, Deleting: true, Disrupted: true, Node: "node-1", Detail: "pod Evicted"}
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(podThat(event{time.Second, running}, event{time.Second, taken}, event{20 * time.Second, taken}))
		p := &pulse{}
		env.SetWorkerOptions(sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{p}})
		stop := make(chan struct{})
		env.SetWorkerStopChannel(stop)
		time.AfterFunc(2500*time.Millisecond, func() { close(stop) }) // before a heartbeat is due
		if _, err := env.ExecuteActivity(a.WaitForPodExit, onPod()); err == nil {
			t.Fatal("no error of a worker that stops")
		}
		if diff := cmp.Diff([]any{taken}, p.details); diff != "" {
			t.Errorf("the heartbeat says (-want +got):\n%s", diff)
		}
	})
	for name, gone := range map[string]check.Observation{"gone": {Gone: true}, "ended": {Started: true, Ended: true}} {
		a, env := worker(podThat(event{0, gone}))
		env.SetHeartbeatDetails(taken)
		encoded, err := env.ExecuteActivity(a.WaitForPodExit, onPod())
		want := gone
		if gone.Gone { // one that is there says itself how it ended
			want = check.Observation{Gone: true, Started: true, Disrupted: true, Node: "node-1", Detail: "pod Evicted"}
		}
		if diff := cmp.Diff(want, value[check.Observation](t, encoded, err)); diff != "" {
			t.Errorf("%s: observation differs (-want +got):\n%s", name, diff)
		}
	}
}

// A worker that stops gives its waits back at once, so that another goes on with them.
func TestWaitForPodEndsWithTheWorker(t *testing.T) {
	for name, wait := range map[string]wait{"start": forStart, "exit": forExit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(podThat(event{time.Second, pending}))
				stop := make(chan struct{})
				env.SetWorkerStopChannel(stop)
				time.AfterFunc(7*time.Second, func() { close(stop) })
				began := time.Now()
				_, err := env.ExecuteActivity(wait(a), onPod())
				if err == nil || !strings.Contains(err.Error(), "the worker is stopping") {
					t.Errorf("error %v, want one to be tried again", err)
				}
				if took := time.Since(began); took != 7*time.Second {
					t.Errorf("took %s, want the 7s to the stop of the worker", took)
				}
			})
		})
	}
}

func TestWaitForPodEndsWhenItIsCancelled(t *testing.T) {
	for name, wait := range map[string]wait{"start": forStart, "exit": forExit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(podThat(event{time.Second, pending}))
				ctx, cancel := context.WithCancel(t.Context())
				env.SetWorkerOptions(sdkworker.Options{BackgroundActivityContext: ctx})
				time.AfterFunc(7*time.Second, cancel)
				began := time.Now()
				if _, err := env.ExecuteActivity(wait(a), onPod()); err == nil {
					t.Error("no error, want that of the cancelled context")
				}
				if took := time.Since(began); took != 7*time.Second {
					t.Errorf("took %s, want the 7s to the cancellation", took)
				}
			})
		})
	}
}

// The server hears of a cancelled wait as cancelled, not as failed: the cause of the context comes through.
func TestWaitForPodReturnsTheCauseOfItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("cancelled by the workflow")
		a, env := worker(podThat())
		env.RegisterActivityWithOptions(func(ctx context.Context) error {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(cause) })
			_, err := a.WaitForPodStart(ctx, onPod())
			if !errors.Is(err, cause) {
				t.Errorf("error %v, want %v", err, cause)
			}
			return nil
		}, activity.RegisterOptions{Name: "Cancelled"})
		if _, err := env.ExecuteActivity("Cancelled"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLookAtPod(t *testing.T) {
	tests := []struct {
		name  string
		shows check.Observation
	}{
		{"pending", pending},
		{"running", running},
		{"gone", gone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, env := worker(podThat(event{0, tt.shows}))
			encoded, err := env.ExecuteActivity(a.LookAtPod, onPod())
			if diff := cmp.Diff(tt.shows, value[check.Observation](t, encoded, err)); diff != "" {
				t.Errorf("observation differs (-want +got):\n%s", diff)
			}
		})
	}
}
