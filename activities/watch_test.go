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
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/khronicle/khronicle/activities"
	"github.com/khronicle/khronicle/check"
)

// event is what the pod shows, and after how long.
type event struct {
	after time.Duration
	check.Observation
}

// podThat shows these observations one after another, and then nothing new. A further watch begins with the last
// observation.
func podThat(shows ...event) *fakeCluster {
	next, shown := 0, time.Now()
	return &fakeCluster{awaitPod: func(ctx context.Context, until func(check.Observation) bool) (check.Observation, error) {
		if next > 0 && until(shows[next-1].Observation) {
			return shows[next-1].Observation, nil
		}
		for ; next < len(shows); next++ {
			select {
			case <-time.After(time.Until(shown.Add(shows[next].after))):
				shown = time.Now()
			case <-ctx.Done():
				return check.Observation{}, context.Cause(ctx)
			}
			if e := shows[next]; until(e.Observation) || e.Gone {
				next++
				return e.Observation, nil
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
	stopping = check.Observation{Started: true, PartlyEnded: true, AllEnded: true, OnlySidecars: true, Node: "node-1"}
	crashing = check.Observation{Started: true, Hopeless: "CrashLoopBackOff", Node: "node-1"}
	deleting = check.Observation{Started: true, Deleting: true, Node: "node-1"}
	ended    = check.Observation{Started: true, Ended: true, Node: "node-1", Detail: "all containers exited with code 0"}
	gone     = check.Observation{Gone: true, Node: "node-1"}
)

// onPod is the pod that these tests watch for a minute.
func onPod() activities.Pod {
	return activities.Pod{Namespace: "shop", Name: "cart-1", Deadline: time.Now().Add(time.Minute)}
}

// watched is a pod that is watched for a minute, of one container and without a report.
func watched() activities.WatchInput { return activities.WatchInput{Pod: onPod(), Containers: 1} }

// reported is a pod whose check reports now.
func reported(containers int) activities.WatchInput {
	return activities.WatchInput{Pod: onPod(), Containers: containers, Reported: time.Now()}
}

// partlyAt is a pod in which a container has ended, so long after the time at which these tests begin.
func partlyAt(after time.Duration) check.Observation {
	o := partly
	o.ExitedAt = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC).Add(after)
	return o
}

// afterItsReporter is a pod in which the container that reported has ended.
func afterItsReporter(o check.Observation) check.Observation {
	o.ReporterEnded = true
	return o
}

func TestWatchPodReturns(t *testing.T) {
	const s = time.Second
	alone, two := func() activities.WatchInput { return reported(1) }, func() activities.WatchInput { return reported(2) }
	tests := []struct {
		name  string
		in    func() activities.WatchInput
		shows []event
		want  check.Observation
		took  time.Duration
	}{
		{"when the pod has ended", watched, []event{{s, pending}, {s, running}, {s, ended}}, ended, 3 * s},
		{"when the pod is gone", watched, []event{{s, running}, {s, gone}}, gone, 2 * s},
		{"when the pod cannot start by itself", watched, []event{{s, pending}, {s, hopeless}}, hopeless, 2 * s},
		{"at the deadline of a pod that crashes after its start", watched, []event{{s, running}, {s, crashing}}, crashing, time.Minute},
		{"at the deadline of a pod that did not start", watched, []event{{s, pending}}, pending, time.Minute},
		{"at the deadline of a pod that was never seen", watched, nil, check.Observation{}, time.Minute},
		{"at the deadline of a pod that runs", watched, []event{{s, pending}, {s, running}}, running, time.Minute},
		{"at the deadline of a pod in which a container has ended", watched, []event{{s, partly}}, partly, time.Minute},
		{"when a pod that is deleted has ended", watched, []event{{s, deleting}, {s, ended}}, ended, 2 * s},

		{"reported: not when a container cannot start", alone, []event{{s, hopeless}, {s, ended}}, ended, 2 * s},
		{"reported: when the pod has ended", alone, []event{{s, running}, {s, ended}}, ended, 2 * s},
		{"reported: when the pod is gone", two, []event{{s, gone}}, gone, s},
		{"reported: 5 s after the first container has ended", two, []event{{s, running}, {s, partlyAt(2 * s)}}, afterItsReporter(partlyAt(2 * s)), 7 * s},
		{"reported: when the sidecars end meanwhile", two, []event{{s, partlyAt(s)}, {2 * s, ended}}, afterItsReporter(ended), 3 * s},
		{"reported: when the pod is gone meanwhile", two, []event{{s, partlyAt(s)}, {2 * s, gone}}, afterItsReporter(gone), 3 * s},
		{"reported: not when a container had ended before", two, []event{{s, partlyAt(-10 * s)}}, partlyAt(-10 * s), time.Minute},
		{
			"reported: when another container ends than the one before", two,
			[]event{{s, partlyAt(-10 * s)}, {3 * s, partlyAt(4 * s)}},
			afterItsReporter(partlyAt(4 * s)), 9 * s,
		},
		{"reported: not when the kubelet shows late that a container had ended", two, []event{{s / 2, running}, {s / 2, partlyAt(-s)}}, partlyAt(-s), time.Minute},
		{
			"reported: when a container ends on a node whose clock is behind", two,
			[]event{{s, running}, {s, partlyAt(-20 * s)}},
			afterItsReporter(partlyAt(-20 * s)), 7 * s,
		},
		{"reported: at the deadline of a pod in which no container has ended", two, []event{{s, running}}, running, time.Minute},
		{"reported: at the deadline of a pod of one container", alone, []event{{s, partlyAt(s)}}, partlyAt(s), time.Minute},

		{"5 s after only native sidecars are left", watched, []event{{s, running}, {s, stopping}}, stopping, 7 * s},
		{"when the native sidecars have stopped", watched, []event{{s, stopping}, {2 * s, ended}}, ended, 3 * s},
		{"reported: 5 s after only native sidecars are left", alone, []event{{s, stopping}}, stopping, 6 * s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, env := worker(podThat(tt.shows...))
				began := time.Now()
				encoded, err := env.ExecuteActivity(a.WatchPod, tt.in())
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

// A request that the deadline cuts off is no error. The wait ends, and what was seen before still counts.
func TestWatchPodWhoseLastRequestIsCutOffByTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(&fakeCluster{awaitPod: func(ctx context.Context, until func(check.Observation) bool) (check.Observation, error) {
			until(pending)
			<-ctx.Done()
			return check.Observation{}, fmt.Errorf("get pod shop/cart-1: %w", ctx.Err())
		}})
		encoded, err := env.ExecuteActivity(a.WatchPod, watched())
		if diff := cmp.Diff(pending, value[check.Observation](t, encoded, err)); diff != "" {
			t.Errorf("observation differs (-want +got):\n%s", diff)
		}
	})
}

// A worker that continues a wait after its deadline still looks at the pod.
func TestWatchPodThatBeginsAfterTheDeadlineStillLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(podThat(event{time.Second, ended}))
		late := watched()
		late.Deadline = time.Now().Add(-time.Hour)
		encoded, err := env.ExecuteActivity(a.WatchPod, late)
		if diff := cmp.Diff(ended, value[check.Observation](t, encoded, err)); diff != "" {
			t.Errorf("observation differs (-want +got):\n%s", diff)
		}
	})
}

func TestWatchPodFailsWhenThePodCannotBeRead(t *testing.T) {
	a, env := worker(&fakeCluster{awaitPod: func(context.Context, func(check.Observation) bool) (check.Observation, error) {
		return check.Observation{}, errors.New("connection refused")
	}})
	if _, err := env.ExecuteActivity(a.WatchPod, watched()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v, want one to be tried again", err)
	}
}

// A worker that stops returns its waits at once, so that another worker continues them.
func TestWaitsEndWithTheWorker(t *testing.T) {
	full := activities.NewLimiter(0, 1, pods(1))
	waits := map[string]func(*activities.Activities) (do, in any){
		"WatchPod":  func(a *activities.Activities) (do, in any) { return a.WatchPod, watched() },
		"DeletePod": func(a *activities.Activities) (do, in any) { return a.DeletePod, onPod() },
		"AwaitStart": func(a *activities.Activities) (do, in any) {
			return a.AwaitStart, attempt(1)
		},
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := podThat(event{time.Second, pending})
				cluster.deletePod = func(string) error { return nil }
				a, env := worker(cluster)
				a.Limiter = full
				stop := make(chan struct{})
				env.SetWorkerStopChannel(stop)
				time.AfterFunc(7*time.Second, func() { close(stop) })
				began := time.Now()
				do, in := wait(a)
				_, err := env.ExecuteActivity(do, in)
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

func TestWatchPodEndsWhenItIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, env := worker(podThat(event{time.Second, pending}))
		ctx, cancel := context.WithCancel(t.Context())
		env.SetWorkerOptions(sdkworker.Options{BackgroundActivityContext: ctx})
		time.AfterFunc(7*time.Second, cancel)
		began := time.Now()
		if _, err := env.ExecuteActivity(a.WatchPod, watched()); err == nil {
			t.Error("no error, want that of the cancelled context")
		}
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("took %s, want the 7s to the cancellation", took)
		}
	})
}

// The server sees a cancelled wait as cancelled, not as failed: the activity returns the cause of the context.
func TestWatchPodReturnsTheCauseOfItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("cancelled by the workflow")
		a, env := worker(podThat())
		env.RegisterActivityWithOptions(func(ctx context.Context) error {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(cause) })
			_, err := a.WatchPod(ctx, watched())
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

// The logs of a pod are read while somebody deletes it. After the deletion they cannot be read. They may have the run UUID.
func TestLogsAreFollowedWhenSomebodyDeletesThePod(t *testing.T) {
	leaving := partlyAt(0)
	leaving.Deleting = true
	evicted := leaving
	evicted.Disrupted = true
	two := func() activities.WatchInput { return reported(2) }
	tests := []struct {
		name   string
		in     func() activities.WatchInput
		shows  check.Observation
		follow bool
	}{
		{"running", watched, running, false},
		{"a container has ended", watched, partly, false},
		{"deleted", watched, deleting, true},
		{"deleted when a helper had ended, before the report", watched, leaving, true},
		{"deleted because the containers beside the check never end", two, leaving, false},
		{"evicted when a container had ended", two, evicted, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := podThat(event{time.Second, tt.shows}, event{time.Second, gone})
				cluster.pod = runningPod()
				cluster.pod.Labels = map[string]string{"kuberhealthy-run-id": "0123-4567"}
				cluster.followLog = func(ctx context.Context, container string) (check.LogTail, error) {
					<-ctx.Done()
					return check.LogTail{Content: []byte("log of " + container + " in 0123-4567"), Size: 24}, nil
				}
				a, env := worker(cluster)
				a.Ledger = &fakeLedger{}
				encoded, err := env.ExecuteActivity(a.WatchPod, tt.in())
				var want []check.Piece
				if tt.follow {
					want = []check.Piece{{Kind: check.EvidenceLog, Name: "main", Content: "log of main in *********", Size: 24}}
				}
				if diff := cmp.Diff(want, value[check.Observation](t, encoded, err).Logs); diff != "" {
					t.Errorf("logs (-want +got):\n%s", diff)
				}
			})
		})
	}
}
